"""Metadata beside the data: our additions, entries of archives and times (contract, sections 3.5, 7 and 10)."""

import re
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from feeds.rules.arguments import MAX_NAME_LENGTH, MAX_NAMES, MAX_VALUE_LENGTH, format_time, parse_time
from feeds.rules.facts import NO_TOKEN, SenderToken
from feeds.rules.metadata import RequestMetadata
from feeds.rules.stored_metadata import format_meta, merge_entry, parse_meta, stamp
from tests.factories import DN, EARLIER, LATER, NOW
from tests.feeds.rules.heads import IDENTITY, PROXY, STRANGER, judged, read

# Section 3.5: what is not stored

NOT_STORED = """
    accept connection content-length content-encoding transfer-encoding expect compression upgrade http2-settings
""".split()


def test_stored_metadata_excludes_matters_of_transport() -> None:
    request = read({**dict.fromkeys(NOT_STORED, "x"), "Feed": "A", "Accept-Language": "en", "Host": "b"})
    assert request.stored() == {"Feed": "A", "Accept-Language": "en", "Host": "b"}
    assert len(request.arguments) == len(NOT_STORED) + 3


# Section 10: what we add

RECEIPT_ID = "1771956627192_0001_P_portal-1"


def stamped(request: RequestMetadata, size: int | None = 7, host: str = "portal") -> dict[str, str]:
    return stamp(request, receipt_id=RECEIPT_ID, now=NOW, host=host, size=size)


def test_a_delivery_without_history_gets_all_of_section_10() -> None:
    request = read({"Feed": "A", "x-y": "z", "Compression": "GZIP"})
    found = stamped(request)
    assert uuid.UUID(found.pop("GUID")).version == 4
    assert found == {
        "Feed": "A",
        "X-Y": "z",
        "ReceiptId": RECEIPT_ID,
        "ReceiptIdPath": RECEIPT_ID,
        "ReceivedTime": "2026-02-24T18:10:27.192Z",
        "ReceivedTimeHistory": "2026-02-24T18:10:27.192Z",
        "ReceivedPath": "portal",
        "RemoteAddress": STRANGER,
        "RemoteHost": STRANGER,
        "StreamSize": "7",
    }
    assert stamped(request)["GUID"] != stamped(request)["GUID"]
    assert request.guid is None


def test_a_supplied_history_is_lengthened() -> None:
    found = stamped(
        read(
            {
                "GUID": "g-1",
                "ReceiptId": "second",
                "ReceiptIdPath": "first, second",
                "ReceivedTime": "2026-02-24T18:00:00.000Z",
                "ReceivedTimeHistory": "2026-02-24T17:00:00.000Z,2026-02-24T18:00:00.000Z",
                "ReceivedPath": "edge, middle",
            }
        )
    )
    assert found["GUID"] == "g-1"
    assert read({"guid": "g-1"}).guid == "g-1"
    assert found["ReceiptId"] == RECEIPT_ID
    assert found["ReceiptIdPath"] == f"first,second,{RECEIPT_ID}"
    assert found["ReceivedTime"] == "2026-02-24T18:10:27.192Z"
    assert found["ReceivedTimeHistory"] == (
        "2026-02-24T17:00:00.000Z,2026-02-24T18:00:00.000Z,2026-02-24T18:10:27.192Z"
    )
    assert found["ReceivedPath"] == "edge,middle,portal"


def test_a_supplied_receipt_id_moves_to_the_path() -> None:
    assert stamped(read({"ReceiptId": "first"}))["ReceiptIdPath"] == f"first,{RECEIPT_ID}"
    assert stamped(read({"ReceiptId": "b", "ReceiptIdPath": "a"}))["ReceiptIdPath"] == f"a,b,{RECEIPT_ID}"
    path = stamped(read({"ReceiptId": "c", "ReceiptIdPath": "a,b,c"}))["ReceiptIdPath"]
    assert path == f"a,b,c,{RECEIPT_ID}"
    assert stamped(read({"ReceiptId": "b", "ReceiptIdPath": "a,b,c"}))["ReceiptIdPath"] == f"a,b,c,b,{RECEIPT_ID}"
    assert stamped(read({"ReceiptIdPath": ",a,"}))["ReceiptIdPath"] == f"a,{RECEIPT_ID}"


def test_a_supplied_time_of_receipt_moves_to_the_history() -> None:
    earlier = "2026-02-24T18:00:00.000Z"
    assert stamped(read({"ReceivedTime": earlier}))["ReceivedTimeHistory"] == f"{earlier},2026-02-24T18:10:27.192Z"


