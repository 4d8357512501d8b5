"""Every row of the two tables of contract section 5, over a real socket, with Content-Length and chunked."""

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from feeds.store import spool
from feeds.store.spool import Part
from tests.factories import DN, make_feed, make_rule
from tests.live import PROXY, Live, Response, running

pytestmark = pytest.mark.both_databases

GOOD = b"one line of log\n" * 500
GZIPPED = gzip.compress(GOOD)
LISTED = {"X-SSL-CLIENT-S-DN": DN, "X-SSL-Client-Verify": "SUCCESS"}
NOT_LISTED = {"X-SSL-CLIENT-S-DN": "CN=client-b,OU=Test,O=Example,C=GB", "X-SSL-Client-Verify": "SUCCESS"}
FAILED = {"X-SSL-CLIENT-S-DN": DN, "X-SSL-Client-Verify": "FAILED:self signed certificate"}
NO_CERTIFICATE = {"X-SSL-CLIENT-S-DN": "", "X-SSL-Client-Verify": "NONE"}

MESSAGES = {
    0: "OK",
    100: "Feed must be specified",
    110: "Feed is not set to receive data",
    200: "Unknown compression",
    300: "Client Certificate Required",
    310: "Client Certificate not authorised",
    400: "Compressed stream invalid",
    410: "Content too large",
    999: "Unknown error",
}


