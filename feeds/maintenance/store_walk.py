"""Walk over store and rows that finds what is not as it should be, and changes nothing."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from feeds.maintenance.findings import Finding, FindingKind, Totals
from feeds.maintenance.retention import REMOVED
from feeds.maintenance.store_listing import (
    Span,
    StoredRow,
    exists,
    healthy_files,
    hour_of,
    is_in,
    is_own_place,
    list_files,
    metadata_of,
    names_in,
    rows_of,
    sha256_or_none,
    size_of,
    span_of,
    stored_rows,
)
from feeds.models import Receipt
from feeds.store import prune_log
from feeds.store.ids import DATA_SUFFIX, META_SUFFIX, RECEIPT_ID, RECEIVED, STORE_ID, meta_path
from feeds.store.slots import PARTS, holder_since, living_writers, noted_places
from feeds.store.spool import PART_SUFFIX

#: No writer takes longer from its rename to its commit.
IN_FLIGHT_SECONDS = 600
_SLOT_FILES = (["lock"], ["health.probe"])
_NEW_META = f"{META_SUFFIX}.new"
#: Most files without a row in one batch.
MAX_BATCH = 200


@dataclass
class StoreWalk:
    """One walk. Findings come in batches: all of a batch are judged before any of it may be repaired.

    `undecided` are the objects that a live writer may be making just now.
    """

    root: Path
    deep: bool = False
    newest: int | None = None
    totals: Totals = field(default_factory=Totals)
    undecided: set[PurePosixPath] = field(default_factory=set)

    def everything(self) -> Iterator[list[Finding]]:
        """Find everything that is not as it should be."""
        self._living = living_writers(self.root)
        for name in sorted(names_in(self.root)):
            if name == PARTS:
                yield list(self._parts())
            elif name == REMOVED:
                yield list(self._removed())
            elif name not in (RECEIVED, STORE_ID, prune_log.FOLDER):
                yield [Finding(FindingKind.UNEXPLAINED, name)]
        yield from self._received()

    def left_by_writers(self) -> Iterator[list[Finding]]:
        """Find only what dead writers left without a row and can be repaired: no other maintenance is disturbed."""
        self._living = living_writers(self.root)
        for hour, folder in self._chosen_hours():
            if hour is None:
                continue
            sizes, _ = list_files(folder)
            relative = PurePosixPath(folder.relative_to(self.root))
            recorded = {row.receipt_id for row in rows_of(hour, deep=False)}
            names = [name for name in sorted(sizes) if name.partition(".")[0] not in recorded]
            for batch in self._objects(relative, names, {}, sizes):
                yield [finding for finding in batch if finding.kind is not FindingKind.UNEXPLAINED]

    # Parts of uploads
    def _parts(self) -> Iterator[Finding]:
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
                yield Finding(FindingKind.HALF_WRITTEN, relative, "its writer is gone")
            else:
                yield Finding(FindingKind.UNEXPLAINED, relative)

    # Files on their way out
    def _removed(self) -> Iterator[Finding]:
        names = sorted(names_in(self.root / REMOVED))
        self.totals.files += len(names)
        for name in names:
            if RECEIPT_ID.match(name):
                yield Finding(FindingKind.REMOVING, f"{REMOVED}/{name}", "a removal was interrupted")
            else:
                yield Finding(FindingKind.UNEXPLAINED, f"{REMOVED}/{name}")

    # Received data
    def _received(self) -> Iterator[list[Finding]]:
        visited: dict[str, Span] = {}
        for hour, folder in self._chosen_hours():
            if hour is None:
                yield [Finding(FindingKind.UNEXPLAINED, str(folder.relative_to(self.root)))]
                continue
            visited[str(folder.relative_to(self.root))] = span_of(hour)
            yield from self._hour(hour, folder)
        if self.newest is None:
            yield from ([finding] for finding in self._rows_elsewhere(visited))

    def _chosen_hours(self) -> list[tuple[datetime | None, Path]]:
        folders = list(self._hours())
        if self.newest is None:
            return folders
        noted = {self.root / place for place in noted_places(self.root)}
        return [found for found in folders[: -self.newest] if found[1] in noted] + folders[-self.newest :]

    def _hours(self) -> Iterator[tuple[datetime | None, Path]]:
        """Yield every folder of an hour, oldest first; other folders come with None."""
        top = self.root / RECEIVED
        for day in sorted(names_in(top)):
            for name in sorted(names_in(top / day)) if (top / day).is_dir() else [""]:
                folder = top / day / name
                yield hour_of(f"{day}/{name}") if folder.is_dir() else None, folder

    def _hour(self, hour: datetime, folder: Path) -> Iterator[list[Finding]]:
        # Files first: a receipt that is stored meanwhile is then seen as a row, and its file is looked for again.
        sizes, strange = list_files(folder)
        self.totals.files += len(sizes)
        relative = PurePosixPath(folder.relative_to(self.root))
        # Ids of this hour belong into this very folder, so comparing texts is enough.
        recorded = {
            f"{row.receipt_id}{DATA_SUFFIX}": row
            for row in rows_of(hour, deep=self.deep)
            if is_in(str(relative), row)
        }
        self.totals.receipts += len(recorded)
        for name in strange:
            yield [Finding(FindingKind.UNEXPLAINED, str(relative / name))]
        healthy = set() if self.deep else {name for row in recorded.values() for name in healthy_files(row, sizes)}
        yield from self._objects(relative, sorted((recorded.keys() | sizes.keys()) - healthy), recorded, sizes)

    def _objects(
        self, folder: PurePosixPath, names: Iterable[str], rows: dict[str, StoredRow], sizes: dict[str, int]
    ) -> Iterator[list[Finding]]:
        """Judge files and rows of a folder. Files without a row are collected, as many are recorded together."""
        unrecorded: list[Finding] = []
        for name in names:
            for finding in self._object(folder / name, rows, sizes):
                if finding.kind is not FindingKind.UNRECORDED:
                    yield [finding]
                    continue
                unrecorded.append(finding)
                if len(unrecorded) >= MAX_BATCH:
                    yield unrecorded
                    unrecorded = []
        if unrecorded:
            yield unrecorded

    def _object(self, path: PurePosixPath, rows: dict[str, StoredRow], sizes: dict[str, int]) -> Iterator[Finding]:
        if path.name in rows:
            yield from self._recorded(path, rows[path.name], sizes)
        elif path.suffix == DATA_SUFFIX and is_own_place(path):
            yield from self._unrecorded(path)
        elif path.suffix == META_SUFFIX and is_own_place(path.with_suffix(DATA_SUFFIX)):
            data = path.with_suffix(DATA_SUFFIX).name
            if data not in sizes and data not in rows:
                yield from self._left_over(path, "metadata of an upload that was not finished")
        elif path.name.endswith(_NEW_META):
            yield from self._left_over(path, "metadata that was being written")
        else:
            yield Finding(FindingKind.UNEXPLAINED, str(path))

    def _recorded(self, path: PurePosixPath, row: StoredRow, sizes: dict[str, int]) -> Iterator[Finding]:
        size = sizes.get(path.name)
        if size is None:
            yield from self._missing(row)
            return
        if size != row.bytes:
            yield Finding(FindingKind.DAMAGED, str(path), f"{size} bytes, recorded are {row.bytes}")
        elif self.deep and sha256_or_none(self.root / path) != row.sha256 and exists(row):
            yield Finding(FindingKind.DAMAGED, str(path), "its SHA-256 is not the recorded one")
        meta = meta_path(path)
        if self._is_bad_metadata(meta, row, sizes):
            yield Finding(FindingKind.METADATA, str(meta))

    def _is_bad_metadata(self, meta: PurePosixPath, row: StoredRow, sizes: dict[str, int]) -> bool:
        if not sizes.get(meta.name) and not size_of(self.root / meta):
            # What was recovered without metadata has none to be missed.
            return exists(row) and bool(metadata_of(row))
        if not self.deep:
            return False
        try:
            return (self.root / meta).read_bytes() != metadata_of(row)
        except OSError:
            return exists(row)

    def _missing(self, row: StoredRow) -> Iterator[Finding]:
        if size_of(self.root / row.path) is None and exists(row):
            yield Finding(FindingKind.MISSING, row.path, f"receipt {row.receipt_id}, {row.bytes} bytes")

    def _unrecorded(self, path: PurePosixPath) -> Iterator[Finding]:
        if self._is_in_flight(path):
            self.undecided.add(path)
            return
        if not Receipt.objects.filter(receipt_id=path.stem).exists():
            yield Finding(FindingKind.UNRECORDED, str(path))

    def _left_over(self, path: PurePosixPath, what: str) -> Iterator[Finding]:
        if self._is_in_flight(path):
            self.undecided.add(path)
            return
        yield Finding(FindingKind.HALF_WRITTEN, str(path), what)

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

    def _rows_elsewhere(self, visited: dict[str, Span]) -> Iterator[Finding]:
        """Rows whose folder is gone, or whose path is not their own."""
        for row in stored_rows(Receipt.objects.order_by()):
            folder = row.path.rpartition("/")[0]
            first, last = visited.get(folder, ("", ""))
            if first <= row.receipt_id < last and is_in(folder, row):
                continue
            self.totals.receipts += 1
            yield from self._missing(row)
