"""The edge and the bridge to Django: what Django sees, and how its answers go out (R14, S1, S2)."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from feeds.monitoring.health import Health
from portal.http.body import Receive, Scope, Send
from portal.http.client import IdentityNames
from portal.server.bridge import DjangoBridge
from portal.server.cache import ResponseCache
from portal.server.edge import Edge
from portal.server.routes import LARGE_BODY
from tests.live import PROXY, Headers, Response, chunks, parse, read_all, request, serving
from tests.portal.server.gates import gate

StartResponse = Callable[[str, list[tuple[str, str]]], None]


class Answer:
    """A response as Django's handler returns it."""

    streaming = False

    def __init__(self, parts: Iterable[bytes], on_close: Callable[[], None] = lambda: None) -> None:
        self.parts, self.close = parts, on_close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.parts)


class Streaming(Answer):
    streaming = True


class World:
    """An edge over a WSGI handler that each test sets, and what happened."""

    def __init__(self) -> None:
        self.environ: dict[str, Any] = {}
        self.body = b""
        self.closed = 0
        self.health = Health({"store": "ok"})
        self.respond: Callable[[dict[str, Any], StartResponse], Iterable[bytes]] = self.echo
        self.port = 0
        self.most = LARGE_BODY

    def handler(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        self.environ = environ
        self.body = environ["wsgi.input"].read()
        return self.respond(environ, start_response)

    def echo(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(self.body)))])
        return Answer([self.body], self.note_close)

    def note_close(self) -> None:
        self.closed += 1

    def send(self, path: str = "/page", headers: Headers = (), body: bytes = b"", **how: Any) -> Response:
        peer = how.pop("peer", "127.0.0.1")
        return self.exchange(request(path, headers, body, **how), peer=peer)

    def connect(self, peer: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(peer, 0))

    def exchange(self, data: bytes, peer: str = "127.0.0.1") -> Response:
        with self.connect(peer) as connection:
            connection.sendall(data)
            return parse(read_all(connection))


