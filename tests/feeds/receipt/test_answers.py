"""The text for senders, without a server (contract section 6)."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.receipt import answers
from feeds.receipt.answers import accepted, framing_answer, refused
from feeds.rules import stroom_status
from feeds.rules.metadata import RequestMetadata, read_request
from feeds.rules.stroom_status import StroomStatus
from portal.http.client import IdentityNames

EVERY = [value for value in vars(stroom_status).values() if isinstance(value, StroomStatus) and value.code]


def asking(**headers: str) -> RequestMetadata:
    return read_request(
        [(name.encode(), value.encode("utf-8", "replace")) for name, value in headers.items()],
        b"",
        peer=None,
        trusts=lambda _: False,
        identity=IdentityNames(),
        require_verify=True,
        now=datetime(2026, 2, 24, tzinfo=UTC),
    )


def test_success() -> None:
    answer = accepted("1771956627189_0001_P_portal-1")
    assert answer.http == 200
    assert answer.headers == (("Content-Type", "text/plain; charset=utf-8"), ("Stroom-Status", "0"))
    assert answer.text == "1771956627189_0001_P_portal-1\n"


def test_the_documented_failure_word_for_word() -> None:
    answer = refused(
        stroom_status.FEED_NOT_RECEIVING,
        request=asking(Feed="PAYROLL-PROD-EVENTS", Compression="GZIP"),
        receipt_id="1771956627189_0002_P_portal-1",
    )
    first = "Stroom Status 110 - Feed is not set to receive data [Feed: PAYROLL-PROD-EVENTS, Compression: GZIP]"
    assert answer.http == 406
    assert answer.headers == (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Stroom-Status", "110"),
        ("Stroom-Error", first),
    )
    assert answer.text == (
        f"{first}\n"
        "This feed does not exist here or is set to reject data. Keep the data and ask the Stroom administrators.\n"
        "See: /codes/stroom/110/\n"
        "Receipt: 1771956627189_0002_P_portal-1\n"
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"Content-Encoding": "br"}, True),
        ({"Content-Encoding": "gzip, gzip"}, True),
        ({"Content-Encoding": "GZIP", "Compression": "RAR"}, False),
        ({"Content-Encoding": "identity", "Compression": "RAR"}, False),
        ({"Compression": "RAR"}, False),
    ],
)
def test_an_unsupported_encoding_is_answered_with_the_one_that_is_supported(
    given: dict[str, str], told: bool
) -> None:
    answer = refused(stroom_status.UNKNOWN_COMPRESSION, request=asking(Feed="A", **given))
    assert (("Accept-Encoding", "gzip") in answer.headers) is told


@pytest.mark.parametrize("status", EVERY, ids=lambda status: f"{status.http}-{status.code}")
def test_every_refusal_keeps_to_the_form(status: StroomStatus) -> None:
    answer = refused(status, receipt_id="id")
    headers = dict(answer.headers)
    assert answer.http == status.http != 200
    assert headers["Stroom-Status"] == str(status.code) != "0"
    assert (
        headers["Stroom-Error"] == answer.text.splitlines()[0] == f"Stroom Status {status.code} - {status.message}"
    )
    assert ("Retry-After" in headers) == status.retry_after
    assert answer.text.endswith("\n")
    assert re.fullmatch(r"[\n\x20-\x5b\x5d-\x7e]+", answer.text)
    assert "<" not in answer.text


def test_r15_retry_after_is_spread_over_30_to_90_seconds() -> None:
    seen = {int(dict(refused(stroom_status.UNAVAILABLE).headers)["Retry-After"]) for _ in range(2000)}
    assert seen == set(range(30, 91))


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_a_sender_supplies_lines_stay_short_and_printable(feed: str, kind: str) -> None:
    answer = refused(stroom_status.FEED_NOT_RECEIVING, request=asking(Feed=feed, Type=kind), hint=kind * 5)
    assert re.fullmatch(r"[\n\x20-\x5b\x5d-\x7e]+", answer.text)
    lines = answer.text.splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 500 for line in lines)
    assert dict(answer.headers)["Stroom-Error"] == lines[0]


def test_values_are_cut_at_100_characters() -> None:
    answer = refused(stroom_status.FEED_NOT_RECEIVING, request=asking(Feed="F" * 101))
    assert answer.text.splitlines()[0].endswith(f"[Feed: {'F' * 100}]")


def test_a_hint_stands_in_the_second_line() -> None:
    assert refused(stroom_status.STREAM_INVALID, hint="The data is not gzip.").text.splitlines()[1] == (
        "The data is not gzip."
    )


def test_the_answer_without_an_application_is_whole() -> None:
    fields, body = framing_answer(stroom_status.BAD_REQUEST)
    values = dict(fields)
    assert values[b"content-length"] == str(len(body)).encode()
    assert values[b"stroom-status"] == b"999"
    assert body.startswith(b"Stroom Status 999 - Unknown error\n")
    assert answers.CONTENT_TYPE.encode() == values[b"content-type"]
