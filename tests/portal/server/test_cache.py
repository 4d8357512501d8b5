"""Ready answers: the same bytes as Django's, for strangers only, never older than a second."""

import dataclasses
import gzip
import http.client
import itertools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from codes import loading
from codes.models import LocalNote, Release, StatusCode
from codes.release import content_version
from feeds.monitoring.health import Health
from feeds.monitoring.metrics import Metrics
from portal.database.threads import Unavailable
from portal.http import limits
from portal.http.client import IdentityNames
from portal.http.request_fields import accepts_gzip, canonical, is_known
from portal.rest import throttling
from portal.server import cache as module
from portal.server import cache_store
from portal.server.bridge import DjangoBridge
from portal.server.cache import ResponseCache
from portal.server.cache_key import can_be_kept
from portal.server.cache_store import make_response
from portal.server.edge import Edge
from tests.live import PROXY, Headers, Live, Response, parse, read_all, request, running, serving, trusted
from tests.portal.server.gates import gate
from tests.portal.server.test_edge import Answer, StartResponse, Streaming, feed_status, metrics, receiver, try_it

PAGE = b"<p>a page</p>" * 100


class World:
    """An edge with ready answers, over a handler that counts how often it is asked."""

    def __init__(self) -> None:
        self.port = 0
        self.version: object = 1
        self.asked: list[dict[str, Any]] = []
        self.status = "200 OK"
        self.headers: dict[str, str] = {}
        self.body = PAGE
        self.kind: type[Answer] = Answer
        self.wait: Callable[[], None] = lambda: None
        self.metrics = Metrics()
        self.ready: ResponseCache

    def handler(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        self.asked.append(environ)
        status, headers, body = self.status, self.headers, self.body
        self.wait()
        fields = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(body)),
            "X-Request-ID": f"django-{len(self.asked)}",
            **headers,
        }
        start_response(status, list(fields.items()))
        return self.kind([body])

    def read_version(self) -> Any:
        if isinstance(self.version, Exception):
            raise self.version
        return self.version

    def get(self, path: str = "/codes/http/503/", headers: Headers = (), **how: Any) -> Response:
        return self.exchange(request(path, headers, method=how.pop("method", "GET"), **how))

    def exchange(self, data: bytes, peer: str = "127.0.0.1") -> Response:
        with _connect(self.port, peer) as connection:
            connection.sendall(data.replace(b"Content-Length: 0\r\n", b""))
            return parse(read_all(connection))

    def counted(self) -> dict[str, float]:
        return {
            sample.labels["result"]: sample.value
            for metric in self.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == "stroom_portal_ready_answers_total"
        }

    def look_at_once(self) -> None:
        """As if a second had gone by."""
        self.ready._look_at = float("-inf")


def _connect(port: int, peer: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(peer, 0))


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with ThreadPoolExecutor(4) as threads:
        world.ready = ResponseCache(
            version=world.read_version,
            threads=threads,
            private=["x-remote-user"],
            private_cookies=["sessionid", "messages"],
            metrics=world.metrics,
        )
        edge = Edge(
            receiver=receiver,
            feed_status=feed_status,
            try_it=try_it,
            metrics=metrics,
            ready=world.ready,
            gate=gate(DjangoBridge(world.handler, threads), threads),
            health=lambda: Health({"store": "ok"}),
            trusts=lambda peer: peer == PROXY,
            identity=IdentityNames(),
        )
        with serving(edge) as (port, _):
            world.port = port
            yield world


def bodies(answers: Iterable[Response]) -> set[bytes]:
    return {answer.body for answer in answers}