def zipped(*entries: tuple[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


@dataclass(frozen=True)
class Row:
    """What is sent and what must come back. `stored` is what the store must then hold, None for nothing."""

    name: str
    outcome: tuple[int, int]
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = GOOD
    certificate: dict[str, str] = field(default_factory=lambda: NO_CERTIFICATE)
    stored: bytes | None = None
    counted: str = "refused"

    def __str__(self) -> str:
        return self.name


OPEN, REQUIRED, RESTRICTED = {"Feed": "OPEN-FEED"}, {"Feed": "REQUIRED-FEED"}, {"Feed": "RESTRICTED-FEED"}
SEVERAL = zipped(("1.meta", "Feed:RESTRICTED-FEED"), ("1.dat", GOOD), ("2.dat", b"more"))
WITH_DROPPED = zipped(("1.meta", "Feed:DROP-FEED"), ("1.dat", GOOD), ("2.dat", b"more"))

STEPS = [
    Row("step 1, absent", (406, 100)),
    Row("step 1, blank", (406, 100), {"Feed": "   "}),
    Row("step 2", (406, 110), {"Feed": "NO-SUCH-FEED"}),
    Row("step 2, other case", (406, 110), {"Feed": "open-feed"}),
    Row("step 3", (406, 110), {"Feed": "REJECT-FEED"}),
    Row("step 4, required", (401, 300), REQUIRED),
    Row("step 4, restricted", (401, 300), RESTRICTED),
    Row("step 5, not verified", (403, 310), REQUIRED, certificate=FAILED),
    Row(
        "step 5, expired",
        (403, 310),
        REQUIRED,
        certificate={**LISTED, "X-SSL-Client-V-End": "Nov  3 04:33:24 2020 GMT"},
    ),
    Row("step 5, unreadable DN", (403, 310), REQUIRED, certificate={**LISTED, "X-SSL-CLIENT-S-DN": "no dn"}),
    Row("step 6, deny beats allow", (403, 310), {"Feed": "DENY-FEED"}, certificate=LISTED),
    Row("step 6, deny under required", (403, 310), {"Feed": "REQUIRED-DENY-FEED"}, certificate=LISTED),
    Row("step 6, no allow rule", (403, 310), RESTRICTED, certificate=NOT_LISTED),
    Row("step 6, expired allow rule", (403, 310), {"Feed": "EXPIRED-RULE-FEED"}, certificate=LISTED),
    Row("step 7, compression", (406, 200), {**OPEN, "Compression": "BZIP2"}),
    Row("step 7, content encoding", (406, 200), {**OPEN, "Content-Encoding": "br"}),
    Row("step 9, not a zip", (500, 400), {**OPEN, "Compression": "ZIP"}),
    Row("step 9, not content-encoded gzip", (500, 400), {**OPEN, "Content-Encoding": "gzip"}),
    Row("step 10", (401, 300), {**OPEN, "Compression": "ZIP"}, SEVERAL),
    Row("step 12", (200, 0), OPEN, stored=GOOD, counted="received"),
]

COMBINATIONS = [
    Row("1", (406, 100), {"Compression": "GZIP"}),
    Row("2", (406, 100), {"Feed": "  ", "Compression": "RAR"}, b"broken", LISTED),
    Row("3", (406, 110), {"Feed": "NO-SUCH-FEED", "Compression": "GZIP"}, GZIPPED),
    Row("4", (406, 110), {"Feed": "NO-SUCH-FEED", "Compression": "RAR"}, b"broken", LISTED),
    Row("5", (406, 110), {"Feed": "REJECT-RESTRICTED-FEED", "Compression": "RAR"}, b"broken"),
    Row("6", (401, 300), {**REQUIRED, "Compression": "GZIP"}, GZIPPED),
    Row("7", (401, 300), {**RESTRICTED, "Compression": "RAR"}),
    Row("8", (403, 310), {**REQUIRED, "Compression": "GZIP"}, GZIPPED, FAILED),
    Row("9", (403, 310), {**RESTRICTED, "Compression": "RAR"}, b"broken", NOT_LISTED),
    Row("10", (406, 200), {**RESTRICTED, "Compression": "RAR"}, GOOD, LISTED),
    Row("11", (406, 200), {**OPEN, "Compression": "RAR"}),
    Row("12", (200, 0), OPEN, GOOD, FAILED, stored=GOOD, counted="received"),
    Row("13", (500, 400), {**OPEN, "Compression": "GZIP"}, b"this is not gzip at all"),
    Row("14", (500, 400), {**OPEN, "Compression": "GZIP"}, GZIPPED[:-3]),
    Row("15", (500, 400), {**OPEN, "Compression": "ZIP"}, zipped(("1.dat", GOOD))[:-30]),
    Row("16", (200, 0), {**RESTRICTED, "Compression": "gzip"}, GZIPPED, LISTED, GZIPPED, "received"),
    Row("17", (200, 0), {**OPEN, "Compression": "NONE"}, b"", counted="empty"),
    Row("18", (401, 300), {**REQUIRED, "Compression": "NONE"}, b""),
    Row("19", (200, 0), {"Feed": "DROP-FEED", "Compression": "GZIP"}, GZIPPED, counted="dropped"),
    Row("20", (401, 300), {"Feed": "DROP-REQUIRED-FEED", "Compression": "GZIP"}, GZIPPED),
    Row("21", (406, 200), {"Feed": "DROP-FEED", "Compression": "RAR"}),
    Row("22", (500, 400), {"Feed": "DROP-FEED", "Compression": "GZIP"}, GZIPPED[:-3]),
    Row("23", (401, 300), {**OPEN, "Compression": "ZIP"}, SEVERAL),
    Row("24", (200, 0), {**OPEN, "Compression": "ZIP"}, WITH_DROPPED, stored=WITH_DROPPED, counted="received"),
]


@pytest.fixture(scope="module", autouse=True)
def feeds(live: Live) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    make_feed("OPEN-FEED")
    make_feed("REJECT-FEED", status="Reject")
    make_feed("REJECT-RESTRICTED-FEED", status="Reject", allow=[DN])
    make_feed("REQUIRED-FEED", certificate_policy="required")
    make_feed("RESTRICTED-FEED", allow=[DN])
    make_feed("DROP-FEED", status="Drop")
    make_feed("DROP-REQUIRED-FEED", status="Drop", certificate_policy="required")
    make_rule(make_feed("DENY-FEED", allow=[DN]), DN, action="deny")
    make_rule(make_feed("REQUIRED-DENY-FEED", certificate_policy="required"), "CN=client-a", action="deny")
    make_rule(make_feed("EXPIRED-RULE-FEED", certificate_policy="restricted"), DN, expires=past)


@pytest.fixture(autouse=True)
def empty(live: Live) -> Iterator[None]:
    yield
    live.clear()


def check_answer(answer: Response, row: Row) -> None:
    assert answer.outcome == row.outcome
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert answer.body.endswith(b"\n")
    if row.outcome == (200, 0):
        assert len(answer.lines) == 1
        assert answer.header("stroom-error") is None
    else:
        assert answer.lines[0] == answer.header("stroom-error")
        assert answer.lines[0].startswith(f"Stroom Status {row.outcome[1]} - {MESSAGES[row.outcome[1]]}")


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("row", [*STEPS, *COMBINATIONS], ids=str)
def test_each_row_has_its_outcome_and_stores_what_it_should(
    live: Live, row: Row, chunked: bool, method: str
) -> None:
    headers = {**row.headers, **row.certificate}
    answer = live.send("/datafeed", headers, row.body, method=method, chunked=chunked, peer=PROXY)
    check_answer(answer, row)
    receipts = live.receipts()
    if row.stored is None:
        assert receipts == []
        assert live.files() == []
    else:
        assert [live.data(receipt) for receipt in receipts] == [row.stored]
        assert receipts[0].receipt_id == answer.lines[0]
        assert len(live.files()) == 2
    ((_, outcome, http, code),) = live.counts()
    assert (outcome, (http, code)) == (row.counted, row.outcome)


def test_step_10_names_the_other_feed(live: Live) -> None:
    answer = live.send("/datafeed", {**OPEN, "Compression": "ZIP"}, SEVERAL)
    assert answer.lines[0] == (
        "Stroom Status 300 - Client Certificate Required [Feed: RESTRICTED-FEED, Compression: ZIP]"
    )


def test_r18_a_group_of_a_drop_feed_is_marked(live: Live) -> None:
    live.send("/datafeed", {**OPEN, "Compression": "ZIP"}, WITH_DROPPED)
    (receipt,) = live.receipts()
    assert receipt.feed == "OPEN-FEED"
    assert {group["feed"]: group["dropped"] for group in receipt.groups} == {"DROP-FEED": True, "OPEN-FEED": False}
    assert dict(receipt.feed_links.values_list("feed", "dropped")) == {"DROP-FEED": True, "OPEN-FEED": False}


def test_r18_a_zip_whose_groups_are_all_dropped_is_not_stored(live: Live) -> None:
    all_dropped = zipped(("1.meta", "Feed:DROP-FEED"), ("1.dat", GOOD))
    answer = live.send("/datafeed", {"Feed": "OPEN-FEED", "Compression": "ZIP"}, all_dropped)
    assert answer.outcome == (200, 0)
    assert live.files() == []


def test_r18_a_zip_of_a_drop_feed_is_stored_when_a_group_receives(live: Live) -> None:
    mixed = zipped(("1.meta", "Feed:OPEN-FEED"), ("1.dat", GOOD), ("2.dat", b"x"))
    live.send("/datafeed", {"Feed": "DROP-FEED", "Compression": "ZIP"}, mixed)
    (receipt,) = live.receipts()
    assert (receipt.feed, live.data(receipt)) == ("DROP-FEED", mixed)


def test_of_several_failing_feeds_the_lowest_step_answers_and_then_the_name(live: Live) -> None:
    body = zipped(
        *((f"{number}.meta", f"Feed:{feed}") for number, feed in enumerate(["RESTRICTED-FEED", "ZZ-NO", "AA-NO"])),
        *((f"{number}.dat", b"x") for number in range(3)),
    )
    answer = live.send("/datafeed", {**OPEN, "Compression": "ZIP"}, body)
    assert answer.lines[0].startswith("Stroom Status 110 - Feed is not set to receive data [Feed: AA-NO,")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_row_25_a_full_disk_in_mid_upload_is_an_unknown_error(
    live: Live, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Part, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Part, "write", full)
    answer = live.send("/datafeed", OPEN, GOOD, chunked=chunked)
    assert answer.outcome == (500, 999)
    assert live.files() == []
    assert live.receipts() == []
    monkeypatch.undo()
    assert live.send("/datafeed", OPEN, GOOD, chunked=chunked).outcome == (200, 0)


@pytest.fixture(scope="module")
def limited(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with running(tmp_path_factory.mktemp("limited"), max_receipt_bytes=1000) as portal:
        yield portal


BOMB = gzip.compress(b"\0" * 5_000_000)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, b"x" * 1001, (413, 410)),
        ({}, b"x" * 1000, (200, 0)),
        ({"Compression": "GZIP"}, gzip.compress(b"x" * 1001), (413, 410)),
        ({"Compression": "GZIP"}, gzip.compress(b"x" * 1000), (200, 0)),
        ({"Compression": "GZIP"}, BOMB[:900], (413, 410)),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"x" * 1001), (413, 410)),
        ({"Compression": "ZIP"}, zipped(("1", b"x" * 600), ("2", b"x" * 401)), (413, 410)),
        ({"Compression": "ZIP"}, zipped(("1", b"x" * 600), ("2", b"x" * 400)), (200, 0)),
    ],
)
def test_row_26_the_limit_counts_wire_bytes_and_unpacked_bytes(
    limited: Live, headers: dict[str, str], body: bytes, expected: tuple[int, int], chunked: bool
) -> None:
    answer = limited.send("/datafeed", {**OPEN, **headers}, body, chunked=chunked)
    assert answer.outcome == expected
    assert len(limited.files()) == (2 if expected == (200, 0) else 0)
    limited.clear()


Patch = Callable[..., object]


def test_r06_below_the_free_space_mark_a_known_feed_is_told_to_wait_and_an_unknown_one_is_unknown(
    live: Live, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(tmp_path_factory.mktemp("full"), min_free_bytes=2**60) as full:
        answer = full.send("/datafeed", OPEN, GOOD)
        assert answer.outcome == (503, 999)
        assert 30 <= int(answer.header("retry-after") or 0) <= 90
        assert full.send("/datafeed", {"Feed": "NO-SUCH-FEED"}, GOOD).outcome == (406, 110)
        assert full.send("/datafeed", {}, GOOD).outcome == (406, 100)
        assert full.send("/readyz", method="GET").status == 503
        assert full.send("/livez", method="GET").status == 200


def test_free_space_is_looked_at_again_as_a_body_is_written(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "FREE_CHECK_STEP", 1000)
    looks: list[bool] = [False]
    monkeypatch.setattr(spool.SpaceMark, "is_low", lambda self: looks.pop() if looks else True)
    answer = live.send("/datafeed", OPEN, GOOD)
    assert answer.outcome == (503, 999)
    assert live.files() == []