def test_our_host_is_appended_to_the_path_unless_it_is_already_last() -> None:
    assert stamped(read({"ReceivedPath": "edge,portal"}))["ReceivedPath"] == "edge,portal"
    assert stamped(read({"ReceivedPath": "a,b,portal"}))["ReceivedPath"] == "a,b,portal"
    assert stamped(read({"ReceivedPath": "portal,edge"}))["ReceivedPath"] == "portal,edge,portal"


def test_the_senders_address_is_ours_to_set_only_without_a_guid() -> None:
    forged = {"RemoteAddress": "192.0.2.1", "RemoteHost": "forged"}
    assert stamped(read(forged))["RemoteAddress"] == stamped(read(forged))["RemoteHost"] == STRANGER
    kept = stamped(read({**forged, "GUID": "g"}))
    assert (kept["RemoteAddress"], kept["RemoteHost"]) == ("192.0.2.1", "forged")
    assert "RemoteAddress" not in stamped(read({"GUID": "g"}))
    assert "RemoteAddress" not in stamped(read(forged, peer=None))


def test_the_certificate_is_added_only_where_it_is_verified() -> None:
    found = stamped(read({**IDENTITY, "RemoteDN": "CN=other"}, peer=PROXY))
    assert (found["RemoteDN"], found["RemoteCertExpiry"]) == (DN, "2026-11-03T04:33:24.000Z")
    failed = stamped(read({**IDENTITY, "X-SSL-Client-Verify": "FAILED:x"}, peer=PROXY))
    assert {"RemoteDN", "RemoteCertExpiry"}.isdisjoint(failed)
    endless = {"X-SSL-CLIENT-S-DN": DN, "X-SSL-Client-Verify": "SUCCESS"}
    endless = stamped(read({**endless, "RemoteDN": "x", "RemoteCertExpiry": "x"}, peer=PROXY))
    assert endless["RemoteDN"] == DN
    assert "RemoteCertExpiry" not in endless
    assert {"RemoteDN", "RemoteCertExpiry"}.isdisjoint(stamped(read(IDENTITY)))


def test_an_expired_certificate_leaves_no_trace_in_the_metadata() -> None:
    expired = judged(expiry=format_time(EARLIER))
    request = replace(read({"Feed": "A"}), certificate=expired)
    assert {"RemoteDN", "RemoteCertExpiry"}.isdisjoint(stamped(request))
    valid = replace(request, certificate=judged(expiry=format_time(LATER)))
    assert stamped(valid)["RemoteCertExpiry"] == format_time(LATER)


def test_a_valid_token_is_named_and_nobody_else_can_claim_to_be_one() -> None:
    claim = {"UploadUserId": "token:payroll", "UploadUsername": "payroll"}
    behind_proxy = read(claim, peer=PROXY)
    assert behind_proxy.get("UploadUserId") == "token:payroll"

    def users(token: SenderToken) -> tuple[str | None, str | None]:
        found = stamp(behind_proxy, receipt_id=RECEIPT_ID, now=NOW, host="portal", size=7, token=token)
        return found.get("UploadUserId"), found.get("UploadUsername")

    assert users(SenderToken("billing")) == ("token:billing", "billing")
    assert users(SenderToken(fault="it has expired")) == (None, None)
    assert users(NO_TOKEN) == (None, None)


def test_the_size_is_that_of_the_one_item_or_absent() -> None:
    assert stamped(read({"StreamSize": "1"}), size=0)["StreamSize"] == "0"
    assert "StreamSize" not in stamped(read({"StreamSize": "1"}), size=None)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2026-02-24T18:10:27.192Z", "2026-02-24T18:10:27.192Z"),
        ("2026-02-24T18:10:27Z", "2026-02-24T18:10:27.000Z"),
        ("2026-02-24T19:10:27.1929+01:00", "2026-02-24T18:10:27.192Z"),
        ("2026-02-24T18:10:27", "2026-02-24T18:10:27.000Z"),
        ("2026-02-24 18:10", "2026-02-24T18:10:00.000Z"),
        ("2026-02-24", "2026-02-24T00:00:00.000Z"),
        ("20260224T181027Z", "2026-02-24T18:10:27.000Z"),
        ("2026-W09-2", "2026-02-24T00:00:00.000Z"),
        ("2026-02-24T18:10:27,192Z", "2026-02-24T18:10:27.192Z"),
        ("1771956627192", "2026-02-24T18:10:27.192Z"),
        ("0", "1970-01-01T00:00:00.000Z"),
        ("253402300799999", "9999-12-31T23:59:59.999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        # Not read, and so kept
        ("yesterday", "yesterday"),
        ("2026-02-30T00:00:00Z", "2026-02-30T00:00:00Z"),
        ("999999999999999", "999999999999999"),
        ("1771956627192000000", "1771956627192000000"),
        ("٢٠٢٦", "٢٠٢٦"),
        ("2026-02-24x18:10:27", "2026-02-24x18:10:27"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("Nov  3 04:33:24 2026 GMT", "Nov  3 04:33:24 2026 GMT"),
        ("-5", "-5"),
    ],
)
def test_effective_time_is_normalised_where_it_can_be_read(given: str, stored: str) -> None:
    assert stamped(read({"effectivetime": given}))["EffectiveTime"] == stored


