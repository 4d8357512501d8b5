"""What a worker measures: fixed series, files that add up, and nothing that a full disk could do to it."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, values
from prometheus_client.mmap_dict import MmapedDict

from feeds.models import Outcome
from feeds.monitoring.metrics import (
    FILE_BYTES,
    FILE_KINDS,
    Metrics,
    of_all_workers,
    prepare_folder,
    shared_metrics,
)
from feeds.rules import stroom_status
from feeds.rules.stroom_status import StroomStatus

Sample = tuple[str, tuple[tuple[str, str], ...]]


def samples(collector: CollectorRegistry | object) -> dict[Sample, float]:
    return {
        (sample.name.removeprefix("stroom_portal_"), tuple(sorted(sample.labels.items()))): sample.value
        for metric in collector.collect()
        for sample in metric.samples
    }


def value(collector: CollectorRegistry | object, name: str, **labels: str) -> float:
    return samples(collector)[name, tuple(sorted(labels.items()))]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Metrics, Metrics]]:
    """Two workers of one portal."""
    workers = shared_metrics(tmp_path, 1), shared_metrics(tmp_path, 2)
    yield workers
    for worker in workers:
        worker.close()


def deliver(metrics: Metrics, outcome: Outcome, status: StroomStatus, **changes: float) -> None:
    how = {"wire": 10, "stored": 0, "seconds": 0.02, **changes}
    metrics.delivered(outcome, status, **how)


def test_deliveries_are_counted_by_outcome_and_both_statuses() -> None:
    metrics = Metrics()
    deliver(metrics, Outcome.RECEIVED, stroom_status.OK, stored=7)
    deliver(metrics, Outcome.REFUSED, stroom_status.UNAVAILABLE, wire=0, seconds=400)
    found = metrics.registry
    assert value(found, "deliveries_total", outcome="received", http_status="200", stroom_status="0") == 1
    assert value(found, "deliveries_total", outcome="refused", http_status="503", stroom_status="999") == 1
    assert value(found, "delivery_wire_bytes_total") == 10
    assert value(found, "delivery_stored_bytes_total") == 7
    assert value(found, "delivery_duration_seconds_bucket", outcome="received", le="0.025") == 1
    assert value(found, "delivery_duration_seconds_bucket", outcome="received", le="0.01") == 0
    assert value(found, "delivery_duration_seconds_bucket", outcome="refused", le="300.0") == 0
    assert value(found, "delivery_duration_seconds_sum", outcome="refused") == 400


def test_every_series_is_there_before_anything_happens_and_none_comes_after() -> None:
    metrics = Metrics()
    before = set(samples(metrics.registry))
    for status in stroom_status.ALL:
        for outcome in Outcome:
            deliver(metrics, outcome, status)
    deliver(metrics, Outcome.REFUSED, StroomStatus(1234, 567, "new", "NEW", ""))
    for version in (1, 2):
        for http, word in ((200, "Receive"), (200, "Reject"), (200, "Drop"), (401, None), (503, None)):
            metrics.answered_proxy(version, http, word)
    metrics.checked({"store": True, "database": False, "space": True}, 5.0)
    assert set(samples(metrics.registry)) == before
    assert value(
        metrics.registry, "deliveries_total", outcome="refused", http_status="other", stroom_status="other"
    )


@pytest.mark.parametrize(
    ("http", "decision", "answer"),
    [
        (200, "Receive", "Receive"),
        (200, "Reject", "Reject"),
        (200, "Drop", "Drop"),
        (400, None, "refused"),
        (401, None, "refused"),
        (500, None, "failed"),
        (503, None, "failed"),
    ],
)
def test_answers_to_proxies_are_counted_by_kind(http: int, decision: str | None, answer: str) -> None:
    metrics = Metrics()
    metrics.answered_proxy(2, http, decision)
    counted = {
        key for key, count in samples(metrics.registry).items() if key[0] == "feed_status_answers_total" and count
    }
    assert counted == {("feed_status_answers_total", (("answer", answer), ("version", "2")))}


def test_two_workers_add_up(pair: tuple[Metrics, Metrics], tmp_path: Path) -> None:
    for number, metrics in enumerate(pair, start=1):
        for _ in range(number):
            deliver(metrics, Outcome.RECEIVED, stroom_status.OK, stored=100)
        metrics.running.inc()
        metrics.workers.set(1)
        metrics.checked({"store": True, "database": number == 1, "space": True}, 1000.0 + number)
    for asked in pair:
        found = of_all_workers(tmp_path, asked)
        assert value(found, "deliveries_total", outcome="received", http_status="200", stroom_status="0") == 3
        assert value(found, "delivery_stored_bytes_total") == 300
        assert value(found, "delivery_duration_seconds_count", outcome="received") == 3
        assert value(found, "deliveries_running") == 2
        assert value(found, "workers") == 2
        assert value(found, "health_check", check="store") == 1
        assert value(found, "health_check", check="database") == 0
        assert value(found, "ready") == 0
        assert value(found, "health_checked_timestamp_seconds") == 1001


def test_the_successor_of_a_dead_worker_goes_on_counting_but_not_with_its_uploads(
    pair: tuple[Metrics, Metrics], tmp_path: Path
) -> None:
    """A killed process says nothing: its files stay as they were until its number is taken again."""
    first, second = pair
    deliver(first, Outcome.RECEIVED, stroom_status.OK)
    first.running.inc(3)
    first.starts.inc()
    successor = shared_metrics(tmp_path, 1)
    successor.starts.inc()
    found = of_all_workers(tmp_path, second)
    assert value(found, "deliveries_running") == 0
    assert value(found, "worker_starts_total") == 2
    assert value(found, "deliveries_total", outcome="received", http_status="200", stroom_status="0") == 1
    successor.close()


def test_a_worker_that_ends_takes_its_gauges_along(pair: tuple[Metrics, Metrics], tmp_path: Path) -> None:
    first, second = pair
    first.workers.set(1)
    second.workers.set(1)
    deliver(first, Outcome.EMPTY, stroom_status.OK)
    first.close()
    found = of_all_workers(tmp_path, second)
    assert value(found, "workers") == 1
    assert value(found, "deliveries_total", outcome="empty", http_status="200", stroom_status="0") == 1


def test_the_files_have_their_room_on_disk_and_never_grow(pair: tuple[Metrics, Metrics], tmp_path: Path) -> None:
    """A mapped file with a hole in it would let a full disk kill the process."""
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == sorted(
        f"{kind}_{number}.db" for kind in FILE_KINDS for number in (1, 2)
    )
    for path in files:
        used = MmapedDict(str(path), read_mode=True)
        assert used._used < FILE_BYTES / 2
        used.close()
        assert path.stat().st_size == FILE_BYTES
        assert path.stat().st_blocks * 512 >= FILE_BYTES
        assert path.stat().st_mode & 0o777 == 0o600


def test_on_a_full_disk_a_worker_measures_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    metrics = shared_metrics(tmp_path, 1)
    deliver(metrics, Outcome.DROPPED, stroom_status.OK)
    found = of_all_workers(tmp_path, metrics)
    assert value(found, "deliveries_total", outcome="dropped", http_status="200", stroom_status="0") == 1
    assert "not shared" in caplog.text
    metrics.close()


def test_a_start_removes_the_values_of_the_last_one_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    prepare_folder(folder)
    (folder / "counter_7.db").write_bytes(b"old")
    (folder / "notes.txt").write_text("of somebody else")
    prepare_folder(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_making_measures_leaves_the_library_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/somewhere")
    usual = values.ValueClass
    shared_metrics(tmp_path, 1).close()
    assert values.ValueClass is usual
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == "/somewhere"
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    shared_metrics(tmp_path, 1).close()
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
