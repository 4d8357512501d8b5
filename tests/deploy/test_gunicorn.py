"""gunicorn with the shipped configuration: deliveries are as safe as under `manage.py serve`."""

import http.client
import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.portal import OPEN, ROOT, Portal
from tests.deploy.proxy import talk

pytestmark = [
    pytest.mark.server,
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("gunicorn") is None, reason="gunicorn is not installed"),
]

CONFIGURATION = ROOT / "deploy/gunicorn.conf.py"


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    command = (sys.executable, "-m", "gunicorn", "--config", str(CONFIGURATION))
    with Portal(tmp_path / "data", workers=2, command=command) as running:
        yield running


def post(body: bytes, *headers: str) -> bytes:
    lines = ["POST /datafeed HTTP/1.1", "Host: localhost", "Connection: close", f"Feed: {OPEN}", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def connect(portal: Portal) -> socket.socket:
    return socket.create_connection(("127.0.0.1", portal.port), timeout=20)


def test_deliveries_are_stored_or_refused_as_under_serve(portal: Portal) -> None:
    [answer] = talk(connect(portal), post(b"whole"))
    assert (answer.status, answer.stroom_status) == (200, "0")
    receipt = answer.body.decode().strip()
    # An offered upgrade, which uvicorn by itself takes for an empty body.
    [answer] = talk(connect(portal), post(b"upgraded", "Connection: Upgrade", "Upgrade: h2c"))
    assert answer.status == 200
    upgraded = answer.body.decode().strip()
    # Broken off.
    assert all(answer.status != 200 for answer in talk(connect(portal), post(b"short")[:-2], half_close=True))
    assert set(portal.stored()) == {receipt, upgraded}
    [answer] = talk(connect(portal), b"FOO\r\n\r\n")
    assert (answer.status, answer.stroom_status) == (400, "999")


def test_a_reload_fails_no_upload(portal: Portal) -> None:
    answers: list[int] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=30)
            connection.request("POST", "/datafeed", b"x" * 10_000, {"Feed": OPEN, "Connection": "close"})
            answers.append(connection.getresponse().status)
            connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    for _ in range(2):
        time.sleep(0.5)
        os.kill(portal.process.pid, signal.SIGHUP)
    time.sleep(3)
    stop.set()
    thread.join()
    assert len(answers) > 20
    assert set(answers) == {200}
    assert len(portal.stored()) == len(answers)


def test_the_workers_end_with_their_parent(portal: Portal) -> None:
    """Killed without a chance to say goodbye, the parent leaves nobody listening."""
    os.kill(portal.process.pid, signal.SIGKILL)
    portal.process.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            connect(portal).close()
        except OSError:
            return
        time.sleep(0.1)
    raise AssertionError("the workers go on without their parent")