# --- kept, and for whom ---


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/codes/",
        "/codes/http/404/",
        "/codes/?q=too+large",
        "/api/v1/codes/http/404/",
        "/api/v1/disagreements/?limit=5",
        "/api/v1/sources/",
        "/api/v1/vendors/",
        "/api/v1/headers/retry-after/",
        "/api/v1/registries/",
        "/api/v1/classes/http/4xx/",
    ],
)
def test_who_asks_again_gets_the_same_without_django(world: World, path: str) -> None:
    answers = [world.get(path) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert bodies(answers) == {PAGE}
    assert len(world.asked) == 1
    assert len({answer.header("etag") for answer in answers}) == 1
    assert world.counted() == {"made": 1, "hit": 2, "not_modified": 0}


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/docs/",
        "/codes",
        "/api/v1/feeds/",
        "/api/v1/receipts/",
        "/api/v1/tokens/",
        "/api/schema/",
        "/static/portal.css",
        "/%63odes/http/404/",
        "//codes/",
        "/codes/?" + "x" * 1001,
    ],
)
def test_other_addresses_are_django_s_each_time(world: World, path: str) -> None:
    for _ in range(2):
        assert world.get(path).body == PAGE
    assert len(world.asked) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "sessionid=abc"},
        {"Cookie": "theme=dark;sessionid = abc ; csrftoken=x"},
        {"Cookie": "messages=abc"},
        {"Cookie": "sessionid"},
        {"Cookie": f"theme={'x' * 5000}"},
        {"Authorization": "Bearer sp_x"},
        {"X-Remote-User": "jo"},
        {"Range": "bytes=0-10"},
        {"If-Match": "*"},
        {"If-Unmodified-Since": "Tue, 24 Feb 2026 18:10:27 GMT"},
        {"Accept": "text/html" + ",a/b" * 200},
    ],
)
def test_who_shows_who_they_are_neither_gets_nor_leaves_anything(world: World, headers: dict[str, str]) -> None:
    for _ in range(2):
        assert world.get(headers=headers).status == 200
    assert len(world.asked) == 2
    world.get()
    assert len(world.asked) == 3
    world.get(headers=headers)
    assert len(world.asked) == 4


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_only_reads_are_answered(world: World, method: str) -> None:
    world.get()
    world.get(method=method)
    assert world.asked[-1]["REQUEST_METHOD"] == method
    assert len(world.asked) == 2


def test_a_read_with_a_body_is_django_s(world: World) -> None:
    world.get()
    answer = world.exchange(request("/codes/http/503/", body=b"body", method="GET"))
    assert (answer.status, len(world.asked)) == (200, 2)
    chunked = world.exchange(request("/codes/http/503/", body=b"body", method="GET", chunked=True))
    assert (chunked.status, len(world.asked)) == (200, 3)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("404 Not Found", {}),
        ("302 Found", {"Location": "/x"}),
        ("400 Bad Request", {}),
        ("429 Too Many Requests", {"Retry-After": "5"}),
        ("500 Internal Server Error", {}),
        ("206 Partial Content", {}),
        ("200 OK", {"Set-Cookie": "csrftoken=a"}),
        ("200 OK", {"Cache-Control": "private"}),
        ("200 OK", {"Cache-Control": "max-age=0, No-Store"}),
        ("200 OK", {"Content-Encoding": "br"}),
    ],
)
def test_what_is_not_for_everybody_is_passed_on_and_not_kept(
    world: World, status: str, headers: dict[str, str]
) -> None:
    world.status, world.headers = status, headers
    for number in (1, 2):
        answer = world.get()
        assert answer.status == int(status[:3])
        assert answer.body == PAGE
        assert answer.header("x-request-id") == f"django-{number}"
        assert all(answer.header(name) == value for name, value in headers.items())
    assert len(world.asked) == 2


