"""Explain every object in the store (threat model, R12): its row, its writer, or what went wrong with it.

Runs while the portal works. Files of a live writer are left alone: its slot's lock shows that it lives.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path, PurePosixPath

from django.db.models import QuerySet

from feeds.maintenance.recovery import adopt
from feeds.maintenance.retention import REMOVED, finish_removals
from feeds.models import Receipt
from feeds.rules.stored_metadata import format_meta
from feeds.store import prune_log
from feeds.store.ids import DATA_SUFFIX, META_SUFFIX, RECEIPT_ID, RECEIVED, STORE_ID, data_path, meta_path
from feeds.store.slots import PARTS, holder_since, noted_places, sweep_dead
from feeds.store.spool import PART_SUFFIX, write_beside
from portal.files import sha256_of

#: No writer takes longer from its rename to its commit.
IN_FLIGHT_SECONDS = 600
_HOUR = re.compile(r"(\d{4}-\d{2}-\d{2})/(\d{2})")
_SLOT_FILES = (["lock"], ["health.probe"])
_NEW_META = f"{META_SUFFIX}.new"
STEP = timedelta(hours=1)
#: So many rows are written in one transaction; each flushes to disk.
ADOPT_TOGETHER = 200
_Span = tuple[str, str]


class Kind(StrEnum):
    """Kinds of findings. `MISSING`, `DAMAGED` and `UNEXPLAINED` are never repaired automatically."""

    MISSING = "row without file"
    DAMAGED = "file differs from row"
    UNEXPLAINED = "unexplained"
    UNRECORDED = "file without row"
    HALF_WRITTEN = "half written"
    METADATA = "metadata missing or damaged"
    REMOVING = "removal not finished"


LOSSES = frozenset({Kind.MISSING, Kind.DAMAGED})


@dataclass(frozen=True)
class Finding:
    """One object that is not as it should be. `path` is relative to the store."""

    kind: Kind
    path: str
    detail: str = ""
    repaired: bool = False


@dataclass
class Totals:
    """Numbers of checked objects."""

    receipts: int = 0
    files: int = 0


@dataclass(frozen=True)
class _Row:
    pk: int
    receipt_id: str
    path: str
    bytes: int
    sha256: str
    headers: dict[str, str] | None = None


@dataclass
class StoreCheck:
    """One walk over store and rows.

    `deep` reads every byte: checksums of data, content of metadata. `repair` mends what can be mended without
    losing anything. `newest` looks at so many folders of hours only, and at those that writers have noted before
    they put something into them: what a crash leaves is in one of these, whatever the clock did.

    `undecided` are the objects that a live writer may be making just now.
    """

    root: Path
    deep: bool = False
    repair: bool = False
    newest: int | None = None
    totals: Totals = field(default_factory=Totals)
    undecided: set[PurePosixPath] = field(default_factory=set)

    def run(self) -> Iterator[Finding]:
        """Find everything that is not as it should be; repaired where that was asked for."""
        self._living = living_writers(self.root)
        self._waiting: list[PurePosixPath] = []
        for name in sorted(_names(self.root)):
            if name == PARTS:
                yield from self._parts()
            elif name == REMOVED:
                yield from self._removed()
            elif name not in (RECEIVED, STORE_ID, prune_log.FOLDER):
                yield Finding(Kind.UNEXPLAINED, name)
        yield from self._received()

    def recover(self) -> Iterator[Finding]:
        """Only mend what dead writers left without a row, which disturbs no other maintenance."""
        self._living = living_writers(self.root)
        self._waiting = []
        for hour, folder in self._chosen_hours():
            if hour is None:
                continue
            sizes, _ = _list(folder)
            relative = folder.relative_to(self.root)
            recorded = {row.receipt_id for row in _rows_of(hour, deep=False)}
            for name in sorted(sizes):
                if name.partition(".")[0] not in recorded:
                    found = self._object(PurePosixPath(relative / name), {}, sizes)
                    yield from (finding for finding in found if finding.repaired)
            yield from self._adopt()

    # Parts of uploads
    def _parts(self) -> Iterator[Finding]:
        # All are judged before any is mended: one sweep takes them all.
        for finding in list(self._judged_parts()):
            yield self._mend(finding, self._sweep) if finding.kind is Kind.HALF_WRITTEN else finding

    def _judged_parts(self) -> Iterator[Finding]:
        for path in sorted((self.root / PARTS).rglob("*")):
            folder, *below = path.relative_to(self.root / PARTS).parts
            number = int(folder) if folder.isdecimal() else 0  # slots begin at 1
            if number and not below and path.is_dir():
                continue
            self.totals.files += 1
            # A living writer's part may be gone by now: it is received.
            if number in self._living or (number and below in _SLOT_FILES):
                continue
            relative = str(path.relative_to(self.root))
            if number and len(below) == 1 and path.suffix == PART_SUFFIX and path.is_file():
                yield Finding(Kind.HALF_WRITTEN, relative, "its writer is gone")
            else:
                yield Finding(Kind.UNEXPLAINED, relative)

    def _sweep(self) -> None:
        sweep_dead(self.root)

    # Files on their way out
    def _removed(self) -> Iterator[Finding]:
        names = sorted(_names(self.root / REMOVED))
        self.totals.files += len(names)
        for name in names:
            if not RECEIPT_ID.match(name):
                yield Finding(Kind.UNEXPLAINED, f"{REMOVED}/{name}")
                continue
            finding = Finding(Kind.REMOVING, f"{REMOVED}/{name}", "a removal was interrupted")
            yield replace(finding, repaired=self.repair)
        if names and self.repair:
            finish_removals(self.root)

    # Received data
    def _received(self) -> Iterator[Finding]:
        visited: dict[str, _Span] = {}
        for hour, folder in self._chosen_hours():
            if hour is None:
                yield Finding(Kind.UNEXPLAINED, str(folder.relative_to(self.root)))
                continue
            visited[str(folder.relative_to(self.root))] = _span(hour)
            yield from self._hour(hour, folder)
        if self.newest is None:
            yield from self._rows_elsewhere(visited)

    def _chosen_hours(self) -> list[tuple[datetime | None, Path]]:
        folders = list(self._hours())
        if self.newest is None:
            return folders
        noted = {self.root / place for place in noted_places(self.root)}
        return [found for found in folders[: -self.newest] if found[1] in noted] + folders[-self.newest :]

    def _hours(self) -> Iterator[tuple[datetime | None, Path]]:
        """Yield every folder of an hour, oldest first; other folders come with None."""
        top = self.root / RECEIVED
        for day in sorted(_names(top)):
            for name in sorted(_names(top / day)) if (top / day).is_dir() else [""]:
                folder = top / day / name
                yield _hour_of(f"{day}/{name}") if folder.is_dir() else None, folder

    def _hour(self, hour: datetime, folder: Path) -> Iterator[Finding]:
        # Files first: a receipt that is stored meanwhile is then seen as a row, and its file is looked for again.
        sizes, strange = _list(folder)
        self.totals.files += len(sizes)
        relative = folder.relative_to(self.root)
        # Ids of this hour belong into this very folder, so comparing texts is enough.
        rows = {
            f"{row.receipt_id}{DATA_SUFFIX}": row
            for row in _rows_of(hour, deep=self.deep)
            if _is_in(str(relative), row)
        }
        self.totals.receipts += len(rows)
        for name in strange:
            yield Finding(Kind.UNEXPLAINED, str(relative / name))
        healthy = set() if self.deep else {name for row in rows.values() for name in _healthy(row, sizes)}
        for name in sorted((rows.keys() | sizes.keys()) - healthy):
            yield from self._object(PurePosixPath(relative / name), rows, sizes)
        yield from self._adopt()

    def _object(self, path: PurePosixPath, rows: dict[str, _Row], sizes: dict[str, int]) -> Iterator[Finding]:
        if path.name in rows:
            yield from self._recorded(path, rows[path.name], sizes)
        elif path.suffix == DATA_SUFFIX and _is_own_place(path):
            yield from self._unrecorded(path)
        elif path.suffix == META_SUFFIX and _is_own_place(path.with_suffix(DATA_SUFFIX)):
            data = path.with_suffix(DATA_SUFFIX).name
            if data not in sizes and data not in rows:
                yield from self._left_over(path, "metadata of an upload that was not finished")
        elif path.name.endswith(_NEW_META):
            yield from self._left_over(path, "metadata that was being written")
        else:
            yield Finding(Kind.UNEXPLAINED, str(path))

    def _recorded(self, path: PurePosixPath, row: _Row, sizes: dict[str, int]) -> Iterator[Finding]:
        size = sizes.get(path.name)
        if size is None:
            yield from self._missing(row)
            return
        if size != row.bytes:
            yield Finding(Kind.DAMAGED, str(path), f"{size} bytes, recorded are {row.bytes}")
        elif self.deep and _sha256(self.root / path) != row.sha256 and _exists(row):
            yield Finding(Kind.DAMAGED, str(path), "its SHA-256 is not the recorded one")
        meta = meta_path(path)
        if self._is_bad_metadata(meta, row, sizes):
            finding = Finding(Kind.METADATA, str(meta))
            yield self._mend(finding, lambda: write_beside(self.root / meta, _metadata(row)))

    def _is_bad_metadata(self, meta: PurePosixPath, row: _Row, sizes: dict[str, int]) -> bool:
        if not sizes.get(meta.name) and not _size(self.root / meta):
            # What was recovered without metadata has none to be missed.
            return _exists(row) and bool(_metadata(row))
        if not self.deep:
            return False
        try:
            return (self.root / meta).read_bytes() != _metadata(row)
        except OSError:
            return _exists(row)

    def _missing(self, row: _Row) -> Iterator[Finding]:
        if _size(self.root / row.path) is None and _exists(row):
            yield Finding(Kind.MISSING, row.path, f"receipt {row.receipt_id}, {row.bytes} bytes")

    def _unrecorded(self, path: PurePosixPath) -> Iterator[Finding]:
        if self._is_in_flight(path):
            self.undecided.add(path)
            return
        if Receipt.objects.filter(receipt_id=path.stem).exists():
            return
        self._waiting.append(path)
        yield from self._adopt(ADOPT_TOGETHER)

    def _adopt(self, least: int = 1) -> Iterator[Finding]:
        """Give those that wait their rows, when there are so many."""
        if len(self._waiting) < least:
            return
        waiting, self._waiting = self._waiting, []
        if self.repair:
            adopt(self.root, waiting)
        for path in waiting:
            yield Finding(Kind.UNRECORDED, str(path), repaired=self.repair)

    def _left_over(self, path: PurePosixPath, what: str) -> Iterator[Finding]:
        if self._is_in_flight(path):
            self.undecided.add(path)
            return
        yield self._mend(
            Finding(Kind.HALF_WRITTEN, str(path), what), lambda: (self.root / path).unlink(missing_ok=True)
        )

    def _is_in_flight(self, path: PurePosixPath) -> bool:
        """Return whether a live writer may be about to record this file, or has already removed it."""
        match = RECEIPT_ID.match(path.name)
        slot = match["node"].rpartition("-")[2] if match else ""
        if match and slot.isdecimal():
            # Asked now, after the file was seen: a worker that takes the number later has not made it.
            since = holder_since(self.root, int(slot))
            if since is None or int(match["millis"]) < since:
                return False
        try:
            # When it came under this name; what is in it may be older.
            age = time.time() - (self.root / path).stat().st_ctime
        except FileNotFoundError:
            return True
        return bool(self._living) and abs(age) < IN_FLIGHT_SECONDS

    def _rows_elsewhere(self, visited: dict[str, _Span]) -> Iterator[Finding]:
        """Rows whose folder is gone, or whose path is not their own."""
        for row in _rows(Receipt.objects.order_by()):
            folder = row.path.rpartition("/")[0]
            first, last = visited.get(folder, ("", ""))
            if first <= row.receipt_id < last and _is_in(folder, row):
                continue
            self.totals.receipts += 1
            yield from self._missing(row)

    def _mend(self, finding: Finding, how: Callable[[], object]) -> Finding:
        if not self.repair:
            return finding
        how()
        return replace(finding, repaired=True)


def living_writers(root: Path) -> set[int]:
    """Numbers of the slots that a process holds."""
    numbers = [int(name) for name in _names(root / PARTS) if name.isdecimal()]
    return {number for number in numbers if holder_since(root, number) is not None}


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208  # names are all that is wanted


def _list(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Sizes of the files in a folder, and the names of what is no file. What goes meanwhile is left out."""
    sizes: dict[str, int] = {}
    strange = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False):
                    sizes[entry.name] = entry.stat().st_size
                else:
                    strange.append(entry.name)
            except FileNotFoundError:
                continue
    return sizes, sorted(strange)


