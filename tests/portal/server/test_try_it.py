"""The try-it endpoints, in process and with curl over a socket: the right status, headers and body, and no harm."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from codes.catalogue.reader import read_catalogue
from codes.catalogue.values import Catalogue
from feeds.receipt import answers
from feeds.rules import stroom_status
from feeds.rules.metadata import read_request
from feeds.store.ids import RECEIPT_ID
from portal.database.threads import Unavailable
from portal.environment import BASE_DIR
from portal.http import answer as whole
from portal.http.client import IdentityNames
from portal.http.counters import CounterTable
from portal.http.limits import Counter
from portal.server import try_it
from portal.server.try_it import TryIt
from portal.server.try_it_answers import CodeName, CodeNames
from tests.live import serving

CATALOGUE: Catalogue = read_catalogue(BASE_DIR / "codes" / "data")


@cache
def names() -> CodeNames:
    statuses = {(code.registry, code.code): code.http_statuses for code in CATALOGUE.codes}
    first: dict[tuple[str, int], CodeName] = {}
    for meaning in CATALOGUE.meanings:
        key = (meaning.registry, meaning.code)
        first.setdefault(key, CodeName(meaning.name, meaning.summary, statuses[key]))
    return first


@dataclass
class Answer:
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(
    *,
    enabled: bool = True,
    read: Callable[[], CodeNames] = names,
    clock: Callable[[], float] = time.monotonic,
    trusted: frozenset[str] = frozenset(),
    public_url: str = "",
    counter: Counter | None = None,
) -> TryIt:
    return TryIt(
        enabled=enabled,
        names=read,
        threads=THREADS,
        trusts=lambda peer: peer in trusted,
        identity=IdentityNames(),
        public_url=public_url,
        counter=counter or Counter(),
        clock=clock,
    )


THREADS = ThreadPoolExecutor(2)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def call(
    app: TryIt,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: AsyncIterator[bytes] | None = None,
    peer: str = "192.0.2.1",
) -> Answer:
    target, _, query = path.partition("?")
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    if body is not None:
        fields.append((b"transfer-encoding", b"chunked"))
    scope = {
        "type": "http",
        "method": method,
        "path": target,
        "query_string": query.encode("latin-1"),
        "headers": fields,
        "client": (peer, 50000),
    }
    answer = Answer()

    async def receive() -> dict[str, Any]:
        if body is None:
            return {"type": "http.request", "body": b"", "more_body": False}
        try:
            return {"type": "http.request", "body": await anext(body), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
        else:
            answer.body += message["body"]

    await app(scope, receive, send)
    return answer


def ask(path: str, **how: Any) -> Answer:
    app = how.pop("app", None) or make()
    return asyncio.run(call(app, path, **how))


# --- HTTP ---


@pytest.mark.parametrize("code", [*range(200, 600, 7), 200, 204, 205, 206, 304, 404, 418, 451, 499, 503, 599])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_answers_every_status_from_200_to_599_with_any_method(code: int, method: str) -> None:
    answer = ask(f"/try/http/{code}/", method=method)
    assert answer.status == code
    assert answer.header("cache-control") == "no-store"
    length = answer.header("content-length")
    assert length is None or int(length) == len(answer.body)


def test_every_catalogued_code_carries_what_it_must_and_no_body_where_none_may_be() -> None:
    for meaning in CATALOGUE.meanings:
        if meaning.registry != "http" or meaning.owner != "ietf" or meaning.code < 200:
            continue
        answer = ask(f"/try/http/{meaning.code}/")
        for use in meaning.headers:
            if (use.direction, use.level) == ("response", "must") and not use.note.startswith("If the 200"):
                assert answer.header(use.name), f"{meaning.code} lacks {use.name}"
        if meaning.body == "none":
            assert answer.body == b"", meaning.code
        else:
            assert answer.body, meaning.code
            assert meaning.name in answer.text or meaning.code == 207


@pytest.mark.parametrize(
    ("code", "name", "value"),
    [
        (201, "Location", "/try/http/200/"),
        (301, "Location", "/try/http/200/"),
        (302, "Location", "/try/http/200/"),
        (303, "Location", "/try/http/200/"),
        (307, "Location", "/try/http/200/"),
        (308, "Location", "/try/http/200/"),
        (401, "WWW-Authenticate", 'Bearer realm="try it"'),
        (407, "Proxy-Authenticate", 'Basic realm="try it"'),
        (405, "Allow", "POST, PUT"),
        (416, "Content-Range", "bytes */1024"),
        (426, "Connection", "Upgrade"),
        (429, "Retry-After", "30"),
        (503, "Retry-After", "30"),
        (304, "ETag", '"try-it"'),
        (451, "Link", '</codes/http/451/>; rel="blocked-by"'),
        (408, "Connection", "close"),
        (205, "Content-Length", "0"),
    ],
)
def test_carries_the_headers_that_the_code_demands(code: int, name: str, value: str) -> None:
    assert ask(f"/try/http/{code}/").header(name) == value


def test_405_never_allows_the_method_it_refuses() -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        allowed = str(ask("/try/http/405/", method=method).header("allow")).split(", ")
        assert method not in allowed


def test_206_says_which_part_it_is() -> None:
    answer = ask("/try/http/206/")
    first, last, whole = map(
        int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.header("content-range") or "").groups()
    )
    assert (first, last + 1 - first) == (0, len(answer.body))
    assert whole > last


@pytest.mark.parametrize("code", [204, 205, 304])
def test_a_bodiless_code_says_nothing_of_a_body(code: int) -> None:
    answer = ask(f"/try/http/{code}/", method="POST", body=pieces(b"x" * 1000))
    assert answer.body == b""
    assert answer.header("content-type") is None
    assert answer.header("content-length") in ({None, "0"} if code == 205 else {None})


def test_head_has_the_length_of_get_and_no_body() -> None:
    got, headed = ask("/try/http/404/"), ask("/try/http/404/", method="HEAD")
    assert headed.body == b""
    assert headed.headers == got.headers


def test_a_client_of_json_gets_a_problem() -> None:
    answer = ask("/try/http/503/", headers={"Accept": "application/json"})
    assert answer.header("content-type") == "application/problem+json"
    problem = json.loads(answer.body)
    assert (problem["status"], problem["type"], problem["title"]) == (
        503,
        "/codes/http/503/",
        "Service Unavailable",
    )


@pytest.mark.parametrize("path", ["/try/http/404", "/try/http/404/", "/try/http/404/data.gz", "/try/http/404//"])
def test_works_with_and_without_a_trailing_slash_and_with_any_sub_path(path: str) -> None:
    assert ask(path).status == 404
    assert ask(path).text.startswith("HTTP 404 Not Found\n")


@pytest.mark.parametrize("code", [100, 101, 102, 103, 199])
def test_an_interim_status_is_refused_with_an_explanation(code: int) -> None:
    answer = ask(f"/try/http/{code}/")
    assert answer.status == 400
    assert "interim" in answer.text


@pytest.mark.parametrize("code", [0, 1, 99, 600, 799, 999])
def test_what_is_no_status_is_refused_with_an_explanation(code: int) -> None:
    answer = ask(f"/try/http/{code}/")
    assert answer.status == 400
    assert "no valid status" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        *("/try/http/", "/try/http/abc/", "/try/http/0404/", "/try/http/1000/", "/try/ftp/404/", "/try/http/404x/"),
        *("/try/http/-1/", "/try/http/4.4/", "/try/http/４０４/", "/try/x", "/try/http/404\n", "/try/stroom/0310/"),
    ],
)
def test_no_other_address_is_one(path: str) -> None:
    answer = ask(path)
    assert answer.status == 404
    assert answer.text.startswith("There is no such try-it address.")


def test_the_root_says_how_to_use_it() -> None:
    for path in ("/try", "/try/"):
        answer = ask(path)
        assert answer.status == 200
        assert "/try/stroom/310/" in answer.text


# --- Stroom ---


def by_the_receiver(code: int, http: int, headers: Mapping[str, str], query: str, receipt_id: str) -> whole.Answer:
    """What `/datafeed` would answer, made with the receiver's own parts."""
    own = {**stroom_status.DOCUMENTED, 410: stroom_status.CONTENT_TOO_LARGE}
    own |= {113: stroom_status.REJECTED_BY_RULES}
    own |= {302: stroom_status.TOKEN_OR_CERTIFICATE_REQUIRED, 311: stroom_status.TOKEN_NOT_VALID}
    if code == 0:
        return answers.accepted(receipt_id)
    request = read_request(
        [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        query.encode(),
        peer="192.0.2.1",
        trusts=lambda peer: False,
        identity=IdentityNames(),
        require_verify=True,
        now=datetime.now(UTC),
    )
    assert own[code].http == http
    return answers.refused(own[code], request=request, receipt_id=receipt_id)


@pytest.mark.parametrize(
    ("code", "http"),
    [
        *((0, 200), (100, 406), (110, 406), (113, 406), (200, 406), (300, 401), (302, 401), (310, 403), (311, 401)),
        *((400, 500), (410, 413), (999, 500)),
    ],
)
def test_a_stroom_code_that_we_send_is_answered_as_the_receiver_would(code: int, http: int) -> None:
    headers = {"Feed": "ODD-FEED", "Compression": "GZIP", "Type": "Raw Events"}
    answer = ask(f"/try/stroom/{code}/?Type=Raw", method="POST", headers=headers, body=pieces(b"data"))
    (receipt_id,) = re.findall(RECEIPT_ID.pattern, answer.text) and [RECEIPT_ID.search(answer.text).group()]
    expected = by_the_receiver(code, http, headers, "Type=Raw", receipt_id)
    assert answer.status == expected.http == http
    assert answer.text == expected.text
    told = {name: value for name, value in answer.headers if name != "content-length"}
    assert told == {name.lower(): value for name, value in expected.headers}


def test_every_catalogued_stroom_code_works_with_the_first_of_its_http_statuses() -> None:
    codes = [code for code in CATALOGUE.codes if code.registry == "stroom"]
    assert len(codes) >= 26
    for code in codes:
        answer = ask(f"/try/stroom/{code.code}/", method="POST", headers={"Feed": "X"})
        assert answer.status == code.http_statuses[0]
        assert answer.header("stroom-status") == str(code.code)
        if code.code:
            name = names()["stroom", code.code].name
            assert answer.header("stroom-error") == f"Stroom Status {code.code} - {name} [Feed: X]"
            assert answer.text.splitlines()[0] == answer.header("stroom-error")
            assert f"See: /codes/stroom/{code.code}/" in answer.text.splitlines()
        assert answer.text.endswith("\n")
        assert all(len(line) <= 500 and line.isascii() for line in answer.text.splitlines())


@pytest.mark.parametrize("code", [1, 99, 105, 316, 555, 998])
def test_another_stroom_number_is_404(code: int) -> None:
    answer = ask(f"/try/stroom/{code}/")
    assert answer.status == 404
    assert answer.header("stroom-status") is None


def test_links_are_absolute_where_the_portals_address_is_known() -> None:
    answer = ask("/try/stroom/110/", app=make(public_url="https://portal.example.org"))
    assert "See: https://portal.example.org/codes/stroom/110/" in answer.text


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "a\\nb", "é\x7f", "x" * 5000, "\x1b[31m"])
def test_s10_what_a_sender_says_of_itself_is_cleaned_and_cut(hostile: str) -> None:
    answer = ask("/try/stroom/110/", headers={"Feed": hostile, "Compression": hostile})
    assert answer.text.isascii()
    assert "\x1b" not in answer.text
    assert "\\" not in answer.text
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert all(len(line) <= 500 for line in answer.text.splitlines())