def test_streams_and_very_large_answers_are_passed_on_as_they_come(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.kind = Streaming
    assert bodies(world.get() for _ in range(2)) == {PAGE}
    world.kind = Answer
    monkeypatch.setattr(module, "MAX_BODY", len(PAGE) - 1)
    assert bodies(world.get() for _ in range(2)) == {PAGE}
    assert len(world.asked) == 4


def test_forms_of_a_request_that_get_different_answers_are_kept_apart(world: World) -> None:
    host = re.compile(rb"Host: \S+")
    data = request("/codes/http/503/", method="GET")
    forms = [
        data,
        host.sub(b"Host: other.example.org", data),
        data.replace(b"Host", b"Accept: text/plain\r\nHost"),
        data.replace(b"Host", b"Accept: text/plain\r\nAccept: text/html\r\nHost"),
        data.replace(b"/503/", b"/503/?fields=code"),
        data.replace(b"/503/", b"/504/"),
    ]
    for number, form in enumerate(forms, start=1):
        world.body = str(number).encode()
        for _ in range(2):
            assert world.exchange(form).body == str(number).encode()
    assert len(world.asked) == len(forms)


def test_https_told_by_a_trusted_proxy_is_an_address_of_its_own(world: World) -> None:
    data = request("/codes/", {"X-Forwarded-Proto": "https"}, method="GET")
    for _ in range(2):
        world.exchange(data)  # a stranger's word counts for nothing
        world.exchange(data, peer=PROXY)
    assert [environ["wsgi.url_scheme"] for environ in world.asked] == ["http", "https"]


def test_the_order_of_parameters_and_an_empty_query_make_no_difference(world: World) -> None:
    for path in ("/codes/?a=1&b=%20x&a=2", "/codes/?b=+x&a=1&a=2", "/codes/?a=1&a=2&b=+x"):
        world.get(path)
    assert len(world.asked) == 1
    world.get("/codes/?a=2&a=1&b=+x")
    assert len(world.asked) == 2
    world.get("/codes/")
    world.get("/codes/?")
    assert len(world.asked) == 3


# --- encodings and conditions ---


def test_gzip_is_for_those_who_take_it(world: World) -> None:
    plain, packed = world.get(), world.get(headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert (plain.header("content-encoding"), packed.header("content-encoding")) == (None, "gzip")
    assert gzip.decompress(packed.body) == plain.body == PAGE
    assert int(str(packed.header("content-length"))) == len(packed.body) < len(PAGE)
    assert plain.header("vary") == packed.header("vary") == "Accept-Encoding"
    assert plain.header("etag") == packed.header("etag")
    assert str(plain.header("etag")).startswith('W/"')
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    ("vary", "expected"),
    [
        ("Cookie", "Cookie, Accept-Encoding"),
        ("Accept, Cookie", "Accept, Cookie, Accept-Encoding"),
        ("Accept-Encoding", "Accept-Encoding"),
    ],
)
def test_vary_names_all_that_the_answer_depends_on(world: World, vary: str, expected: str) -> None:
    world.headers = {"Vary": vary}
    for headers in ({}, {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "gzip"}):
        assert world.get(headers=headers).header("vary") == expected
    tag = str(world.get().header("etag"))
    assert world.get(headers={"If-None-Match": tag}).header("vary") == expected


def test_what_does_not_gain_is_not_packed(world: World) -> None:
    world.body = b"short"
    assert world.get(headers={"Accept-Encoding": "gzip"}).header("content-encoding") is None
    world.headers = {"Content-Type": "image/png"}
    world.body = PAGE
    assert world.get("/codes/a/", {"Accept-Encoding": "gzip"}).header("content-encoding") is None


@pytest.mark.parametrize("known", ["{tag}", "*", '"other", {tag}', "{strong}", 'W/"a",{tag},W/"b"'])
def test_who_has_it_is_told_so(world: World, known: str) -> None:
    world.headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*", "X-Frame-Options": "DENY"}
    tag = str(world.get().header("etag"))
    asks = {"If-None-Match": known.format(tag=tag, strong=tag.removeprefix("W/"))}
    answer = world.get(headers=asks)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.header("etag") == tag
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("content-length") is None
    assert answer.header("content-type") is None
    assert answer.header("x-request-id")
    assert len(world.asked) == 1


def test_who_has_another_one_gets_it(world: World) -> None:
    world.get()
    assert world.get(headers={"If-None-Match": 'W/"old", "older"'}).status == 200


def test_a_condition_does_not_keep_an_answer_from_being_made(world: World) -> None:
    """Else a portal whose visitors all have the page already would render it for each of them."""
    tag = str(world.get().header("etag"))
    world.version = 2
    world.look_at_once()
    for _ in range(3):
        assert world.get(headers={"If-None-Match": tag}).status == 304
    assert len(world.asked) == 2
    assert all("HTTP_IF_NONE_MATCH" not in environ for environ in world.asked)


def test_a_strong_tag_of_django_s_stays_and_is_weak_where_it_was_packed(world: World) -> None:
    world.headers = {"ETag": '"digest"'}
    assert world.get().header("etag") == '"digest"'
    assert world.get(headers={"Accept-Encoding": "gzip"}).header("etag") == 'W/"digest"'
    for known in ('"digest"', 'W/"digest"'):
        packed = world.get(headers={"If-None-Match": known, "Accept-Encoding": "gzip"})
        assert (packed.status, packed.header("etag")) == (304, 'W/"digest"'), "the tag that its 200 has"
        plain = world.get(headers={"If-None-Match": known})
        assert (plain.status, plain.header("etag")) == (304, '"digest"')


def test_head_is_answered_from_the_same_and_fills_it_too(world: World) -> None:
    heads = [world.get(method="HEAD") for _ in range(2)]
    whole = world.get()
    assert [environ["REQUEST_METHOD"] for environ in world.asked] == ["GET"]
    for head in heads:
        assert (head.status, head.body) == (200, b"")
        assert head.header("content-length") == str(len(PAGE))
        assert head.header("etag") == whole.header("etag")
    world.status = "404 Not Found"
    missing = world.get("/codes/http/x/", method="HEAD")
    assert (missing.status, missing.body) == (404, b"")


# --- what belongs to one request ---


def test_each_answer_has_its_own_request_id(world: World) -> None:
    assert world.get().header("x-request-id") == "django-1"
    given = [str(world.get().header("x-request-id")) for _ in range(3)]
    assert len(set(given)) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in given)
    assert world.get(headers={"X-Request-ID": "my-own-id-1"}).header("x-request-id") == "my-own-id-1"
    assert world.get(headers={"X-Request-ID": "bad id!"}).header("x-request-id") not in {"bad id!", None}


