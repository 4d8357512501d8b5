"""The response cache as real clients use it: their own headers, from an empty cache, in each server process.

Hits are counted, not timed. The heads below were recorded from the programs that they are named after.
"""

import gzip
import itertools
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from codes import loading
from tests.live import PROXY, Live, Response, parse, read_all, running
from tests.serving import Serve

pytestmark = pytest.mark.server

CHROMIUM = """\
sec-ch-ua: "Not:A-Brand";v="8", "Chromium";v="156"
sec-ch-ua-mobile: ?0
sec-ch-ua-platform: "Linux"
Upgrade-Insecure-Requests: 1
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
application/signed-exchange;v=b3;q=0.7
Sec-Fetch-Site: none
Sec-Fetch-Mode: navigate
Sec-Fetch-User: ?1
Sec-Fetch-Dest: document
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-US,en;q=0.9"""
FIREFOX = """\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
Accept-Language: en-GB,en;q=0.5
Accept-Encoding: gzip, deflate, br, zstd
DNT: 1
Upgrade-Insecure-Requests: 1
Sec-Fetch-Dest: document
Sec-Fetch-Mode: navigate
Sec-Fetch-Site: cross-site
Priority: u=0, i"""
CLIENTS = {
    "chromium": CHROMIUM,
    "chromium, reload": f"{CHROMIUM}\nCache-Control: max-age=0",
    "chromium, reload without cache": f"{CHROMIUM}\nCache-Control: no-cache\nPragma: no-cache",
    "chromium, cookies of others": f"{CHROMIUM}\nCookie: csrftoken=cm9tYW5l; theme=dark; _ga=GA1.2.3",
    "firefox": FIREFOX,
    "curl": "User-Agent: curl/7.88.1\nAccept: */*",
    "curl --compressed": "User-Agent: curl/7.88.1\nAccept: */*\nAccept-Encoding: deflate, gzip, br, zstd",
    "requests": "User-Agent: python-requests/2.34.2\nAccept-Encoding: gzip, deflate\nAccept: */*",
    "urllib": "Accept-Encoding: identity\nUser-Agent: Python-urllib/3.11",
    "wget": "User-Agent: Wget/1.21.3\nAccept: */*\nAccept-Encoding: identity",
    "preferring gzip": "Accept: application/json\nAccept-Encoding: gzip;q=1.0, identity;q=0.5, *;q=0",
    "nothing": "Accept: */*",
}
SIGNED_IN = b'href="/admin/"'
PATHS = (
    "/",
    "/codes/",
    "/codes/?q=too+large",
    "/codes/?class=4xx&registry=http",
    "/codes/http/",
    "/codes/http/503/",
    "/codes/stroom/110/",
    "/codes/lookup/?http=406&stroom=110",
    "/codes/explain/",
    "/codes/compare/?codes=301,302,307,308",
    "/codes/disagreements/",
    "/api/v1/codes/http/503/",
    "/api/v1/codes/",
    "/api/v1/codes/?q=too+large",
    "/api/v1/codes/?format=csv&limit=1000",
    "/api/v1/codes/lookup/?http=406&stroom=110",
    "/api/v1/disagreements/",
    "/api/v1/codes/export.json",
    "/api/v1/codes/export.csv",
    "/api/v1/codes/retry.json",
)


@pytest.fixture
def portal(tmp_path: Path, transactional_db: None) -> Iterator[Live]:
    loading.load()
    with running(tmp_path) as live:
        yield live


def ask(
    port: int, path: str, head: str = CHROMIUM, *more: str, method: str = "GET", host: str = "localhost"
) -> Response:
    """One request with these header lines over a connection of its own."""
    fields = [f"{method} {path} HTTP/1.1", f"Host: {host}", *head.splitlines(), *more]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall("\r\n".join([*fields, "", ""]).encode())
        connection.shutdown(socket.SHUT_WR)
        return parse(read_all(connection))


def counted(live: Live) -> dict[str, int]:
    """How often the cache made, gave and confirmed an answer."""
    return {
        sample.labels["result"]: int(sample.value)
        for metric in live.worker.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "stroom_portal_ready_answers_total"
    }


def plain(answer: Response) -> bytes:
    return gzip.decompress(answer.body) if answer.header("content-encoding") else answer.body


def test_the_first_request_of_each_client_fills_and_the_second_hits(portal: Live) -> None:
    expected = 0
    for number, (name, head) in enumerate(CLIENTS.items(), start=8001):
        host = f"localhost:{number}"  # for each client nothing is kept yet: addresses differ
        for path in PATHS if name in {"chromium", "curl"} else PATHS[::4]:
            first, second = (ask(portal.port, path, head, host=host) for _ in range(2))
            tag = str(first.header("etag"))
            conditional = ask(portal.port, path, head, f"If-None-Match: {tag}", host=host)
            expected += 1
            assert counted(portal) == dict.fromkeys(("made", "hit", "not_modified"), expected), (name, path)
            assert [first.status, second.status, conditional.status] == [200, 200, 304]
            assert first.body == second.body
            assert second.header("etag") == conditional.header("etag") == tag
            assert first.header("content-encoding") == ("gzip" if "gzip" in head else None), (name, path)
            assert all("Accept-Encoding" in str(answer.header("vary")) for answer in (first, second, conditional))


