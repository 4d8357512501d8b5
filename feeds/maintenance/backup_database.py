"""Copies of the database for a backup: SQLite's own online copy, or a dump of PostgreSQL."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

from django.db import connection
from django.db.models import Sum
from psycopg.conninfo import make_conninfo

from feeds.models import Receipt
from portal.audit.record import Head

DATABASE = "portal.sqlite3"
DUMP = "portal.pgdump"


class CannotBackUp(Exception):
    """The target or the source cannot be used; the text says why, and what to do."""


#: Path, size, checksum and metadata of a receipt.
Stored = tuple[str, int, str, dict[str, str]]


def copy_name() -> str:
    """Return the file name of the copy of this kind of database."""
    return DATABASE if connection.vendor == "sqlite" else DUMP


def copy_database(new: Path) -> None:
    """Copy the database as it is at one moment, and flush it to disk."""
    for left in (new, new.with_name(f"{new.name}-journal")):
        left.unlink(missing_ok=True)
    if connection.vendor == "sqlite":
        _copy_sqlite(new)
    else:
        _dump_postgresql(new)
    new.chmod(0o600)
    with new.open("rb") as file:
        os.fsync(file.fileno())


def receipts_in(copy: Path) -> Iterator[Stored]:
    """Yield every receipt that a copied database knows, by receipt id."""
    if connection.vendor == "sqlite":
        return _receipts_of(copy)
    # A dump cannot be asked. The database itself knows all that the dump does, as nothing is pruned meanwhile;
    # what it knows beyond that is recorded again where the dump is restored.
    rows = Receipt.objects.order_by("receipt_id").values_list("path", "bytes", "sha256", "headers")
    return rows.iterator(chunk_size=2000)


def bytes_in(copy: Path) -> int:
    """Return the number of bytes of these receipts."""
    if connection.vendor == "sqlite":
        with _opened(copy) as database:
            return int(database.execute("SELECT coalesce(sum(bytes), 0) FROM feeds_receipt").fetchone()[0])
    return int(Receipt.objects.aggregate(size=Sum("bytes"))["size"] or 0)


def head_in(copy: Path) -> Head | None:
    """Return the last entry of the audit record in a copied SQLite database; None where it cannot be read."""
    try:
        with _opened(copy) as database:
            found = database.execute(
                "SELECT number, digest FROM portal_auditrecord ORDER BY number DESC LIMIT 1"
            ).fetchone()
    except sqlite3.Error:
        return None
    return Head(*found) if found else None


def _opened(copy: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True))


def _receipts_of(copy: Path) -> Iterator[Stored]:
    with _opened(copy) as database:
        rows = database.execute("SELECT path, bytes, sha256, headers FROM feeds_receipt ORDER BY receipt_id")
        for path, size, sha256, headers in rows:
            yield path, size, sha256, json.loads(headers)


def _copy_sqlite(new: Path) -> None:
    """SQLite's own way: one reader's view of the database, whatever is written meanwhile."""
    file = Path(connection.settings_dict["NAME"]).absolute()
    source = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=30)
    copy = sqlite3.connect(new)
    with contextlib.closing(source), contextlib.closing(copy):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        found = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise CannotBackUp(f"The database is damaged, so it is not put over the earlier copy: {found}")


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
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise CannotBackUp(f"pg_dump failed: {done.stderr.strip()}")


def _is_plain(value: object) -> bool:
    """Return whether an option belongs to the connection itself; others are settings of the driver."""
    return isinstance(value, str | int) and not isinstance(value, bool)