def test_what_is_left_of_somebody_s_rate_is_told_to_nobody_else(world: World) -> None:
    rate = {"RateLimit": '"anonymous";r=99;t=60', "RateLimit-Policy": '"anonymous";q=100;w=60'}
    world.headers = rate
    first, second = world.get(), world.get()
    assert all(first.header(name) == value for name, value in rate.items())
    assert all(second.header(name) is None for name in rate)


# --- freshness ---


def assert_counted(world: World) -> None:
    """The size that is kept up to date is the sum over what is stored."""
    sizes = [response.size + sum(map(len, key)) for key, response in world.ready.responses.items()]
    assert world.ready.responses.size == sum(sizes)


def test_a_new_version_throws_everything_away(world: World) -> None:
    assert bodies(world.get(path) for path in ("/", "/codes/")) == {PAGE}
    world.body, world.version = b"new", 2
    assert bodies(world.get(path) for path in ("/", "/codes/")) == {PAGE}
    world.look_at_once()
    assert bodies(world.get(path) for path in ("/", "/codes/")) == {b"new"}
    assert_counted(world)


def test_a_change_shows_within_a_second(world: World) -> None:
    world.get()
    world.body, world.version = b"new", 2
    changed = time.monotonic()
    while world.get().body != b"new":
        time.sleep(0.01)
    assert time.monotonic() - changed < module.LOOK_EVERY_SECONDS + 5


