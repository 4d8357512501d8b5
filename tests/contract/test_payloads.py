"""NONE, GZIP and ZIP, Content-Encoding, and the metadata of this hop (contract sections 3, 7 and 10; R9, R11)."""

import gzip
import io
import re
import time
import zipfile

import pytest

from feeds.models import Feed, HourlyCount, RefusalSample
from feeds.rules.stored_metadata import parse_meta
from tests.factories import DN, make_feed
from tests.live import PROXY, Live

DATA = b"a line of the log\n" * 1000
OPEN = {"Feed": "OPEN-FEED"}
IS_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

pytestmark = [pytest.mark.usefixtures("two_feeds", "emptied"), pytest.mark.both_databases]


@pytest.mark.parametrize("spelling", ["Zip", "ZIP", "zip", " zip "])
def test_the_case_of_compression_does_not_matter(live: Live, spelling: str) -> None:
    body = archive(("1.dat", DATA))
    assert live.send("/datafeed", {**OPEN, "Compression": spelling}, body).outcome == (200, 0)
    assert live.receipts()[0].compression == "ZIP"


def archive(*entries: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("padding", [b"", b"\0" * 700])
def test_r09_several_gzip_members_and_zero_padding_are_accepted(live: Live, padding: bytes) -> None:
    body = gzip.compress(DATA) + gzip.compress(b"more") + padding
    answer = live.send("/datafeed", {**OPEN, "Compression": "GZIP"}, body)
    assert answer.outcome == (200, 0)
    assert live.stored(answer.text) == body
    (receipt,) = live.receipts()
    assert receipt.headers["StreamSize"] == str(len(DATA) + 4)


@pytest.mark.parametrize("junk", [b"x", b"\0x", b"\x1f\x8b", b"PK\x03\x04"])
def test_r09_bytes_behind_gzip_data_are_refused(live: Live, junk: bytes) -> None:
    answer = live.send("/datafeed", {**OPEN, "Compression": "GZIP"}, gzip.compress(DATA) + junk)
    assert answer.outcome == (500, 400)
    assert live.files() == []


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP"])
def test_content_encoding_alone_is_stored_decoded(live: Live, name: str) -> None:
    body = gzip.compress(DATA)
    answer = live.send("/datafeed", {**OPEN, "Content-Encoding": name}, body)
    assert live.stored(answer.text) == DATA
    (receipt,) = live.receipts()
    assert (receipt.bytes, receipt.wire_bytes, receipt.compression) == (len(DATA), len(body), "NONE")


def test_content_encoding_and_compression_on_data_compressed_once_is_invalid(live: Live) -> None:
    headers = {**OPEN, "Content-Encoding": "gzip", "Compression": "GZIP"}
    assert live.send("/datafeed", headers, gzip.compress(DATA)).outcome == (500, 400)


def test_content_encoding_and_compression_on_data_compressed_twice_is_stored_packed_once(live: Live) -> None:
    headers = {**OPEN, "Content-Encoding": "gzip", "Compression": "GZIP"}
    once = gzip.compress(DATA)
    answer = live.send("/datafeed", headers, gzip.compress(once))
    assert live.stored(answer.text) == once


def test_content_encoding_over_a_zip(live: Live) -> None:
    body = archive(("1.dat", DATA))
    answer = live.send("/datafeed", {**OPEN, "Content-Encoding": "gzip", "Compression": "ZIP"}, gzip.compress(body))
    assert live.stored(answer.text) == body


def test_content_encoding_identity_changes_nothing(live: Live) -> None:
    answer = live.send("/datafeed", {**OPEN, "Content-Encoding": "identity"}, DATA)
    assert live.stored(answer.text) == DATA


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({"Compression": "NONE"}, b""),
        ({"Compression": "GZIP"}, b""),
        ({"Compression": "GZIP"}, gzip.compress(b"")),
        ({"Compression": "ZIP"}, b""),
        ({"Compression": "ZIP"}, archive()),
        ({"Content-Encoding": "gzip"}, b""),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"")),
        ({"Content-Encoding": "gzip", "Compression": "GZIP"}, gzip.compress(gzip.compress(b""))),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_empty_data_is_a_success_of_which_nothing_is_kept(
    live: Live, headers: dict[str, str], body: bytes, chunked: bool
) -> None:
    answer = live.send("/datafeed", {**OPEN, **headers}, body, chunked=chunked)
    assert answer.outcome == (200, 0)
    assert live.files() == []
    assert live.receipts() == []
    assert live.counts() == {("OPEN-FEED", "empty", 200, 0): 1}


