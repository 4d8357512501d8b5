"""Counts survive a database that is away, and health tells the truth quickly (R5, R13, R26, R27)."""

import errno
import logging
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import OperationalError

from feeds.models import HourlyCount, Outcome, RefusalSample
from feeds.monitoring import counts as counting
from feeds.monitoring import health
from feeds.monitoring.counts import CountWriter, DeliveryCounts, Sample, Tally, tally_of
from feeds.monitoring.health import HealthMonitor
from feeds.store.spool import SpaceMark
from portal import repeated
from portal.database.threads import Unavailable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

NOW = datetime(2026, 2, 24, 18, 10, 27, tzinfo=UTC)


def refused(feed: str = "FEED", *, code: int = 110, known: bool = True, at: datetime = NOW) -> Tally:
    return tally_of(at, feed, Outcome.REFUSED, http_status=406, stroom_status=code, known=known)


def sample(feed: str = "FEED", code: int = 110, at: datetime = NOW) -> Sample:
    return Sample(at, feed, 406, code, "id", "192.0.2.1", "", {"Feed": feed}, [])


def totals() -> dict[tuple[str, int], int]:
    return {(row.feed, row.stroom_status): row.count for row in HourlyCount.objects.all()}


def test_counts_of_several_flushes_and_workers_add_up() -> None:
    first, second = DeliveryCounts(), DeliveryCounts()
    for _ in range(3):
        first.add(refused())
        second.add(refused())
        first.flush()
        second.flush()
    received = tally_of(NOW, "FEED", Outcome.RECEIVED, http_status=200, stroom_status=0, known=True)
    first.add(received, 1000)
    first.add(received, 500)
    first.flush()
    assert totals() == {("FEED", 110): 6, ("FEED", 0): 2}
    row = HourlyCount.objects.get(stroom_status=0)
    assert (row.bytes, row.hour) == (1500, datetime(2026, 2, 24, 18, tzinfo=UTC))


def test_nothing_is_lost_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = DeliveryCounts()
    counts.add(refused(), sample=sample)
    with monkeypatch.context() as patch:

        def locked(*_: object) -> None:
            raise OperationalError("database is locked")

        patch.setattr(counting, "_add_to_row", locked)
        with pytest.raises(Unavailable):
            counts.flush()
    counts.add(refused(), sample=sample)
    counts.flush()
    counts.flush()
    assert totals() == {("FEED", 110): 2}
    assert RefusalSample.objects.count() == 2


def test_r26_names_without_a_feed_are_capped_and_known_ones_are_not() -> None:
    counts = DeliveryCounts()
    for number in range(1000):
        counts.add(refused(f"MADE-UP-{number}", known=False))
        counts.add(refused(f"REAL-{number}"))
    counts.flush()
    assert HourlyCount.objects.filter(known=False).count() == counting.MAX_UNKNOWN_NAMES + 1
    assert totals()[counting.OTHER_NAMES, 110] == 1000 - counting.MAX_UNKNOWN_NAMES
    assert HourlyCount.objects.filter(known=True).count() == 1000


def test_r26_a_new_hour_begins_with_new_room() -> None:
    counts = DeliveryCounts()
    for hour in range(3):
        for number in range(200):
            counts.add(refused(f"MADE-UP-{number}", known=False, at=NOW + timedelta(hours=hour)))
    counts.flush()
    assert HourlyCount.objects.count() == 3 * (counting.MAX_UNKNOWN_NAMES + 1)


def test_r26_samples_are_bounded_per_feed_and_code_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_SAMPLES", 30)
    monkeypatch.setattr(counting, "SAMPLES_KEPT_PER_KEY", 8)
    for hour in range(10):
        counts = DeliveryCounts()
        for _ in range(100):
            counts.add(refused("A"), sample=lambda: sample("A"))
            counts.add(refused("B", at=NOW + timedelta(hours=hour)), sample=lambda: sample("B"))
        counts.flush()
    assert RefusalSample.objects.filter(feed="A").count() == 8
    for number in range(20):
        counts = DeliveryCounts()
        for _ in range(9):
            counts.add(refused(f"F{number}"), sample=lambda number=number: sample(f"F{number}"))  # type: ignore[misc]
        counts.flush()
    assert RefusalSample.objects.count() == 30


def test_a_sample_is_made_only_if_it_is_wanted() -> None:
    made = []

    def make() -> Sample:
        made.append(1)
        return sample()

    counts = DeliveryCounts()
    for _ in range(1000):
        counts.add(refused(), sample=make)
    assert len(made) == counting.SAMPLES_PER_KEY


def test_a_long_feed_name_does_not_break_the_count() -> None:
    counts = DeliveryCounts()
    counts.add(refused("X" * 5000, known=False))
    counts.flush()
    assert len(HourlyCount.objects.get().feed) == 255