def test_the_version_is_read_once_a_second_however_many_ask(world: World) -> None:
    reads = []
    read = world.read_version

    def counting() -> Any:
        reads.append(time.monotonic())
        return read()

    world.ready._read_version = counting
    connection = http.client.HTTPConnection("127.0.0.1", world.port, timeout=20)
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        connection.request("GET", "/codes/http/503/")
        assert connection.getresponse().read() == PAGE
    connection.close()
    assert 2 <= len(reads) <= 3
    assert all(later - earlier >= module.LOOK_EVERY_SECONDS * 0.99 for earlier, later in itertools.pairwise(reads))


def test_an_answer_that_was_begun_before_a_change_is_not_kept(world: World) -> None:
    """It may hold what was before the change, and the version after it would vouch for it."""
    go_on = threading.Event()
    world.wait = lambda: assert_true(go_on.wait(60))
    with ThreadPoolExecutor(1) as other:
        slow = other.submit(world.get)
        while not world.asked:
            time.sleep(0.01)
        world.body, world.version, world.wait = b"new", 2, lambda: None
        world.look_at_once()
        assert world.get("/codes/").body == b"new"
        go_on.set()
        assert slow.result().body == PAGE
    assert world.get().body == b"new"


def assert_true(value: bool) -> None:
    assert value


@pytest.mark.parametrize("fault", [Unavailable("locked"), RuntimeError("what?")])
def test_while_the_version_cannot_be_read_what_lies_ready_is_given(world: World, fault: Exception) -> None:
    world.get()
    world.version = fault
    world.look_at_once()
    assert world.get().body == PAGE
    assert len(world.asked) == 1
    world.version = 2
    world.look_at_once()
    world.get()
    assert len(world.asked) == 2


def test_nothing_is_kept_before_the_version_was_ever_read(world: World) -> None:
    world.version = Unavailable("gone")
    assert bodies(world.get() for _ in range(3)) == {PAGE}
    assert len(world.asked) == 3


def test_a_database_that_hangs_holds_nobody_up_for_long(world: World) -> None:
    world.get()
    go_on = threading.Event()
    world.ready._read_version = lambda: go_on.wait(60)
    world.look_at_once()
    began = time.monotonic()
    assert world.get().body == PAGE
    assert time.monotonic() - began < module.PATIENCE_SECONDS + 5
    began = time.monotonic()
    assert world.get().body == PAGE
    assert time.monotonic() - began < module.PATIENCE_SECONDS
    go_on.set()


def test_who_asks_at_the_same_time_waits_for_one_making(world: World) -> None:
    go_on = threading.Event()
    world.wait = lambda: assert_true(go_on.wait(60))
    with ThreadPoolExecutor(8) as others:
        answers = [others.submit(world.get) for _ in range(8)]
        while not world.asked:
            time.sleep(0.01)
        time.sleep(0.2)
        go_on.set()
        assert bodies(answer.result() for answer in answers) == {PAGE}
    assert len(world.asked) == 1


def test_who_waits_for_what_cannot_be_kept_asks_for_themselves(world: World) -> None:
    go_on = threading.Event()
    world.status = "404 Not Found"
    world.wait = lambda: assert_true(go_on.wait(60))
    with ThreadPoolExecutor(4) as others:
        answers = [others.submit(world.get) for _ in range(4)]
        time.sleep(0.3)
        go_on.set()
        assert {answer.result().status for answer in answers} == {404}


# --- bounds ---


def test_the_answers_asked_for_last_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_store, "MAX_ANSWERS", 3)
    for path in ("/codes/1/", "/codes/2/", "/codes/3/", "/codes/1/", "/codes/4/", "/codes/1/", "/codes/2/"):
        world.get(path)
    assert [environ["PATH_INFO"][7] for environ in world.asked] == ["1", "2", "3", "4", "2"]
    assert len(world.ready.responses) == 3


def test_memory_is_bounded_and_keys_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_store, "MAX_BYTES", 20 * len(PAGE))
    for number in range(40):
        world.get(f"/codes/{number}/{'x' * len(PAGE)}" if number % 2 else f"/codes/{number}/")
        assert_counted(world)
        assert world.ready.responses.size <= 20 * len(PAGE)
    assert 0 < len(world.ready.responses) < 20
    assert not world.ready._being_made


