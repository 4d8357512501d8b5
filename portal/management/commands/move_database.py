"""Move everything from SQLite to PostgreSQL: feeds, history, receipts, the audit chain, users and tokens."""

import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, connections, transaction

from feeds.store.slots import living_writers
from portal.audit import triggers
from portal.audit.record import stored_entries, verify
from portal.database import move
from portal.database.url import POSTGRESQL, read_database_url
from portal.environment import BASE_DIR

TARGET = "move_target"


class Command(BaseCommand):
    help = (
        "Copy the whole SQLite database into an empty PostgreSQL database, compare both table by table, and verify "
        "the audit record. Stop the portal first. Received data stays where it is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", required=True, metavar="URL", help="postgres://user:password@host:port/name")

    def handle(self, *args: Any, **options: Any) -> None:
        self._demand_stopped()
        self._connect(options["to"])
        self._demand_empty()
        _make_tables(options["to"])
        try:
            rows = self._move()
        except (DatabaseError, move.NotTheSame) as fault:
            raise CommandError(
                f"Nothing was moved: {str(fault).strip()}. The old database is unchanged."
            ) from fault
        finally:
            connections[TARGET].close()
        self.stdout.write(
            f"Rows moved: {rows:,}, tables: {len(move.tables())}; every digest is equal, the audit record whole.\n"
            "Set DATABASE_URL to the new database and start the portal. The old database is unchanged: "
            f"{connection.settings_dict['NAME']}. Keep it until a backup of the new one exists."
        )

    def _demand_stopped(self) -> None:
        if connection.vendor != "sqlite":
            raise CommandError("The database of this portal is not SQLite; there is nothing to move.")
        if living_writers(settings.STORE_DIR):
            raise CommandError("The portal is running. Stop it, so that nothing is received meanwhile.")

    def _connect(self, url: str) -> None:
        try:
            database = read_database_url(url)
        except ValueError as fault:
            raise CommandError(f"--to is not the URL of a database: {fault}") from fault
        if database["ENGINE"] != POSTGRESQL or not database["NAME"]:
            raise CommandError("--to must be the URL of a PostgreSQL database: postgres://user:password@host/name")
        connections.databases[TARGET] = {**connections.databases["default"], "OPTIONS": {}, **database}
        connections.configure_settings(connections.databases)

    def _demand_empty(self) -> None:
        try:
            present = connections[TARGET].introspection.table_names()
        except DatabaseError as fault:
            raise CommandError(f"The new database cannot be used: {str(fault).strip()}") from fault
        if present:
            raise CommandError(
                f"The new database is not empty: it has the table {sorted(present)[0]}. Give another one."
            )

    def _move(self) -> int:
        """Copy and compare in one transaction of the new database: all of it arrives or nothing."""
        rows = 0
        with transaction.atomic(), transaction.atomic(using=TARGET):
            triggers.remove(connections[TARGET])
            move.empty(TARGET)
            for model in move.tables():
                rows += move.copy_rows(model, "default", TARGET)
            move.set_sequences(TARGET)
            triggers.install(connections[TARGET])
            for model in move.tables():
                self._compare(model)
        if faults := verify(stored_entries()):
            raise move.NotTheSame(f"the audit record was not whole before the move: {faults[0]}")
        return rows

    def _compare(self, model: Any) -> None:
        ours, theirs = move.digest_of(model, "default"), move.digest_of(model, TARGET)
        if ours != theirs:
            raise move.NotTheSame(f"the table {model._meta.db_table} differs; rows: {ours.rows} and {theirs.rows}")
        self.stdout.write(f"{model._meta.db_table}  {ours.rows}  equal")


def _make_tables(url: str) -> None:
    """Migrate the new database, in a process whose database it is.

    It has a data folder of its own: what the audit log of a new database begins with is not announced in ours.
    """
    with tempfile.TemporaryDirectory(prefix="move-database-") as folder:
        done = subprocess.run(  # noqa: S603  # our own program
            [sys.executable, str(BASE_DIR / "manage.py"), "migrate", "--verbosity", "0"],
            env={**os.environ, "DATABASE_URL": url, "PORTAL_DATA_DIR": folder},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    if done.returncode:
        raise CommandError(f"The tables cannot be made: {done.stderr.strip()[-500:]}")
