"""Paths, methods and answers of the receive paths (contract sections 2 and 6; R14, S32)."""

import dataclasses
import re
import time

import pytest

from feeds.receipt.service import ReceiptService
from feeds.rules import stroom_status
from tests.live import PROXY, Live, request

ALIASES = ["/datafeed", "/stroom/datafeed", "/stroom/noauth/datafeed", "/stroom/datafeeddirect"]
FORMS = ["", "/", "/sub", "/sub/path/", "/%41%2f..", "/?x=y", "?x=y"]
PATHS = [alias + form for alias in [*ALIASES, "//datafeed", "//stroom//noauth///datafeed"] for form in FORMS]
LINE = "Stroom Status 110 - Feed is not set to receive data"

pytestmark = [pytest.mark.usefixtures("two_feeds", "emptied"), pytest.mark.both_databases]
EMPTY = b"Connection: close\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("path", PATHS)
def test_s32_every_form_of_a_receive_path_receives_and_none_redirects(live: Live, path: str) -> None:
    answer = live.send(path, {"Feed": "OPEN-FEED"}, b"data")
    assert answer.outcome == (200, 0)
    assert live.stored(answer.text) == b"data"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH", "OPTIONS"])
def test_r14_another_method_is_405_with_allow_and_a_status(live: Live, path: str, method: str) -> None:
    answer = live.send(path, {"Feed": "OPEN-FEED"}, method=method)
    assert answer.outcome == (405, 999)
    assert answer.header("allow") == "POST, PUT"
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert (answer.body == b"") if method == "HEAD" else answer.body.endswith(b"\n")


@pytest.mark.parametrize("path", ["/datafeeds", "/datafeedx/", "/xdatafeed", "/stroom/noauth/datafeeddirect"])
def test_other_paths_are_not_receive_paths(live: Live, path: str) -> None:
    answer = live.send(path, {"Feed": "OPEN-FEED"}, b"data")
    assert answer.status in {400, 403, 404}
    assert answer.stroom_status is None
    assert live.receipts() == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (request("/datafeed", {"Feed": "OPEN-FEED", "Transfer-Encoding": "chunked"}, b"data"), (400, 999)),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nxx", (400, 999)),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\nxx", (400, 999)),
        (
            b"POST /datafeed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nxx\r\n0\r\n\r\n",
            (501, 999),
        ),
        (
            b"POST /datafeed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\nxx\r\n0\r\n\r\n",
            (501, 999),
        ),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", (400, 999)),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nxx", (400, 999)),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\nContent-Length: 1e3\r\n\r\nxx", (400, 999)),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed : OPEN-FEED\r\n\r\n", (400, 999)),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: OPEN\r\n -FEED\r\n\r\n", (400, 999)),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: OPEN\0FEED\r\n\r\n", (400, 999)),
        (b"POST /datafeed HTTP/1.1\nHost: a\nFeed: OPEN-FEED\n\n", (400, 999)),
        (b"nonsense\r\n\r\n", (400, 999)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 999)),
        (b"CONNECT datafeed:80 HTTP/1.1\r\nHost: a\r\n\r\n", (400, 999)),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (400, 999)),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", (431, 999)),
        (b"POST /datafeed?" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", (431, 999)),
        (b"POST /datafeed HTTP/1.1\r\n" + b"X: y\r\n" * 12_000 + b"\r\n", (431, 999)),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\n\r\n", (411, 999)),
        (b"POST /datafeed HTTP/1.0\r\n\r\n", (411, 999)),
        (b"POST http://elsewhere.example.org/datafeed HTTP/1.1\r\nHost: a\r\n" + EMPTY, (406, 100)),
        (b"POST /datafeed HTTP/1.1\r\nHost: $%&/()\r\n" + EMPTY, (406, 100)),
        (b"POST /datafeed HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + EMPTY, (406, 100)),
        (b"POST /datafeed?Feed=%ff%00%0d%0a HTTP/1.1\r\nHost: a\r\n" + EMPTY, (406, 110)),
    ],
)
def test_r14_what_cannot_be_read_carries_a_status_and_a_newline(
    live: Live, data: bytes, expected: tuple[int, int]
) -> None:
    started = time.monotonic()
    answer = live.exchange(data.replace(b"\r\nHost: a\r\n\r\n", b"\r\nHost: a\r\nConnection: close\r\n\r\n"))
    assert answer.outcome == expected
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert answer.body.endswith(b"\n")
    assert time.monotonic() - started < 10  # at once, and not when the connection is given up
    assert live.receipts() == []