@pytest.mark.parametrize("name", ["Host", "Accept", "Accept-Encoding", "If-None-Match"])
def test_s34_no_long_header_is_kept(world: World, name: str) -> None:
    for number in range(3):
        world.get("/codes/", {name: f"localhost:{'0' * 60_000}{number}"})
    assert not world.ready.responses


# --- small parts ---


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (b"gzip", True),
        (b"deflate, GZIP ;q=0.5", True),
        (b"x-gzip", True),
        (b"gzip, deflate, br, zstd", True),
        (b"deflate, gzip, br, zstd", True),
        (b"gzip;q=1.0, identity; q=0.5, *;q=0", True),
        (b"identity, gzip;q=0.5", False),
        (b"gzip;q=much", False),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000", False),
        (b"", False),
        (b"br", False),
        (b"gzipped", False),
        (b"identity, *;q=0", False),
        (b"*", False),
    ],
)
def test_accept_encoding(header: bytes, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


def test_canonical_queries_say_the_same_as_before() -> None:
    assert canonical(b"b=2&a=1") == "a=1&b=2"
    assert canonical(b"q=%C3%BC&q=a%26b") == "q=%C3%BC&q=a%26b"
    assert canonical(b"\xff=1&flag") == "flag=&%FF=1"


def test_tags_are_compared_weakly() -> None:
    assert is_known(b'W/"a"', b'"a"')
    assert not is_known(b'W/"a"', b'"b", W/"c"')


def test_only_whole_public_answers_can_be_kept() -> None:
    assert can_be_kept(200, [(b"cache-control", b"no-cache")])
    assert not can_be_kept(201, [])


def test_packing_is_the_same_in_every_process() -> None:
    fields = [(b"content-type", b"application/json")]
    first, second = make_response(fields, PAGE), make_response(fields, PAGE)
    assert first == second
    assert first.packed != first.plain


# --- with the real pages ---


@pytest.fixture
def portal(tmp_path: Path, transactional_db: None) -> Iterator[Live]:
    loading.load()
    with running(tmp_path) as live:
        yield live


def fetch(live: Live, path: str, **headers: str) -> Response:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return live.exchange("\r\n".join([*lines, "Connection: close", "", ""]).encode())


PATHS = [
    "/",
    "/codes/",
    "/codes/?q=404&owner=ietf",
    "/codes/http/404/",
    "/codes/explain/",
    "/codes/sources/",
    "/api/v1/codes/http/404/",
    "/api/v1/codes/?limit=2&offset=2",
    "/api/v1/codes/?format=csv&limit=3",
    "/api/v1/codes/export.json",
]


@pytest.mark.server
def test_ready_pages_are_django_s_to_the_byte(portal: Live) -> None:
    client = Client(headers={"host": "localhost"})
    per_request = {"x-request-id", "ratelimit", "ratelimit-policy", "date", "connection", "content-length"}
    added = {"etag", "cache-control", "vary"}  # where Django gives none, as for the page with the paste box
    for path in PATHS:
        made, ready = fetch(portal, path), fetch(portal, path)
        django = client.get(path)
        assert made.status == ready.status == django.status_code == 200
        assert made.body == ready.body == django.content, path
        expected = {name.lower(): value for name, value in django.headers.items()}
        shown = dict(ready.headers)
        for name in expected.keys() - per_request - {"vary"}:
            assert shown[name] == expected[name], (path, name)
        assert set(shown) - per_request == set(expected) - per_request | added
        assert {part.strip() for part in shown["vary"].split(",")} >= {"Accept-Encoding"}
        packed = fetch(portal, path, **{"Accept-Encoding": "gzip"})
        assert gzip.decompress(packed.body) == django.content


@pytest.mark.server
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("condition", [{}, {"Accept-Encoding": "gzip"}, {"If-None-Match": "*"}])
def test_an_answer_at_once_has_the_same_bytes_as_one_by_messages(
    portal: Live, monkeypatch: pytest.MonkeyPatch, method: str, condition: dict[str, str]
) -> None:
    """A connection that stays open is answered by the protocol itself, one that is to close by the application."""

    def ask(fields: dict[str, str]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *map(": ".join, fields.items()), "", ""]
        with portal.connect() as connection:
            connection.sendall("\r\n".join(lines).encode())
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def comparable(answer: bytes) -> tuple[list[bytes], bytes]:
        head, _, body = answer.partition(b"\r\n\r\n")
        own = (b"date:", b"x-request-id:", b"connection:", b"ratelimit:")
        return sorted(line for line in head.split(b"\r\n") if not line.lower().startswith(own)), body

    monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 600)
    reached: list[str] = []
    for path in PATHS:
        fetch(portal, path)
        by_messages = ask({**condition, "Connection": "close"})
        with monkeypatch.context() as patched:
            patched.setattr(Edge, "__call__", lambda self, scope, receive, send: reached.append(scope["path"]))
            at_once = ask(condition)
        assert reached == []
        assert comparable(at_once) == comparable(by_messages)
        head = at_once.partition(b"\r\n\r\n")[0]
        assert head.count(b"x-request-id: ") == head.count(b"date: ") == 1


