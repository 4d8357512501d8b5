"""Checks before a start or a command: that this program, this database and this store belong together (R30).

Each refusal is one line that says what is wrong and what to do. An empty database in the place of a lost one would
answer every sender with 110, which is final for a stroom-proxy; an older program would refuse every delivery.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from feeds.maintenance import identity
from feeds.store.ids import RECEIVED
from portal.audit import record
from portal.environment import NEW_KEY_MARK
from portal.files import write_durably

Say = Callable[[str], None]
#: How long a start looks for damage in a SQLite database.
CHECK_SECONDS = 2.0
#: Tables that decide about deliveries; their indexes are compared with their rows, too.
DECIDING = (
    "feeds_feed",
    "feeds_certificaterule",
    "feeds_receiptrule",
    "feeds_store",
    "portal_apitoken",
    "auth_user",
)
#: What a commit in PostgreSQL must wait for, or it is not on disk when it is acknowledged.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
_OURS = frozenset({"feeds", "portal"})
#: Commands that use no rows of the portal, or check for themselves what they find.
_FREE = frozenset(
    """check check_proxy collectstatic compilemessages dbshell demo diffsettings explain findstatic help inspectdb
    makemessages makemigrations optimizemigration runserver sendtestemail serve shell showmigrations spectacular
    sqlflush sqlmigrate sqlsequencereset squashmigrations startapp startproject test testserver version""".split()
)
_STORE_COMMANDS = frozenset({"backup", "check_store", "export_receipts", "prune_receipts", "rebuild_receipts"})


class Refused(CommandError):
    """Error that stops a start or a command; its text gives the reason in one line."""


def demand_own_database(store: Path, *, say: Say) -> None:
    """Check everything before a start writes anything.

    Raises:
        Refused: the database is lost, new, damaged, newer, not durable, or of another store.
    """
    if _has_readable_tables():
        _demand_undamaged(say)
        demand_known_schema()
        _demand_store(store)
    else:
        _demand_meant_to_be_new(store)
        record.expect_new_database()
    if settings.ENVIRONMENT.new_database == "on":
        say("PORTAL_NEW_DATABASE is on, so a lost database would be replaced by an empty one: remove the setting.")
    _demand_durable()


def end_first_start(store: Path) -> None:
    """Link database and store for the following starts."""
    identity.link(store)
    key = Path(settings.DATA_DIR) / "secret_key"
    if _is_new(key):
        write_durably(key, key.read_bytes().strip())


def say_what_is_older(say: Say) -> None:
    """Report a database that lacks the audit entry that was announced last: it was restored from a backup."""
    head = record.last_announced()
    if head is not None and not record.holds(head):
        say(
            f"The database does not have entry {head.number} of the audit record, which was announced last: it is "
            "an older or another one. Feeds, rules and users are those of its time. After a restore, note it with "
            'manage.py verify_audit --accept "the reason".'
        )


def check_command(arguments: Sequence[str]) -> None:
    """Refuse a command that would read or write a database or a store that is not its own.

    Args:
        arguments: of the command line, the program's name first.

    Raises:
        Refused: the database has no tables, is newer or older than this program, or belongs to another store.
    """
    command = arguments[1] if len(arguments) > 1 else "help"
    if command in _FREE or command.startswith("-") or {"-h", "--help"} & set(arguments):
        return
    try:
        _check_command(command)
    except DatabaseError as fault:
        raise Refused(f"{describe_database()} cannot be used: {str(fault).strip()}") from fault


def _check_command(command: str) -> None:
    if not has_tables():
        if command != "migrate":
            raise Refused(
                f"{describe_database()} has no tables of the portal. Set PORTAL_DATA_DIR and DATABASE_URL as the "
                "portal has them, or make the tables with manage.py migrate."
            )
        record.expect_new_database()
        return
    demand_known_schema()
    if command in {"migrate", "adopt_store"}:
        return
    if command != "backup":  # an upgrade begins with one, by the new program
        _demand_present_schema()
    if command in _STORE_COMMANDS:
        _demand_store(Path(settings.STORE_DIR), may_be_blank=command in {"rebuild_receipts", "check_store"})


def describe_database() -> str:
    """Return the database's name for messages, without a password."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"The database {found['NAME']}"
    return f"The database {found['NAME']} on {found['HOST'] or 'this host'}"


def has_tables() -> bool:
    """Return whether the database has a schema of the portal, without creating a database file."""
    if connection.vendor == "sqlite":
        file = Path(connection.settings_dict["NAME"])
        if not file.exists() or not file.stat().st_size:
            return False
    recorder = MigrationRecorder(connection)
    return recorder.has_table() and recorder.migration_qs.exists()


