"""Our protocol class with any application behind it: heads, upgrades, trailers, half-closed connections."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from portal.http.body import Body, Incomplete, Receive, Scope, Send
from portal.server import protocol as server
from portal.server.cache import AtOnce
from portal.server.server import PortalServer
from tests.live import parse, read_all, serving

seen: list[dict[str, Any]] = []


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads everything and says how much it was."""
    body = Body(scope, receive)
    data = bytearray()
    try:
        while piece := await body.next():
            data += piece
        word = b"%d" % len(data)
    except Incomplete as fault:
        word = str(fault).encode()
    seen.append({"path": scope["path"], "headers": list(scope["headers"]), "body": bytes(data)})
    headers = [(b"content-length", str(len(word)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": word})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(application) as (number, _):
        yield number


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def exchange(port: int, data: bytes) -> bytes:
    with connect(port) as connection:
        connection.sendall(data)
        return read_all(connection)


def head(size: int) -> bytes:
    """A request whose head has this many bytes between request line and end."""
    start = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    return start + b"X: " + b"y" * (size - len(start) - 3 - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("piece", [1_000_000, 5000, 700])
@pytest.mark.parametrize(("size", "status"), [(60_000, 200), (65_500, 200), (66_000, 431), (200_000, 431)])
def test_a_head_has_at_most_64_kib_whatever_the_packets(port: int, size: int, status: int, piece: int) -> None:
    data = head(size)
    with connect(port) as connection:
        try:
            for start in range(0, len(data), piece):
                connection.sendall(data[start : start + piece])
        except OSError:
            assert status == 431
        answer = read_all(connection)
    if answer:
        assert parse(answer).status == status
    else:
        assert status == 431


def test_a_long_body_behind_a_head_in_one_packet_is_no_long_head(port: int) -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\nConnection: close\r\n\r\n" + b"x" * 200_000
    assert parse(exchange(port, data)).body == b"200000"


def test_the_end_of_a_body_and_the_start_of_the_next_head_may_share_a_packet(port: int) -> None:
    first = b"POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    second = b"GET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with connect(port) as connection:
        connection.sendall(first + second[:20])
        time.sleep(0.1)
        connection.sendall(second[20:])
        answers = read_all(connection)
    assert answers.count(b"HTTP/1.1 200") == 2
    assert [request["path"] for request in seen] == ["/one", "/two"]


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    requests = b"".join(
        b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n%d" % (n, n)
        for n in range(9)
    )
    last = b"GET /9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = exchange(port, requests + last)
    assert answers.count(b"HTTP/1.1 200") == 10
    assert [request["path"] for request in seen] == [f"/{n}" for n in range(10)]
    assert [request["body"] for request in seen] == [b"%d" % n for n in range(9)] + [b""]


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS"])
@pytest.mark.parametrize("body", [b"", b"5\r\nhello\r\n0\r\n\r\n"])
def test_an_upgrade_changes_nothing_for_any_method(port: int, method: bytes, body: bytes) -> None:
    framing = b"Transfer-Encoding: chunked\r\n" if body else b""
    data = (
        method
        + b" / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n"
        + framing
        + b"\r\n"
        + body
    )
    assert parse(exchange(port, data)).body == (b"5" if body else b"0")


def test_an_upgrading_request_with_wrong_framing_is_refused_all_the_same(port: int) -> None:
    for framing in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Content-Length: x\r\n",
    ):
        data = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + framing + b"\r\nhello"
        answer = exchange(port, data)
        assert b"HTTP/1.1 200" not in answer
        assert parse(answer).outcome == (400, 999)


def test_s06_trailers_never_become_headers(port: int) -> None:
    first = b"POST /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    first += b"Feed: X\r\nRemoteDN: Y\r\n\r\n"
    second = b"GET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    exchange(port, first + second)
    assert [request["path"] for request in seen] == ["/one", "/two"]
    for request in seen:
        assert not {b"feed", b"remotedn"} & {name for name, _ in request["headers"]}


def test_a_body_behind_an_early_answer_closes_the_connection() -> None:
    """Otherwise a client could keep a connection for ever by sending, bit by bit, what nobody reads."""

    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    with serving(hasty) as (number, _), connect(number) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        started = time.monotonic()
        connection.sendall(b"x")
        assert read_all(connection) == b""
        assert time.monotonic() - started < 3


def test_an_idle_connection_behind_an_answer_is_closed_after_its_time() -> None:
    with serving(application, keepalive_seconds=1) as (port, _), connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200" in read_all(connection)


def test_a_slow_answer_is_not_cut_by_the_next_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.7)
        await application(scope, receive, send)

    with serving(slow) as (number, _), connect(number) as connection:
        connection.sendall(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HT")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_connections_beyond_the_most_wait_and_are_served() -> None:
    with serving(application, most_connections=2) as (number, _):
        waiting = [connect(number) for _ in range(6)]
        for connection in waiting:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert all(parse(read_all(connection)).status == 200 for connection in waiting)
        for connection in waiting:
            connection.close()


def test_no_answer_waits_for_another_packet(port: int) -> None:
    """Small answers go out at once, although the server accepts its connections by itself."""
    with connect(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waits = []
        for _ in range(50):
            started = time.monotonic()
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(65536).endswith(b"0")
            waits.append(time.monotonic() - started)
    assert min(waits) < 0.03, "each would take 40 ms, until the other side's acknowledgement is sent"


# --- answers at once ---


class Prepared:
    """An application with one answer ready, that notes what reaches it otherwise and which timers run then."""

    def __init__(self) -> None:
        self.reached: list[tuple[str, bool]] = []
        self.server: PortalServer | None = None

    def at_once(self, scope: Scope) -> AtOnce | None:
        if scope["path"] != "/ready":
            return None
        body = b"" if scope["method"] == "HEAD" else b"ready"
        return AtOnce(200, b"content-length: 5\r\nx-way: at once\r\n", body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.server is not None
        timers = [protocol.timeout_keep_alive_task for protocol in self.server.server_state.connections]
        self.reached.append((scope["path"], any(timers)))
        await application(scope, receive, send)


@pytest.fixture
def prepared() -> Iterator[tuple[int, Prepared]]:
    app = Prepared()
    with serving(app) as (number, app.server):
        yield number, app


def test_what_lies_ready_is_answered_without_the_application(prepared: tuple[int, Prepared]) -> None:
    port, app = prepared
    with connect(port) as connection:
        for _ in range(3):
            connection.sendall(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = parse(connection.recv(1000))
            assert (answer.status, answer.header("x-way"), answer.body) == (200, "at once", b"ready")
            assert answer.header("date")
        connection.sendall(b"HEAD /ready HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(1000).endswith(b"\r\n\r\n")
    assert app.reached == []


def test_ready_and_other_answers_keep_their_order_in_one_packet(prepared: tuple[int, Prepared]) -> None:
    port, app = prepared
    ready, other = b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = exchange(port, ready * 2 + other % 1 + ready + other % 2 + other % 3 + ready + last)
    assert answers.count(b"HTTP/1.1 200") == 8
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    plain = iter([1, 2, 3, 9])
    assert bodies[:2] == [b"ready", b"ready"]
    assert bodies[-1] == b"0"
    assert [path for path, _ in app.reached if path != "/ready"] == [f"/{number}" for number in plain]


def test_no_idle_timer_runs_while_a_request_behind_a_ready_answer_is_served(
    prepared: tuple[int, Prepared],
) -> None:
    """It would close the connection under a delivery that takes longer than the time for idling."""
    port, app = prepared
    delivery = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
    assert exchange(port, b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n" + delivery).endswith(b"\r\n\r\n1")
    assert app.reached == [("/slow", False)]


@pytest.mark.parametrize("version_and_fields", [b"1.0\r\n", b"1.1\r\nHost: a\r\nConnection: close\r\n"])
def test_who_wants_the_connection_closed_is_answered_the_ordinary_way(
    prepared: tuple[int, Prepared], version_and_fields: bytes
) -> None:
    port, app = prepared
    exchange(port, b"GET /ready HTTP/" + version_and_fields + b"\r\n")
    assert [path for path, _ in app.reached] == ["/ready"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /api/v1/codes/ HTTP/1.1\r\nX-Big: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /api/v1/codes/?q=" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"POST /api/v1/feeds/ HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"BREW /api/v1/feeds/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"get /api/v1/feeds/ HTTP/1.0\r\n\r\n", 400),
        (b"CONNECT /api/v1/feeds/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ],
)
def test_what_the_server_itself_refuses_is_a_problem_for_callers_of_the_api(
    port: int, head: bytes, status: int
) -> None:
    answer = parse(exchange(port, head))
    assert (answer.status, answer.header("content-type")) == (status, "application/problem+json")
    told = json.loads(answer.body)
    assert (told["status"], told["type"]) == (status, f"/codes/http/{status}/")
    assert told["request_id"] == answer.header("x-request-id")
    assert "stored" not in told["detail"]
    sender = parse(
        exchange(port, head.replace(b"/api/v1/feeds/", b"/datafeed").replace(b"/api/v1/codes/", b"/datafeed"))
    )
    assert sender.outcome == (status, 999)