@pytest.mark.parametrize(
    "path", ["/try/<b>x</b>", "/try/http/503/?delay=<b>", "/try/http/503/?retry_after=%3Cb%3E"]
)
def test_s10_nothing_of_a_wrong_request_is_repeated(path: str) -> None:
    answer = ask(path)
    assert answer.status in {400, 404}
    assert "<b>" not in answer.text
    assert answer.header("content-type") == "text/plain; charset=utf-8"


# --- wishes ---


@pytest.mark.parametrize("path", ["/try/http/503/", "/try/http/404/", "/try/stroom/110/", "/try/http/204/"])
def test_retry_after_is_as_wished(path: str) -> None:
    assert ask(f"{path}?retry_after=7").header("retry-after") == "7"


@pytest.mark.parametrize(
    "query",
    [
        *("delay=11", "delay=10.001", "delay=-1", "delay=abc", "delay=", "delay=1e1", "delay=inf", "delay=nan"),
        *("delay=1,5", "delay=%D9%A2", "delay=" + "1" * 400, "retry_after=-1", "retry_after=x", "retry_after=1.5"),
        *("retry_after=", "retry_after=86401", "retry_after=" + "9" * 400),
        "&".join(f"a{number}=1" for number in range(300)),
    ],
)
@pytest.mark.parametrize("path", ["/try/http/503/", "/try/stroom/310/"])
def test_a_bad_value_is_400(path: str, query: str) -> None:
    assert ask(f"{path}?{query}").status == 400


