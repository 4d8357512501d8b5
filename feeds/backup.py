"""A copy of database and store that fits together, made while the portal works (threat model, R23).

The database first, in one consistent step; then every file that its rows name. Stored files never change, so a file
that is in the copy already is not copied again, and a copy is a data folder: give it to a portal and it runs. With
PostgreSQL the database is a dump beside it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from django.db import connection
from psycopg.conninfo import make_conninfo

from feeds.metadata import format_meta
from feeds.models import Receipt
from feeds.receipt.ids import RECEIVED, meta_path
from feeds.receipt.spool import write_beside

DATABASE = "portal.sqlite3"
DUMP = "portal.pgdump"
SUMMARY = "backup.json"
STORE = "store"
#: Small files beside database and store that a portal in another place needs.
BESIDE = ("secret_key", "audit-heads")
STEP = 1024 * 1024


class CannotBackUp(Exception):
    """The target cannot be used; the text says why."""


#: Path, size, checksum and metadata of a receipt.
_Stored = tuple[str, int, str, dict[str, str]]


@dataclass
class Report:
    """What a backup holds. `faults` are receipts whose data is missing or not what was recorded."""

    made: str = ""
    receipts: int = 0
    bytes: int = 0
    copied: int = 0
    removed: int = 0
    faults: list[str] = field(default_factory=list)


class Backup:
    """One copy into a folder that is empty or holds an earlier copy."""

    def __init__(self, data_dir: Path, target: Path, tell: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            data_dir: the portal's data folder.
            target: where the copy goes.
            tell: told of each fault.

        Raises:
            CannotBackUp: the target is not empty and no backup, or part of what is copied.
        """
        if target.resolve().is_relative_to(data_dir.resolve()):
            raise CannotBackUp("A backup inside the data folder would be lost with it.")
        if target.is_dir() and any(target.iterdir()) and not (target / SUMMARY).is_file():
            raise CannotBackUp(f"{target} holds something that is no backup.")
        self._data_dir = data_dir
        self._target = target
        self._tell = tell
        self._report = Report()

    def run(self) -> Report:
        """Copy. What was acknowledged before this began is in the copy."""
        self._report.made = datetime.now(UTC).isoformat(timespec="seconds")
        self._target.mkdir(mode=0o700, parents=True, exist_ok=True)
        # From here to the end an interrupted copy says of itself that it is none.
        self._write_summary(whole=False)
        self._copy_database()
        wanted = set()
        for path, size, sha256, headers in self._receipts():
            wanted.add(path)
            self._copy_receipt(PurePosixPath(path), size, sha256, headers)
        self._remove_others(wanted)
        for name in BESIDE:
            self._copy_beside(name)
        os.sync()
        self._write_summary(whole=True)
        os.sync()
        return self._report

    def _copy_database(self) -> None:
        name, copy = (DATABASE, _copy_sqlite) if connection.vendor == "sqlite" else (DUMP, _dump_postgresql)
        new = self._target / f"{name}.new"
        new.unlink(missing_ok=True)
        copy(new)
        new.chmod(0o600)
        new.rename(self._target / name)

    def _receipts(self) -> Iterator[_Stored]:
        """Every receipt that the copied database knows."""
        if connection.vendor == "sqlite":
            return _receipts_of(self._target / DATABASE)
        # A dump cannot be asked. The database itself knows all that the dump does, as nothing is pruned meanwhile;
        # what it knows beyond that is recorded anew where the dump is restored.
        rows = Receipt.objects.order_by("receipt_id").values_list("path", "bytes", "sha256", "headers")
        return rows.iterator(chunk_size=2000)

    def _copy_receipt(self, path: PurePosixPath, size: int, sha256: str, headers: dict[str, str]) -> None:
        target = self._target / STORE / path
        self._report.receipts += 1
        self._report.bytes += size
        if not (target.is_file() and target.stat().st_size == size):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._copy_data(self._data_dir / STORE / path, target, sha256):
                return
            self._report.copied += 1
        # Written anew from the row: beside the data it is only a copy.
        meta = self._target / STORE / meta_path(path)
        if not meta.is_file():
            write_beside(meta, format_meta(headers))

    def _copy_data(self, source: Path, target: Path, sha256: str) -> bool:
        """Copy one file under another name first; only what has the recorded checksum gets its own."""
        new = target.with_name(f"{target.name}.new")
        digest = hashlib.sha256()
        try:
            with source.open("rb") as file, new.open("wb") as copy:
                os.fchmod(copy.fileno(), 0o600)
                while piece := file.read(STEP):
                    digest.update(piece)
                    copy.write(piece)
        except FileNotFoundError:
            self._fault(source, "is missing")
            return False
        if digest.hexdigest() != sha256:
            new.unlink()
            self._fault(source, "is not what was recorded")
            return False
        new.rename(target)
        return True

    def _fault(self, source: Path, what: str) -> None:
        name = str(source.relative_to(self._data_dir / STORE))
        self._report.faults.append(name)
        self._tell(f"{name} {what}: it is not in the backup")

    def _remove_others(self, wanted: set[str]) -> None:
        """Take out what an earlier copy had and retention has removed since: it would come back as recovered."""
        store = self._target / STORE
        for file in sorted((store / RECEIVED).rglob("*")):
            if file.is_file() and str(file.relative_to(store).with_suffix(".dat")) not in wanted:
                file.unlink()
                self._report.removed += 1

    def _copy_beside(self, name: str) -> None:
        source = self._data_dir / name
        if source.is_file():
            new = self._target / f"{name}.new"
            new.write_bytes(source.read_bytes())
            new.chmod(0o600)
            new.rename(self._target / name)

    def _write_summary(self, *, whole: bool) -> None:
        summary = {"whole": whole, **asdict(self._report)}
        write_beside(self._target / SUMMARY, f"{json.dumps(summary, indent=1)}\n".encode())


def _copy_sqlite(new: Path) -> None:
    """SQLite's own way: one reader's view of the database, whatever is written meanwhile."""
    source = sqlite3.connect(f"file:{connection.settings_dict['NAME']}?mode=ro", uri=True, timeout=30)
    copy = sqlite3.connect(new)
    with contextlib.closing(source), contextlib.closing(copy):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        found = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise CannotBackUp(f"The copy of the database is damaged: {found}")


def _receipts_of(database: Path) -> Iterator[_Stored]:
    copy = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    with contextlib.closing(copy):
        rows = copy.execute("SELECT path, bytes, sha256, headers FROM feeds_receipt ORDER BY receipt_id")
        for path, size, sha256, headers in rows:
            yield path, size, sha256, json.loads(headers)


def _dump_postgresql(new: Path) -> None:
    """PostgreSQL's own way: a dump of one moment, for pg_restore."""
    program = shutil.which("pg_dump")
    if program is None:
        raise CannotBackUp("pg_dump is not installed; it has to be as new as the server.")
    known = {name: value for name, value in connection.get_connection_params().items() if _is_plain(value)}
    # Other users of the host see a command's arguments, but not its environment.
    environment = {**os.environ, "PGPASSWORD": str(known.pop("password", ""))}
    done = subprocess.run(  # noqa: S603  # the operator's own program and settings
        [program, "--format=custom", f"--file={new}", f"--dbname={make_conninfo(**known)}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotBackUp(f"pg_dump failed: {done.stderr.strip()}")


def _is_plain(value: object) -> bool:
    """Whether it belongs to the connection itself; others are settings of the driver."""
    return isinstance(value, str | int) and not isinstance(value, bool)
