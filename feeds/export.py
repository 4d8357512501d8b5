"""Hand receipts over as archives that a stroom-proxy scans from a directory or that are posted to a Stroom.

One archive of one feed and its metadata beside it appear under their names only when they are whole and verified:
everything is built in a staging folder on the same file system, because a scanner takes half a file for a file and
moves what it does not know out of its way. A journal in that folder makes a run that was killed end where it would
have ended: each receipt is handed over once.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.db.models import Q

from feeds.maintenance import only_one
from feeds.metadata import format_meta
from feeds.models import Receipt, ReceiptFeed, ReceiptQuerySet
from feeds.receipt.canonical import CanonicalZip, ExportFault, Stored, demand_unchanged, items_of
from feeds.receipt.compression import StreamInvalid
from feeds.receipt.ids import RECEIPT_ID
from feeds.receipt.spool import sync_folder
from portal.files import NotOurs, claim_folder, is_stamped
from portal.wording import counted

FORWARDED = Receipt.Status.FORWARDED
NOT_YET = (Receipt.Status.STORED, Receipt.Status.FAILED)
#: What the stamp of a staging folder says.
STAGING = "staging folder of export_receipts\n"
#: Names that an export gives to files in its staging folder.
_STAGED = re.compile(rf"([A-Za-z0-9_-]+_)?{RECEIPT_ID.pattern}\.(zip|meta|new|journal)")


class CannotExport(Exception):
    """The folders cannot be used; the text says why."""


@dataclass(frozen=True)
class Selection:
    """Which receipts. A ZIP that names several feeds is found by any of them, and handed over whole."""

    feeds: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    again: bool = False

    def receipts(self) -> ReceiptQuerySet:
        """Those receipts, oldest first."""
        found = Receipt.objects.order_by("received_at", "pk")
        if not self.again:
            found = found.filter(status__in=NOT_YET)
        if self.feeds:
            found = found.filter(pk__in=ReceiptFeed.objects.filter(feed__in=self.feeds).values("receipt_id"))
        if self.since is not None:
            found = found.filter(received_at__gte=self.since)
        if self.until is not None:
            found = found.filter(received_at__lt=self.until)
        return found


@dataclass(frozen=True)
class Limits:
    """How much goes into one archive: whole receipts, at least one."""

    receipts: int = 5_000
    bytes: int = 1024**3


@dataclass(frozen=True)
class Archive:
    """One archive that was handed over."""

    path: Path
    feed: str
    items: int
    bytes: int


@dataclass
class Report:
    """What a run did; `faults` are receipts left out, each with its reason."""

    archives: list[Archive] = field(default_factory=list)
    receipts: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Staging:
    """Folders of a run."""

    output: Path
    folder: Path

    @classmethod
    def beside(cls, output: Path, folder: Path | None = None) -> "Staging":
        """Make the folders.

        Raises:
            CannotExport: they cannot be made, are on two file systems, or the staging folder holds other files.
        """
        staging = folder or output.parent / f".{output.name}.staging"
        if is_stamped(output, STAGING):
            raise CannotExport(f"{output} is the staging folder of another export. Name another output folder.")
        if staging.resolve().is_relative_to(output.resolve()):
            raise CannotExport("The staging folder must not be inside the output folder.")
        try:
            output.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder is not None or not _left_by_older_release(staging):
                claim_folder(staging, STAGING)
            same = output.stat().st_dev == staging.stat().st_dev
        except OSError as fault:
            raise CannotExport(f"{fault.filename} cannot be used: {fault.strerror}.") from fault
        except NotOurs as fault:
            raise CannotExport(str(fault)) from fault
        if not same:
            raise CannotExport("The staging folder must be on the file system of the output folder.")
        return cls(output, staging)


class Journal:
    """What a batch is about to do, on disk before it is done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.receipts: list[int] = []
        self.marks = False
        self.ready: list[str] | None = None

    @classmethod
    def read(cls, path: Path) -> "Journal":
        journal = cls(path)
        stored = json.loads(path.read_text())
        journal.receipts, journal.marks, journal.ready = stored["receipts"], stored["marks"], stored["ready"]
        return journal

    def write(self) -> None:
        """Make this state durable, replacing the one before."""
        new = self.path.with_suffix(".new")
        with new.open("w") as file:
            json.dump({"receipts": self.receipts, "marks": self.marks, "ready": self.ready}, file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.path)
        sync_folder(self.path.parent)

    def end(self) -> None:
        self.path.unlink()
        sync_folder(self.path.parent)