def test_other_names_in_the_query_are_the_clients_own() -> None:
    assert ask("/try/http/503/?Feed=X&page=2").status == 503


def test_a_delay_is_waited_for() -> None:
    began = time.monotonic()
    assert ask("/try/http/200/?delay=0.3").status == 200
    assert time.monotonic() - began >= 0.3
    began = time.monotonic()
    assert ask("/try/http/400/?delay=0.2").status == 400
    assert time.monotonic() - began >= 0.2


def test_only_so_many_requests_are_delayed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(try_it, "MOST_DELAYED", 3)
    app = make()

    async def run() -> list[Answer]:
        asked = [call(app, "/try/http/200/?delay=0.2", peer=f"192.0.2.{number}") for number in range(5)]
        quick = call(app, "/try/http/200/")
        return await asyncio.gather(*asked, quick)

    statuses = [answer.status for answer in asyncio.run(run())]
    assert sorted(statuses) == [200, 200, 200, 200, 503, 503]
    assert (app.running, app.delayed) == (0, 0)


def test_only_so_many_requests_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(try_it, "MOST_RUNNING", 2)
    app = make()

    async def run() -> list[int]:
        asked = [call(app, "/try/http/200/?delay=0.1", peer=f"192.0.2.{number}") for number in range(4)]
        return [answer.status for answer in await asyncio.gather(*asked)]

    assert sorted(asyncio.run(run())) == [200, 200, 503, 503]
    assert app.running == 0


