"""Receipts and refusals over REST: found by any feed, in pages that survive new arrivals, bytes as stored."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from feeds.models import HourlyCount, Receipt, ReceiptFeed, RefusalSample
from portal.models import AuditRecord
from tests.calls import VIEWER, Caller, anonymous, caller, problem_of, superuser
from tests.factories import DN, NOW, make_receipt
from tests.steps import steps_of_sqlite

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

DOWNLOADER = (*VIEWER, "feeds.download_receipt")


@pytest.fixture
def store(settings: Any, tmp_path: Path) -> Path:
    settings.STORE_DIR = tmp_path / "store"
    settings.STORE_DIR.mkdir()
    return settings.STORE_DIR


def ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [receipt["id"] for receipt in response.json()["results"]]


def test_a_receipt_tells_what_was_received() -> None:
    receipt = make_receipt(content=b"one\n", sender_dn=DN, compression="NONE", guid="g-1", feed_version=3)
    body = caller(*VIEWER).get(f"/api/v1/receipts/{receipt.receipt_id}/").json()
    assert body["id"] == receipt.receipt_id
    assert body["sha256"] == hashlib.sha256(b"one\n").hexdigest()
    assert body["received_at"] == "2026-02-24T18:10:27.192000Z"
    assert body["headers"]["Feed"] == "PAYROLL-PROD-EVENTS"
    assert body["content"] == f"http://testserver/api/v1/receipts/{receipt.receipt_id}/content"
    expected = {"feed": "PAYROLL-PROD-EVENTS", "feeds": ["PAYROLL-PROD-EVENTS"], "bytes": 4, "status": "stored"}
    expected |= {"stroom_status": 0, "sender_dn": DN, "remote_address": "192.0.2.7", "compression": "NONE"}
    expected |= {"feed_version": 3, "duplicate_of": None, "truncated": False, "recovered": False}
    assert {key: body[key] for key in expected} == expected


def test_a_sender_without_a_verified_certificate_is_null() -> None:
    receipt = make_receipt()
    assert caller(*VIEWER).get(f"/api/v1/receipts/{receipt.receipt_id}/").json()["sender_dn"] is None


def test_a_zip_is_found_by_any_of_its_feeds() -> None:
    receipt = make_receipt("FEED-A", compression="ZIP")
    ReceiptFeed.objects.create(receipt=receipt, feed="FEED-B")
    make_receipt("FEED-C")
    viewer = caller(*VIEWER)
    for feed in ["FEED-A", "FEED-B"]:
        found = viewer.get(f"/api/v1/receipts/?feed={feed}")
        assert ids(found) == [receipt.receipt_id]
        assert found.json()["results"][0]["feeds"] == ["FEED-A", "FEED-B"]
    assert ids(viewer.get("/api/v1/receipts/?feed=FEED-D")) == []


def test_pages_by_cursor_skip_and_repeat_nothing_while_data_arrives() -> None:
    made = [make_receipt(received_at=NOW + timedelta(seconds=number // 3)).receipt_id for number in range(10)]
    viewer = caller(*VIEWER)
    page = viewer.get("/api/v1/receipts/?limit=4").json()
    assert set(page) == {"next", "previous", "resume", "results"}
    assert page["previous"] is None
    seen = [receipt["id"] for receipt in page["results"]]
    while page["next"]:
        make_receipt(received_at=NOW + timedelta(days=1))
        page = viewer.get(page["next"].removeprefix("http://testserver")).json()
        seen += [receipt["id"] for receipt in page["results"]]
    assert seen == made[::-1]
    back = viewer.get(page["previous"].removeprefix("http://testserver")).json()
    assert [receipt["id"] for receipt in back["results"]] == made[::-1][4:8]


def test_pages_go_back_to_the_first_and_say_so() -> None:
    made = [make_receipt().receipt_id for _ in range(5)]
    viewer = caller(*VIEWER)
    url = "/api/v1/receipts/?limit=2&ordering=received_at"
    pages = []
    while url:
        pages.append(viewer.get(url.removeprefix("http://testserver")))
        url = pages[-1].json()["next"]
    assert [ids(page) for page in pages] == [made[0:2], made[2:4], made[4:5]]
    assert 'rel="next"' in pages[0]["Link"]
    second = viewer.get(pages[2].json()["previous"].removeprefix("http://testserver"))
    assert ids(second) == made[2:4]
    first = viewer.get(second.json()["previous"].removeprefix("http://testserver"))
    assert ids(first) == made[0:2]
    assert first.json()["previous"] is None
    assert first.json()["next"] is not None


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("offset=1", "offset"),
        ("colour=red", "colour"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=WzAsICItcmVjZWl2ZWRfYXQiLCAiMjAyNiIsIDFd", "cursor"),
        ("cursor=bnVsbA", "cursor"),
        ("cursor=W1swXSwgIi1yZWNlaXZlZF9hdCIsIDVd", "cursor"),  # [[0], "-received_at", 5]
        ("cursor=" + "A" * 300, "cursor"),
        ("cursor=%C3%A4", "cursor"),
        ("ordering=bytes", "ordering"),
        ("ordering=received_at,bytes", "ordering"),
        ("limit=0", "limit"),
        ("since=yesterday", "since"),
        ("since=1796077925", "since"),
        ("since=1796077925000", "since"),
        ("until=1796077925.5", "until"),
        ("until=-1", "until"),
        ("since=20260224", "since"),
        ("since=99999-01-01", "since"),
        ("status=lost", "status"),
        ("stroom_status=1000", "stroom_status"),
        ("stroom_status=x", "stroom_status"),
        ("compression=RAR", "compression"),
        ("duplicate=1", "duplicate"),
        ("sha256=" + "a" * 65, "sha256"),
        ("fields=id,path", "fields"),
    ],
)
def test_a_query_that_cannot_be_used_is_named(query: str, parameter: str) -> None:
    problem = problem_of(caller(*VIEWER).get(f"/api/v1/receipts/?{query}"), 400)
    assert [error["parameter"] for error in problem["errors"]] == [parameter]


def test_a_cursor_belongs_to_its_ordering() -> None:
    for _ in range(3):
        make_receipt()
    viewer = caller(*VIEWER)
    after = viewer.get("/api/v1/receipts/?limit=1").json()["next"].removeprefix("http://testserver")
    problem_of(viewer.get(f"{after}&ordering=received_at"), 400)


def test_receipts_are_narrowed() -> None:
    old = make_receipt(received_at=NOW - timedelta(days=2), status="failed", guid="g-1")
    new = make_receipt("FEED-B", content=b"other", sender_dn=DN, compression="GZIP", duplicate_of="x")
    viewer = caller(*VIEWER)
    for query, expected in [
        ("since=2026-02-24T00:00:00Z", [new]),
        ("until=2026-02-24", [old]),
        ("since=2026-02-22T18:10:27.192Z&until=2026-02-24T18:10:27.192%2B00:00", [old]),
        ("status=failed", [old]),
        ("stroom_status=0", [new, old]),
        ("stroom_status=110", []),
        (f"sender_dn={DN.replace(',', '%2C')}", [new]),
        (f"sha256={new.sha256}", [new]),
        (f"id={old.receipt_id}", [old]),
        ("guid=g-1", [old]),
        ("compression=GZIP", [new]),
        ("duplicate=true", [new]),
        ("duplicate=false", [old]),
        ("remote_address=192.0.2.7", [new, old]),
        ("recovered=true", []),
    ]:
        assert ids(viewer.get(f"/api/v1/receipts/?{query}")) == [r.receipt_id for r in expected], query


def test_csv_has_all_receipts_in_order() -> None:
    made = [make_receipt(headers={"Feed": "X", "System": "=1+1"}).receipt_id for _ in range(120)]
    viewer = caller(*VIEWER)
    response = viewer.get("/api/v1/receipts/?format=csv&fields=id&ordering=received_at")
    lines = b"".join(response.streaming_content).decode().splitlines()
    assert lines == ["id", *made]
    whole = b"".join(viewer.get("/api/v1/receipts/?format=csv").streaming_content).decode()
    assert '"{""Feed"": ""X"", ""System"": ""=1+1""}"' in whole


@pytest.mark.parametrize("count", [1, 50])
def test_a_list_takes_the_same_queries_however_long(count: int, django_assert_num_queries: Any) -> None:
    for _ in range(count):
        make_receipt()
    viewer = caller(*VIEWER)
    viewer.get("/api/v1/receipts/")
    # token with its user; own and group permissions; the page; its feeds
    with django_assert_num_queries(5):
        assert len(ids(viewer.get("/api/v1/receipts/"))) == count


# --- content ---


def test_content_is_what_was_stored_and_never_shown(store: Path) -> None:
    data = b"<script>alert(1)</script>\n" * 1000
    receipt = make_receipt(content=data, compression="GZIP")
    path = store / receipt.path
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    response = caller(*DOWNLOADER).get(f"/api/v1/receipts/{receipt.receipt_id}/content")
    assert response.status_code == 200
    assert b"".join(response.streaming_content) == data
    assert response["Content-Length"] == str(receipt.bytes)
    assert response["Content-Disposition"] == f'attachment; filename="{receipt.receipt_id}.gz"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Cache-Control"].startswith("private")


def test_conditions_on_content_are_answered_as_everywhere(store: Path) -> None:
    receipt = make_receipt(content=b"some data\n")
    (store / receipt.path).parent.mkdir(parents=True)
    (store / receipt.path).write_bytes(b"some data\n")
    who, path = caller(*DOWNLOADER), f"/api/v1/receipts/{receipt.receipt_id}/content"
    tag = f'"{receipt.sha256}"'
    unchanged = who.get(path, If_None_Match=tag)
    assert (unchanged.status_code, unchanged["ETag"], unchanged.content) == (304, tag, b"")
    problem_of(who.get(path, If_Match='"x"'), 412)
    head = who.call("HEAD", path)
    assert (head.status_code, head["ETag"], head["Content-Length"]) == (200, tag, "10")
    assert not AuditRecord.objects.filter(action="downloaded").exists()
    assert b"".join(who.get(path, If_Match=tag).streaming_content) == b"some data\n"
    assert AuditRecord.objects.filter(action="downloaded").count() == 1


def test_any_accept_header_gets_the_content(store: Path) -> None:
    receipt = make_receipt()
    (store / receipt.path).parent.mkdir(parents=True)
    (store / receipt.path).write_bytes(b"some data\n")
    for accept in ["*/*", "text/plain", "application/json", "image/png"]:
        response = caller(*DOWNLOADER).get(f"/api/v1/receipts/{receipt.receipt_id}/content", Accept=accept)
        assert b"".join(response.streaming_content) == b"some data\n", accept


def test_s31_content_needs_its_own_permission(store: Path) -> None:
    receipt = make_receipt()
    path = f"/api/v1/receipts/{receipt.receipt_id}/content"
    problem_of(anonymous().get(path), 401)
    problem_of(caller(*VIEWER).get(path), 403)
    problem_of(caller("feeds.download_receipt").get(path), 403)


def test_a_missing_file_is_told_without_its_path(store: Path) -> None:
    receipt = make_receipt()
    body = problem_of(superuser().get(f"/api/v1/receipts/{receipt.receipt_id}/content"), 404)
    assert "missing" in body["detail"]
    assert receipt.path not in body["detail"]


def test_a_path_outside_the_store_is_never_opened(store: Path) -> None:
    (store.parent / "secret").write_text("x")
    for path in ["../secret", str(store.parent / "secret")]:
        receipt = make_receipt(path=path)
        problem_of(superuser().get(f"/api/v1/receipts/{receipt.receipt_id}/content"), 404)


@pytest.mark.parametrize("path", ["no-such", "%00", "a%0Ab"])
def test_an_unknown_receipt_is_404(path: str) -> None:
    problem_of(superuser().get(f"/api/v1/receipts/{path}/"), 404)
    problem_of(superuser().get(f"/api/v1/receipts/{path}/content"), 404)


# --- refusals ---


def make_count(feed: str = "FEED-A", hours_ago: int = 0, **fields: object) -> HourlyCount:
    hour = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    defaults: dict[str, object] = {"outcome": "refused", "http_status": 406, "stroom_status": 110, "count": 7}
    return HourlyCount.objects.create(feed=feed, hour=hour, **{**defaults, **fields})


def make_sample(feed: str = "FEED-A", minutes: int = 0, **fields: object) -> RefusalSample:
    defaults: dict[str, object] = {
        "http_status": 406,
        "stroom_status": 110,
        "receipt_id": f"sample-{minutes}",
        "headers": {"Feed": feed},
        "trace": [{"step": 1, "outcome": "pass", "explanation": "named"}],
    }
    return RefusalSample.objects.create(feed=feed, at=NOW + timedelta(minutes=minutes), **{**defaults, **fields})


def test_refusals_are_counted_by_feed_code_and_hour_with_examples() -> None:
    make_count(count=1000)
    make_count(hours_ago=1)
    make_count("FEED-B", http_status=401, stroom_status=300)
    make_count("FEED-C", outcome="received", http_status=200, stroom_status=0)
    for minutes in range(5):
        make_sample(minutes=minutes)
    make_sample("FEED-B", stroom_status=310, http_status=403)
    reader = caller(*VIEWER, "feeds.view_refusalsample")
    body = reader.get("/api/v1/rejections/").json()
    assert body["count"] == 3
    first, other, older = body["results"]
    assert (first["feed"], first["count"], first["stroom_status"]) == ("FEED-A", 1000, 110)
    assert [sample["receipt_id"] for sample in first["samples"]] == ["sample-4", "sample-3", "sample-2"]
    assert first["samples"][0]["trace"] == [{"step": 1, "outcome": "pass", "explanation": "named"}]
    assert (other["feed"], other["samples"]) == ("FEED-B", [])
    assert older["samples"] == []


def test_examples_need_their_own_permission() -> None:
    make_count()
    make_sample()
    assert caller(*VIEWER).get("/api/v1/rejections/").json()["results"][0]["samples"] == []


def test_refusals_are_narrowed() -> None:
    make_count(count=1)
    make_count("FEED-B", hours_ago=30, http_status=401, stroom_status=300, count=2)
    make_count("FEED-X", known=False, count=3)
    viewer = caller(*VIEWER)
    for query, expected in [
        ("feed=FEED-B", [2]),
        ("since=2026-02-24T18:00:00Z", [1, 3]),
        ("until=2026-02-24", [2]),
        ("stroom_status=300", [2]),
        ("http_status=406", [1, 3]),
        ("known=false", [3]),
        ("ordering=-count", [3, 2, 1]),
    ]:
        found = viewer.get(f"/api/v1/rejections/?{query}").json()["results"]
        assert [row["count"] for row in found] == expected, query


@pytest.mark.parametrize("count", [1, 50])
def test_refusals_take_the_same_queries_however_many(count: int, django_assert_num_queries: Any) -> None:
    for number in range(count):
        make_count(f"FEED-{number}")
        make_sample(f"FEED-{number}")
    reader = caller(*VIEWER, "feeds.view_refusalsample")
    reader.get("/api/v1/rejections/")
    # token with its user; own and group permissions; count; the page; the samples
    with django_assert_num_queries(6):
        reader.get("/api/v1/rejections/")


def test_without_a_token_or_right_nothing_is_told() -> None:
    for path in ["/api/v1/receipts/", "/api/v1/rejections/", "/api/v1/receipts/x/"]:
        problem_of(anonymous().get(path), 401)
        problem_of(Caller(caller().user).get(path), 403)


# --- however many there are ---


def make_many(first: int, last: int) -> None:
    """Receipts number `first` to `last` of eight feeds, one a second."""
    receipts = [
        Receipt(
            receipt_id=f"{1771956627192 + number}_{number % 10000:04}_P_test-1",
            feed=f"FEED-{number % 8}",
            received_at=NOW + timedelta(seconds=number),
            bytes=1,
            sha256=f"{number:064x}",
            path=f"x/{number}",
            guid=f"g-{number}",
        )
        for number in range(first, last)
    ]
    made = Receipt.objects.bulk_create(receipts)
    ReceiptFeed.objects.bulk_create(ReceiptFeed(receipt=receipt, feed=receipt.feed) for receipt in made)


def work_of(viewer: Caller, query: str) -> int:
    """What the database does for an answer, in thousands of its steps."""
    with steps_of_sqlite(1000) as steps:
        assert viewer.get(f"/api/v1/receipts/{query}").status_code == 200
    return steps.taken


QUERIES = [
    "",
    "?limit=1000",
    "?feed=FEED-3",
    "?feed=NO-SUCH",
    "?feed=FEED-3&status=failed",
    "?status=failed",
    "?stroom_status=110",
    "?sender_dn=CN%3Dnobody",
    "?remote_address=10.0.0.1",
    "?compression=ZIP",
    "?duplicate=true",
    "?recovered=true",
    "?truncated=true",
    "?guid=g-17",
    "?id=no-such",
    "?ordering=received_at",
    "?feed=FEED-3&ordering=received_at",
    f"?sha256={17:064x}",
]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="counts the steps of SQLite")
def test_s27_ten_times_as_many_receipts_are_hardly_more_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.rest.pagination.LOOKED_THROUGH", 800)
    viewer = caller(*VIEWER)
    make_many(0, 1_000)
    few = {query: work_of(viewer, query) for query in QUERIES}
    make_many(1_000, 10_000)
    many = {query: work_of(viewer, query) for query in QUERIES}
    assert {query: (few[query], many[query]) for query in QUERIES if many[query] > 1.5 * few[query] + 3} == {}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="counts the steps of SQLite")
def test_s27_a_range_of_time_is_found_along_its_index() -> None:
    viewer = caller(*VIEWER)
    make_many(0, 10_000)
    since = (NOW + timedelta(seconds=5_000)).isoformat().replace("+00:00", "Z")
    until = (NOW + timedelta(seconds=5_010)).isoformat().replace("+00:00", "Z")
    assert work_of(viewer, f"?since={since}&until={until}") <= work_of(viewer, "") + 2
    # From one end only, the index is read to the other end, and nothing of the table: about ten steps for each row.
    assert work_of(viewer, f"?until={since}") <= 100
    assert work_of(viewer, f"?feed=FEED-3&until={since}&status=failed") <= 150


def test_s27_what_no_index_helps_is_looked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.rest.pagination.LOOKED_THROUGH", 100)
    make_many(0, 450)
    wanted = [Receipt.objects.order_by("pk")[place] for place in (3, 4, 260, 449)]
    Receipt.objects.filter(pk__in=[receipt.pk for receipt in wanted]).update(status="failed")
    viewer = caller(*VIEWER)
    url, pages = "/api/v1/receipts/?status=failed&limit=2", []
    while url:
        page = viewer.get(url.removeprefix("http://testserver")).json()
        pages.append([receipt["id"] for receipt in page["results"]])
        url = page["next"]
    assert [found for page in pages for found in page] == [receipt.receipt_id for receipt in wanted[::-1]]
    assert [] in pages
    assert len(pages) <= 6
    back = [page for page in [page["previous"]] if page]
    seen = pages[-1]
    while back:
        page = viewer.get(back[0].removeprefix("http://testserver")).json()
        seen = [receipt["id"] for receipt in page["results"]] + seen
        back = [page["previous"]] if page["previous"] else []
    assert seen == [receipt.receipt_id for receipt in wanted[::-1]]


def test_s27_refusals_are_not_skipped_without_end() -> None:
    viewer = caller(*VIEWER)
    assert viewer.get("/api/v1/rejections/?offset=100000").status_code == 200
    fault = problem_of(viewer.get("/api/v1/rejections/?offset=100001"), 400)["errors"][0]
    assert (fault["parameter"], "100000" in fault["detail"]) == ("offset", True)