def test_which_version_a_zip_asks_for_does_not_matter(live: Live) -> None:
    """As to Java's readers, and so to Stroom: what counts is what an entry uses, and that is looked at."""
    body = bytearray(archive(("1.dat", DATA)))
    for at in (4, body.index(b"PK\x01\x02") + 6):
        body[at] = 200
    assert live.send("/datafeed", {**OPEN, "Compression": "ZIP"}, bytes(body)).outcome == (200, 0)
    assert live.data(live.receipts()[0]) == bytes(body)


def test_a_zip_without_entries_that_is_not_empty_is_invalid(live: Live) -> None:
    with_comment = archive()[:-2] + b"\x05\x00abcde"
    assert live.send("/datafeed", {**OPEN, "Compression": "ZIP"}, with_comment).outcome == (500, 400)


def test_metadata_of_a_first_hop(live: Live) -> None:
    headers = {
        **OPEN,
        "system": "payroll",
        "EffectiveTime": "2026-02-24T18:10:27Z",
        "Authorization": "Basic c2VjcmV0",
    }
    answer = live.send("/datafeed", {**headers, "Cookie": "a=b", "Accept": "*/*"}, DATA)
    (receipt,) = live.receipts()
    meta = (live.store / receipt.path).with_suffix(".meta").read_bytes()
    values = parse_meta(meta)
    assert values == receipt.headers
    assert values["Feed"] == "OPEN-FEED"
    assert values["System"] == "payroll"
    assert values["EffectiveTime"] == "2026-02-24T18:10:27.000Z"
    assert values["ReceiptId"] == values["ReceiptIdPath"] == answer.lines[0]
    assert IS_TIME.fullmatch(values["ReceivedTime"])
    assert values["ReceivedTimeHistory"] == values["ReceivedTime"]
    assert values["ReceivedPath"] == "test"
    assert values["RemoteAddress"] == values["RemoteHost"] == "127.0.0.1"
    assert values["StreamSize"] == str(len(DATA))
    assert re.fullmatch(r"[0-9a-f-]{36}", values["GUID"])
    absent = {"Authorization", "Cookie", "Accept", "Connection", "Content-Length", "Compression"}
    assert not absent & values.keys()
    names = [line.partition(":")[0].lower() for line in meta.decode().splitlines()]
    assert names == sorted(names)
    assert b"\r" not in meta
    assert b"c2VjcmV0" not in meta


def test_metadata_of_a_later_hop_goes_on_with_what_it_finds(live: Live) -> None:
    headers = {
        **OPEN,
        "GUID": "11111111-2222-3333-4444-555555555555",
        "ReceiptId": "0000000000001_0000_P_proxy",
        "ReceivedTime": "2026-02-24T18:10:27.192Z",
        "ReceivedPath": "proxy.example.org",
        "X-SSL-CLIENT-S-DN": DN,
        "X-SSL-Client-Verify": "SUCCESS",
        "X-SSL-Client-V-End": "Nov  3 04:33:24 2099 GMT",
    }
    answer = live.send("/datafeed", headers, DATA, peer=PROXY)
    values = live.receipts()[0].headers
    assert values["GUID"] == headers["GUID"]
    assert values["ReceiptIdPath"] == f"{headers['ReceiptId']},{answer.lines[0]}"
    assert values["ReceivedTimeHistory"].startswith("2026-02-24T18:10:27.192Z,")
    assert values["ReceivedPath"] == "proxy.example.org,test"
    assert "RemoteAddress" not in values
    assert values["RemoteDN"] == DN
    assert values["RemoteCertExpiry"] == "2099-11-03T04:33:24.000Z"
    assert live.receipts()[0].sender_dn == DN


def test_r11_a_repeated_delivery_is_stored_and_marked(live: Live) -> None:
    first = live.send("/datafeed", OPEN, DATA).lines[0]
    live.send("/datafeed", OPEN, DATA)
    live.send("/datafeed", {**OPEN, "GUID": "the-senders-own"}, b"one")
    live.send("/datafeed", {**OPEN, "GUID": "the-senders-own"}, b"another")
    receipts = live.receipts()
    assert [receipt.duplicate_of for receipt in receipts] == ["", first, "", receipts[2].receipt_id]
    assert len(live.files()) == 8