def test_without_an_effective_time_none_is_invented() -> None:
    assert "EffectiveTime" not in stamped(read({"Feed": "A"}))


# Times


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Nov  3 04:33:24 2026 GMT", datetime(2026, 11, 3, 4, 33, 24, tzinfo=UTC)),
        ("Nov 13 04:33:24 2026 GMT", datetime(2026, 11, 13, 4, 33, 24, tzinfo=UTC)),
        (" Dec 31 23:59:59 9999 GMT ", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2026-11-03T04:33:24.000Z", datetime(2026, 11, 3, 4, 33, 24, tzinfo=UTC)),
        ("1771956627192", NOW),
        ("Nov  3 04:33:24 2026", None),
        ("Nov  3 04:33:24 2026 CET", None),
        ("XXX  3 04:33:24 2026 GMT", None),
        ("Feb 30 04:33:24 2026 GMT", None),
        ("2026-11-03 GMT", None),
        ("GMT", None),
        ("", None),
    ],
)
def test_times_are_read_in_the_forms_that_proxies_write(text: str, moment: datetime | None) -> None:
    assert parse_time(text) == moment


def test_a_time_without_a_zone_is_utc_wherever_the_portal_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_time("2026-02-24T18:10:27.192") == NOW
        assert parse_time("2026-02-24T18:10:27.192Z") == NOW
        assert stamped(read({"EffectiveTime": "2026-02-24"}))["EffectiveTime"] == "2026-02-24T00:00:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("month", "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
def test_every_month_of_nginx_is_known(month: str) -> None:
    assert parse_time(f"{month}  3 04:33:24 2026 GMT") is not None


def test_times_are_written_in_utc_with_three_decimals() -> None:
    assert format_time(NOW) == "2026-02-24T18:10:27.192Z"
    assert format_time(datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC)) == "2026-01-02T03:04:05.999Z"
    assert format_time(datetime.fromisoformat("2026-02-24T19:10:27+01:00")) == "2026-02-24T18:10:27.000Z"


# Section 7: metadata entries


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"", {}),
        (b"Feed:A\n", {"Feed": "A"}),
        (b"Feed:A", {"Feed": "A"}),
        (b"feed : A \nSYSTEM:\tx\t\n", {"Feed": "A", "System": "x"}),
        (b"\n\n  \nFeed:A\n\n", {"Feed": "A"}),
        (b"Feed:A\r\nSystem:x\r\n", {"Feed": "A", "System": "x"}),
        (b"Feed:A\rSystem:x\r", {"Feed": "A", "System": "x"}),
        (b"Url:http://a:80/\n", {"Url": "http://a:80/"}),
        (b"Feed\n", {"Feed": ""}),
        (b"Feed:\n", {"Feed": ""}),
        (b":x\n", {}),
        (b" : x\n", {}),
        (b"System:A\nSYSTEM:B\n", {"System": "B"}),
        (b"System:A\nSystem\n", {"System": ""}),
        (b"Feed:A\nFEED:A\n", {"Feed": "A"}),
        (b"Feed:A\nFEED:B\n", {"Feed": "A,B"}),
        (b"Feed:A\nFeed:\nFeed\n", {"Feed": "A"}),
        ("Feed:A\n\u00a0Feed:B\n".encode(), {"Feed": "A,B"}),
        (b"\xef\xbb\xbfFeed:A\n", {"Feed": "A"}),
        (b"System:x\n\xef\xbb\xbfFeed:A\n", {"System": "x", "Feed": "A"}),
        ("System:Müller\n".encode(), {"System": "Müller"}),
        (b"System:\xff\n", {"System": "\ufffd"}),
        (b"System:a\x1bb\x00\n", {"System": "a b"}),
        ("System:a\u2028b\x85c\n".encode(), {"System": "a b c"}),
        (b"\x00Feed\x1f:A\n", {"Feed": "A"}),
        ("\u00a0Feed\u2003:A\n".encode(), {"Feed": "A"}),
        (b"Authorization:x\n", {"Authorization": "x"}),
        (b"x-my-key:v\n", {"X-My-Key": "v"}),
    ],
)
def test_metadata_entries_are_key_and_value_lines(data: bytes, values: dict[str, str]) -> None:
    assert parse_meta(data) == values


