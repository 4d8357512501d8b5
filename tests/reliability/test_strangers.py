"""Strangers cannot take the portal from its users: attacks on a real server process with few descriptors (S34)."""

import contextlib
import json
import resource
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.tiers import some
from tests.live import Response, parse, read_all, request
from tests.serving import Serve

pytestmark = [pytest.mark.server]

DESCRIPTORS = 1024
SOCKETS = 330
FEED = "OPEN-FEED"
#: What the attacks may add to a worker: far less than what they send.
MOST_GROWTH = 96 * 1024 * 1024


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard > 0 else 8192, hard))
    limited = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")
    temporary = tmp_path_factory.mktemp("temporary")
    served = Serve(tmp_path_factory.mktemp("data"), command=limited, PORTAL_WORKERS="1", TMPDIR=str(temporary))
    served.start()
    try:
        served.make_feed(FEED)
        yield served
    finally:
        served.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def head(path: str, *fields: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def large_pages() -> bytes:
    """Requests for more than any buffer holds."""
    return head("/api/v1/codes/export.json", method="GET") * 50


def login(number: int) -> bytes:
    body = json.dumps({"username": f"name-{number}", "password": "wrong"}).encode()
    return request("/api/v1/auth/token/", {"Content-Type": "application/json"}, body).replace(
        b"somewhere.example.org", b"localhost"
    )


def explained() -> bytes:
    body = (b"SEND,x,200,0,y,1,1," * 4000)[: 64 * 1024]
    return request("/api/v1/codes/explain/", {"Content-Type": "text/plain"}, body).replace(
        b"somewhere.example.org", b"localhost"
    )


ATTACKS: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "a body to an unknown address that never comes": (
        SOCKETS,
        lambda _: head("/nothing", "Content-Length: 1000000") + b"x",
    ),
    "a chunked body that never ends": (
        SOCKETS,
        lambda _: head("/codes/explain/", "Transfer-Encoding: chunked") + b"1\r\nx\r\n",
    ),
    "connections that say nothing": (SOCKETS, lambda _: b""),
    "heads that never end": (SOCKETS, lambda _: head("/codes/")[:-2] + b"X-Slow: "),
    "deliveries that never end": (
        SOCKETS,
        lambda _: head("/datafeed", f"Feed: {FEED}", "Transfer-Encoding: chunked") + b"1\r\nx\r\n",
    ),
    "large bodies to a page": (
        SOCKETS,
        lambda _: head("/", "Content-Length: 1048000") + b"x" * 1_047_000,
    ),
    "answers that nobody reads": (SOCKETS, lambda _: large_pages()),
    "guessed passwords": (24, login),
    "texts that are slow to explain": (8, lambda _: explained()),
    "bodies for imports without a login": (
        40,
        lambda _: head("/api/v1/feeds/import/", "Transfer-Encoding: chunked") + b"40000\r\n" + b"x" * 0x40000,
    ),
}


@pytest.mark.parametrize("name", some(ATTACKS, quick=1))
def test_s34_users_are_served_during_an_attack(portal: Serve, name: str) -> None:
    count, said = ATTACKS[name]
    before = memory(portal)
    with attack(portal, count, said):
        for _ in range(3):
            assert_served(portal)
        assert memory(portal) - before < MOST_GROWTH
        assert temporary_bytes(portal) < MOST_GROWTH
    assert_served(portal)


def assert_served(portal: Serve) -> None:
    assert ask(portal, "/livez").status == 200
    assert ask(portal, "/metrics").status == 200
    assert ask(portal, "/codes/http/404/").status == 200
    assert ask(portal, "/admin/login/").status == 200
    assert portal.send("/datafeed", b"data", feed=FEED).outcome == (200, 0)


def ask(portal: Serve, path: str) -> Response:
    """One honest request; a place among the connections may take a moment to become free."""
    data = request(path, method="GET").replace(b"somewhere.example.org", b"localhost")
    with portal.connect() as connection:
        connection.sendall(data)
        return parse(read_all(connection))


@contextlib.contextmanager
def attack(portal: Serve, count: int, said: Callable[[int], bytes]) -> Iterator[None]:
    """Hold so many connections that have said this."""
    with contextlib.ExitStack() as held:
        for number in range(count):
            connection = held.enter_context(socket.socket())
            connection.setblocking(False)  # whoever attacks does not wait for answers
            with contextlib.suppress(BlockingIOError):
                connection.connect(("127.0.0.1", portal.port))
            connection.settimeout(5)
            with contextlib.suppress(OSError):
                connection.sendall(said(number))
        yield


def memory(portal: Serve) -> int:
    """Bytes in memory of the worker."""
    (worker,) = portal.workers()
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def temporary_bytes(portal: Serve) -> int:
    """Bytes of temporary files, deleted ones included."""
    (worker,) = portal.workers()
    folder = portal.environment.get("TMPDIR", tempfile.gettempdir())
    files = Path(f"/proc/{worker}/fd").iterdir()
    found = 0
    for file in files:
        with contextlib.suppress(OSError):
            if str(file.readlink()).startswith(folder):
                found += file.stat().st_size
    return found