def test_one_filling_serves_whoever_asks_in_another_coding(portal: Live) -> None:
    """Both forms are kept at once; whether the first to ask takes gzip makes no difference."""
    codings = ["gzip, deflate, br, zstd", "identity", "deflate, gzip", "br", "gzip;q=0", "gzip;q=0.1", "*"]
    for path, (first, *others) in zip(PATHS, itertools.cycle(itertools.permutations(codings))):
        before = counted(portal)
        answers = [ask(portal.port, path, f"Accept-Encoding: {coding}") for coding in (first, *others)]
        assert counted(portal) == {**before, "made": before["made"] + 1, "hit": before["hit"] + len(others)}
        assert len({plain(answer) for answer in answers}) == 1


def test_head_and_a_condition_fill_an_empty_cache_too(portal: Live) -> None:
    head = "Accept: */*\nAccept-Encoding: gzip, deflate, br, zstd"
    assert ask(portal.port, "/codes/http/503/", head, method="HEAD").body == b""
    assert ask(portal.port, "/codes/http/404/", head, 'If-None-Match: "of yesterday"').status == 200
    assert counted(portal) == {"made": 2, "hit": 0, "not_modified": 0}
    for path in ("/codes/http/503/", "/codes/http/404/"):
        whole, length = ask(portal.port, path, head), ask(portal.port, path, head, method="HEAD")
        assert length.header("content-length") == str(len(whole.body))
        assert length.header("etag") == whole.header("etag")
    assert counted(portal) == {"made": 2, "hit": 4, "not_modified": 0}


def test_the_order_of_a_query_makes_no_difference(portal: Live) -> None:
    for path in ("/codes/?class=4xx&registry=http", "/codes/?registry=http&class=4xx"):
        assert ask(portal.port, path).status == 200
    assert counted(portal) == {"made": 1, "hit": 1, "not_modified": 0}


def test_s01_the_command_of_a_code_page_has_the_scheme_that_a_trusted_proxy_says_and_no_forged_host(
    portal: Live,
) -> None:
    """Kept pages included: the one for https is not given to a client of http, nor the other way round."""
    asked = (
        b"GET /codes/http/503/ HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n"
        b"X-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n"
    )
    for _ in range(2):
        for peer, scheme in (("127.0.0.1", b"http"), (PROXY, b"https")):
            html = plain(portal.exchange(asked, peer=peer))
            assert b"curl -i &#x27;%s://localhost/try/http/503/&#x27;" % scheme in html, peer
            assert b"evil.example" not in html


def test_pages_of_somebody_signed_in_are_neither_kept_nor_answered_from_what_is(portal: Live) -> None:
    """The menu shows them the way to the admin; the first page has figures that only they may see."""
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.create_superuser("jo"))
    session = f"Cookie: csrftoken=x; sessionid={client.cookies['sessionid'].value}; theme=dark"
    for path in ("/", "/codes/", "/codes/http/503/"):
        own = [ask(portal.port, path, CHROMIUM, session) for _ in range(2)]
        assert all(SIGNED_IN in plain(answer) for answer in own), path
        assert all("private" in (answer.header("cache-control") or "") for answer in own), path
    assert counted(portal) == {"made": 0, "hit": 0, "not_modified": 0}
    for path in ("/", "/codes/", "/codes/http/503/"):
        for _ in range(2):
            assert SIGNED_IN not in plain(ask(portal.port, path))
        own_again = ask(portal.port, path, CHROMIUM, session)
        assert SIGNED_IN in plain(own_again)
        assert own_again.header("etag") != ask(portal.port, path).header("etag")


def test_a_cookie_that_only_looks_like_the_session_s_never_reaches_a_kept_page(portal: Live) -> None:
    """Django is not shown the cookies of such a request, so that the two cannot differ in reading them."""
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.create_superuser("jo"))
    names = ("\xa0sessionid", "SESSIONID", "sessionid2", "xsessionid", "{sessionid")
    for name in names:
        crafted = f"Cookie: {name}={client.cookies['sessionid'].value}"
        assert SIGNED_IN not in plain(ask(portal.port, "/codes/", CHROMIUM, crafted))
    assert counted(portal) == {"made": 1, "hit": len(names) - 1, "not_modified": 0}


def test_each_server_process_fills_its_own_cache_once(tmp_path: Path, transactional_db: None) -> None:
    serve = Serve(tmp_path)
    serve.start()
    try:
        paths = PATHS[:6]
        for path in paths:
            bodies = {plain(ask(serve.port, path)) for _ in range(20)}
            assert len(bodies) == 1
        shown = ask(serve.port, "/metrics", "Accept: */*").text
        results = {
            result: int(float(value))
            for result, value in re.findall(r'ready_answers_total\{result="(\w+)"\} (\S+)', shown)
        }
    finally:
        serve.stop()
    assert len(paths) <= results["made"] <= 2 * len(paths), "at most once in each of two processes"
    assert results["made"] + results["hit"] == 20 * len(paths)