class Exporter:
    """Writes the archives of one run."""

    def __init__(
        self,
        store: Path,
        staging: Staging,
        *,
        mark: bool = False,
        limits: Limits | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare a run.

        Args:
            store: root of the received data.
            staging: where archives are built, and where they go.
            mark: move the receipts on to forwarded once their archives are in place.
            limits: size of one archive.
            tell: told a line for each archive.
        """
        self._store = store
        self._staging = staging
        self._mark = mark
        self._limits = limits or Limits()
        self._tell = tell
        self._report = Report()

    def run(self, selection: Selection) -> Report:
        """Finish what an earlier run left, then export the selection.

        Raises:
            Busy: other maintenance is running.
        """
        with only_one(self._store), only_one(self._staging.folder):
            self.recover()
            names = selection.receipts().order_by("feed").values_list("feed", flat=True).distinct()
            for feed in list(names):
                for batch in self._batches(selection, feed):
                    self._export(batch)
        return self._report

    def recover(self) -> None:
        """End every batch of a run that was killed, forwards where its archives were whole, else backwards."""
        for path in sorted(self._staging.folder.glob("*.journal")):
            journal = Journal.read(path)
            if journal.ready is None:
                self._release(journal)
            else:
                self._publish(journal)
        # Other names are not ours: somebody has put them here since the folder was stamped.
        for path in self._staging.folder.iterdir():
            if _STAGED.fullmatch(path.name):
                path.unlink()

    # One batch
    def _batches(self, selection: Selection, feed: str) -> Iterator[list[Receipt]]:
        """Receipts of one feed in portions, oldest first."""
        last: Receipt | None = None
        while True:
            query = selection.receipts().filter(feed=feed)
            if last is not None:
                query = query.filter(
                    Q(received_at__gt=last.received_at) | Q(received_at=last.received_at, pk__gt=last.pk)
                )
            batch: list[Receipt] = []
            size = 0
            for receipt in query[: self._limits.receipts].iterator(chunk_size=500):
                size += receipt.bytes
                if batch and size > self._limits.bytes:
                    break
                batch.append(receipt)
            if not batch:
                return
            last = batch[-1]
            yield batch

    def _export(self, batch: list[Receipt]) -> None:
        journal = Journal(self._staging.folder / f"{batch[0].receipt_id}.journal")
        journal.marks = self._mark
        batch = self._claim(journal, batch)
        writers: list[CanonicalZip] = []
        try:
            feeds = {receipt.pk: found for receipt in batch if (found := self._feeds_in(receipt)) is not None}
            whole = [receipt for receipt in batch if receipt.pk in feeds]
            dropped = _dropped(whole)
            for feed in sorted(set().union(*feeds.values())):
                holders = [r for r in whole if feed in feeds[r.pk] and (r.pk, feed) not in dropped]
                if holders:
                    writers.append(self._begin(feed, holders))
                    self._fill(writers[-1], holders)
        except BaseException:
            for writer in writers:
                writer.discard()
            self._release(journal)
            raise
        self._give_back(journal, {receipt.pk for receipt in batch} - set(feeds))
        journal.ready = [writer.path.stem for writer in writers]
        journal.write()
        self._publish(journal)
        self._report.receipts += len(whole)
        for writer in writers:
            archive = Archive(self._staging.output / writer.path.name, writer.feed, writer.items, writer.bytes)
            self._report.archives.append(archive)
            items, size = counted(archive.items, "item"), counted(archive.bytes, "byte")
            self._tell(f"{archive.path}: {items} of {archive.feed}, {size}")

    def _claim(self, journal: Journal, batch: list[Receipt]) -> list[Receipt]:
        """Note the batch; where receipts are to be moved on, take those that nobody else took meanwhile."""
        if not self._mark:
            journal.receipts = [receipt.pk for receipt in batch]
            journal.write()
            return batch
        with transaction.atomic():
            free = Receipt.objects.select_for_update().filter(
                pk__in=[receipt.pk for receipt in batch], status__in=NOT_YET
            )
            journal.receipts = list(free.values_list("pk", flat=True))
            journal.write()
            Receipt.objects.filter(pk__in=journal.receipts).update(status=Receipt.Status.FORWARDING)
        mine = set(journal.receipts)
        return [receipt for receipt in batch if receipt.pk in mine]

    def _feeds_in(self, receipt: Receipt) -> frozenset[str] | None:
        """The feeds that a receipt holds data of; None, and a fault, when its file is not what its record says."""
        stored = _stored(self._store, receipt)
        try:
            demand_unchanged(stored)
            feeds = frozenset(item.feed for item in items_of(stored))
            if "" in feeds:
                raise ExportFault("its feed is not known")
        except (ExportFault, StreamInvalid, OSError) as fault:
            self._report.faults.append((receipt.receipt_id, str(fault)))
            return None
        return feeds

    def _begin(self, feed: str, batch: list[Receipt]) -> CanonicalZip:
        """Start an archive under a name that neither folder has, and that any file system takes."""
        stem = f"{re.sub(r'[^A-Za-z0-9_-]', '_', feed)[:100]}_{batch[0].receipt_id}"
        for number in range(1, 10_000):
            name = f"{stem}.zip" if number == 1 else f"{stem}-{number}.zip"
            taken = [
                folder / f"{Path(name).stem}{suffix}"
                for folder in (self._staging.output, self._staging.folder)
                for suffix in (".zip", ".meta")
            ]
            if not any(path.exists() for path in taken):
                return CanonicalZip(self._staging.folder / name, feed)
        raise CannotExport(f"The output folder is full of archives called {stem}.")

    def _fill(self, writer: CanonicalZip, holders: list[Receipt]) -> None:
        for receipt in holders:
            for item in items_of(_stored(self._store, receipt)):
                if item.feed == writer.feed:
                    writer.add(item)
        writer.finish()
        with writer.path.with_suffix(".meta").open("wb") as file:
            file.write(format_meta(writer.common_metadata()))
            file.flush()
            os.fsync(file.fileno())

    # The end of a batch
    def _publish(self, journal: Journal) -> None:
        """Move whole archives into place, metadata first, then move the receipts on.

        Nothing is done between the two: a scanner that sees the metadata alone moves it away as something unknown,
        and takes the archive without.
        """
        self._staging.output.mkdir(mode=0o700, exist_ok=True)  # a scanner removes folders that are empty
        for stem in journal.ready or []:
            both = [self._staging.folder / f"{stem}{suffix}" for suffix in (".meta", ".zip")]
            for path in [path for path in both if path.exists()]:  # those moved before a run was killed are gone
                path.rename(self._staging.output / path.name)
            sync_folder(self._staging.output)
        if journal.marks:
            self._set(journal.receipts, FORWARDED)
        journal.end()

    def _release(self, journal: Journal) -> None:
        if journal.marks:
            self._set(journal.receipts, Receipt.Status.STORED)
        with contextlib.suppress(FileNotFoundError):
            journal.end()

    def _give_back(self, journal: Journal, faulty: set[int]) -> None:
        journal.receipts = [pk for pk in journal.receipts if pk not in faulty]
        if journal.marks and faulty:
            self._set(sorted(faulty), Receipt.Status.FAILED)

    def _set(self, receipts: list[int], status: Receipt.Status) -> None:
        Receipt.objects.filter(pk__in=receipts, status=Receipt.Status.FORWARDING).update(status=status)


def _left_by_older_release(staging: Path) -> bool:
    """Whether a folder without a stamp holds only what an export leaves there when it is killed."""
    if not staging.is_dir() or is_stamped(staging, STAGING):
        return False
    names = [path.name for path in staging.iterdir()]
    return bool(names) and all(_STAGED.fullmatch(name) for name in names)


def _stored(store: Path, receipt: Receipt) -> Stored:
    return Stored(
        path=store / receipt.path,
        feed=receipt.feed,
        compression=receipt.compression,
        bytes=receipt.bytes,
        sha256=receipt.sha256,
        metadata=receipt.headers,
    )


def _dropped(receipts: list[Receipt]) -> set[tuple[int, str]]:
    """Pairs of receipt and feed whose groups are kept only because the archive is stored whole."""
    links = ReceiptFeed.objects.filter(receipt_id__in=[receipt.pk for receipt in receipts], dropped=True)
    return set(links.values_list("receipt_id", "feed"))
