"""Overload and passing faults degrade, never lie (R13, R15, R16)."""

import asyncio
import contextlib
import gzip
import hashlib
import random
import socket
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection

from feeds import queries
from feeds.models import FeedQuerySet
from feeds.receipt import app, jobs
from feeds.store import archive
from portal.database import threads as pools
from portal.database import timeouts
from portal.models import ApiToken
from tests.feeds.store.crafted import zipped
from tests.helpers.tiers import long
from tests.live import Live, parse, read_all, request
from tests.serving import Serve

OPEN = {"Feed": "OPEN-FEED"}

pytestmark = [pytest.mark.usefixtures("two_feeds", "emptied"), pytest.mark.both_databases]


@contextlib.contextmanager
def somebody_else_writing() -> Iterator[None]:
    """Another process has begun to write receipts, and does not end."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        locker: Any = sqlite3.connect(name, isolation_level=None)
        begin = ["BEGIN IMMEDIATE"]
    else:
        known = {key: connection.settings_dict[key.upper()] for key in ("host", "port", "user", "password")}
        locker = psycopg.connect(dbname=name, autocommit=True, **known)
        begin = ["BEGIN", "LOCK TABLE feeds_receipt IN SHARE MODE"]
    for statement in begin:
        locker.execute(statement)
    try:
        yield
    finally:
        locker.execute("ROLLBACK")
        locker.close()


def test_r13_a_locked_database_is_told_as_passing_and_nothing_is_kept(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.worker.health.stop()
    if connection.vendor == "sqlite":
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.2)
    monkeypatch.setattr(timeouts, "LOCK_SECONDS", 0.2)
    outcomes = []

    def send() -> None:
        answer = live.send("/datafeed", OPEN, b"data")
        outcomes.append((answer.outcome, answer.header("retry-after") is not None))

    assert live.send("/datafeed", OPEN, b"before").outcome == (200, 0)
    with somebody_else_writing():
        threads = [threading.Thread(target=send) for _ in range(20)]
        for thread in threads:
            thread.start()
        # What is refused by its arguments needs no write and is answered as ever.
        assert live.send("/datafeed", {"Feed": "REJECT-FEED"}, b"data").outcome == (406, 110)
        for thread in threads:
            thread.join()
    assert set(outcomes) == {((503, 999), True)}
    assert len(live.receipts()) == 1
    assert len(live.files()) == 2
    assert live.send("/datafeed", OPEN, b"after").outcome == (200, 0)


@contextlib.contextmanager
def hanging(target: Any, name: str, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody who calls this gets an answer until the block ends."""
    answers = threading.Event()
    real = getattr(target, name)

    def hang(*args: Any, **kwargs: Any) -> Any:
        answers.wait(60)
        return real(*args, **kwargs)

    with patch.context() as within:
        within.setattr(target, name, hang)
        try:
            yield
        finally:
            answers.set()


