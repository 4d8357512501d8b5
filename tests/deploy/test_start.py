"""A start meets only its own database and store; anything else is one line and an exit code (R30)."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests import postgresql
from tests.deploy.portal import OPEN, ROOT, _clean_environment, prepared_copy
from tests.deploy.proxy import free_port
from tests.helpers.tiers import some
from tests.postgresql import PostgreSql

pytestmark = [pytest.mark.server]

PREPARE = (
    "from portal import command_line; command_line.start_serving(); import django; django.setup(); "
    "from portal.server.startup import prepare; prepare(print)"
)
needs_postgresql = pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable())


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**_clean_environment(), "PORTAL_DATA_DIR": str(folder), "PORT": str(free_port()), **settings}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def manage(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "manage.py", *arguments, **settings)


def refused(folder: Path, *arguments: str, **settings: str) -> str:
    """Run a command, by default a start, that must refuse in one line; the line."""
    done = manage(folder, *(arguments or ("serve",)), **settings)
    assert done.returncode != 0, done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def starts(folder: Path, **settings: str) -> str:
    """Do what a start does before it listens; what it says."""
    done = run(folder, "-c", PREPARE, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared_copy(tmp_path / "data")


@contextlib.contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / "portal.sqlite3")) as opened, opened:
        yield opened


def receive(folder: Path, receipt_id: str = "1771960000000_0000_P_test-1") -> None:
    """A receipt in database and store, as the receiver makes it."""
    path = f"received/2026-02-24/19/{receipt_id}.dat"
    with database(folder) as opened:
        opened.execute(
            "INSERT INTO feeds_receipt (receipt_id, feed, status, stroom_status, received_at, bytes, wire_bytes, "
            "sha256, compression, path, remote_address, headers, groups, notes, guid, duplicate_of, truncated, "
            "recovered) VALUES (?, ?, 'stored', 0, '2026-02-24 19:06:40', 4, 4, ?, 'NONE', ?, '', '{}', '[]', "
            "'[]', '', '', 0, 0)",
            [receipt_id, OPEN, "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7", path],
        )
    file = folder / "store" / path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"data")
    file.with_suffix(".meta").write_bytes(b"Feed:OPEN-FEED\n")


def lose_database(folder: Path) -> None:
    for path in folder.glob("portal.sqlite3*"):
        path.unlink()


SIGNS = ("store/received", "audit-heads", "secret_key")


@pytest.mark.parametrize("sign", some(SIGNS, quick=1))
def test_r30_a_lost_database_is_not_replaced_by_an_empty_one(folder: Path, sign: str) -> None:
    (folder / "store/received").mkdir(exist_ok=True)
    lose_database(folder)
    for other in SIGNS:
        if other != sign:
            path = folder / other
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    key = {"PORTAL_SECRET_KEY": "a0b1c2d3e4f5g6h7i8j9" * 4}
    said = refused(folder, **key)
    assert f"has no tables, but {folder / sign} is there" in said
    assert "PORTAL_NEW_DATABASE=on" in said
    assert not list(folder.glob("portal.sqlite3*")), "not even an empty file"


@pytest.mark.long
def test_r30_a_new_database_that_is_meant_begins_a_chain_that_verifies(folder: Path) -> None:
    lose_database(folder)
    said = starts(folder, PORTAL_NEW_DATABASE="on")
    assert "remove the setting" in said
    done = manage(folder, "verify_audit")
    assert done.returncode == 0, done.stderr
    assert "Entry 1 " in done.stdout
    assert "A new database." in done.stdout
    assert "remove the setting" not in starts(folder)


def test_r30_an_empty_folder_may_be_a_volume_that_is_not_mounted(tmp_path: Path) -> None:
    assert "PORTAL_NEW_DATABASE is never" in refused(tmp_path, PORTAL_NEW_DATABASE="never")
    assert not (tmp_path / "portal.sqlite3").exists()


def test_r30_a_database_address_that_is_mistyped(folder: Path, tmp_path: Path) -> None:
    said = refused(folder, DATABASE_URL=f"sqlite:///{tmp_path}/portal.sqlit3")
    assert "has no tables" in said
    assert not (tmp_path / "portal.sqlit3").exists()


@pytest.mark.long
def test_r30_tables_without_feeds_beside_a_store_with_data(folder: Path) -> None:
    """The tables were made by hand: the feeds are still elsewhere, and no sender gets 110 for them."""
    receive(folder)
    lose_database(folder)
    assert manage(folder, "migrate", "--verbosity", "0").returncode == 0
    assert "senders would get 110" in refused(folder)
    assert manage(folder, "rebuild_receipts").returncode == 0
    starts(folder)


NEWER = ("feeds", "0099_from_the_future")


def add_newer(folder: Path) -> None:
    with database(folder) as opened:
        opened.execute("INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, '2027-01-01')", NEWER)


WRITERS = (["serve"], ["migrate"], ["prune_receipts"])


@pytest.mark.parametrize("command", some(WRITERS, quick=1), ids=lambda command: command[0])
def test_r30_an_older_program_refuses_a_newer_schema_by_name(folder: Path, command: list[str]) -> None:
    add_newer(folder)
    said = refused(folder, *command)
    assert "does not know feeds.0099_from_the_future" in said
    assert "manage.py migrate feeds 00" in said


def test_r30_the_database_of_another_program(folder: Path) -> None:
    with database(folder) as opened:
        opened.execute("UPDATE django_migrations SET app = 'shop' WHERE app IN ('feeds', 'portal', 'codes')")
    assert "belongs to another program" in refused(folder)


@pytest.mark.long
def test_r30_a_store_that_is_not_mounted_or_another_one(folder: Path, tmp_path: Path) -> None:
    (folder / "store").rename(tmp_path / "unmounted")
    said = refused(folder)
    assert "has no store.id; is a volume not mounted?" in said
    shutil.copytree(prepared_copy(tmp_path / "other") / "store", folder / "store")
    (folder / "store/store.id").write_text("0b0e9a5e-7f57-4a0c-8e0e-1f6a54b3a2f1\n")
    assert "is the store 0b0e9a5e-7f57-4a0c-8e0e-1f6a54b3a2f1" in refused(folder)
    for command in ("check_store", "prune_receipts", "rebuild_receipts", "backup"):
        arguments = [command, str(tmp_path / "copy")] if command == "backup" else [command]
        assert "The database belongs to the store" in refused(folder, *arguments)
    (folder / "store/store.id").write_text("nonsense")
    assert "holds no key" in refused(folder)


@pytest.mark.long
def test_r30_a_store_is_adopted_only_by_a_command_that_is_recorded(folder: Path) -> None:
    shutil.rmtree(folder / "store")
    done = manage(folder, "adopt_store", "--reason", "the disk burned")
    assert done.returncode == 0, done.stderr
    starts(folder)
    with database(folder) as opened:
        assert opened.execute("SELECT comment FROM portal_auditrecord WHERE kind = 'store'").fetchall() == [
            ("the disk burned",)
        ]


def make_old(folder: Path) -> None:
    """As an installation was before stores had keys."""
    (folder / "store/store.id").unlink()
    for app, name in (("feeds", "0007"), ("portal", "0003")):
        assert manage(folder, "migrate", app, name, "--verbosity", "0").returncode == 0


@pytest.mark.long
def test_r30_an_older_installation_gets_its_keys_at_the_first_start(folder: Path) -> None:
    receive(folder)
    make_old(folder)
    assert "schema of an older release" in refused(folder, "check_store")
    starts(folder)
    key = (folder / "store/store.id").read_text().strip()
    with database(folder) as opened:
        assert opened.execute("SELECT key FROM feeds_store").fetchall() == [(key.replace("-", ""),)]
    starts(folder)


@pytest.mark.long
def test_r30_an_older_installation_whose_store_is_elsewhere_gets_none(folder: Path, tmp_path: Path) -> None:
    receive(folder)
    make_old(folder)
    (folder / "store").rename(tmp_path / "unmounted")
    assert "None of the newest 1 receipts" in refused(folder)
    (tmp_path / "unmounted").rename(folder / "store")
    starts(folder)


@pytest.mark.long
def test_r30_a_restored_older_database_starts_and_is_said(folder: Path) -> None:
    older = folder.with_name("older.sqlite3")
    with database(folder) as opened, closing(sqlite3.connect(older)) as copy:
        opened.backup(copy)
    assert manage(folder, "create_token", "admin", "--name", "later").returncode == 0
    lose_database(folder)
    shutil.copy(older, folder / "portal.sqlite3")
    assert "is an older or another one" in starts(folder)
    assert manage(folder, "create_token", "admin", "--name", "after").returncode == 0
    done = manage(folder, "verify_audit")
    assert done.returncode == 1, "until somebody has explained it"
    assert "another one than was announced" in done.stderr
    done = manage(folder, "verify_audit", "--accept", "restored the backup of Monday")
    assert done.returncode == 0, done.stderr
    assert "restored the backup of Monday" in done.stdout
    assert "older or another" not in starts(folder)


@pytest.mark.long
def test_r30_a_renamed_and_a_copied_data_folder_work(folder: Path, tmp_path: Path) -> None:
    receive(folder)
    starts(folder.rename(tmp_path / "renamed"))
    shutil.copytree(tmp_path / "renamed", tmp_path / "copied")
    starts(tmp_path / "copied")


@pytest.mark.long
def test_r30_a_first_start_that_was_killed_goes_on(tmp_path: Path) -> None:
    """The key is made when the settings are read, long before there are tables."""
    settings_alone = "from portal import command_line; command_line.start_serving(); import portal.settings"
    assert run(tmp_path, "-c", settings_alone).returncode == 0
    assert (tmp_path / "secret_key").is_file()
    starts(tmp_path)
    lose_database(tmp_path)
    assert "has no tables" in refused(tmp_path)


def page_of(opened: sqlite3.Connection, name: str) -> tuple[int, int]:
    [(page,)] = opened.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [name]).fetchall()
    [(size,)] = opened.execute("PRAGMA page_size").fetchall()
    return (page - 1) * size, size


@pytest.mark.long
def test_r30_b11_an_index_that_has_lost_its_entries_stops_the_start(folder: Path) -> None:
    """The page is a valid empty one: every feed would be unknown, and its senders would get 110."""
    with database(folder) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(index,)] = opened.execute(
            "SELECT name FROM sqlite_master WHERE tbl_name = 'feeds_feed' AND name LIKE 'sqlite_autoindex%'"
        ).fetchall()
        start, size = page_of(opened, index)
    with (folder / "portal.sqlite3").open("r+b") as file:
        file.seek(start)
        file.write(b"\x0a" + bytes(4) + size.to_bytes(2, "big") + bytes(1) + bytes(size - 8))
    said = refused(folder)
    assert "is damaged" in said
    assert "REINDEX" in said


@pytest.mark.parametrize("table", some(["feeds_feed", "django_migrations", "feeds_hourlycount"], quick=1))
def test_r30_b11_a_table_that_cannot_be_read_stops_the_start(folder: Path, table: str) -> None:
    with database(folder) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        start, size = page_of(opened, table)
    with (folder / "portal.sqlite3").open("r+b") as file:
        file.seek(start)
        file.write(os.urandom(size))
    assert "is damaged" in refused(folder)


def test_r30_a_file_that_is_no_database(folder: Path) -> None:
    lose_database(folder)
    (folder / "portal.sqlite3").write_bytes(b"no database" * 1000)
    assert "is damaged" in refused(folder)
    assert "cannot be used" in refused(folder, "check_store")


def test_r30_a_folder_without_tables_is_one_line_for_commands(tmp_path: Path) -> None:
    for command in (["check_store"], ["backup", str(tmp_path / "copy")], ["verify_audit"], ["prune_receipts"]):
        assert "has no tables of the portal" in refused(tmp_path, *command)
    assert not (tmp_path / "portal.sqlite3").exists()
    assert not (tmp_path / "copy").exists()


# --- PostgreSQL ---


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with PostgreSql() as running:
        yield running


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def make_database(server: PostgreSql, name: str) -> str:
    execute(server.url(), f"CREATE DATABASE {name}")
    return server.url(name)


@pytest.mark.long
@needs_postgresql
def test_r30_two_hosts_on_one_database(server: PostgreSql, tmp_path: Path) -> None:
    url = make_database(server, "two_hosts")
    starts(tmp_path / "p", DATABASE_URL=url)
    assert "The database belongs to the store" in refused(tmp_path / "q", DATABASE_URL=url)
    for command in (["prune_receipts"], ["check_store", "--repair"], ["export_receipts", "--output", "/x/y"]):
        assert "The database belongs to the store" in refused(tmp_path / "q", *command, DATABASE_URL=url)
    starts(tmp_path / "p", DATABASE_URL=url)
    execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    assert "has no tables, but" in refused(tmp_path / "p", DATABASE_URL=url)


@pytest.mark.long
@needs_postgresql
@pytest.mark.parametrize("scope", ["ROLE {role}", "DATABASE {name}", "ROLE {role} IN DATABASE {name}"])
def test_r30_postgresql_that_does_not_flush_is_refused(server: PostgreSql, tmp_path: Path, scope: str) -> None:
    name = f"careless_{len(scope)}"
    url = make_database(server, name)
    execute(url, f"CREATE ROLE {name} LOGIN SUPERUSER")
    theirs = url.replace(f"//{postgresql.USER}@", f"//{name}@")
    execute(url, f"ALTER {scope.format(role=name, name=name)} SET synchronous_commit = off")
    said = refused(tmp_path, DATABASE_URL=theirs)
    assert "has synchronous_commit off" in said
    assert "ALTER ROLE" in said


@pytest.mark.long
@needs_postgresql
def test_r30_postgresql_without_fsync_is_refused(server: PostgreSql, tmp_path: Path) -> None:
    url = make_database(server, "no_fsync")
    execute(
        url, "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()"
    )
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            while connection.execute("SHOW fsync").fetchone() != ("off",):
                pass
        assert "has fsync and full_page_writes off" in refused(tmp_path, DATABASE_URL=url)
    finally:
        execute(url, "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