def test_s09_an_entry_is_bounded_but_the_limit_never_hides_a_known_name() -> None:
    many = "".join(f"n{number}:x\n" for number in range(1000)).encode()
    found = parse_meta(b"System:s\n" + many + b"Feed:A\nn7:y\nn500:y\nGUID:g\n")
    assert len(found) == MAX_NAMES + 3
    assert (found["Feed"], found["GUID"], found["System"], found["N7"]) == ("A", "g", "s", "y")
    assert "N199" in found
    assert "N200" not in found
    assert "N500" not in found
    fits, too_long = b"n" * MAX_NAME_LENGTH, b"m" * (MAX_NAME_LENGTH + 1)
    found = parse_meta(fits + b":" + b"v" * 9000 + b"\n" + too_long + b":x\n")
    assert found == {"N" + "n" * 127: "v" * MAX_VALUE_LENGTH}


def test_s27_an_entry_that_names_many_feeds_is_read_quickly_and_names_none() -> None:
    began = time.process_time()
    feed = parse_meta(b"Feed:A\nFeed:B\n" * 50_000)["Feed"]
    assert time.process_time() - began < 10  # repeating the whole value for each line would take minutes
    assert feed.startswith("A,B,")
    assert len(feed) == MAX_VALUE_LENGTH


def test_s09_the_metadata_of_the_largest_request_is_read_back_whole() -> None:
    written = stamped(read({f"n{number}": "x" for number in range(MAX_NAMES)}))
    assert len(written) == MAX_NAMES + 9
    assert parse_meta(format_meta(written)) == written


def test_metadata_is_written_sorted_whatever_the_case_with_line_feeds() -> None:
    values = {"b": "2", "Feed": "A", "C": "3", "a": "1"}
    assert format_meta(values) == b"a:1\nb:2\nC:3\nFeed:A\n"
    assert format_meta({}) == b""


def test_s12_no_value_or_name_can_begin_another_line_of_metadata() -> None:
    values = {"System": "a\r\nFeed:B\nC", "X\nFeed": "B", "Y": "ü\u2028Feed:B\x85\ud800"}
    written = format_meta(values)
    assert written == "System:a  Feed:B C\nX Feed:B\nY:ü Feed:B  \n".encode()
    assert "Feed" not in parse_meta(written)


def test_an_entry_overrides_the_requests_arguments() -> None:
    stored = {"Feed": "A", "System": "x", "RemoteDN": DN}
    entry = {"feed": "B", "RemoteDN": "CN=upstream", "RemoteCertExpiry": "e", "Own": "o", "RemoteAddress": "r"}
    assert merge_entry(stored, entry, size=5) == {
        "Feed": "B",
        "System": "x",
        "RemoteDN": "CN=upstream",
        "RemoteCertExpiry": "e",
        "Own": "o",
        "RemoteAddress": "r",
        "StreamSize": "5",
    }
    assert stored == {"Feed": "A", "System": "x", "RemoteDN": DN}


@pytest.mark.parametrize(
    "name",
    ["GUID", "ReceiptId", "ReceiptIdPath", "ReceivedTime", "ReceivedTimeHistory", "ReceivedPath", "StreamSize"],
)
def test_an_entry_does_not_override_what_this_hop_sets(name: str) -> None:
    stored = {name: "ours"} | {"StreamSize": "5"}
    for spelling in (name, name.lower(), name.upper()):
        assert merge_entry(stored, {spelling: "theirs"}, size=5) == stored
        assert merge_entry({}, {spelling: "theirs"}, size=5) == {"StreamSize": "5"}


def test_a_key_without_a_value_overrides_nothing() -> None:
    assert merge_entry({"Feed": "A"}, {"Feed": "", "Mark": ""}, size=1) == {
        "Feed": "A",
        "Mark": "",
        "StreamSize": "1",
    }


def test_an_entry_cannot_store_what_a_request_cannot() -> None:
    merged = merge_entry({"Feed": "A"}, dict.fromkeys(NOT_STORED, "x"), size=1)
    assert merged == {"Feed": "A", "StreamSize": "1"}


def test_nothing_in_a_head_can_break_the_stored_metadata() -> None:
    """A colon or line end in a query name would otherwise write a key of the sender's choice."""
    query = "a%0aRemoteDN:CN%3dgood=x&RemoteDN%3aCN%3dgood=x&System=a%0d%0aRemoteDN:CN%3dgood"
    meta = format_meta(stamped(read({"Feed": "A"}, query)))
    assert "RemoteDN" not in parse_meta(meta)
    assert re.search(rb"(?m)^RemoteDN", meta) is None
