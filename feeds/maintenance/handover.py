"""Hand receipts over as archives that a stroom-proxy scans from a directory or that are posted to a Stroom.

One archive holds one feed and one type of data, as a stroom-proxy refuses a whole archive for one pair of them.
It appears with its metadata in a folder of its own, by one rename, when both are whole and verified: everything is
built in a staging folder on the same file system, because a scanner takes half a file for a file and moves what it
does not know out of its way. A journal in the staging folder makes a run that was killed end where it would have
ended: each receipt is handed over once.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from feeds.maintenance.handover_folders import STAGED, CannotExport, Staging
from feeds.maintenance.handover_journal import Journal, Ready
from feeds.maintenance.locks import only_one
from feeds.models import Receipt, ReceiptFeed, ReceiptQuerySet
from feeds.rules.stored_metadata import format_meta
from feeds.rules.stream_types import is_known_type
from feeds.store.canonical import CanonicalZip, ExportFault, Key, Stored, demand_unchanged, items_of
from feeds.store.compression import StreamInvalid
from portal.text import counted

NOT_YET = (Receipt.Status.STORED, Receipt.Status.FAILED)


@dataclass(frozen=True)
class Selection:
    """Filter of receipts. A ZIP that names several feeds is found by any of them, and handed over whole."""

    feeds: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    again: bool = False

    def receipts(self) -> ReceiptQuerySet:
        """Return the selected receipts, oldest first."""
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
    """Limits of one archive: whole receipts, at least one."""

    receipts: int = 5_000
    bytes: int = 1024**3


@dataclass(frozen=True)
class Archive:
    """One archive that was handed over."""

    path: Path
    feed: str
    type: str
    items: int
    bytes: int


@dataclass
class HandOverReport:
    """Report of a run; `faults` are receipts that were left out, each with its reason."""

    archives: list[Archive] = field(default_factory=list)
    receipts: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)

    @property
    def of_unknown_type(self) -> list[Archive]:
        """Archives that a stroom-proxy refuses unless it is configured with their type."""
        return [archive for archive in self.archives if not is_known_type(archive.type)]

    def add(self, path: Path, writer: CanonicalZip) -> None:
        """Record an archive that is in place."""
        self.archives.append(Archive(path, writer.key.feed, writer.key.type, writer.items, writer.bytes))


class _Unreadable(Exception):  # named after what it says of a receipt
    """The data of one receipt cannot be read although its file is what its record says."""

    def __init__(self, receipt: Receipt, reason: str) -> None:
        super().__init__(reason)
        self.receipt = receipt
        self.reason = reason


class Exporter:
    """Writes the archives of one run."""

    def __init__(
        self,
        store: Path,
        staging: Staging,
        *,
        mark: bool = False,
        wait: bool = False,
        limits: Limits | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare a run.

        Args:
            store: root of the received data.
            staging: where archives are built, and where they go.
            mark: move the receipts on to forwarded once their archives are in place.
            wait: wait for another export through the same staging folder.
            limits: size of one archive.
            tell: called with a line for each archive.
        """
        self._store = store
        self._staging = staging
        self._mark = mark
        self._wait = wait
        self._limits = limits or Limits()
        self._tell = tell
        self._report = HandOverReport()

    def run(self, selection: Selection) -> HandOverReport:
        """Finish what an earlier run left, then export the selection.

        Other maintenance may go on meanwhile: an export needs its own rows only, and no prune removes what it has
        claimed.

        Raises:
            MaintenanceBusy: another export uses the staging folder.
        """
        with only_one(self._staging.folder, "Another export", wait=self._wait):
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
        # Other names are not ours: they were put here after the folder was stamped.
        for path in self._staging.folder.iterdir():
            if STAGED.fullmatch(path.name):
                _remove(path)

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
        try:
            keys = {receipt.pk: found for receipt in batch if (found := self._keys_in(receipt)) is not None}
            writers = self._build(journal, batch, keys)
        except BaseException:
            self._release(journal)
            raise
        self._give_back(journal, {receipt.pk for receipt in batch} - set(keys))
        journal.write()
        self._publish(journal)
        self._report.receipts += len(keys)
        for writer in writers:
            self._report.add(self._staging.output / writer.path.stem / writer.path.name, writer)
            items, size = counted(writer.items, "item"), counted(writer.bytes, "byte")
            self._tell(f"{self._report.archives[-1].path}: {items} of {writer.key}, {size}")

    def _build(self, journal: Journal, batch: list[Receipt], keys: dict[int, frozenset[Key]]) -> list[CanonicalZip]:
        """Write the archives of a batch; start again without a receipt whose data turns out to be unreadable."""
        while True:
            writers: list[CanonicalZip] = []
            try:
                self._write(journal, batch, keys, writers)
            except BaseException as fault:
                for writer in writers:
                    writer.discard()
                    _remove(writer.path.parent)
                if not isinstance(fault, _Unreadable):
                    raise
                self._leave_out(fault.receipt, fault.reason)
                del keys[fault.receipt.pk]
            else:
                return writers

    def _write(
        self,
        journal: Journal,
        batch: list[Receipt],
        keys: Mapping[int, frozenset[Key]],
        writers: list[CanonicalZip],
    ) -> None:
        journal.ready = []
        for key, holders in _holders(batch, keys):
            writers.append(self._begin(key, holders))
            self._fill(writers[-1], holders)
            guid = writers[-1].common_metadata()["GUID"]
            receipts = [receipt.pk for receipt in holders]
            journal.ready.append(Ready(writers[-1].path.stem, key.feed, key.type, guid, receipts))

    def _claim(self, journal: Journal, batch: list[Receipt]) -> list[Receipt]:
        """Record the batch; with marking, claim those receipts that no other run has claimed."""
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

    def _keys_in(self, receipt: Receipt) -> frozenset[Key] | None:
        """Find the feeds and types of a receipt's data; None where its file is not what its record says."""
        stored = _stored(self._store, receipt)
        try:
            demand_unchanged(stored)
            keys = frozenset(item.key for item in items_of(stored))
            if any(not key.feed for key in keys):
                raise ExportFault("its feed is not known")
        except (ExportFault, StreamInvalid, OSError) as fault:
            self._leave_out(receipt, str(fault))
            return None
        return keys

    def _leave_out(self, receipt: Receipt, reason: str) -> None:
        """Report a receipt that cannot be handed over, unless it was pruned meanwhile."""
        if Receipt.objects.filter(pk=receipt.pk).exists():
            self._report.faults.append((receipt.receipt_id, f"{reason} ({self._store / receipt.path})"))

    def _begin(self, key: Key, batch: list[Receipt]) -> CanonicalZip:
        """Start an archive under a name that neither folder has, and that any file system takes."""
        stem = "_".join(filter(None, (_plain(key.feed, 80), _plain(key.type, 30), batch[0].receipt_id)))
        for number in range(1, 10_000):
            name = stem if number == 1 else f"{stem}-{number}"
            built, appeared = self._staging.folder / name, self._staging.output / name
            if not any(path.exists() for path in (built, appeared, appeared.with_name(f"{name}.zip"))):
                built.mkdir(mode=0o700)
                return CanonicalZip(built / f"{name}.zip", key)
        raise CannotExport(f"The output folder is full of archives called {stem}.")

    def _fill(self, writer: CanonicalZip, holders: list[Receipt]) -> None:
        for receipt in holders:
            try:
                for item in items_of(_stored(self._store, receipt)):
                    if item.key == writer.key:
                        writer.add(item)
            except (ExportFault, StreamInvalid) as fault:
                raise _Unreadable(receipt, str(fault)) from fault
        writer.finish()
        with writer.path.with_suffix(".meta").open("wb") as file:
            file.write(format_meta(writer.common_metadata()))
            file.flush()
            os.fsync(file.fileno())

    # The end of a batch
    def _publish(self, journal: Journal) -> None:
        """Let whole archives appear, each by one rename, then move the receipts on."""
        for ready in journal.ready or []:
            if ready.guid:
                self._staging.appear(ready.stem)
            else:
                self._staging.appear_flat(ready.stem)
        if journal.marks:
            self._hand_over(journal)
        journal.end()

    def _hand_over(self, journal: Journal) -> None:
        """Set the receipts to forwarded, with the moment and their archives."""
        archives: dict[int, list[dict[str, str]]] = {pk: [] for pk in journal.receipts}
        for ready in journal.ready or []:
            for pk in ready.receipts:
                archives[pk].append(ready.as_record())
        alike: dict[str, list[int]] = {}
        for pk, left_in in archives.items():
            alike.setdefault(json.dumps(left_in), []).append(pk)
        now = timezone.now()
        with transaction.atomic():
            for left_in_text, receipts in alike.items():
                self._set(receipts, Receipt.Status.FORWARDED, forwarded_at=now, archives=json.loads(left_in_text))

    def _release(self, journal: Journal) -> None:
        if journal.marks:
            self._set(journal.receipts, Receipt.Status.STORED)
        with contextlib.suppress(FileNotFoundError):
            journal.end()

    def _give_back(self, journal: Journal, faulty: set[int]) -> None:
        journal.receipts = [pk for pk in journal.receipts if pk not in faulty]
        if journal.marks and faulty:
            self._set(sorted(faulty), Receipt.Status.FAILED)

    def _set(self, receipts: list[int], status: Receipt.Status, **fields: Any) -> None:
        Receipt.objects.filter(pk__in=receipts, status=Receipt.Status.FORWARDING).update(status=status, **fields)


def _stored(store: Path, receipt: Receipt) -> Stored:
    return Stored(
        path=store / receipt.path,
        feed=receipt.feed,
        compression=receipt.compression,
        bytes=receipt.bytes,
        sha256=receipt.sha256,
        metadata=receipt.headers,
    )


def _holders(batch: list[Receipt], keys: Mapping[int, frozenset[Key]]) -> Iterator[tuple[Key, list[Receipt]]]:
    """Yield each feed and type with the receipts that hold data of it, where that is not dropped."""
    dropped = _dropped(batch)
    for key in sorted(set().union(*keys.values())):
        holders = [r for r in batch if key in keys.get(r.pk, ()) and (r.pk, key.feed) not in dropped]
        if holders:
            yield key, holders


def _dropped(receipts: list[Receipt]) -> set[tuple[int, str]]:
    """Pairs of receipt and feed whose groups are kept only because the archive is stored whole."""
    links = ReceiptFeed.objects.filter(receipt_id__in=[receipt.pk for receipt in receipts], dropped=True)
    return set(links.values_list("receipt_id", "feed"))


def _plain(text: str, limit: int) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:limit]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
