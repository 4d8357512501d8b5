"""Too many, too slow, at the wrong moment: overload and change degrade service and never the truth."""

import asyncio
import contextlib
import os
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.tiers import sizes
from tests.live import parse, read_all
from tests.reliability import crowd, processes
from tests.reliability.portal import OPEN, Portal
from tests.reliability.races import race
from tests.reliability.refusing import be_refused, database_bytes
from tests.reliability.senders import Book, Load, Parcel, deliver

pytestmark = [pytest.mark.server]

MEBIBYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def stopped(portal: Portal) -> Iterator[None]:
    """Each test starts the portal as it needs it; nothing may be unexplained when it is over."""
    yield
    if portal.pid:
        portal.kill()
    assert [finding for finding in portal.check() if not finding[2]] == []
    assert not portal.files(".part")


def test_r06_below_the_free_space_mark_nothing_is_read_and_all_else_goes_on(template: Path, tmp_path: Path) -> None:
    """A ballast of 512 MiB pushes the disk below a mark that is 256 MiB under what is free now."""
    shutil.copytree(template, tmp_path / "data")
    mark = shutil.disk_usage(tmp_path).free - 256 * MEBIBYTE
    ballast = tmp_path / "ballast"
    with Portal(tmp_path / "data", PORTAL_MIN_FREE_BYTES=str(mark)) as portal:
        portal.start("supervisor")
        before = deliver(portal, Parcel(OPEN, b"before"))
        assert before is not None
        assert before.outcome == (200, 0)
        with ballast.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, 512 * MEBIBYTE)
            except OSError as fault:
                pytest.skip(f"no room for the ballast: {fault}")
        assert_refused_unread(portal)
        assert portal.status("/codes/http/404/") == 200
        assert portal.status("/admin/login/") == 200
        token = portal.send(
            "/api/v1/auth/token/",
            {"Content-Type": "application/json"},
            b'{"username": "admin", "password": "not-a-real-secret-1"}',
        )
        assert token.status == 201, "what writes to the database goes on too"
        assert portal.send("/datafeed", {"Feed": "NO-SUCH-FEED"}, b"x").outcome == (406, 110)
        ballast.unlink()
        began = time.monotonic()
        while (answer := deliver(portal, Parcel(OPEN, b"after"))) is None or answer.outcome != (200, 0):
            assert time.monotonic() - began < 30, "at once on a machine that does nothing else"
            time.sleep(0.1)
        digests = {
            before.text.strip(): Parcel(OPEN, b"before").sha256,
            answer.text.strip(): Parcel(OPEN, b"after").sha256,
        }
        assert portal.lost(digests) == []


def assert_refused_unread(portal: Portal) -> None:
    """Told at once to come back later, without a byte of the body having been asked for."""
    with portal.connect() as connection:
        connection.sendall(
            b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: OPEN-FEED\r\nExpect: 100-continue\r\n"
            b"Content-Length: 10000000000\r\n\r\n"
        )
        data = read_all(connection)
    assert b"100 Continue" not in data
    answer = parse(data)
    assert answer.outcome == (503, 999)
    assert 30 <= int(answer.header("retry-after") or 0) <= 90


@pytest.mark.long
def test_r15_500_senders_after_a_stop_are_all_served_and_none_is_lied_to(portal: Portal) -> None:
    """They queue while nobody serves, as after a stop of a minute, and come all at once."""
    portal.start("supervisor", held_open=True)
    book, before, after = Book(), Book(), Book()
    asyncio.run(crowd.steady(portal, before, 16, 1.0))
    portal.stop()

    async def come_back() -> tuple[float, list[crowd.Waited]]:
        storming = asyncio.ensure_future(crowd.storm(portal, book, 500, 2000))
        await asyncio.sleep(1.0)
        began = await asyncio.to_thread(lambda: (portal.start("supervisor", wait=False), time.monotonic())[1])
        return began, await storming

    began, waited = asyncio.run(come_back())
    assert book.wrong == []
    assert portal.lost(book.acknowledged) == []
    assert len(waited) >= 400, book.outcomes
    recovered = asyncio.run(crowd.steady(portal, after, 16, 1.0))
    assert crowd.percentile(recovered, 0.99) < 5
    # A second each, before and after: the machine may have had other work during one of them.
    rate = min(len(before.acknowledged), len(after.acknowledged))
    assert len(waited) / (max(entry.at for entry in waited) - began) >= 0.25 * rate


@pytest.mark.long
def test_r16_50_slow_senders_do_not_hold_up_the_others_and_are_cut_off(portal: Portal) -> None:
    """Told apart from other work of the machine, which slows down everybody, by up to three tries."""
    portal.start("supervisor", rate_window=8.0)
    book = Book()
    for _ in range(3):
        alone = asyncio.run(crowd.steady(portal, book, 4, 2.0))
        beside, answers = asyncio.run(crowd.with_slow(portal, 50, lambda: crowd.steady(portal, book, 4, 2.0)))
        outcomes = [answer.outcome if answer is not None else None for answer in answers]
        assert set(outcomes) <= {(500, 999), None}, "cut off for being too slow"
        assert outcomes.count((500, 999)) >= 25, "to the others a reset came first: they were still writing"
        held_up = crowd.percentile(beside, 0.99) > 2 * crowd.percentile(alone, 0.99) + 0.1
        if not held_up:
            break
    assert not held_up
    assert portal.lost(book.acknowledged) == []