@pytest.mark.server
def test_a_note_of_the_site_shows_within_a_second_and_goes_again(portal: Live) -> None:
    addresses = ("/api/v1/codes/stroom/110/", "/codes/stroom/110/")
    note = LocalNote(meaning_id="stroom/110/stroom", text="Ask team blue.")

    def change_text() -> None:
        note.text = "Ask team red."
        note.save()

    steps: list[tuple[Callable[[], object], str, bool]] = [
        (note.save, "Ask team blue", True),
        (change_text, "Ask team red", True),
        (note.delete, "Ask team red", False),
    ]
    for step, text, wanted in steps:
        tags = [str(fetch(portal, address).header("etag")) for address in addresses]
        assert all((text in fetch(portal, address).text) is not wanted for address in addresses)
        step()
        changed = time.monotonic()
        while any((text in fetch(portal, address).text) is not wanted for address in addresses):
            assert time.monotonic() - changed < module.LOOK_EVERY_SECONDS + 5
            time.sleep(0.02)
        for address, tag in zip(addresses, tags, strict=True):
            assert fetch(portal, address, **{"If-None-Match": tag}).status == 200


@pytest.fixture
def five_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    # Read from the settings for each request; nothing is thrown away meanwhile.
    limited = dataclasses.replace(settings.ENVIRONMENT, anonymous_rate=5, trusted_proxies=trusted(PROXY))
    monkeypatch.setattr(settings, "ENVIRONMENT", limited)
    monkeypatch.setattr(throttling.AnonymousThrottle, "counter", limits.Counter())
    monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 600)


@pytest.mark.server
@pytest.mark.parametrize("way", ["at once", "by messages"])
def test_what_lies_ready_counts_like_every_other_answer(portal: Live, five_a_minute: None, way: str) -> None:
    def ask(path: str, *fields: str) -> Response:
        closing = ["Connection: close"] if way == "by messages" else []
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", *fields, *closing, "", ""]
        with portal.connect() as connection:
            connection.sendall("\r\n".join(lines).encode())
            connection.shutdown(socket.SHUT_WR)
            return parse(read_all(connection))

    answers = [ask("/api/v1/codes/http/404/") for _ in range(3)]
    answers.append(ask("/api/v1/codes/http/404/", f"If-None-Match: {answers[0].header('etag')}"))
    answers.append(ask("/api/v1/registries/"))
    assert [answer.status for answer in answers] == [200, 200, 200, 304, 200]
    left = [re.fullmatch(r'"anonymous";r=(\d);t=\d+', str(answer.header("ratelimit"))) for answer in answers]
    assert [found and found[1] for found in left] == ["4", "3", "2", "1", "0"]
    assert {answer.header("ratelimit-policy") for answer in answers} == {'"anonymous";q=5;w=60'}
    for path in ("/api/v1/codes/http/404/", "/api/v1/codes/http/405/"):
        refused = ask(path)
        assert (refused.status, refused.header("content-type")) == (429, "application/problem+json")
        assert 1 <= int(str(refused.header("retry-after"))) <= 60
        assert str(refused.header("ratelimit")).startswith('"anonymous";r=0;')
    pages = [ask("/codes/http/404/") for _ in range(2)]
    assert [(page.status, page.header("ratelimit")) for page in pages] == [(200, None)] * 2