def test_a_feed_made_or_changed_a_moment_ago_counts_at_once(live: Live) -> None:
    for number in range(5):
        name = f"NEW-FEED-{number}"
        assert live.send("/datafeed", {"Feed": name}, DATA).outcome == (406, 110)
        feed = make_feed(name)
        assert live.send("/datafeed", {"Feed": name}, DATA).outcome == (200, 0)
        feed.status = Feed.Status.REJECT
        feed.save()
        assert live.send("/datafeed", {"Feed": name}, DATA).outcome == (406, 110)


def test_r19_the_rule_that_counts_is_the_one_at_the_end(live: Live) -> None:
    feed = make_feed("CHANGING-FEED")
    with live.connect() as connection:
        connection.sendall(
            b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: CHANGING-FEED\r\nContent-Length: 9\r\n\r\n1234"
        )
        time.sleep(0.2)
        feed.status = Feed.Status.REJECT
        feed.save()
        connection.sendall(b"56789")
        assert connection.recv(65536).startswith(b"HTTP/1.1 406")
    assert live.files() == []
    assert live.receipts() == []


def test_a_receipt_records_who_what_and_which_version_decided(live: Live) -> None:
    feed = Feed.objects.get(name="OPEN-FEED")
    answer = live.send("/datafeed?Type=Events", OPEN, DATA)
    (receipt,) = live.receipts()
    assert receipt.receipt_id == answer.lines[0]
    assert (receipt.feed, receipt.status, receipt.stroom_status) == ("OPEN-FEED", "stored", 0)
    assert (receipt.bytes, receipt.wire_bytes, receipt.feed_version) == (len(DATA), len(DATA), feed.version)
    assert receipt.path == f"received/{receipt.received_at:%Y-%m-%d/%H}/{receipt.receipt_id}.dat"
    assert receipt.headers["Type"] == "Events"


def test_too_many_arguments_are_left_out_and_the_receipt_says_so(live: Live) -> None:
    headers = {**OPEN, **{f"X-Number-{number}": "x" for number in range(300)}}
    live.send("/datafeed", headers, DATA)
    (receipt,) = live.receipts()
    assert receipt.truncated
    assert len(receipt.headers) < 220


@pytest.mark.parametrize("from_query", [False, True])
def test_too_many_arguments_push_out_neither_the_feed_nor_a_coding(live: Live, from_query: bool) -> None:
    """Left out, the coding would have let packed data be stored as if it were the data, and acknowledged."""
    crowd = {f"X-Number-{number}": "x" for number in range(250)}
    coding = {"Content-Encoding": "gzip"}
    if from_query:
        answer = live.send("/datafeed?Feed=OPEN-FEED&Type=Raw", {**crowd, **coding}, gzip.compress(DATA))
    else:
        answer = live.send("/datafeed", {**crowd, **OPEN, **coding, "Type": "Raw"}, gzip.compress(DATA))
    assert answer.outcome == (200, 0)
    (receipt,) = live.receipts()
    assert live.data(receipt) == DATA
    assert receipt.headers["Type"] == "Raw"
    assert receipt.truncated


def test_r26_refusals_are_counted_by_feed_code_and_hour_with_a_bounded_sample(live: Live) -> None:
    for number in range(300):
        live.send("/datafeed", {"Feed": f"RANDOM-{number}"}, b"x")
    for _ in range(20):
        live.send("/datafeed", {"Feed": "REJECT-FEED", "System": "x" * 5000}, b"x")
    counts = live.counts()
    assert sum(counts.values()) == 320
    assert counts["REJECT-FEED", "refused", 406, 110] == 20
    assert counts["(other names)", "refused", 406, 110] == 200
    assert HourlyCount.objects.count() == 102
    assert RefusalSample.objects.count() == 10
    sample = RefusalSample.objects.filter(feed="REJECT-FEED").first()
    assert sample is not None
    assert len(sample.headers["System"]) == 500
    assert sample.trace[-1] == {"step": 3, "outcome": "stop", "explanation": "The feed's status is Reject."}
