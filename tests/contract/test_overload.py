"""Overload and passing faults degrade, never lie (R13, R15, R16)."""

import hashlib
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.factories import make_feed
from tests.live import Live, parse, read_all, request
from tests.serving import Serve

OPEN = {"Feed": "OPEN-FEED"}


@pytest.fixture(scope="module", autouse=True)
def feeds(live: Live) -> None:
    make_feed("OPEN-FEED")
    make_feed("REJECT-FEED", status="Reject")


@pytest.fixture(autouse=True)
def empty(live: Live) -> Iterator[None]:
    yield
    live.clear()


def test_r13_a_locked_database_is_told_as_passing_and_nothing_is_kept(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.2)
    live.worker.health.stop()
    outcomes = []

    def send() -> None:
        answer = live.send("/datafeed", OPEN, b"data")
        outcomes.append((answer.outcome, answer.header("retry-after") is not None))

    assert live.send("/datafeed", OPEN, b"before").outcome == (200, 0)
    name = str(connection.settings_dict["NAME"])
    locker = sqlite3.connect(name, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    try:
        threads = [threading.Thread(target=send) for _ in range(20)]
        for thread in threads:
            thread.start()
        # What is refused by its arguments needs no write and is answered as ever.
        assert live.send("/datafeed", {"Feed": "REJECT-FEED"}, b"data").outcome == (406, 110)
        for thread in threads:
            thread.join()
    finally:
        locker.execute("ROLLBACK")
        locker.close()
    assert set(outcomes) == {((503, 999), True)}
    assert len(live.receipts()) == 1
    assert len(live.files()) == 2
    assert live.send("/datafeed", OPEN, b"after").outcome == (200, 0)


@pytest.mark.server
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