async def named(name: bytes, scope: Scope, send: Send) -> None:
    headers = [(b"content-length", str(len(name)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": name})


async def receiver(scope: Scope, receive: Receive, send: Send) -> None:
    await named(b"receiver", scope, send)


async def try_it(scope: Scope, receive: Receive, send: Send) -> None:
    await named(b"try it", scope, send)


async def metrics(scope: Scope, receive: Receive, send: Send) -> None:
    await named(b"metrics", scope, send)


async def feed_status(scope: Scope, receive: Receive, send: Send) -> None:
    await named(b"feed status", scope, send)


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    world = World()
    with ThreadPoolExecutor(4) as threads:
        edge = Edge(
            receiver=receiver,
            feed_status=feed_status,
            try_it=try_it,
            metrics=metrics,
            ready=ResponseCache(version=lambda: 1, threads=threads),
            gate=gate(DjangoBridge(world.handler, threads), threads, lambda: world.most),
            health=lambda: world.health,
            trusts=lambda peer: peer == PROXY,
            identity=IdentityNames(dn=("x-my-dn",), signin="x-remote-user"),
        )
        with serving(edge) as (port, _):
            world.port = port
            yield world


@pytest.fixture
def world(running: World) -> World:
    running.respond, running.closed = running.echo, 0
    running.health, running.most = Health({"store": "ok"}), LARGE_BODY
    return running


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/datafeed", b"receiver"),
        ("/stroom/noauth/datafeed/x", b"receiver"),
        ("/%64atafeed", b"receiver"),
        ("/api/feedStatus/v1/getFeedStatus", b"feed status"),
        ("/api/feedStatus/v2/getFeedStatus/", b"feed status"),
        ("/api/feedStatus/v3/getFeedStatus", b""),
        ("/api/feedstatus/v1/getFeedStatus", b""),
        ("/try/http/503/", b"try it"),
        ("/metrics", b"metrics"),
        ("/metrics/", b""),
        ("/datafeed2", b""),
        ("/x/datafeed", b""),
        ("//datafeed", b"receiver"),
        ("///stroom//noauth///datafeed//x", b"receiver"),
        ("/%2Fstroom/datafeeddirect", b"receiver"),
        ("//api//feedStatus/v1//getFeedStatus", b"feed status"),
        ("//try//http/503/", b"try it"),
        ("//metrics", b"metrics"),
        ("/", b""),
    ],
)
def test_each_path_goes_to_who_answers_it(world: World, path: str, who: bytes) -> None:
    assert world.send(path).body == who


@pytest.mark.parametrize("path", ["//status", "/stroom//noauth/status", "//livez", "//readyz"])
def test_doubled_slashes_do_not_change_who_says_that_the_portal_lives(world: World, path: str) -> None:
    assert json.loads(world.send(path, method="GET").body)["status"] == "UP"


@pytest.mark.parametrize("size", [0, 5, 70_000, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_django_gets_the_whole_body_and_its_length(world: World, size: int, chunked: bool) -> None:
    body = b"x" * size
    answer = world.send(headers={"Content-Type": "application/json"}, body=body, chunked=chunked)
    assert (answer.status, answer.body) == (200, body)
    assert world.environ["CONTENT_LENGTH"] == str(size)
    assert world.environ["CONTENT_TYPE"] == "application/json"
    assert "HTTP_TRANSFER_ENCODING" not in world.environ
    assert world.closed == 1


def test_django_is_told_what_pep_3333_asks_for(world: World) -> None:
    world.send("/a%20b/%C3%BC%2f?q=%20x&y", {"Accept": "a"}, method="DELETE")
    environ = world.environ
    assert environ["REQUEST_METHOD"] == "DELETE"
    assert environ["PATH_INFO"] == "/a b/ü/".encode().decode("latin-1")
    assert environ["QUERY_STRING"] == "q=%20x&y"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_HOST"] == "somewhere.example.org"
    assert environ["HTTP_ACCEPT"] == "a"
    assert environ["wsgi.url_scheme"] == "http"


def test_repeated_headers_are_joined(world: World) -> None:
    world.send(headers=[("Accept", "a"), ("Accept", "b"), ("Cookie", "c=1"), ("Cookie", "d=2")])
    assert world.environ["HTTP_ACCEPT"] == "a,b"
    assert world.environ["HTTP_COOKIE"] == "c=1; d=2"


IDENTITY = ["X-Remote-User", "X-SSL-CLIENT-S-DN", "X-SSL-Anything", "RemoteDN", "X-My-DN", "X-SSL-Client-Verify"]
FORWARDED = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "Forwarded",
    "X-Real-IP",
    "RemoteCertExpiry",
]


def key(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"


@pytest.mark.parametrize("name", [*IDENTITY, *FORWARDED])
def test_s01_identity_and_forwarding_reach_django_from_a_trusted_peer_only(world: World, name: str) -> None:
    world.send(headers={name: "value"})
    assert key(name) not in world.environ
    world.send(headers={name: "value"}, peer=PROXY)
    assert world.environ[key(name)] == "value"


@pytest.mark.parametrize("name", IDENTITY)
@pytest.mark.parametrize("peer", ["127.0.0.1", PROXY])
def test_s02_doubled_and_underscored_identity_never_reaches_django(world: World, name: str, peer: str) -> None:
    world.send(headers=[(name, "one"), (name.lower(), "two")], peer=peer)
    assert key(name) not in world.environ
    world.send(headers={name.replace("-", "_") if "-" in name else "Remote_DN": "value"}, peer=peer)
    assert not {key(name), "HTTP_REMOTE_DN"} & world.environ.keys()


@pytest.mark.parametrize(
    ("peer", "told", "scheme"),
    [
        (PROXY, "https", "https"),
        (PROXY, "http", "http"),
        (PROXY, "https,http", "http"),
        ("127.0.0.1", "https", "http"),
    ],
)
def test_s01_https_is_believed_from_a_trusted_peer_only(world: World, peer: str, told: str, scheme: str) -> None:
    world.send(headers={"X-Forwarded-Proto": told}, peer=peer)
    assert world.environ["wsgi.url_scheme"] == scheme


def test_a_body_over_the_limit_is_413_in_the_shape_of_its_surface(world: World) -> None:
    world.most = 1000
    for chunked in (False, True):
        page = world.send("/page", body=b"x" * 1001, chunked=chunked)
        assert (page.status, page.header("content-type")) == (413, "text/plain; charset=utf-8")
        api = world.send("/api/v1/feeds/", body=b"x" * 1001, chunked=chunked)
        assert (api.status, api.header("content-type")) == (413, "application/problem+json")
        told = json.loads(api.body)
        assert told["type"] == "/codes/http/413/"
        assert told["request_id"] == api.header("x-request-id")
    assert world.send("/page", body=b"x" * 1000).status == 200


def test_an_incomplete_body_never_reaches_django(world: World) -> None:
    world.environ = {}
    data = request("/page", body=b"x" * 1000, chunked=True)
    with world.connect() as connection:
        connection.sendall(data[:-3])
        connection.shutdown(socket.SHUT_WR)
        assert parse(read_all(connection)).status == 400
    assert world.environ == {}


def test_a_streaming_answer_goes_out_as_it_comes_and_is_closed(world: World) -> None:
    go_on = threading.Event()

    def parts() -> Iterator[bytes]:
        yield b"first"
        assert go_on.wait(10)
        yield b"second"

    def respond(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Streaming(parts(), world.note_close)

    world.respond = respond
    with world.connect() as connection:
        connection.sendall(request("/stream", method="GET"))
        seen = b""
        while b"first" not in seen:
            seen += connection.recv(1000)
        assert b"second" not in seen
        assert world.closed == 0
        go_on.set()
        assert parse(seen + read_all(connection)).body == b"firstsecond"
    wait_for(lambda: world.closed == 1)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_slow_readers_hold_no_thread_and_are_closed_when_they_leave(world: World) -> None:
    """Eight readers that never read, with four threads: others are still served."""

    def respond(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/quick":
            return world.echo(environ, start_response)
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return Streaming((b"x" * 100_000 for _ in range(10_000)), world.note_close)

    world.respond = respond
    slow = [world.connect() for _ in range(8)]
    for connection in slow:
        connection.sendall(request("/stream", method="GET"))
    time.sleep(0.5)
    started = time.monotonic()
    assert world.send("/quick", body=b"x").body == b"x"
    assert time.monotonic() - started < 10  # and not when the streams have ended
    for connection in slow:
        connection.close()
    wait_for(lambda: world.closed == 9)


def test_a_file_is_read_in_large_blocks(world: World) -> None:
    sizes: list[int] = []

    class File:
        left = 1_000_000

        def read(self, size: int) -> bytes:
            sizes.append(size)
            size = min(size, self.left)
            self.left -= size
            return b"y" * size

        close = world.note_close

    def respond(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "1000000")])
        blocks: Iterable[bytes] = environ["wsgi.file_wrapper"](File(), 4096)
        return blocks

    world.respond = respond
    assert world.send("/file", method="GET").body == b"y" * 1_000_000
    assert min(sizes) >= 256 * 1024
    wait_for(lambda: world.closed == 1)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_have_none(world: World, status: str) -> None:
    def respond(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [("Content-Type", "text/html"), ("Content-Length", "5"), ("ETag", '"x"')])
        return Answer([b"12345"], world.note_close)

    world.respond = respond
    answer = world.send(method="GET")
    assert (answer.status, answer.body, answer.header("etag")) == (int(status[:3]), b"", '"x"')
    assert world.closed == 1


def test_head_has_the_headers_and_no_body(world: World) -> None:
    answer = world.send(method="HEAD", body=b"12345")
    assert (answer.status, answer.header("content-length"), answer.body) == (200, "5", b"")
    assert world.closed == 1


def test_several_cookies_and_duplicate_headers_go_out_as_they_are(world: World) -> None:
    def respond(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Length", "0")])
        return Answer([])

    world.respond = respond
    answer = world.send()
    assert [value for name, value in answer.headers if name == "set-cookie"] == ["a=1", "b=2"]


def test_a_stream_that_breaks_ends_the_connection_without_an_end(world: World) -> None:
    def parts() -> Iterator[bytes]:
        yield b"first"
        raise ZeroDivisionError

    def respond(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Streaming(parts(), world.note_close)

    world.respond = respond
    with world.connect() as connection:
        connection.sendall(request("/stream", method="GET"))
        seen = read_all(connection)
    assert b"first" in seen
    assert not seen.endswith(b"0\r\n\r\n")
    wait_for(lambda: world.closed == 1)


def test_keep_alive_serves_one_request_after_another(world: World) -> None:
    with world.connect() as connection:
        for number in range(5):
            body = b"%d" % number
            head = f"POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            connection.sendall(head + body)
            assert parse(connection.recv(65536)).body == body
        connection.sendall(
            b"POST /page HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"last")
        )
        assert parse(connection.recv(65536)).body == b"last"


def test_r27_readiness_follows_the_health_result(world: World) -> None:
    assert world.send("/readyz", method="GET").status == 200
    world.health = Health({"store": "cannot be written", "database": "ok"})
    for path in ("/readyz", "/healthz"):
        answer = world.send(path, method="GET")
        assert answer.status == 503
        assert json.loads(answer.body) == {
            "status": "DOWN",
            "checks": {"store": "cannot be written", "database": "ok"},
        }
    assert world.send("/livez", method="GET").status == 200
    assert world.send("/status", method="GET").status == 200


def test_a_request_whose_client_left_is_not_begun(world: World) -> None:
    """Four busy threads; those who leave meanwhile are forgotten."""
    go_on, begun = threading.Event(), []

    def respond(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        begun.append(environ["PATH_INFO"])
        assert go_on.wait(10)
        return world.echo(environ, start_response)

    world.respond = respond
    busy = [world.connect() for _ in range(4)]
    for connection in busy:
        connection.sendall(request("/busy", method="GET"))
    wait_for(lambda: len(begun) == 4)
    leaving = world.connect()
    leaving.sendall(request("/leaving", method="GET"))
    time.sleep(0.2)
    leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    leaving.close()
    time.sleep(0.2)
    go_on.set()
    assert all(parse(read_all(connection)).status == 200 for connection in busy)
    time.sleep(0.2)
    assert "/leaving" not in begun
    for connection in busy:
        connection.close()


@pytest.mark.parametrize("path", ["/codes/http/404/", "/page", "/api/v1/codes/"])
def test_s34_a_host_longer_than_any_name_is_refused(world: World, path: str) -> None:
    data = request(path, method="GET").replace(b"somewhere.example.org", b"localhost:" + b"0" * 50_000 + b"1")
    world.environ = {}
    answer = world.exchange(data)
    assert answer.status == 400
    assert "Host" in answer.text
    assert not world.environ
