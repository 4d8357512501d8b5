"""SIGHUP restarts `manage.py serve` in overlap: no sender waits for the uploads of others (R21, R35)."""

import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import parse, read_all, request
from tests.serving import Serve, alive, wait_until_gone

pytestmark = [pytest.mark.server]

UPLOAD = (
    b"POST /datafeed HTTP/1.1\r\nHost: a\r\nConnection: close\r\nFeed: OPEN-FEED\r\nContent-Length: 6\r\n\r\nabc"
)
UNKNOWN_MIGRATION = "MigrationRecorder(connection).record_applied('feeds', '9999_newer')"
FORGET_IT = "MigrationRecorder(connection).record_unapplied('feeds', '9999_newer')"
_RECORDER = (
    "from django.db import connection; from django.db.migrations.recorder import MigrationRecorder; connection; "
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that has served once, with a feed."""
    folder = tmp_path_factory.mktemp("prepared")
    serve = Serve(folder)
    serve.start()
    serve.stop()
    serve.make_feed("OPEN-FEED")
    return folder


@pytest.fixture
def serve(prepared: Path, tmp_path: Path) -> Iterator[Serve]:
    shutil.copytree(prepared, tmp_path / "data", symlinks=True)
    running = Serve(tmp_path / "data")
    running.start()
    yield running
    running.stop(signal.SIGKILL)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def restart(serve: Serve) -> set[int]:
    """Restart in overlap; return the old workers once the new ones are there."""
    old = serve.workers()
    serve.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(serve.workers() - old) >= 2 and len([pid for pid in old if alive(pid)]) < 2)
    return old


def begin_upload(serve: Serve) -> socket.socket:
    connection = serve.connect()
    connection.sendall(UPLOAD)
    wait_for(lambda: any(serve.data_dir.rglob("*.part")) or serve.send("/livez", method="GET").status == 200)
    return connection


def test_r35_others_are_served_while_an_upload_of_the_old_program_runs(serve: Serve) -> None:
    outcomes: list[int] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            outcomes.append(serve.send("/datafeed", b"x", feed="OPEN-FEED").status)

    parent = serve.process.pid
    with begin_upload(serve) as upload:
        senders = [threading.Thread(target=send) for _ in range(3)]
        for sender in senders:
            sender.start()
        old = restart(serve)
        before = len(outcomes)
        wait_for(lambda: len(outcomes) >= before + 30)
        assert len([pid for pid in old if alive(pid)]) == 1, (
            "the worker with the upload goes on, the other has ended"
        )
        upload.sendall(b"def")
        assert parse(read_all(upload)).status == 200
        assert wait_until_gone(old, 30)
        stop.set()
        for sender in senders:
            sender.join()
    assert set(outcomes) == {200}
    assert serve.process.poll() is None
    assert serve.process.pid == parent
    assert "Traceback" not in serve.stop()
    assert serve.process.returncode == 0


@pytest.mark.long
def test_r21_a_connection_kept_open_is_closed_between_two_requests(serve: Serve) -> None:
    data = request("/datafeed", {"Feed": "OPEN-FEED"}, b"x", method="POST").replace(
        b"Connection: close", b"Connection: keep-alive"
    )
    with serve.connect() as kept, begin_upload(serve):
        kept.sendall(data)
        assert b" 200 " in kept.recv(4000)
        kept.settimeout(60)
        serve.process.send_signal(signal.SIGHUP)
        assert kept.recv(4000) == b"", "it ends without an answer to a request that was never made"


@pytest.mark.long
def test_a_program_that_would_not_start_does_not_replace_one_that_runs(serve: Serve) -> None:
    workers = serve.workers()
    serve.shell(_RECORDER + UNKNOWN_MIGRATION)
    serve.process.send_signal(signal.SIGHUP)

    def is_refused() -> bool:
        serve._log.seek(0)
        return "the new program does not start" in serve._log.read()

    wait_for(is_refused)
    assert serve.workers() == workers
    assert serve.send("/datafeed", b"x", feed="OPEN-FEED").status == 200
    serve.shell(_RECORDER + FORGET_IT)
    restart(serve)
    assert serve.send("/datafeed", b"x", feed="OPEN-FEED").status == 200


@pytest.mark.long
def test_a_stop_ends_old_and_new_workers(serve: Serve) -> None:
    upload = begin_upload(serve)
    old = restart(serve)
    everyone = old | serve.workers()
    serve.process.send_signal(signal.SIGTERM)
    upload.close()
    assert serve.process.wait(60) == 0
    assert wait_until_gone(everyone, 10)


@pytest.mark.long
def test_old_and_new_workers_end_when_their_parent_is_killed(serve: Serve) -> None:
    with begin_upload(serve):
        old = restart(serve)
        everyone = old | serve.workers()
        serve.process.kill()
        serve.process.wait(10)
    assert wait_until_gone(everyone, 60)


@pytest.mark.long
def test_a_second_restart_follows_the_first(serve: Serve) -> None:
    first = restart(serve)
    assert wait_until_gone(first, 30)
    second = restart(serve)
    assert first.isdisjoint(second)
    assert wait_until_gone(second, 30)
    assert serve.send("/datafeed", b"x", feed="OPEN-FEED").status == 200
