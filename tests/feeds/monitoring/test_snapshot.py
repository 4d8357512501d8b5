"""Figures for Prometheus in addition to the counts: what is stored, quiet feeds, ending rules, free room."""

import fcntl
import json
import time
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from django.contrib import admin
from django.db import connection
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext

from feeds.admin import listing
from feeds.admin.listing import with_figures
from feeds.models import Feed, HourlyCount, ReceiptFeed
from feeds.monitoring import snapshot as module
from feeds.monitoring.figures import start_of_hour
from feeds.monitoring.metrics import prepare_folder
from feeds.monitoring.overview import went_quiet
from feeds.monitoring.snapshot import (
    FILE,
    FRESH_SECONDS,
    FeedSnapshot,
    Holdings,
    SnapshotCollector,
    SnapshotKeeper,
    last_holdings,
    read_standing,
    shared_standing,
)
from feeds.store.spool import SpaceMark
from portal.database.threads import Unavailable
from tests.factories import NOW, make_feed, make_receipt, make_rule
from tests.feeds.monitoring.test_metrics import samples

pytestmark = pytest.mark.django_db(transaction=True)


def ago(**how: float) -> dict[str, object]:
    return {"received_at": NOW - timedelta(**how)}


def test_receipts_and_feeds_are_counted() -> None:
    make_feed("OPEN-FEED")
    make_feed("DROP-FEED", status="Drop")
    make_receipt("OPEN-FEED", content=b"x" * 100)
    make_receipt("GONE-FEED", content=b"x" * 50)
    found = read_standing(NOW, 10)
    assert (found.receipts, found.stored_bytes) == (2, 150)
    assert found.feeds == {"Receive": 1, "Reject": 0, "Drop": 1}


def test_an_empty_portal_has_figures_too() -> None:
    assert read_standing(NOW, 10) == FeedSnapshot(
        0,
        0,
        {"Receive": 0, "Reject": 0, "Drop": 0},
        0,
        None,
        0,
        by_status={"stored": 0, "forwarding": 0, "forwarded": 0, "failed": 0},
    )


def arrived(feed: str, *, outcome: str = "received", **ago_: float) -> None:
    """Count one delivery so long before NOW."""
    hour = start_of_hour(NOW - timedelta(**ago_))
    HourlyCount.objects.create(feed=feed, hour=hour, outcome=outcome, count=1, http_status=200, stroom_status=0)


def test_latest_receipts_are_those_of_open_feeds() -> None:
    for name, status in (("NOW-FEED", "Receive"), ("OLD-FEED", "Receive"), ("SHUT", "Reject")):
        make_feed(name, status=status)
    make_receipt("NOW-FEED", **ago(days=3))
    make_receipt("NOW-FEED", **ago(minutes=1))
    make_receipt("OLD-FEED", **ago(days=8))
    make_receipt("SHUT", **ago(hours=25))
    make_receipt("UNKNOWN", **ago(hours=25))
    assert read_standing(NOW, 10).received == {
        "NOW-FEED": (NOW - timedelta(minutes=1)).timestamp(),
        "OLD-FEED": (NOW - timedelta(days=8)).timestamp(),
    }


def test_the_page_the_filter_the_gauge_and_the_series_of_the_alert_name_the_same_feeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cases = {"BUSY": ("Receive", 1), "STOPPED": ("Receive", 40), "DROPPING": ("Drop", 40), "GONE": ("Receive", 400)}
    for name, (status, hours) in {**cases, "SHUT": ("Reject", 40)}.items():
        make_feed(name, status=status)
        arrived(name, outcome="dropped" if status == "Drop" else "received", hours=hours)
    make_feed("NEVER")
    monkeypatch.setattr(listing, "datetime", Mock(now=lambda _zone: NOW))
    stopped = {"STOPPED", "DROPPING"}
    found = read_standing(NOW, 10)
    assert {feed.name for feed in went_quiet(NOW)} == set(found.stopped) == stopped
    assert found.quiet == len(stopped)
    selected = listing.QuietFilter(HttpRequest(), {"quiet": ["stopped"]}, Feed, admin.site._registry[Feed])  # type: ignore[dict-item]
    assert {feed.name for feed in selected.queryset(HttpRequest(), Feed.objects.all()) or ()} == stopped