# --- bodies ---


def test_a_body_of_any_size_is_read_and_thrown_away() -> None:
    seen = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal seen
        for _ in range(4096):
            seen += 65536
            yield b"x" * 65536

    assert ask("/try/stroom/310/", method="POST", body=endless()).status == 403
    assert seen == 4096 * 65536


def test_a_body_that_breaks_off_is_told_and_leaves_nothing_behind() -> None:
    app = make()
    answer = Answer()

    async def run() -> None:
        messages = iter([{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            answer.status = message.get("status", answer.status)

        scope = {"type": "http", "method": "POST", "path": "/try/http/200/", "headers": [(b"content-length", b"9")]}
        await app({**scope, "query_string": b"", "client": ("192.0.2.1", 1)}, receive, send)

    asyncio.run(run())
    assert answer.status == 400
    assert app.running == 0


# --- limits and switch ---


@pytest.fixture
def few_a_minute(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(try_it, "MOST_A_MINUTE", 20)
    return 20


def test_switched_off_there_is_nothing_here() -> None:
    app = make(enabled=False)
    for path in ("/try/", "/try/http/503/", "/try/stroom/310/", "/try/x"):
        answer = ask(path, app=app)
        assert (answer.status, answer.text) == (404, "There is nothing at this address.\n")


def test_a_client_that_asks_too_often_gets_429_until_its_minute_has_passed(few_a_minute: int) -> None:
    clock = Clock()
    app = make(clock=clock)

    async def statuses(count: int, peer: str) -> list[int]:
        return [(await call(app, "/try/http/200/", peer=peer)).status for _ in range(count)]

    assert asyncio.run(statuses(few_a_minute, "192.0.2.1")) == [200] * few_a_minute
    clock.now += 20
    refused = ask("/try/http/200/", app=app)
    assert refused.status == 429
    assert refused.header("retry-after") == "40"
    assert "no test answer" in refused.text
    assert asyncio.run(statuses(1, "192.0.2.2")) == [200]
    clock.now += 40
    assert asyncio.run(statuses(few_a_minute + 1, "192.0.2.1")) == [200] * few_a_minute + [429]


@pytest.mark.parametrize(
    ("peer", "last"), [("2001:db8::{:x}", 429), ("::ffff:198.51.100.{}", 200), ("198.51.100.{}", 200)]
)
def test_a_network_of_ipv6_is_one_client_and_mapped_ipv4_addresses_are_not(
    few_a_minute: int, peer: str, last: int
) -> None:
    app = make(clock=Clock())
    answers = [ask("/try/http/200/", app=app, peer=peer.format(number)) for number in range(few_a_minute + 1)]
    assert answers[-1].status == last


def test_behind_a_trusted_proxy_the_client_counts_and_an_untrusted_one_cannot_pretend(few_a_minute: int) -> None:
    app = make(clock=Clock(), trusted=frozenset({"192.0.2.9"}))
    for number in range(few_a_minute + 1):
        address = f"198.51.100.{number}"
        assert ask("/try/http/200/", app=app, peer="192.0.2.9", headers={"X-Forwarded-For": address}).status == 200
        last = ask("/try/http/200/", app=app, peer="192.0.2.1", headers={"X-Forwarded-For": address})
    assert last.status == 429


def test_the_limit_is_of_all_workers_together(tmp_path: Path, few_a_minute: int) -> None:
    clock = Clock()
    one, other = (make(clock=clock, counter=Counter(CounterTable(tmp_path / "limits"))) for _ in range(2))

    async def statuses(app: TryIt, count: int) -> list[int]:
        return [(await call(app, "/try/http/200/")).status for _ in range(count)]

    assert asyncio.run(statuses(one, few_a_minute - 1)) == [200] * (few_a_minute - 1)
    assert asyncio.run(statuses(other, 2)) == [200, 429]
    assert asyncio.run(statuses(one, 1)) == [429]


# --- the catalogue behind it ---


def test_without_a_catalogue_what_we_send_ourselves_still_works() -> None:
    def unreadable() -> CodeNames:
        raise Unavailable("locked")

    app = make(read=unreadable)
    assert ask("/try/stroom/310/", app=app).status == 403
    assert ask("/try/http/503/", app=app).text.startswith("HTTP 503 Service Unavailable\n")
    assert ask("/try/stroom/303/", app=app).status == 503


def test_the_catalogue_is_read_once_in_a_while_also_when_many_ask_at_once() -> None:
    reads, clock = [], Clock()

    def read() -> CodeNames:
        reads.append(1)
        time.sleep(0.05)
        return names()

    app = make(read=read, clock=clock)

    async def run() -> set[int]:
        return {
            answer.status for answer in await asyncio.gather(*(call(app, "/try/stroom/311/") for _ in range(9)))
        }

    assert asyncio.run(run()) == {401}
    assert len(reads) == 1


# --- over a socket ---


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(make()) as (port, _):
        yield port


@dataclass(frozen=True)
class Told:
    status: int
    text: str
    head: str


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def curl(port: int, path: str, *arguments: str, tmp_path: Path) -> Told:
    head, body = tmp_path / "head", tmp_path / "body"
    command = ["curl", "-sS", "-m", "60", "-D", str(head), "-o", str(body), "-w", "%{http_code}", *arguments]
    body.unlink(missing_ok=True)
    ended = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return Told(int(ended.stdout), body.read_text() if body.exists() else "", head.read_text().lower())


@needs_curl
@pytest.mark.server
@pytest.mark.parametrize(
    ("path", "arguments", "expected"),
    [
        ("/try/http/503/?retry_after=9", [], (503, "retry-after: 9")),
        ("/try/http/301/", [], (301, "location: /try/http/200/")),
        ("/try/http/301/", ["-L"], (200, "content-type: text/plain")),
        ("/try/http/204/", ["-X", "DELETE"], (204, "")),
        ("/try/http/205/", [], (205, "content-length: 0")),
        ("/try/http/304/", [], (304, "etag:")),
        ("/try/http/426/", ["--http2"], (426, "upgrade: tls/1.3")),
        ("/try/http/407/", [], (407, "proxy-authenticate:")),
        ("/try/http/404/", ["-I"], (404, "content-length: 1")),
        ("/try/http/418/", ["-X", "REPORT"], (418, "")),
        ("/try/stroom/310/", ["-d", "data", "-H", "Feed: X"], (403, "stroom-status: 310")),
        ("/try/stroom/0/", ["-T", "/etc/hostname"], (200, "stroom-status: 0")),
        ("/try/http/103/", [], (400, "")),
    ],
)
def test_curl_sees_the_status_and_its_headers(
    port: int, tmp_path: Path, path: str, arguments: list[str], expected: tuple[int, str]
) -> None:
    told = curl(port, path, *arguments, tmp_path=tmp_path)
    assert told.status == expected[0]
    assert expected[1] in told.head


@needs_curl
@pytest.mark.server
@pytest.mark.parametrize(
    "how", [["-H", "Transfer-Encoding: chunked"], ["--http2"], ["-H", "Expect: 100-continue"], []]
)
def test_curl_may_send_a_large_body_in_any_way(port: int, tmp_path: Path, how: list[str]) -> None:
    data = tmp_path / "data"
    with data.open("wb") as file:
        os.truncate(file.fileno(), 64 * 1024 * 1024)
    told = curl(port, "/try/stroom/110/", "--data-binary", f"@{data}", "-H", "Feed: X", *how, tmp_path=tmp_path)
    assert told.status == 406
    assert told.text.startswith("Stroom Status 110 - Feed is not set to receive data [Feed: X]\n")


@pytest.mark.server
def test_one_connection_may_ask_for_many_statuses(port: int) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for code in (200, 204, 304, 205, 404, 503, 206):
        connection.request("POST", f"/try/http/{code}/", body=b"x" * 1000)
        response = connection.getresponse()
        content = response.read()
        assert response.status == code
        assert bool(content) == (code not in {204, 205, 304})
    connection.close()


def test_redirects_of_these_endpoints_never_leave_the_portal() -> None:
    for code in range(200, 600):
        location = ask(f"/try/http/{code}/").header("location")
        assert location is None or not urlsplit(location).netloc
