"""A database that refuses for good is logged with its cause, answered 500/999, and ends readiness (R31)."""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests import postgresql
from tests.helpers.tiers import some
from tests.live import Response, parse, read_all, request
from tests.postgresql import PostgreSql
from tests.serving import Serve

pytestmark = [pytest.mark.server]

FEED = "OPEN-FEED"
#: Bounds that catch a hang.
PATIENCE = 30.0
DELIVERIES = 8


@dataclass
class Site:
    """A portal, and somebody who changes its database behind its back."""

    serve: Serve
    execute: Callable[[str], None]
    key: str = ""

    def deliver(self) -> Response:
        return self.serve.send("/datafeed", b"some data", feed=FEED)

    def ask_status(self) -> Response:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        body = json.dumps({"feedName": FEED}).encode()
        with self.serve.connect() as connection:
            connection.sendall(request("/api/feedStatus/v2/getFeedStatus", headers, body))
            return parse(read_all(connection))

    def ready(self) -> int:
        return self.serve.send("/readyz", method="GET").status

    def wait_for(self, status: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.ready() != status:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        descriptor = self.serve._log.fileno()  # its place is the server's too, so it is not moved
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()


def running(serve: Serve, execute: Callable[[str], None]) -> Iterator[Site]:
    serve.start()
    serve.make_feed(FEED)
    site = Site(serve, execute)
    site.key = serve.shell(
        "from django.contrib.auth.models import User; from portal.models import ApiToken;"
        "print(ApiToken.objects.issue(User.objects.create_user('proxy'), scopes=['check'])[1])"
    )
    yield site
    serve.stop()


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    serve = Serve(tmp_path_factory.mktemp("lasting"), PORTAL_WORKERS="1")
    serve.environment.pop("DATABASE_URL", None)
    file = serve.data_dir / "portal.sqlite3"

    def execute(script: str) -> None:
        with contextlib.closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
            for statement in script.split(";;"):
                connection.execute(statement)

    yield from running(serve, execute)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Its portal is no superuser, whom nothing would be forbidden."""
    if postgresql.unavailable():
        pytest.skip(postgresql.unavailable())
    with PostgreSql() as server:
        with psycopg.connect(server.url(), autocommit=True) as owner:
            owner.execute("CREATE ROLE site LOGIN")
            owner.execute("ALTER DATABASE portal OWNER TO site")
            owner.execute("GRANT ALL ON SCHEMA public TO site")
        serve = Serve(tmp_path_factory.mktemp("lasting"), PORTAL_WORKERS="1")
        serve.environment["DATABASE_URL"] = server.url().replace("portal@", "site@")

        def execute(script: str) -> None:
            with psycopg.connect(server.url(), autocommit=True) as owner:
                for statement in script.split(";;"):
                    owner.execute(statement.encode())

        yield from running(serve, execute)


@contextlib.contextmanager
def statements(site: Site, before: str, after: str) -> Iterator[None]:
    site.execute(before)
    try:
        yield
    finally:
        site.execute(after)


@contextlib.contextmanager
def damaged_page(site: Site) -> Iterator[None]:
    """B11: the root page of the feeds is overwritten, as by a disk that lies."""
    file = site.serve.data_dir / "portal.sqlite3"
    page, size = _root_page(file, "feeds_feed")
    content = file.read_bytes()[(page - 1) * size : page * size]
    _overwrite(file, (page - 1) * size, b"\xff" * size)
    try:
        yield
    finally:
        _overwrite(file, (page - 1) * size, content)
        site.execute("PRAGMA user_version = 1")  # a commit, after which every connection reads its pages again


@contextlib.contextmanager
def empty_index(site: Site) -> Iterator[None]:
    """B11: an index of the feeds is a valid one without entries: known feeds would be unknown."""
    file = site.serve.data_dir / "portal.sqlite3"
    page, size = _root_page(file, "sqlite_autoindex_feeds_feed_1")
    content = file.read_bytes()[(page - 1) * size : page * size]
    _overwrite(file, (page - 1) * size, b"\x0a\0\0\0\0" + size.to_bytes(2) + b"\0" + b"\0" * (size - 8))
    try:
        yield
    finally:
        _overwrite(file, (page - 1) * size, content)
        site.execute("PRAGMA user_version = 1")  # a commit, after which every connection reads its pages again


def _root_page(file: Path, name: str) -> tuple[int, int]:
    """Number of the page in the file itself, and the size of one; nothing of it is left in the log of writes."""
    with contextlib.closing(sqlite3.connect(file, timeout=30)) as connection:
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [name])
        [(size,)] = connection.execute("PRAGMA page_size")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return page, size


def _overwrite(file: Path, place: int, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY)
    os.pwrite(descriptor, content, place)
    os.close(descriptor)


Fault = Callable[[Site], AbstractContextManager[None]]


def sql(before: str, after: str) -> Fault:
    return lambda site: statements(site, before, after)


RENAMED_COLUMN = sql(
    "ALTER TABLE feeds_receipt RENAME COLUMN request_id TO away",
    "ALTER TABLE feeds_receipt RENAME COLUMN away TO request_id",
)
NO_RULES = sql(
    "ALTER TABLE feeds_certificaterule RENAME TO away", "ALTER TABLE away RENAME TO feeds_certificaterule"
)
#: One of the rows keeps the value that every new one has.
COLLIDING = sql(
    "UPDATE feeds_receipt SET stroom_status = id - (SELECT min(id) FROM feeds_receipt);;"
    "CREATE UNIQUE INDEX once ON feeds_receipt (stroom_status)",
    "DROP INDEX once;;UPDATE feeds_receipt SET stroom_status = 0",
)
#: What is broken, and whether rules can still be read; then feed status goes on.
SQLITE: dict[str, tuple[Fault, bool]] = {
    "trigger": (
        sql(
            "CREATE TRIGGER t BEFORE INSERT ON feeds_receipt BEGIN SELECT raise(ABORT, 'the cause'); END",
            "DROP TRIGGER t",
        ),
        True,
    ),
    "column": (RENAMED_COLUMN, True),
    "rules": (NO_RULES, False),
    "links": (
        sql("ALTER TABLE feeds_receiptfeed RENAME TO away", "ALTER TABLE away RENAME TO feeds_receiptfeed"),
        True,
    ),
    "unique": (COLLIDING, True),
    "page": (damaged_page, False),
}
POSTGRES: dict[str, tuple[Fault, bool]] = {
    "trigger": (
        sql(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RAISE EXCEPTION ''the cause''; END';;"
            "CREATE TRIGGER t BEFORE INSERT ON feeds_receipt FOR EACH ROW EXECUTE FUNCTION f()",
            "DROP TRIGGER t ON feeds_receipt;;DROP FUNCTION f",
        ),
        True,
    ),
    "column": (RENAMED_COLUMN, True),
    "rules": (NO_RULES, False),
    "permission": (
        sql("REVOKE INSERT ON feeds_receipt FROM site", "GRANT INSERT ON feeds_receipt TO site"),
        True,
    ),
    "reading": (sql("REVOKE SELECT ON feeds_feed FROM site", "GRANT SELECT ON feeds_feed TO site"), False),
    "unique": (COLLIDING, True),
}


@pytest.mark.parametrize("kind", some(SQLITE, quick=1))
def test_r31_sqlite_refuses_for_good(sqlite: Site, kind: str) -> None:
    _refuses(sqlite, *SQLITE[kind])


@pytest.mark.long
@pytest.mark.parametrize("kind", POSTGRES)
def test_r31_postgresql_refuses_for_good(postgres: Site, kind: str) -> None:
    _refuses(postgres, *POSTGRES[kind])


def _refuses(site: Site, fault: Fault, readable: bool) -> None:
    site.wait_for(200)
    assert site.deliver().outcome == (200, 0)
    logged = len(site.log())
    with fault(site):
        site.wait_for(503)
        assert site.serve.send("/livez", method="GET").status == 200
        answers = [site.deliver() for _ in range(DELIVERIES)]
        assert {(*answer.outcome, answer.header("retry-after")) for answer in answers} == {(500, 999, None)}
        told = site.ask_status()
        assert told.status == (200 if readable else 500), told
    lines = [line for line in site.log()[logged:].splitlines() if "refuses deliveries: " in line]
    assert len(lines) <= 2, "once a minute, not once a delivery"
    site.wait_for(200)
    assert site.deliver().outcome == (200, 0)
    assert json.loads(site.ask_status().body) == {"status": "Receive"}


@pytest.mark.long
def test_r31_the_cause_is_in_the_log(sqlite: Site, postgres: Site) -> None:
    for site, fault in ((sqlite, SQLITE["trigger"][0]), (postgres, POSTGRES["trigger"][0])):
        with fault(site):
            site.wait_for(503)
            site.deliver()
        site.wait_for(200)
        assert "health check of database" in site.log()
        assert "the cause" in site.log()


@pytest.mark.long
def test_b11_an_index_that_lost_its_entries_ends_readiness(sqlite: Site) -> None:
    sqlite.wait_for(200)
    with empty_index(sqlite):
        sqlite.wait_for(503)
    sqlite.wait_for(200)
    assert "feeds_feed" in sqlite.log()


@pytest.mark.long
def test_r13_a_database_that_is_locked_is_told_as_passing_and_logged_once(sqlite: Site) -> None:
    sqlite.wait_for(200)
    file = sqlite.serve.data_dir / "portal.sqlite3"
    logged = len(sqlite.log())
    with contextlib.closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        answers = [sqlite.deliver() for _ in range(4)]
        writer.execute("ROLLBACK")
    assert {answer.outcome for answer in answers} == {(503, 999)}
    assert all(answer.header("retry-after") for answer in answers)
    assert sqlite.log()[logged:].count("the database is away, locked or slow: deliveries are answered 503") == 1


@pytest.mark.long
def test_r13_a_standby_that_takes_no_writes_is_told_as_passing(postgres: Site) -> None:
    """After a switch-over the old server is read-only for a while; its clients are thrown off."""
    postgres.wait_for(200)
    drop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'site'"
    with statements(
        postgres,
        f"ALTER ROLE site SET default_transaction_read_only = on;;{drop}",
        f"ALTER ROLE site RESET default_transaction_read_only;;{drop}",
    ):
        postgres.wait_for(503)
        answers = [postgres.deliver() for _ in range(DELIVERIES)]
        assert {answer.outcome for answer in answers} == {(503, 999)}
        assert all(answer.header("retry-after") for answer in answers)
    postgres.wait_for(200)
    assert postgres.deliver().outcome == (200, 0)


@pytest.mark.long
def test_a10_a_transaction_that_holds_one_workers_row_leaves_the_others_ready(postgres: Site) -> None:
    """A worker that was frozen in its health check, or a host cut off from the others."""
    postgres.wait_for(200)
    url = postgres.serve.environment["DATABASE_URL"]
    with psycopg.connect(url) as frozen:
        frozen.execute(
            "INSERT INTO feeds_hourlycount"
            " (id, hour, feed, outcome, http_status, stroom_status, known, count, bytes)"
            " VALUES (0, '0001-01-01T00:00:00Z', 'another-1', '', 0, 0, true, 0, 0)"
        )
        for _ in range(20):
            assert postgres.ready() == 200
            time.sleep(0.1)
        frozen.rollback()