def test_what_was_dropped_is_no_receipt_of_a_feed() -> None:
    make_feed("PART-FEED")
    receipt = make_receipt("OTHER")
    ReceiptFeed.objects.create(receipt=receipt, feed="PART-FEED", dropped=True)
    assert read_standing(NOW, 10).received == {}


@pytest.mark.parametrize("most", [0, 2])
def test_of_many_feeds_those_that_received_last_are_named_and_all_are_judged(most: int) -> None:
    for number in range(5):
        make_feed(f"FEED-{number}")
        make_receipt(f"FEED-{number}", **ago(hours=30 + number))
        arrived(f"FEED-{number}", hours=30 + number)
    found = read_standing(NOW, most)
    assert list(found.received) == list(found.stopped) == ["FEED-0", "FEED-1"][:most]
    assert found.quiet == 5


def test_beyond_a_limit_nobody_looks_for_latest_receipts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OPEN_FEEDS", 1)
    make_feed("FEED-A")
    make_receipt("FEED-A")
    assert read_standing(NOW, 10).received
    make_feed("FEED-B")
    found = read_standing(NOW, 10)
    assert (found.quiet, found.received) == (None, {})
    assert found.receipts == 1


def test_only_allow_rules_end() -> None:
    feed = make_feed("FEED-A")
    make_rule(feed, "CN=a", expires=NOW + timedelta(days=20))
    make_rule(feed, "CN=b", expires=NOW + timedelta(days=5))
    make_rule(feed, "CN=c", expires=NOW + timedelta(days=31))
    make_rule(feed, "CN=d", expires=NOW - timedelta(days=1))
    make_rule(feed, "CN=e", expires=NOW + timedelta(days=1), action="deny")
    found = read_standing(NOW, 10)
    assert found.rules_ending == 2
    assert found.next_rule_end == (NOW + timedelta(days=5)).timestamp()


def test_the_number_of_queries_does_not_depend_on_the_number_of_feeds() -> None:
    counts = []
    for number in (1, 30):
        for index in range(number):
            make_receipt(make_feed(f"FEED-{number}-{index}").name)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            read_standing(NOW, 500)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 7


# --- shared between workers ---


def a_standing(receipts: int) -> FeedSnapshot:
    return FeedSnapshot(receipts, 0, {}, 0, None, 0, {"FEED": 1.5})


def test_one_reading_serves_every_worker_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    readings: list[int] = []

    def read() -> FeedSnapshot:
        readings.append(len(readings))
        return a_standing(len(readings))

    assert shared_standing(tmp_path, read) == a_standing(1)
    clock[0] += FRESH_SECONDS - 1
    assert shared_standing(tmp_path, read) == a_standing(1)
    clock[0] += 2
    assert shared_standing(tmp_path, read) == a_standing(2)
    clock[0] -= 500  # the clock was set back
    assert shared_standing(tmp_path, read) == a_standing(3)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"at": "x"}', '{"at": 1e99, "unknown": 1}', "\0"])
def test_a_file_that_cannot_be_used_is_written_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert shared_standing(tmp_path, lambda: a_standing(4)) == a_standing(4)
    assert json.loads((tmp_path / FILE).read_text())["receipts"] == 4


def test_a_failed_reading_is_not_kept(tmp_path: Path) -> None:
    def fail() -> FeedSnapshot:
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        shared_standing(tmp_path, fail)
    assert shared_standing(tmp_path, lambda: a_standing(1)) == a_standing(1)


# --- had ready ---


def test_a_keeper_has_the_figures_ready_and_counts_what_retention_left(tmp_path: Path) -> None:
    keeper = SnapshotKeeper(tmp_path, most_feeds=10)
    assert last_holdings(tmp_path) is None
    first = make_receipt("OPEN-FEED", content=b"x" * 100)
    make_receipt("OPEN-FEED", content=b"x" * 50)
    keeper.look()
    found = last_holdings(tmp_path)
    assert found is not None
    assert (found.receipts, found.bytes) == (2, 150)
    first.delete()
    (tmp_path / FILE).unlink()  # as if a minute had gone by
    keeper.look()
    found = last_holdings(tmp_path)
    assert found is not None
    assert (found.receipts, found.bytes) == (1, 50)