def test_r14_an_uncaught_error_is_an_unknown_error(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(ReceiptService, "decide", broken)
    answer = live.send("/datafeed", {"Feed": "OPEN-FEED"}, b"data")
    assert answer.outcome == (500, 999)
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text


def test_r14_a_fault_in_counting_does_not_cost_the_answer(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ReceiptService, "count", broken)
    answer = live.send("/datafeed", {"Feed": "OPEN-FEED"}, b"data")
    assert answer.outcome == (200, 0)
    assert live.stored(answer.text) == b"data"


def test_r14_shutting_down_comes_before_step_1(live: Live) -> None:
    live.worker.receiver.stopping = True
    try:
        for headers in ({}, {"Feed": "OPEN-FEED"}, {"Feed": "REJECT-FEED"}):
            answer = live.send("/datafeed", headers, b"data")
            assert answer.outcome == (503, 999)
            assert 30 <= int(answer.header("retry-after") or 0) <= 90
    finally:
        live.worker.receiver.stopping = False


def test_too_many_uploads_at_once_are_told_to_wait_but_unknown_feeds_stay_unknown(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.worker.receiver, "_most_running", 0)
    assert live.send("/datafeed", {"Feed": "OPEN-FEED"}, b"data").outcome == (503, 999)
    assert live.send("/datafeed", {"Feed": "NO-SUCH-FEED"}, b"data").outcome == (406, 110)


def test_success_is_the_receipt_id_and_a_newline(live: Live) -> None:
    answer = live.send("/datafeed", {"Feed": "OPEN-FEED"}, b"data")
    assert re.fullmatch(r"\d{13}_\d{4}_P_test-\d+\n", answer.text)
    assert {name for name, _ in answer.headers} == {
        "date",
        "content-type",
        "stroom-status",
        "content-length",
        "connection",
        "x-request-id",
    }


def test_a_failure_names_what_was_supplied_what_it_means_where_to_read_and_the_receipt(live: Live) -> None:
    headers = {"Feed": "REJECT-FEED", "Compression": "gzip", "Type": "Raw Events"}
    answer = live.send("/datafeed", headers, b"data")
    first, meaning, see, receipt = answer.lines
    assert first == f"{LINE} [Feed: REJECT-FEED, Compression: gzip, Type: Raw Events]"
    assert meaning == stroom_status.FEED_NOT_RECEIVING.explanation
    assert see == "See: /codes/stroom/110/"
    assert re.fullmatch(r"Receipt: \d{13}_\d{4}_P_test-\d+", receipt)
    assert answer.header("stroom-error") == first


def test_without_arguments_there_are_no_brackets(live: Live) -> None:
    assert live.send("/datafeed", {}, b"data").lines[0] == "Stroom Status 100 - Feed must be specified"


def test_an_unsupported_content_encoding_is_named_in_line_2(live: Live) -> None:
    answer = live.send("/datafeed", {"Feed": "OPEN-FEED", "Content-Encoding": "br"}, b"data")
    assert answer.outcome == (406, 200)
    assert "Content-Encoding br" in answer.lines[1]


@pytest.mark.parametrize(
    "value", ["tab\there", "ünïcode", "back\\slash", "x" * 8000, "\u202eright to left", "\x1b[31mred"]
)
def test_text_of_the_sender_is_shown_as_short_printable_ascii_without_backslashes(live: Live, value: str) -> None:
    data = request("/datafeed", {"Type": "T"}, b"x").replace(b"Type: T", b"Feed: " + value.encode())
    answer = live.exchange(data)
    if b"\x1b" in data:
        assert answer.outcome in {(400, 999), (406, 110)}
    else:
        assert answer.outcome == (406, 110)
    error = answer.header("stroom-error") or ""
    for text in (answer.text.replace("\n", ""), error):
        assert re.fullmatch(r"[\x20-\x5b\x5d-\x7e]*", text)
    assert all(len(line) <= 500 for line in answer.lines)
    assert len(error) <= len(LINE) + 8 + 100 + 1


def test_s21_unknown_and_rejecting_feeds_give_the_same_bytes(live: Live) -> None:
    certificates: list[dict[str, str]] = [
        {},
        {"X-SSL-CLIENT-S-DN": "CN=a,O=b", "X-SSL-Client-Verify": "SUCCESS"},
        {"X-SSL-CLIENT-S-DN": "CN=a,O=b", "X-SSL-Client-Verify": "FAILED:x"},
    ]
    for certificate in certificates:
        seen = set()
        for name in ("REJECT-FEED", "NOSUCH-FEED", "lower-feed!"):
            headers = {"Feed": name, "X-Request-ID": "1", **certificate}
            answer = live.send("/datafeed", headers, b"data", peer=PROXY)
            text = re.sub(r"\d{13}_\d{4}", "<id>", answer.text.replace(name, "<name>"))
            fields = [(key, value.replace(name, "<name>")) for key, value in answer.headers if key != "date"]
            seen.add((answer.status, text, tuple(fields)))
        assert len(seen) == 1


def test_no_cookies_no_redirects_no_challenges(live: Live) -> None:
    for headers in (
        {},
        {"Feed": "OPEN-FEED"},
        {"Feed": "X", "Cookie": "sessionid=abc", "Authorization": "Basic x"},
    ):
        answer = live.send("/datafeed", headers, b"data")
        assert not {"set-cookie", "location", "www-authenticate", "vary", "server"} & {n for n, _ in answer.headers}


def test_a_public_address_makes_the_link_absolute(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    service = live.worker.service
    absolute = dataclasses.replace(service.settings, public_url="https://portal.example.org")
    monkeypatch.setattr(service, "settings", absolute)
    answer = live.send("/datafeed", {}, b"data")
    assert "See: https://portal.example.org/codes/stroom/100/" in answer.lines


@pytest.mark.parametrize("path", ["/status", "/stroom/noauth/status"])
def test_status_is_200_with_a_small_json_object_for_any_host(live: Live, path: str) -> None:
    answer = live.send(path, method="GET")
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    assert answer.text == '{"status": "UP"}\n'
    assert live.send(path, method="HEAD").status == 200
    assert live.send(path, {}, b"x").status == 405


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_r27_health_is_told_from_a_cached_result_to_any_host(
    live: Live, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.worker.health.check()
    checks: list[None] = []
    monkeypatch.setattr(live.worker.health, "check", lambda: checks.append(None))
    answer = live.send(path, method="GET")
    assert (answer.status, answer.header("cache-control")) == (200, "no-store")
    assert checks == []