@pytest.mark.long
def test_r17_clock_jumps_lose_nothing_and_ids_stay_unique(portal: Portal, tmp_path: Path) -> None:
    """The clock of two workers jumps up to a day, forwards and backwards, also in the middle of uploads."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    chance = random.Random(17)
    book = Book()
    for turn in range(1, 4):
        portal.start("supervisor", clock=str(clock))
        with Load(portal, book, largest=100_000):
            for _ in range(25):
                replace(clock, str(chance.uniform(-86_400, 86_400)))
                time.sleep(0.04)
            wait_until(lambda turn=turn: len(book.acknowledged) >= 10 * turn)  # type: ignore[misc]
        portal.stop()
    assert book.wrong == []
    assert book.outcomes[200, 0] == len(book.acknowledged), "no id was given twice"
    assert len(book.acknowledged) >= 30
    assert portal.lost(book.acknowledged) == []


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


@pytest.mark.parametrize("races", sizes(3, 20))
def test_r19_the_rule_in_force_when_an_upload_ends_counts_in_every_worker(portal: Portal, races: int) -> None:
    """20 races: a rule changes while uploads run in both workers; who ends after it is judged by it."""
    portal.start("supervisor")
    for _ in range(races):
        race(portal)


@pytest.mark.long
def test_r21_five_restarts_under_load_with_the_socket_held_open_fail_no_upload(portal: Portal) -> None:
    book = Book()
    portal.start("supervisor", held_open=True)
    with Load(portal, book, patience=120):
        for _ in range(5):
            served = len(book.acknowledged)
            time.sleep(0.4)
            wait_until(lambda served=served: len(book.acknowledged) > served)  # type: ignore[misc]
            portal.stop()
            portal.start("supervisor", held_open=True)
        time.sleep(0.2)
    assert set(book.outcomes) == {(200, 0)}
    assert book.unanswered == 0
    assert portal.lost(book.acknowledged) == []


def begun(portal: Portal, stack: contextlib.ExitStack) -> socket.socket:
    """A connection with an upload that runs: its head was accepted, half of its thousand bytes have been sent."""
    connection = stack.enter_context(portal.connect(60))
    sent = Parcel({**OPEN, "Expect": "100-continue"}, b"x" * 1000).request()
    connection.sendall(sent[:-1000])
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert connection.recv(len(interim), socket.MSG_WAITALL) == interim
    connection.sendall(sent[-1000:-500])
    return connection


def test_r21_a_stop_under_load_finishes_what_runs_and_refuses_what_comes(portal: Portal) -> None:
    portal.start("supervisor")
    book = Book()
    with Load(portal, book, senders=8) as load, contextlib.ExitStack() as stack:
        wait_until(lambda: bool(book.acknowledged))
        running = [begun(portal, stack) for _ in range(8)]
        workers = portal.workers()
        stopping = threading.Thread(target=portal.stop, args=(120,))
        stopping.start()
        wait_until(lambda: book.outcomes[503, 999] > 0, 20)
        for connection in running:
            connection.sendall(b"x" * 500)
        told = [parse(read_all(connection)) for connection in running]
        stopping.join()
        load.hang_up()
    assert {answer.outcome for answer in told} == {(200, 0)}, "they ran before the stop"
    assert not any(processes.is_alive(pid) for pid in workers)
    assert set(book.outcomes) <= {(200, 0), (503, 999)}
    acknowledged = book.acknowledged | {answer.text.strip(): Parcel(OPEN, b"x" * 1000).sha256 for answer in told}
    assert portal.lost(acknowledged) == []


@pytest.mark.long
def test_r26_20_000_refusals_grow_the_database_by_less_than_a_mebibyte(portal: Portal) -> None:
    portal.start("supervisor")
    portal.execute("DELETE FROM feeds_hourlycount")
    before = database_bytes(portal)
    senders = [threading.Thread(target=be_refused, args=(portal, number, 5000)) for number in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    portal.stop()
    assert database_bytes(portal) - before <= MEBIBYTE
    database = portal.database()
    ((refused, names),) = database.execute(
        "SELECT sum(count), count(DISTINCT feed) FROM feeds_hourlycount WHERE stroom_status = 110 AND NOT known"
    )
    ((samples,),) = database.execute("SELECT count(*) FROM feeds_refusalsample")
    database.close()
    assert refused == 20_000, "every one is counted"
    assert names <= 2 * 2 * 101, "names that no feed has are capped, in each worker and hour"
    assert samples <= 100
