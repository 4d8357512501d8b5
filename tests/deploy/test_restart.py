"""A restart with the socket held open, as systemd holds it, fails no upload (R21)."""

import http.client
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.portal import OPEN, ROOT, Portal

pytestmark = [pytest.mark.server, pytest.mark.long]

RESTARTS = 3
#: The program that is started under the pid that LISTEN_PID has to name, as systemd does it.
_HAND_OVER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); "
    "os.execv(sys.executable, [sys.executable, 'manage.py', 'serve'])"
)


class Held:
    """What systemd does: the socket is ours, the portal comes and goes."""

    def __init__(self, prepared: Portal) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self._prepared = prepared
        self._log = (prepared.folder / "held.log").open("ab")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HAND_OVER, str(self.listener.fileno())],
            env=self._prepared.environment,
            cwd=ROOT,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[self.listener.fileno()],
        )

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0

    def wait_until_alive(self) -> None:
        """Ask until there is an answer: the question waits in the socket's queue."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
        connection.close()

    def close(self) -> None:
        self.process.terminate()  # it may still be starting, so how it ends says nothing
        self.process.wait(timeout=60)
        self.listener.close()
        self._log.close()


@pytest.fixture(scope="module")
def prepared() -> Iterator[Portal]:
    with tempfile.TemporaryDirectory(prefix="portal-held-") as path:
        portal = Portal(Path(path))
        portal.prepare()
        yield portal


@pytest.fixture
def held(prepared: Portal) -> Iterator[Held]:
    running = Held(prepared)
    yield running
    running.close()


def test_r21_restarts_under_load_fail_no_upload(held: Held) -> None:
    outcomes: list[object] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", held.port, timeout=60)
            try:
                connection.request("POST", "/datafeed", b"x" * 50_000, {"Feed": OPEN, "Connection": "close"})
                outcomes.append(connection.getresponse().status)
            except OSError as fault:
                outcomes.append(fault)
            finally:
                connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(RESTARTS):
        before = len(outcomes)
        while len(outcomes) < before + 30:
            time.sleep(0.02)
        held.stop()
        held.start()
    stop.set()
    for thread in threads:
        thread.join()
    assert set(outcomes) == {200}
    assert len(outcomes) >= 30 * RESTARTS


def test_r35_a_reload_with_the_socket_held_open_lets_nobody_wait(held: Held) -> None:
    head = b"POST /datafeed HTTP/1.1\r\nHost: a\r\nConnection: close\r\nFeed: %b\r\nContent-Length: 6\r\n\r\n"
    request = head % OPEN.encode()
    held.wait_until_alive()
    with socket.create_connection(("127.0.0.1", held.port), timeout=60) as running:
        running.sendall(request + b"abc")
        held.wait_until_alive()
        old = children(held.process.pid)
        held.process.send_signal(signal.SIGHUP)
        while len(children(held.process.pid) & old) != 1 or len(children(held.process.pid)) != 3:
            time.sleep(0.05)
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", held.port), timeout=60) as other:
                other.sendall(request + b"uvwxyz")
                assert b" 200 " in other.recv(1000)
        running.sendall(b"def")
        assert b" 200 " in running.recv(1000)
    held.stop()


def children(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_r21_an_upload_that_runs_is_finished_and_one_that_comes_waits(held: Held) -> None:
    head = b"POST /datafeed HTTP/1.1\r\nHost: a\r\nConnection: close\r\nFeed: %b\r\nContent-Length: 6\r\n\r\n"
    request = head % OPEN.encode()
    with socket.create_connection(("127.0.0.1", held.port), timeout=60) as running:
        running.sendall(request + b"abc")
        held.wait_until_alive()
        time.sleep(0.5)  # whoever answered was behind the running upload in the queue
        held.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with socket.create_connection(("127.0.0.1", held.port), timeout=60) as waiting:
            waiting.sendall(request + b"uvwxyz")
            time.sleep(0.5)
            running.sendall(b"def")
            assert b" 200 " in running.recv(1000)
            assert held.process.wait(timeout=60) == 0
            held.start()
            assert b" 200 " in waiting.recv(1000)
