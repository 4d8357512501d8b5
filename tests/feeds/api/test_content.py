"""Content of a receipt in parts: ranges, If-Range, 416, the digest of the whole, and what is audited."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from feeds.models import Receipt
from portal.models import AuditRecord
from portal.rest.ranges import ByteRange, RangeNotSatisfiable, asked_range
from tests.calls import VIEWER, Caller, caller, problem_of
from tests.factories import make_receipt

pytestmark = [pytest.mark.django_db]
DOWNLOADER = (*VIEWER, "feeds.download_receipt")
DATA = bytes(range(256)) * 40
TAG = f'"{hashlib.sha256(DATA).hexdigest()}"'


@pytest.fixture
def receipt(settings: Any, tmp_path: Path) -> Receipt:
    settings.STORE_DIR = tmp_path
    made = make_receipt(content=DATA)
    path = tmp_path / made.path
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    return made


def fetch(who: Caller, receipt: Receipt, **headers: str) -> tuple[Any, bytes]:
    response = who.get(f"/api/v1/receipts/{receipt.receipt_id}/content", **headers)
    return response, b"".join(response.streaming_content)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=10000-", 10000, len(DATA) - 1),
        ("bytes=10000-99999999", 10000, len(DATA) - 1),
        ("bytes=-10", len(DATA) - 10, len(DATA) - 1),
        ("bytes=-99999999", 0, len(DATA) - 1),
    ],
)
def test_a_range_is_206_with_its_place(receipt: Receipt, asked: str, first: int, last: int) -> None:
    response, data = fetch(caller(*DOWNLOADER), receipt, Range=asked)
    assert response.status_code == 206
    assert data == DATA[first : last + 1]
    assert response["Content-Range"] == f"bytes {first}-{last}/{len(DATA)}"
    assert response["Content-Length"] == str(len(data))
    assert response["ETag"] == TAG


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=5-2", "bytes=x-", "bytes=-", "0-5"])
def test_what_is_no_single_range_of_bytes_gets_the_whole(receipt: Receipt, asked: str) -> None:
    response, data = fetch(caller(*DOWNLOADER), receipt, Range=asked)
    assert (response.status_code, data) == (200, DATA)


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=99999999-", "bytes=-0"])
def test_a_range_behind_the_end_is_416_with_the_size(receipt: Receipt, asked: str) -> None:
    response = caller(*DOWNLOADER).get(f"/api/v1/receipts/{receipt.receipt_id}/content", Range=asked)
    assert problem_of(response, 416)["code"] == "range_not_satisfiable"
    assert response["Content-Range"] == f"bytes */{len(DATA)}"


def test_if_range_resumes_only_the_same_data(receipt: Receipt) -> None:
    who = caller(*DOWNLOADER)
    response, data = fetch(who, receipt, Range="bytes=500-", If_Range=TAG)
    assert (response.status_code, data) == (206, DATA[500:])
    for other in ('"another"', f"W/{TAG}", "Tue, 01 Dec 2026 00:00:00 GMT"):
        response, data = fetch(who, receipt, Range="bytes=500-", If_Range=other)
        assert (response.status_code, data) == (200, DATA), other


def test_a_broken_download_is_resumed_to_the_same_bytes(receipt: Receipt) -> None:
    who = caller(*DOWNLOADER)
    _, begun = fetch(who, receipt, Range="bytes=0-4095")
    _, rest = fetch(who, receipt, Range=f"bytes={len(begun)}-", If_Range=TAG)
    assert begun + rest == DATA


def test_each_answer_has_the_digest_of_the_whole_and_offers_ranges(receipt: Receipt) -> None:
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    who = caller(*DOWNLOADER)
    path = f"/api/v1/receipts/{receipt.receipt_id}/content"
    for response in (fetch(who, receipt)[0], fetch(who, receipt, Range="bytes=0-9")[0], who.call("HEAD", path)):
        assert response["Repr-Digest"] == f"sha-256=:{digest}:"
        assert response["Accept-Ranges"] == "bytes"


def test_range_means_nothing_to_head_and_an_unchanged_copy_is_304(receipt: Receipt) -> None:
    who = caller(*DOWNLOADER)
    path = f"/api/v1/receipts/{receipt.receipt_id}/content"
    head = who.call("HEAD", path, headers={"Range": "bytes=0-9"})
    assert (head.status_code, head["Content-Length"]) == (200, str(len(DATA)))
    assert who.get(path, Range="bytes=0-9", If_None_Match=TAG).status_code == 304


def test_s31_each_part_is_audited_with_its_range(receipt: Receipt) -> None:
    who = caller(*DOWNLOADER)
    fetch(who, receipt, Range="bytes=0-9")
    fetch(who, receipt)
    assert next(
        entry.new
        for entry in AuditRecord.objects.filter(action="downloaded", key=receipt.receipt_id).order_by("number")
    ) == ('{"range": "0-9"}')


def test_empty_data_has_no_part() -> None:
    assert asked_range("bytes=0-", None, state={'"x"'}, size=10) == ByteRange(0, 9)
    for asked in ("bytes=0-", "bytes=-5"):
        with pytest.raises(RangeNotSatisfiable):
            asked_range(asked, None, state={'"x"'}, size=0)
