"""Metrics of one worker for Prometheus, in files that any worker can sum.

Every label is made before the first request, from words of our own: whatever senders do, no new series appears.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from feeds.models import Outcome
from feeds.rules import stroom_status
from feeds.rules.decision import FeedStatus
from feeds.rules.receipt_rules import Action
from feeds.rules.stroom_status import StroomStatus
from portal.files import reserve_file

log = logging.getLogger(__name__)

NAMESPACE = "stroom_portal"
FOLDER = "metrics"
#: One file for each of these and worker. All series together need a quarter of the room.
FILE_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_livemin")
FILE_BYTES = 256 * 1024
ANSWER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CHECKS = ("store", "database", "space")
SURFACES = ("delivery", "feed_status")
#: What identifies a sender: a valid token, another token, a verified certificate alone, or nothing.
IDENTITIES = ("token", "token_refused", "certificate", "none")
#: What a stroom-proxy is answered: a decision, an error of the caller's, or one of ours.
FEED_STATUS_ANSWERS = (*(status.value for status in FeedStatus), "refused", "failed")
#: Public pages: from the response cache, answered 304, or rendered.
READY_RESULTS = ("hit", "not_modified", "made")
OTHER = "other"


class Metrics:
    """The counters, histograms and gauges of one worker."""

    def __init__(self, close: Callable[[], None] | None = None) -> None:
        """Make every series.

        Args:
            close: gives up the files that the values are in; None where they are in memory.
        """
        self.registry = CollectorRegistry()
        self.shared = close is not None
        self._close = close
        how: dict[str, Any] = {"namespace": NAMESPACE, "registry": self.registry}
        self._make_deliveries(how)
        self._make_sender_counts(how)
        self._make_answers(how)
        self._make_worker(how)

    def _make_deliveries(self, how: dict[str, Any]) -> None:
        deliveries = Counter(
            "deliveries",
            "Deliveries answered, by outcome and the two statuses.",
            ["outcome", "http_status", "stroom_status"],
            **how,
        )
        self._deliveries = {key: deliveries.labels(*key) for key in _delivery_labels()}
        answered = Histogram(
            "delivery_duration_seconds",
            "From a delivery's head to its answer, the time that the sender takes included.",
            ["outcome"],
            buckets=ANSWER_BUCKETS,
            **how,
        )
        self._answered = {outcome: answered.labels(outcome.value) for outcome in Outcome}
        self.commit_seconds = Histogram(
            "store_commit_duration_seconds",
            "To flush, rename and record one delivery.",
            buckets=COMMIT_BUCKETS,
            **how,
        )
        self._wire_bytes = Counter("delivery_wire_bytes", "Bytes of bodies as senders sent them.", **how)
        self._stored_bytes = Counter("delivery_stored_bytes", "Bytes of deliveries that were stored.", **how)
        self.running = Gauge(
            "deliveries_running", "Deliveries that are being received.", multiprocess_mode="livesum", **how
        )

    def _make_sender_counts(self, how: dict[str, Any]) -> None:
        identities = Counter(
            "delivery_identities",
            "Deliveries answered, by what identified the sender; counted where sender tokens are taken.",
            ["identity", "outcome"],
            **how,
        )
        self._identities = {
            (identity, outcome): identities.labels(identity, outcome.value)
            for identity in IDENTITIES
            for outcome in Outcome
        }
        matches = Counter(
            "receipt_rule_matches",
            "Deliveries that a receipt rule matched, by its action, and whether it was applied or in shadow.",
            ["action", "applied"],
            **how,
        )
        self._rule_matches = {
            (action.value, applied): matches.labels(action.value, "true" if applied else "false")
            for action in Action
            for applied in (True, False)
        }

    def _make_answers(self, how: dict[str, Any]) -> None:
        answers = Counter(
            "feed_status_answers", "Answers to stroom-proxies, by version.", ["version", "answer"], **how
        )
        self._feed_status = {
            (version, answer): answers.labels(str(version), answer)
            for version in (1, 2)
            for answer in FEED_STATUS_ANSWERS
        }
        faults = Counter("decision_faults", "Decisions that the database kept us from making.", ["surface"], **how)
        self._faults = {surface: faults.labels(surface) for surface in SURFACES}
        ready = Counter(
            "ready_answers", "Answers of public pages and reads, by how they came about.", ["result"], **how
        )
        self.ready_answers = {result: ready.labels(result) for result in READY_RESULTS}

    def _make_worker(self, how: dict[str, Any]) -> None:
        self.flush_failures = Counter("store_flush_failures", "Flushes to disk that failed.", **how)
        self.starts = Counter("worker_starts", "Starts of worker processes since the portal was started.", **how)
        self.workers = Gauge("workers", "Worker processes that run.", multiprocess_mode="livesum", **how)
        self._ready = Gauge("ready", "1 where every worker is ready.", multiprocess_mode="livemin", **how)
        checks = Gauge(
            "health_check", "1 where every worker passes.", ["check"], multiprocess_mode="livemin", **how
        )
        self._checks = {name: checks.labels(name) for name in CHECKS}
        self._checked_at = Gauge(
            "health_checked_timestamp_seconds",
            "When the worker that checked itself longest ago did so.",
            multiprocess_mode="livemin",
            **how,
        )
        self._checked_at.set_to_current_time()

    def close(self) -> None:
        """Take this worker out of the sums of what is going on; its counters stay."""
        if self._close is not None:
            self._close()

    def delivered(self, outcome: Outcome, status: StroomStatus, *, wire: int, stored: int, seconds: float) -> None:
        """Count one answered delivery.

        Args:
            outcome: its outcome.
            status: HTTP status of the answer.
            wire: length of the body as far as it was read.
            stored: length of what was stored.
            seconds: from its head to its answer.
        """
        key = (outcome.value, str(status.http), str(status.code))
        self._deliveries.get(key, self._deliveries[_OTHER_REFUSAL]).inc()
        self._answered[outcome].observe(seconds)
        if wire:
            self._wire_bytes.inc(wire)
        if stored:
            self._stored_bytes.inc(stored)

    def identified(self, identity: str, outcome: Outcome) -> None:
        """Count what identified the sender of a delivery, one of IDENTITIES."""
        self._identities[identity, outcome].inc()

    def rule_matched(self, action: str, *, applied: bool) -> None:
        """Count one match of a receipt rule; not applied: it is in shadow."""
        self._rule_matches[action, applied].inc()

    def answered_proxy(self, version: int, http: int, decision: str | None) -> None:
        """Count one answer to a stroom-proxy; `decision` is the word that it was given, if any."""
        fallback = "failed" if http >= 500 else "refused"
        self._feed_status[version, fallback if decision is None else decision].inc()

    def decision_failed(self, surface: str) -> None:
        """Count a decision that could not be made, by who asked for it."""
        self._faults[surface].inc()

    def checked(self, checks: dict[str, bool], at: float) -> None:
        """Show the result of a health check made at this instant (seconds since 1970)."""
        for name, passed in checks.items():
            self._checks[name].set(passed)
        self._ready.set(all(checks.values()))
        self._checked_at.set(at)


_OTHER_REFUSAL = (Outcome.REFUSED.value, OTHER, OTHER)
#: Answers of the protocol class to what is no request; no delivery ends with them.
_NEVER_A_DELIVERY = (stroom_status.BAD_REQUEST, stroom_status.HEADERS_TOO_LARGE)


def _delivery_labels() -> Iterator[tuple[str, str, str]]:
    """Yield every pair of statuses that a delivery can end with."""
    for outcome in Outcome:
        for status in stroom_status.ALL:
            fits = status.accepted is (outcome is not Outcome.REFUSED)
            if fits and status not in _NEVER_A_DELIVERY:
                yield outcome.value, str(status.http), str(status.code)
    yield _OTHER_REFUSAL


# --- shared between workers ---


def prepare_folder(folder: Path) -> None:
    """Make the folder of the files, and empty it: the workers of an earlier start have ended."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob("*_*.db"):
        path.unlink(missing_ok=True)