def test_the_writer_flushes_by_itself_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_INTERVAL", 0.02)
    counts = DeliveryCounts()
    writer = CountWriter(counts)
    writer.start()
    counts.add(refused())
    deadline = time.monotonic() + 5
    while not HourlyCount.objects.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    counts.add(refused())
    writer.stop()
    assert totals() == {("FEED", 110): 2}


def test_the_writer_lives_on_after_any_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_INTERVAL", 0.02)
    counts = DeliveryCounts()
    faults = [ZeroDivisionError(), Unavailable("away")]
    real = counts.flush

    def flush() -> None:
        if faults:
            raise faults.pop()
        real()

    monkeypatch.setattr(counts, "flush", flush)
    writer = CountWriter(counts)
    writer.start()
    counts.add(refused())
    time.sleep(0.2)
    writer.stop()
    assert totals() == {("FEED", 110): 1}


@pytest.fixture
def monitor(tmp_path: Path) -> HealthMonitor:
    return HealthMonitor(tmp_path, SpaceMark(tmp_path, 0))


def test_not_ready_before_the_first_check(monitor: HealthMonitor) -> None:
    assert not monitor.current.ready
    monitor.check()
    assert monitor.current.checks == {"store": "ok", "database": "ok", "space": "ok"}
    assert monitor.current.ready


def test_r05_a_failed_flush_ends_readiness_until_a_fresh_one_succeeds(
    monitor: HealthMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor.check()
    monitor.store_failed()
    assert not monitor.current.ready
    with monkeypatch.context() as patch:

        def fsync(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(os, "fsync", fsync)
        monitor.check()
        assert monitor.current.checks["store"] == "cannot be written"
    monitor.check()
    assert monitor.current.ready


def test_r27_each_fault_is_told_by_its_own_check(
    monitor: HealthMonitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def locked(**_: object) -> None:
            raise OperationalError("database is locked at /secret/path")

        patch.setattr(HourlyCount.objects, "filter", locked)
        monitor.check()
        assert monitor.current.checks == {"store": "ok", "database": "cannot be written", "space": "ok"}
    full = HealthMonitor(tmp_path, SpaceMark(tmp_path, 2**62))
    full.check()
    assert full.current.checks == {"store": "ok", "database": "ok", "space": "below the free-space mark"}
    gone = HealthMonitor(tmp_path / "gone", SpaceMark(tmp_path / "gone", 0))
    gone.check()
    assert gone.current.checks == {"store": "cannot be written", "database": "ok", "space": "cannot be written"}


def test_r27_readiness_flips_and_comes_back_within_seconds(
    monitor: HealthMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "INTERVAL", 0.05)
    low = threading.Event()
    monkeypatch.setattr(SpaceMark, "is_low", lambda self: low.is_set())
    monitor.start()
    for wanted in (True, False, True):
        (low.clear if wanted else low.set)()
        deadline = time.monotonic() + 5
        while monitor.current.ready != wanted:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    monitor.stop()


def test_a_check_that_hangs_is_not_believed_for_ever(
    monitor: HealthMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor.check()
    monkeypatch.setattr(health, "STALE_AFTER", -1.0)
    assert not monitor.current.ready


def test_a_fault_that_stays_is_logged_once_and_then_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="feeds.monitoring.health")
    free = [True]
    monkeypatch.setattr(SpaceMark, "is_low", lambda self: not free[0])
    monitor = HealthMonitor(tmp_path, SpaceMark(tmp_path, 0))

    def told(looks: int) -> list[str]:
        caplog.clear()
        for _ in range(looks):
            monitor.check()
        return [record.getMessage().partition(" (")[0] for record in caplog.records]

    assert told(2) == []
    free[0] = False
    assert told(40) == ["health check of space: below the free-space mark"]
    monkeypatch.setattr(repeated, "REMIND_AFTER", 0.0)
    assert told(1) == ["health check of space: still below the free-space mark"]
    monkeypatch.setattr(repeated, "REMIND_AFTER", 60.0)
    assert told(5) == []
    free[0] = True
    assert told(3) == ["health check of space: ok again"]


def test_counts_that_cannot_be_written_are_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="feeds.monitoring.counts")
    counts = DeliveryCounts()
    writer = CountWriter(counts)
    with monkeypatch.context() as patch:

        def away() -> None:
            raise Unavailable("no connection")

        patch.setattr(counts, "flush", away)
        for _ in range(20):
            writer._try_flush()
    writer._try_flush()
    assert [record.getMessage() for record in caplog.records] == [
        "counts of deliveries: kept in memory, the database cannot be written (Unavailable: no connection)",
        "counts of deliveries: ok again",
    ]