def _hour_of(text: str) -> datetime | None:
    """Return the hour that a folder is for; None when the name is no hour."""
    if not _HOUR.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d/%H").replace(tzinfo=UTC)
    except ValueError:
        return None


def _rows_of(hour: datetime, *, deep: bool) -> Iterator[_Row]:
    """Rows whose ids were made in this hour; ids begin with their milliseconds."""
    first, last = _span(hour)
    return _rows(Receipt.objects.order_by().filter(receipt_id__gte=first, receipt_id__lt=last), deep=deep)


def _rows(query: QuerySet[Receipt], *, deep: bool = False) -> Iterator[_Row]:
    values = query.values_list("pk", "receipt_id", "path", "bytes", "sha256", *(["headers"] if deep else []))
    return (_Row(*row) for row in values.iterator(chunk_size=5000))


def _span(hour: datetime) -> _Span:
    """Between which texts the ids of an hour are: they begin with their milliseconds."""
    first, last = (f"{int(moment.timestamp() * 1000):013d}" for moment in (hour, hour + STEP))
    return first, last


def _is_in(folder: str, row: _Row) -> bool:
    return row.path == f"{folder}/{row.receipt_id}{DATA_SUFFIX}"


def _healthy(row: _Row, sizes: dict[str, int]) -> tuple[str, ...]:
    """Return the two names of a receipt whose files are correct; none otherwise."""
    data, meta = f"{row.receipt_id}{DATA_SUFFIX}", f"{row.receipt_id}{META_SUFFIX}"
    return (data, meta) if sizes.get(data) == row.bytes and sizes.get(meta) else ()


def _is_own_place(path: PurePosixPath) -> bool:
    """Return whether a data file is where its id says."""
    return bool(RECEIPT_ID.fullmatch(path.stem)) and path == data_path(path.stem)


def _exists(row: _Row) -> bool:
    return Receipt.objects.filter(pk=row.pk).exists()


def _metadata(row: _Row) -> bytes:
    if row.headers is not None:
        return format_meta(row.headers)
    return format_meta(Receipt.objects.values_list("headers", flat=True).get(pk=row.pk))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except FileNotFoundError:
        return ""