@pytest.mark.server
def test_ready_answers_are_counted_for_the_caller_that_a_trusted_proxy_names(
    portal: Live, five_a_minute: None
) -> None:
    def left(peer: str, *fields: str) -> str:
        lines = ["GET /api/v1/codes/http/404/ HTTP/1.1", "Host: localhost", *fields, "Connection: close", "", ""]
        with socket.create_connection(("127.0.0.1", portal.port), source_address=(peer, 0)) as connection:
            connection.sendall("\r\n".join(lines).encode())
            answer = parse(read_all(connection))
        return str(answer.header("ratelimit")).partition(";")[2].partition(";")[0] if answer.status == 200 else "-"

    named = "X-Forwarded-For: 192.0.2.7"
    assert [left(PROXY, named) for _ in range(2)] == ["r=4", "r=3"]
    assert left(PROXY, "X-Forwarded-For: 10.9.9.9, 192.0.2.7") == "r=2", "what a caller says itself is no address"
    assert left(PROXY, "X-Forwarded-For: 10.9.9.9", named) == "r=1"
    assert left(PROXY, f"X-Forwarded-For: {'10.9.9.9, ' * 40}192.0.2.7") == "r=0"
    assert left(PROXY, named) == "-"
    assert left(PROXY, "X-Forwarded-For: 192.0.2.8") == "r=4"
    assert [left(PROXY, f"X-Forwarded-For: 2001:db8::{number}") for number in range(2)] == ["r=4", "r=3"]
    assert [left("127.0.0.1", f"X-Forwarded-For: 192.0.2.{number}") for number in range(9, 11)] == ["r=4", "r=3"]
    assert left(PROXY) == "r=4", "a proxy's own questions"


@pytest.mark.server
def test_where_there_is_no_limit_nothing_is_counted_or_told(portal: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT", dataclasses.replace(settings.ENVIRONMENT, anonymous_rate=None))
    monkeypatch.setattr(limits.Counter, "take", lambda *_: pytest.fail("counted"))
    answers = [fetch(portal, "/api/v1/codes/http/404/") for _ in range(3)]
    assert [(answer.status, answer.header("ratelimit")) for answer in answers] == [(200, None)] * 3


@pytest.mark.django_db
def test_the_version_moves_with_every_load_and_every_change_of_a_note() -> None:
    seen = [content_version()]

    def moved() -> bool:
        seen.append(content_version())
        return seen[-1] not in seen[:-1]

    loading.load()
    assert moved()
    note = LocalNote.objects.create(meaning_id="http/404/ietf", text="a")
    assert moved()
    note.text = "b"
    note.save()
    assert moved()
    note.delete()
    assert moved()
    Release.objects.create(digest="another")
    assert moved()
    assert content_version() == seen[-1]


@pytest.mark.django_db
def test_a_load_that_only_removes_moves_the_version_too() -> None:
    loading.load()
    code = StatusCode.objects.get(pk="http/404")
    code.pk, code.code = "http/597", 597
    code.save(force_insert=True)
    before = content_version()
    loading.load(prune=True)
    assert not StatusCode.objects.filter(pk="http/597").exists()
    assert content_version() != before
