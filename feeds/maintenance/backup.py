"""A copy of database and store that fits together, made while the portal works (threat model, R23 and R29).

The database first, in one consistent step; then every file that its rows name; then the copied database takes its
place. Stored files never change, so a file that is in the copy already is read again and not copied. A copy is a
data folder: give it to a portal and it runs. With PostgreSQL the database is a dump next to it.

A folder belongs to one portal. What an earlier copy had is only removed where retention has removed it; earlier
databases, and data that vanished otherwise, are kept below `previous/`.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePosixPath

from feeds.maintenance.backup_database import CannotBackUp, Stored, bytes_in, copy_database, copy_name, receipts_in
from feeds.maintenance.backup_folder import PREVIOUS, STORE, Folder, Summary
from feeds.maintenance.locks import only_one
from feeds.rules.stored_metadata import format_meta
from feeds.store import prune_log
from feeds.store.ids import STORE_ID, meta_path
from portal.audit import record
from portal.files import flush_folder, replace_file, sha256_of
from portal.text import counted

__all__ = ["Backup", "CannotBackUp", "Options", "Summary"]

#: Small files that a portal in another place needs as well.
SMALL_FILES = ("secret_key", "audit-heads", f"{STORE}/{STORE_ID}")
STEP = 1024 * 1024
#: So many files are copied at once, and so many receipts between two flushes of their folders.
COPIERS = 8
BATCH = 512
GIB = 1024**3


@dataclass(frozen=True)
class Options:
    """Options of a backup run.

    `verify_bytes` bounds how much of what is there already is read again; None reads all. `keep` databases of
    earlier runs are kept. `force` takes a folder or a database that does not look like the portal's own.
    """

    verify_bytes: int | None = 16 * GIB
    keep: int = 7
    force: bool = False


@dataclass(frozen=True)
class _Work:
    """One receipt to look at, and whether a file that is there is read again."""

    path: PurePosixPath
    size: int
    sha256: str
    headers: dict[str, str]
    verify: bool


@dataclass(frozen=True)
class _Done:
    """Result for one receipt; `fault` says why its data is missing or incomplete in the backup."""

    copied: bool = False
    verified: bool = False
    repaired: bool = False
    fault: str = ""


class Backup:
    """One copy into a folder that is empty or holds an earlier copy of the same portal."""

    def __init__(
        self, data_dir: Path, target: Path, say: Callable[[str], None], options: Options | None = None
    ) -> None:
        """Prepare.

        Args:
            data_dir: the portal's data folder.
            target: where the copy goes.
            say: takes a line for each fault and each repair.
            options: how to go about it.

        Raises:
            CannotBackUp: the target is not empty and no backup, a working data folder, or part of what is copied.
        """
        if target.resolve().is_relative_to(data_dir.resolve()):
            raise CannotBackUp("A backup inside the data folder would be lost with it.")
        self._options = options or Options()
        self._data_dir = data_dir
        self._store = data_dir / STORE
        self._folder = Folder(target)
        self._say = say
        self._summary = Summary()
        self._limit = float("inf")

    def run(self) -> Summary:
        """Copy. What was acknowledged before this began is in the copy.

        Raises:
            CannotBackUp: the folder or the database is another portal's, or has lost what the backup still has.
            MaintenanceBusy: another backup is writing into the folder.
        """
        before = self._folder.summary
        head = record.latest_head()
        self._summary = Summary(
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            portal=record.origin(),
            head=f"{head.number}:{head.digest}" if head else "",
        )
        if not self._options.force:
            self._folder.demand_same_portal(self._summary)
        gone = self._folder.gone()
        pruned = prune_log.removed_among(self._store, {path.stem for path in gone})
        vanished = [path for path in gone if path.stem not in pruned]
        if not self._options.force:
            self._folder.demand_few(vanished)
        # From here to the end an interrupted copy says of itself that it is none; whose it is stays.
        with only_one(self._folder.root):
            self._folder.begin(self._summary)
            self._copy_everything(before)
            self._folder.retire(copy_name(), vanished, self._store)
            self._summary.moved = self._folder.moved
            self._summary.removed = self._folder.remove(path for path in gone if path.stem in pruned)
            self._summary.generations = self._folder.forget_generations(self._options.keep)
            self._end()
        return self._summary

    def _copy_everything(self, before: Summary | None) -> None:
        new = self._folder.root / f"{copy_name()}.new"
        copy_database(new)
        with ThreadPoolExecutor(COPIERS) as pool:
            work = self._work(receipts_in(new), self._first_verified(before, new))
            while batch := list(islice(work, BATCH)):
                for one, done in zip(batch, pool.map(self._bring, batch), strict=True):
                    self._note(one, done)
                self._flush_folders(batch)

    def _first_verified(self, before: Summary | None, new: Path) -> str | None:
        """After which receipt files are read again; None where none are."""
        limit = self._options.verify_bytes
        if before is None or limit == 0:
            return None
        if limit is None or not before.whole or bytes_in(new) <= limit:
            return ""
        self._limit = limit
        return before.verified_to

    def _work(self, rows: Iterable[Stored], after: str | None) -> Iterator[_Work]:
        """Yield every receipt, and whether this run reads it again: in turn, as many as the limit allows."""
        read = 0
        reached = ""
        for text, size, sha256, headers in rows:
            path = PurePosixPath(text)
            verify = after is not None and path.stem > after and read <= self._limit
            if verify:
                read += size
                reached = path.stem
            elif after is not None and path.stem > after:
                self._summary.verified_to = reached  # the next run goes on there
            yield _Work(path, size, sha256, headers, verify)

    # One receipt, in one of several threads
    def _bring(self, work: _Work) -> _Done:
        """Make sure that the copy has a receipt's data and metadata."""
        target = self._folder.root / STORE / work.path
        size = _size(target)
        copied = repaired = False
        if size != work.size or (work.verify and sha256_of(target) != work.sha256):
            fault = self._copy_data(work, target)
            if fault:
                return _Done(fault=f"{fault}, and is damaged in the backup" if size is not None else fault)
            copied, repaired = size is None, size is not None
        # Written from the row: the file next to the data is only a copy.
        meta, wanted = target.with_suffix(meta_path(work.path).suffix), format_meta(work.headers)
        found = _size(meta)
        if found != len(wanted) or (work.verify and meta.read_bytes() != wanted):
            replace_file(meta, wanted)
            repaired = repaired or (found is not None and not copied)
        return _Done(copied, work.verify and not copied, repaired)

    def _copy_data(self, work: _Work, target: Path) -> str:
        """Copy one file under another name first; only what has the recorded checksum gets its own."""
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = target.with_name(f"{target.name}.new")
        digest = hashlib.sha256()
        try:
            with (self._store / work.path).open("rb") as file, new.open("wb") as copy:
                os.fchmod(copy.fileno(), 0o600)
                while piece := file.read(STEP):
                    digest.update(piece)
                    copy.write(piece)
                copy.flush()
                os.fsync(copy.fileno())
        except FileNotFoundError:
            return "is missing"
        if digest.hexdigest() != work.sha256:
            new.unlink()
            return "is not what was recorded"
        new.rename(target)
        return ""

    # What they did
    def _note(self, work: _Work, done: _Done) -> None:
        self._summary.receipts += 1
        self._summary.bytes += work.size
        self._summary.copied += done.copied
        self._summary.verified += done.verified
        self._summary.repaired += done.repaired
        if done.repaired:
            self._say(f"{work.path} was damaged in the backup: it is copied again")
        if done.fault:
            self._summary.faults.append(str(work.path))
            self._say(f"{work.path} {done.fault}: it is not in the backup")

    def _flush_folders(self, batch: list[_Work]) -> None:
        hours = {self._folder.root / STORE / work.path.parent for work in batch}
        for folder in hours | {parent for hour in hours for parent in list(hour.parents)[:3]}:
            if folder.is_dir():
                flush_folder(folder)

    def _end(self) -> None:
        for name in SMALL_FILES:
            source = self._data_dir / name
            if source.is_file():
                (self._folder.root / name).parent.mkdir(mode=0o700, exist_ok=True)
                replace_file(self._folder.root / name, source.read_bytes())
        os.sync()
        self._summary.whole = not self._summary.faults
        self._folder.end(self._summary)
        if self._summary.moved:
            self._say(
                f"{counted(self._summary.moved, 'file')} of receipts that are no longer in the database, although "
                f"they were not pruned, moved to {self._folder.root / PREVIOUS}"
            )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