def test_a_figure_says_how_old_it_is_and_is_read_while_somebody_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", NOW.timestamp)
    shared_standing(tmp_path, lambda: a_standing(7))
    seen: list[Holdings | None] = []

    def read() -> FeedSnapshot:
        seen.append(last_holdings(tmp_path))
        return a_standing(8)

    monkeypatch.setattr(time, "time", lambda: NOW.timestamp() + FRESH_SECONDS)
    shared_standing(tmp_path, read)
    assert seen == [Holdings(7, 0, NOW)]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"at": "x"}', '{"receipts": 1, "stored_bytes": 1, "at": 1e99}']
)
def test_a_file_that_cannot_be_used_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert last_holdings(tmp_path) is None


def test_a_keeper_lives_on_without_the_database_and_tells_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> FeedSnapshot:
        raise Unavailable("gone")

    monkeypatch.setattr(module, "read_standing", fail)
    keeper = SnapshotKeeper(tmp_path, most_feeds=10)
    keeper.look()
    keeper.look()
    assert caplog.text.count("cannot be read") == 1
    assert last_holdings(tmp_path) is None


def test_a_running_keeper_looks_at_once_and_ends_when_asked(tmp_path: Path) -> None:
    make_receipt("OPEN-FEED", content=b"x" * 100)
    keeper = SnapshotKeeper(tmp_path, most_feeds=10)
    keeper.start()
    deadline = time.monotonic() + 30
    while last_holdings(tmp_path) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    keeper.stop()
    found = last_holdings(tmp_path)
    assert found is not None
    assert found.bytes == 100
    assert not keeper.is_alive()


# --- as Prometheus sees them ---


@pytest.fixture
def collector(tmp_path: Path) -> SnapshotCollector:
    prepare_folder(tmp_path / "metrics")
    return SnapshotCollector(tmp_path / "metrics", SpaceMark(tmp_path, 12_345), most_feeds=10)


def test_the_figures_are_shown(collector: SnapshotCollector) -> None:
    make_receipt(make_feed("OPEN-FEED").name, content=b"123")
    found = samples(collector)
    assert found["store_receipts", ()] == 1
    assert found["store_bytes", ()] == 3
    assert found["feeds", (("status", "Receive"),)] == 1
    assert found["feed_last_receipt_timestamp_seconds", (("feed", "OPEN-FEED"),)] == NOW.timestamp()
    assert found["store_disk_mark_bytes", ()] == 12_345
    assert 0 < found["store_disk_free_bytes", ()] <= found["store_disk_size_bytes", ()]
    assert ("certificate_rule_next_end_timestamp_seconds", ()) not in found


def test_without_the_database_there_are_no_old_figures(
    collector: SnapshotCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> FeedSnapshot:
        raise Unavailable("gone")

    monkeypatch.setattr(module, "read_standing", fail)
    assert {name for name, _ in samples(collector)} == {
        "store_disk_size_bytes",
        "store_disk_free_bytes",
        "store_disk_mark_bytes",
    }


def test_without_its_folder_it_still_tells_of_the_disk(tmp_path: Path) -> None:
    found = samples(SnapshotCollector(tmp_path / "gone", SpaceMark(tmp_path, 1), most_feeds=1))
    assert ("store_disk_free_bytes", ()) in found
    assert ("store_receipts", ()) not in found


def test_names_that_no_feed_has_never_appear(collector: SnapshotCollector) -> None:
    make_receipt("NEVER-A-FEED")
    assert not Feed.objects.exists()
    assert not [key for key in samples(collector) if key[0] == "feed_last_receipt_timestamp_seconds"]


def test_the_list_of_the_admin_shows_the_latest_receipt_of_several() -> None:
    make_feed("FEED-A")
    make_receipt("FEED-A", **ago(days=3))
    make_receipt("FEED-A", **ago(minutes=1))
    (feed,) = with_figures(Feed.objects.all(), NOW)
    assert feed.last_received == NOW - timedelta(minutes=1)  # type: ignore[attr-defined]


def test_a_worker_that_is_stopped_while_it_reads_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.05)
    with (tmp_path / module.LOCK).open("ab") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another worker"):
            shared_standing(tmp_path, lambda: read_standing(NOW, 10))
    assert shared_standing(tmp_path, lambda: read_standing(NOW, 10)).receipts == 0