def shared_metrics(folder: Path, number: int) -> Metrics:
    """Return the metrics of the worker with this number, in files.

    A worker that replaces a dead one takes its number, and so goes on with its counters; what the dead one was
    just doing, its gauges say no more. Where the disk has no room the measures stay in memory, unseen by others.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark_process_dead(number, str(folder))
        for kind in FILE_KINDS:
            os.close(reserve_file(folder / f"{kind}_{number}.db", FILE_BYTES))
    except OSError as fault:
        log.warning("measures of this worker are not shared: %s", fault)
        return Metrics()
    kind = values.MultiProcessValue(lambda: number)

    def close() -> None:
        kind.close_all_files()
        mark_process_dead(number, str(folder))

    with _values_in(folder, kind):
        return Metrics(close)


def of_all_workers(folder: Path, own: Metrics) -> Collector:
    """Return the metrics of all workers, summed on collection; only this worker's where it has no file."""
    return MultiProcessCollector(None, path=str(folder)) if own.shared else own.registry


@contextmanager
def _values_in(folder: Path, kind: Any) -> Iterator[None]:
    """Let metrics that are made meanwhile keep their values in files; the library asks globals for both."""
    name = "PROMETHEUS_MULTIPROC_DIR"
    usual, before = values.ValueClass, os.environ.get(name)
    os.environ[name], values.ValueClass = str(folder), kind
    try:
        yield
    finally:
        values.ValueClass = usual
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
