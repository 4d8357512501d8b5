"""The recogniser of pasted text: what it finds, where, and above all what it leaves alone."""

import itertools
import time

import pytest

from codes.explain.findings import HTTP, STROOM, Found, Vocabulary
from codes.explain.pairing import pair_up
from codes.explain.recognise import recognise

VOCABULARY = Vocabulary(
    names={404: ("Not Found",), 413: ("Content Too Large", "Payload Too Large"), 503: ("Service Unavailable",)},
    messages={
        "Feed is not set to receive data": 110,
        "FEED_IS_NOT_SET_TO_RECEIVE_DATA": 110,
        "Compressed stream invalid": 400,
    },
)


def codes(text: str) -> list[tuple[str, int]]:
    return [(found.registry, found.code) for found in recognise(text, VOCABULARY)]


CURL_I = """HTTP/1.1 406 Not Acceptable\r
content-type: text/plain; charset=utf-8\r
stroom-status: 110\r
stroom-error: Stroom Status 110 - Feed is not set to receive data [Feed: X]\r
\r
Stroom Status 110 - Feed is not set to receive data [Feed: X]
This feed does not exist here or is set to reject data.
"""
CURL_V = """*   Trying 127.0.0.1:8000...
> POST /datafeed HTTP/1.1
> Host: 127.0.0.1:8000
> Content-Length: 404
>
< HTTP/1.1 401 Unauthorized
< Stroom-Status: 300
<
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HTTP/1.1 404 Not Found", [(HTTP, 404)]),
        ("HTTP/2 503", [(HTTP, 503)]),
        ("HTTP/1.1 799 Whatever", [(HTTP, 799)]),
        (CURL_I, [(HTTP, 406), (STROOM, 110), (STROOM, 110), (STROOM, 110)]),
        (CURL_V, [(HTTP, 401), (STROOM, 300)]),
        ("curl: (22) The requested URL returned error: 404", [(HTTP, 404)]),
        ('10.1.2.3 - - [24/Feb/2026:18:10:27 +0000] "GET /a HTTP/1.1" 502 157', [(HTTP, 502)]),
        (
            '10.1.2.3 - bob [24/Feb/2026:18:10:27 +0000] "POST /b?x=500 HTTP/2.0" 201 404 "http://r/404" "UA 300"',
            [(HTTP, 201)],
        ),
        ('1.2.3.4 - - [24/Feb/2026:18:10:27 +0000] "-" 408 -', [(HTTP, 408)]),
        ('{"time":"2026-02-24T18:10:27Z","status":503,"bytes":500,"path":"/404"}', [(HTTP, 503)]),
        ('{"http":{"response":{"status_code": 429}}}', [(HTTP, 429)]),
        ('{"status": "404", "took": 200}', [(HTTP, 404)]),
        ("level=warn msg=done status=504 duration=300 bytes=500", [(HTTP, 504)]),
        ("requests.exceptions.HTTPError: 404 Client Error: Not Found for url: http://x/500", [(HTTP, 404)]),
        ("urllib.error.HTTPError: HTTP Error 503: Service Unavailable", [(HTTP, 503)]),
        ("java.io.IOException: Server returned HTTP response code: 403 for URL: http://x/", [(HTTP, 403)]),
        ("AxiosError: Request failed with status code 422", [(HTTP, 422)]),
        ("The remote server returned an error: (401) Unauthorized.", [(HTTP, 401)]),
        ("HTTP request sent, awaiting response... 404 Not Found", [(HTTP, 404)]),
        ("2026-02-24 18:10:27 ERROR 404: Not Found.", [(HTTP, 404)]),
        ("httpx.HTTPStatusError: Server error '502 Bad Gateway' for url 'http://x'", [(HTTP, 502)]),
        ("It said 413 Payload Too Large again", [(HTTP, 413)]),
        ("Response code 404 (Not Found)", [(HTTP, 404)]),
        ("Stroom Status 310 - Client Certificate not authorised", [(STROOM, 310)]),
        ("the feed: Feed is not set to receive data", [(STROOM, 110)]),
        ('{"status":"Reject","stroomStatusCode":"FEED_IS_NOT_SET_TO_RECEIVE_DATA"}', [(STROOM, 110)]),
        ("We get HTTP 403 from the proxy", [(HTTP, 403)]),
        ("Stroom-Status: 0", [(STROOM, 0)]),
        ("406/110", [(HTTP, 406), (STROOM, 110)]),
        ("HTTP 406 + Stroom 110", [(HTTP, 406), (STROOM, 110)]),
        ("http 406 stroom-status 110", [(HTTP, 406), (STROOM, 110)]),
        (" 404 ", [(HTTP, 404)]),
        ("stroom 310", [(STROOM, 310)]),
    ],
)
def test_finds_the_codes_of_a_text_in_order(text: str, expected: list[tuple[str, int]]) -> None:
    assert codes(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "We sold 404 tickets and 200 programmes in 301 shops.",
        "Room 404, please call 200-300 or port 8080; order 500 units by 410 Main Street.",
        "In 1953 the temperature was 451 degrees; 100 guests came, 503 left early.",
        "GET /codes/404/ HTTP/1.1",
        "POST /datafeed HTTP/1.1\nContent-Length: 404\nHost: 10.0.0.200:300",
        "version 4.0.4, build 500, took 200 ms, 300 rows",
        "http://example.org/404?status=500x&code=404",
        "2026-11-21 10:20:30,404 INFO started 200 threads in 503 ms",
        '{"count": 404, "bytes": 500, "latency_ms": 200, "port": 443}',
        "status=5030 status=50 status=abc",
        "RFC 404 and page 200 of 500",
        "100 Main Street, 404 Elm Street",
        "Everything is OK. Unknown error rate: 200 per day.",
        "Our HTTP 2 server, HTTP 1.1 client; HTTP/1.1 only",
    ],
)
def test_never_finds_a_code_in_plain_prose_and_numbers(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize("text", [CURL_I, CURL_V, "x\n  HTTP/1.1 404 Not Found\ny", '{"a": {"status": 404}}'])
def test_offsets_are_those_of_the_passage(text: str) -> None:
    found = recognise(text, VOCABULARY)
    assert found
    assert all(text[one.start : one.end] == one.passage for one in found)
    assert all(str(one.code) in one.passage or one.kind == "Stroom message" for one in found)


def test_status_and_stroom_status_of_one_answer_are_one_pair() -> None:
    pairs = pair_up(recognise(CURL_I + "\n" + CURL_V, VOCABULARY))
    assert [(pair.http, pair.stroom) for pair in pairs] == [(406, 110), (401, 300)]
    assert len(pairs[0].found) == 4


def test_two_answers_with_the_same_pair_are_told_once() -> None:
    pairs = pair_up(recognise("HTTP/1.1 404 Not Found\n\nHTTP/1.1 404 Not Found\n", VOCABULARY))
    assert [(pair.http, pair.stroom, len(pair.found)) for pair in pairs] == [(404, None, 2)]


@pytest.mark.parametrize(
    "text",
    [
        "HTTP/1.1 " * 7000,
        '"' * 60_000,
        "a [" * 20_000,
        "status=" * 9000,
        "1.2.3.4 - - [" + "x" * 60_000,
        " " * 64_000,
    ],
)
def test_s27_hostile_text_takes_no_exponential_time(text: str) -> None:
    began = time.process_time()
    recognise(text, VOCABULARY)
    assert time.process_time() - began < 5  # a guard against explosion, not a measurement


def test_passages_never_overlap() -> None:
    found = recognise(CURL_I * 3 + CURL_V + "HTTP Error 503: Service Unavailable", VOCABULARY)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))
    assert isinstance(found[0], Found)