def test_r13_where_the_database_answers_nobody_senders_and_proxies_are_told_in_time(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than there are threads, and none is told a final no."""
    monkeypatch.setattr(pools, "DECISION_SECONDS", 0.5)
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.05)
    key = ApiToken.objects.issue(User.objects.create_user("proxy"), scopes=["check"])[1]
    question = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    told: list[tuple[int, int | None, bool]] = []

    def send(feed: str) -> None:
        answer = live.send("/datafeed", {"Feed": feed}, b"data")
        told.append((*answer.outcome, answer.header("retry-after") is not None))

    def ask() -> None:
        path, body = "/api/feedStatus/v2/getFeedStatus", b'{"feedName": "REJECT-FEED"}'
        told.append((live.send(path, question, body).status, 999, True))

    with hanging(FeedQuerySet, "policy_for", monkeypatch):
        threads = [
            threading.Thread(target=send, args=(feed,)) for feed in ("OPEN-FEED", "REJECT-FEED", "NO-FEED") * 4
        ]
        threads += [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert told == [(503, 999, True)] * 16
    assert live.send("/datafeed", OPEN, b"after").outcome == (200, 0)
    assert live.send("/datafeed", {"Feed": "REJECT-FEED"}, b"after").outcome == (406, 110)
    assert live.send("/api/feedStatus/v2/getFeedStatus", question, b'{"feedName": "OPEN-FEED"}').status == 200


@pytest.mark.parametrize("size", [4, 1_000_000])
def test_r13_a_sender_does_not_wait_for_ever_for_a_commit(
    live: Live, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """What is recorded late all the same is stored twice: nothing is lost."""
    monkeypatch.setattr(jobs, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.05)
    with hanging(queries, "insert_receipts", monkeypatch):
        answer = live.send("/datafeed", OPEN, b"data" * (size // 4))
        assert answer.outcome == (503, 999)
        assert answer.header("retry-after")
        assert not live.receipts()
    again = live.send("/datafeed", OPEN, b"data" * (size // 4))
    assert again.outcome == (200, 0)
    deadline = time.monotonic() + 30
    while len(live.receipts()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [live.data(receipt) for receipt in live.receipts()] == [b"data" * (size // 4)] * 2


@pytest.mark.parametrize("size", [100, 40_000])
def test_s34_a_large_head_is_not_read_on_the_event_loop(
    live: Live, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    seen: list[bool] = []
    real = app.read_head  # type: ignore[attr-defined]

    def look(*args: Any, **kwargs: Any) -> Any:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            seen.append(True)
            return real(*args, **kwargs)
        seen.append(False)
        return real(*args, **kwargs)

    monkeypatch.setattr(app, "read_head", look)
    query = "&".join(f"n{number}=1" for number in range(size // 8))
    assert live.send(f"/datafeed?{query}", OPEN, b"data").outcome == (200, 0)
    assert seen == [size == 100]


ARCHIVE = {**OPEN, "Compression": "ZIP"}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def sending(live: Live, headers: dict[str, str], body: bytes, times: int) -> Iterator[list[tuple[int, int | None]]]:
    """So many senders at once; their answers, all of them when the block has ended."""
    outcomes: list[tuple[int, int | None]] = []
    send = lambda: outcomes.append(live.send("/datafeed", headers, body).outcome)  # noqa: E731
    threads = [threading.Thread(target=send) for _ in range(times)]
    for thread in threads:
        thread.start()
    yield outcomes
    for thread in threads:
        thread.join()


def parts(live: Live) -> list[Path]:
    return [path for path in live.files() if path.suffix == ".part"]


def test_s34_archives_that_take_long_stop_no_other_delivery_and_the_ninth_is_told(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = zipped(("1.dat", b"data"))
    with contextlib.ExitStack() as blocked, hanging(archive, "read_archive", monkeypatch):
        outcomes = blocked.enter_context(sending(live, ARCHIVE, body, 8))
        wait_until(lambda: live.worker.receiver.verifying == 8)
        ninth = live.send("/datafeed", ARCHIVE, body)
        assert ninth.outcome == (503, 999)
        assert ninth.header("retry-after")
        assert live.send("/datafeed", {**ARCHIVE, "Feed": "REJECT-FEED"}, body).outcome == (406, 110)
        assert live.send("/datafeed", OPEN, b"small").outcome == (200, 0)
        packed = gzip.compress(random.Random(1).randbytes(100_000))
        assert live.send("/datafeed", {**OPEN, "Compression": "GZIP"}, packed).outcome == (200, 0)
        assert outcomes == []
    assert outcomes == [(200, 0)] * 8
    assert live.send("/datafeed", ARCHIVE, body).outcome == (200, 0)
    assert parts(live) == []


def test_s34_an_archive_that_finds_no_thread_is_not_waited_for_without_limit(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = zipped(("1.dat", b"data"))
    monkeypatch.setattr(jobs, "THREAD_SECONDS", 0.2)
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.05)
    with contextlib.ExitStack() as blocked, hanging(archive, "read_archive", monkeypatch):
        running = blocked.enter_context(sending(live, ARCHIVE, body, 2))
        wait_until(lambda: live.worker.receiver.verifying == 2)
        third = live.send("/datafeed", ARCHIVE, body)
        assert third.outcome == (503, 999)
        assert third.header("retry-after")
        assert len(parts(live)) == 2
    assert running == [(200, 0)] * 2
    assert parts(live) == []
    assert len(live.receipts()) == 2


@pytest.mark.parametrize("size", [5, 1_000_000])
@pytest.mark.parametrize("packed", [False, True])
def test_s34_a_delivery_that_finds_no_thread_is_told_so_and_nothing_of_it_is_kept(
    live: Live, monkeypatch: pytest.MonkeyPatch, size: int, packed: bool
) -> None:
    monkeypatch.setattr(jobs, "THREAD_SECONDS", 0.2)
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.05)
    data = random.Random(1).randbytes(size)
    body, headers = (gzip.compress(data), {**OPEN, "Compression": "GZIP"}) if packed else (data, OPEN)
    monkeypatch.setattr(pools, "DECISION_SECONDS", 0.2)
    own = live.worker.receiver.pools
    pool = own.inflation if packed and size > 5 else own.small if size == 5 else own.work
    released = threading.Event()
    try:
        for _ in range(8):
            pool.submit(released.wait, 60)
        answer = live.send("/datafeed", headers, body)
        assert answer.outcome == (503, 999)
        assert answer.header("retry-after")
        assert live.files() == []
    finally:
        released.set()
    assert live.send("/datafeed", headers, body).outcome == (200, 0)
    assert len(live.receipts()) == 1


@pytest.mark.server
@pytest.mark.long
def test_r15_with_64_descriptors_and_200_connections_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    few = ("bash", "-c", 'ulimit -n 64; exec "$@"', "bash")
    serve = Serve(tmp_path, command=few, PORTAL_WORKERS="1", PORTAL_THREADS="2")
    serve.start()
    serve.make_feed("OPEN-FEED")
    acknowledged: dict[str, str] = {}
    others: list[object] = []

    def send(number: int) -> None:
        body = b"%d " % number * 20_000
        data = request("/datafeed", OPEN, body)
        try:
            with socket.create_connection(("127.0.0.1", serve.port), timeout=30) as client:
                client.sendall(data[: len(data) // 2])
                time.sleep(0.5)
                client.sendall(data[len(data) // 2 :])
                answer = parse(read_all(client))
        except (OSError, AssertionError) as fault:
            others.append(type(fault))
            return
        if answer.outcome == (200, 0):
            acknowledged[answer.text.strip()] = hashlib.sha256(body).hexdigest()
        else:
            others.append(answer.outcome)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    began = time.monotonic()
    while serve.send("/datafeed", b"again", feed="OPEN-FEED").outcome != (200, 0):
        assert time.monotonic() - began < 5
    assert {outcome for outcome in others if isinstance(outcome, tuple)} <= {(500, 999), (503, 999)}
    assert len(acknowledged) >= 160
    stored = {
        path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in serve.stored() if path.suffix == ".dat"
    }
    for receipt_id, digest in acknowledged.items():
        assert stored[receipt_id] == digest
    serve.stop()


@pytest.mark.server
@pytest.mark.parametrize(("compression", "mebibytes"), [("GZIP", 128), long("GZIP", 1024), long("NONE", 1024)])
def test_r10_a_gibibyte_adds_no_memory(tmp_path: Path, compression: str, mebibytes: int) -> None:
    """The body is chunked, so that its end is not known: 1 GiB as it is, and as what gzip data unpacks to."""
    serve = Serve(tmp_path, PORTAL_WORKERS="1")
    serve.start()
    serve.make_feed("OPEN-FEED")
    (worker,) = serve.workers()
    block = b"0123456789abcdef" * 65_536
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)

    def memory() -> int:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
        return int(fields["RssAnon"].split()[0]) // 1024

    def pieces() -> Iterator[bytes]:
        for _ in range(mebibytes):
            if piece := packer.compress(block) if compression == "GZIP" else block:
                yield piece
        if compression == "GZIP":
            yield packer.flush()

    serve.send("/datafeed", b"warm up", feed="OPEN-FEED")
    before = peak = memory()
    with serve.connect() as client:
        head = request("/datafeed", {**OPEN, "Compression": compression}, chunked=True)
        client.sendall(head.removesuffix(b"0\r\n\r\n"))
        for number, piece in enumerate(pieces()):
            client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            if number % 64 == 0:
                peak = max(peak, memory())
        client.sendall(b"0\r\n\r\n")
        assert parse(read_all(client)).outcome == (200, 0)
    assert max(peak, memory()) - before <= 32
    serve.stop()
    for path in serve.stored():
        path.unlink()
