"""A PostgreSQL that is slow, or answers nobody: senders are told in time to come back, nothing is lost (R13)."""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator

import psycopg
import pytest

from portal.database import threads as pools
from tests import postgresql
from tests.live import Response, parse, read_all, request
from tests.postgresql import PostgreSql
from tests.serving import Serve

pytestmark = [
    pytest.mark.server,
    pytest.mark.long,
    pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable()),
]

OPEN = {"Feed": "OPEN-FEED"}
LATER = (503, 999, True)
TOO_LONG = pools.STATEMENT_SECONDS + 20


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with PostgreSql() as running:
        yield running


@pytest.fixture(scope="module")
def portal(server: PostgreSql, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    serve = Serve(tmp_path_factory.mktemp("slow"), PORTAL_WORKERS="1")
    serve.environment["DATABASE_URL"] = server.url()
    serve.start()
    serve.make_feed("OPEN-FEED")
    yield serve
    serve.stop()


@pytest.fixture(scope="module")
def key(portal: Serve) -> str:
    return portal.shell(
        "from django.contrib.auth.models import User; from portal.models import ApiToken;"
        "print(ApiToken.objects.issue(User.objects.create_user('proxy'), scopes=['check'])[1])"
    )


@contextlib.contextmanager
def with_statements(server: PostgreSql, before: str, after: str) -> Iterator[None]:
    with psycopg.connect(server.url(), autocommit=True) as administrator:
        administrator.execute(before)
        try:
            yield
        finally:
            administrator.execute(after)


def slow_to_read(server: PostgreSql, seconds: float) -> contextlib.AbstractContextManager[None]:
    """Whoever asks for a feed waits, also for one that does not exist."""
    body = f"BEGIN PERFORM pg_sleep({seconds}); RETURN QUERY SELECT * FROM away; END"
    return with_statements(
        server,
        "ALTER TABLE feeds_feed RENAME TO away;"
        f"CREATE FUNCTION slow() RETURNS SETOF away LANGUAGE plpgsql AS $$ {body} $$;"
        "CREATE VIEW feeds_feed AS SELECT * FROM slow()",
        "DROP VIEW feeds_feed; DROP FUNCTION slow; ALTER TABLE away RENAME TO feeds_feed",
    )


def slow_to_write(server: PostgreSql, seconds: float) -> contextlib.AbstractContextManager[None]:
    """Whoever records a receipt waits."""
    body = f"BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END"
    return with_statements(
        server,
        f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$;"
        "CREATE TRIGGER slow BEFORE INSERT ON feeds_receipt FOR EACH ROW EXECUTE FUNCTION slow()",
        "DROP TRIGGER slow ON feeds_receipt; DROP FUNCTION slow",
    )


@contextlib.contextmanager
def frozen(server: PostgreSql) -> Iterator[None]:
    """Every process of the server stops where it is; connections stay open."""
    with psycopg.connect(server.url(), autocommit=True) as administrator:
        pids = [row[0] for row in administrator.execute("SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL")]
    # The parent first, so that it makes no new ones; some of the others are just ending.
    stopped = [pid for pid in [server.pid, *pids] if signalled(pid, signal.SIGSTOP)]
    try:
        yield
    finally:
        for pid in stopped:
            signalled(pid, signal.SIGCONT)


def signalled(pid: int, number: signal.Signals) -> bool:
    """Whether there was still somebody to send it to."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def send(portal: Serve, body: bytes = b"data", feed: str = "OPEN-FEED") -> tuple[int, int | None, bool]:
    with portal.connect() as connection:
        connection.settimeout(150)
        connection.sendall(request("/datafeed", {"Feed": feed}, body))
        answer = parse(read_all(connection))
    return (*answer.outcome, answer.header("retry-after") is not None)


def ask(portal: Serve, key: str) -> Response:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with portal.connect() as connection:
        connection.settimeout(150)
        connection.sendall(
            request("/api/feedStatus/v2/getFeedStatus", headers, json.dumps({"feedName": "OPEN-FEED"}).encode())
        )
        return parse(read_all(connection))


def many(portal: Serve, key: str, number: int) -> list[tuple[int, int | None, bool] | int]:
    """What so many senders, and two proxies, are told at once; every other feed does not exist."""
    told: list[tuple[int, int | None, bool] | int] = []

    def one(place: int) -> None:
        told.append(
            send(portal, feed="OPEN-FEED" if place % 2 else "NO-FEED") if place else ask(portal, key).status
        )

    threads = [threading.Thread(target=one, args=(place,)) for place in (0, 0, *range(1, number + 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def count(server: PostgreSql) -> int:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("SELECT count(*) FROM feeds_receipt").fetchone()
        assert row
        return int(row[0])


def works_again(portal: Serve, key: str) -> None:
    assert send(portal) == (200, 0, False)
    assert send(portal, feed="NO-FEED") == (406, 110, False)
    assert json.loads(ask(portal, key).body) == {"status": "Receive"}


def test_r13_rules_that_take_too_long_to_read_are_no_answer(portal: Serve, server: PostgreSql, key: str) -> None:
    with slow_to_read(server, TOO_LONG):
        told = many(portal, key, 10)
    assert sorted(map(str, told)) == sorted(map(str, [LATER] * 10 + [503] * 2))
    works_again(portal, key)


def test_r13_a_row_that_takes_too_long_to_write_is_not_acknowledged(
    portal: Serve, server: PostgreSql, key: str
) -> None:
    before, files = count(server), len(portal.stored())
    with slow_to_write(server, TOO_LONG):
        told = many(portal, key, 6)
        assert sorted(map(str, told)) == sorted(map(str, [LATER] * 3 + [(406, 110, False)] * 3 + [200] * 2))
        assert (count(server), len(portal.stored())) == (before, files), "nothing is kept"
    with slow_to_write(server, 2):
        assert send(portal) == (200, 0, False), "slow, and true"
    assert count(server) == before + 1
    works_again(portal, key)


def test_r13_a_server_that_answers_nobody(portal: Serve, server: PostgreSql, key: str) -> None:
    before = count(server)
    begun = portal.connect()
    begun.settimeout(150)
    data = request("/datafeed", OPEN, b"data" * 500_000)
    begun.sendall(data[:-100])  # decided before the fault, recorded in it
    assert send(portal) == (200, 0, False)
    with frozen(server):
        begun.sendall(data[-100:])
        assert many(portal, key, 10).count(LATER) == 10
        answer = parse(read_all(begun))
    begun.close()
    assert (*answer.outcome, answer.header("retry-after") is not None) == LATER
    works_again(portal, key)
    assert count(server) >= before + 2