def _has_readable_tables() -> bool:
    try:
        return has_tables()
    except OperationalError:  # away or locked, which passes
        raise
    except DatabaseError as fault:
        raise Refused(f"{describe_database()} is damaged ({fault}). Restore the last backup.") from fault


def demand_known_schema() -> None:
    """Compare the migrations that the database has with those of this program.

    Raises:
        Refused: a newer release, or another program, has changed the database.
    """
    applied = MigrationRecorder(connection).applied_migrations()
    known = MigrationExecutor(connection).loader.disk_migrations
    unknown = sorted(set(applied) - set(known))
    if not unknown:
        return
    named = ", ".join(f"{app}.{name}" for app, name in unknown[:10]) + (" and more" if len(unknown) > 10 else "")
    if not any(app in _OURS for app, _ in applied):
        raise Refused(f"{describe_database()} belongs to another program ({named}). Correct DATABASE_URL.")
    steps = [
        f"manage.py migrate {app} {max((name for label, name in known if label == app), default='zero')}"
        for app in sorted({app for app, _ in unknown})
    ]
    raise Refused(
        f"{describe_database()} is newer than this program, which does not know {named}. Start the newer program; "
        f"or go back with it first: {'; '.join(steps)}."
    )


def _demand_present_schema() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise Refused(
            f"{describe_database()} has the schema of an older release. Start the portal, or run manage.py migrate."
        )


def _demand_store(store: Path, *, may_be_blank: bool = False) -> None:
    try:
        identity.demand_own_store(store, may_be_blank=may_be_blank or settings.ENVIRONMENT.new_database == "on")
    except identity.WrongStore as fault:
        raise Refused(str(fault)) from fault


def _demand_meant_to_be_new(store: Path) -> None:
    if settings.ENVIRONMENT.new_database == "on":
        return
    if settings.ENVIRONMENT.new_database == "never":
        raise Refused(
            f"{describe_database()} has no tables, and PORTAL_NEW_DATABASE is never: the database is lost, or a "
            "volume is not mounted. Mount it or restore the database."
        )
    data_dir = Path(settings.DATA_DIR)
    key = data_dir / "secret_key"
    left = [path for path in (store / RECEIVED, data_dir / record.HEADS_FILE) if path.exists()]
    left += [key] if key.exists() and not _is_new(key) else []
    if left:
        raise Refused(
            f"{describe_database()} has no tables, but {left[0]} is there: the database is lost, not mounted, or "
            "DATABASE_URL names another. Restore it from the backup; if it is meant to be new, set "
            "PORTAL_NEW_DATABASE=on for one start."
        )


def _is_new(key: Path) -> bool:
    """Return whether the key was created by a start that did not get as far as creating a database."""
    return key.is_file() and key.read_bytes().endswith(NEW_KEY_MARK.encode())


def _demand_durable() -> None:
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off' ORDER BY name", [list(DURABLE)]
        )
        off = [name for (name,) in cursor.fetchall()]
    if off:
        raise Refused(
            f"{describe_database()} has {' and '.join(off)} off: what is acknowledged would not be on disk. Set "
            "it on, in postgresql.conf and wherever ALTER ROLE or ALTER DATABASE has changed it."
        )


# --- damage in a SQLite file ---


def _demand_undamaged(say: Say) -> None:
    """Look for damage: first where it decides about deliveries, then for a while everywhere."""
    if connection.vendor != "sqlite":
        return
    connection.ensure_connection()
    database: sqlite3.Connection = connection.connection  # its progress handler bounds the time
    deadline = time.monotonic() + CHECK_SECONDS
    database.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    try:
        fault = _find_damage()
    except OperationalError as stopped:
        if not _is_interrupt(stopped):
            raise
        say(
            f"The database is too large to be checked whole in {CHECK_SECONDS:.0f} s; each backup checks all of it."
        )
        return
    finally:
        database.set_progress_handler(None, 0)
    if fault:
        raise Refused(
            f"{describe_database()} is damaged ({fault}). Restore the last backup; where only an index is damaged, "
            "sqlite3 with the command REINDEX mends it."
        )


def _find_damage() -> str:
    """Return the first fault; empty if there is none."""
    tables = set(connection.introspection.table_names())
    checks = [f"PRAGMA integrity_check({table})" for table in DECIDING if table in tables]
    try:
        with connection.cursor() as cursor:
            for check in [*checks, "PRAGMA quick_check(1)"]:
                cursor.execute(check)
                found = [str(row[0]) for row in cursor.fetchall()]
                if found != ["ok"]:
                    return found[0].splitlines()[-1]
    except OperationalError:
        raise
    except DatabaseError as fault:
        return str(fault)
    return ""


def _is_interrupt(fault: OperationalError) -> bool:
    return getattr(fault.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
