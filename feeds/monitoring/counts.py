"""Counters of deliveries, kept in memory and written about once a second (threat model, R26).

A flood of refusals costs the database a few rows: counts are per feed, outcome and hour, samples are bounded, and
names that no feed has are capped, because their sender chooses them.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.db import connections, transaction
from django.db.models import F, QuerySet

from feeds.models import FEED_NAME_LENGTH, HourlyCount, Outcome, ReceiptRule, ReceiptRuleMatch, RefusalSample
from feeds.models.receipt_rule import MAX_SENDER
from portal.database.threads import Unavailable, database
from portal.repeated import WELL, RepeatedFaults

log = logging.getLogger(__name__)

#: Different names without a feed that one worker counts by name in one hour; the others are counted together.
MAX_UNKNOWN_NAMES = 100
OTHER_NAMES = "(other names)"
#: Pairs of feed and sender that one worker counts for receipt rules in one hour.
MAX_MATCHING = 1000
SAMPLES_PER_KEY = 5
MAX_WAITING_SAMPLES = 200
MAX_SAMPLES = 2000
SAMPLES_KEPT_PER_KEY = 50
_INTERVAL = 1.0


@dataclass(frozen=True, order=True)
class Tally:
    """Key of a counter."""

    hour: datetime
    feed: str
    outcome: str
    http_status: int
    stroom_status: int
    known: bool


@dataclass(frozen=True)
class Sample:
    """One refused delivery in full, as an example."""

    at: datetime
    feed: str
    http_status: int
    stroom_status: int
    receipt_id: str
    remote_address: str
    sender_dn: str
    headers: dict[str, str]
    trace: list[dict[str, object]]
    request_id: str = ""
    sender_token: str = ""


@dataclass(frozen=True, order=True)
class RuleTally:
    """Key of the counts of a receipt rule's matches."""

    rule: int
    hour: datetime
    feed: str
    sender: str
    applied: bool


class DeliveryCounts:
    """Counts of one worker. `add` is cheap and never fails; `flush` does the writing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._counts: Counter[Tally] = Counter()
        self._bytes: Counter[Tally] = Counter()
        self._matches: Counter[RuleTally] = Counter()
        self._matching: set[tuple[int, str, str]] = set()
        self._samples: list[Sample] = []
        self._sampled: Counter[tuple[str, int, int]] = Counter()
        self._unknown: set[str] = set()
        self._hour = datetime.min.replace(tzinfo=UTC)

    def add(self, tally: Tally, size: int = 0, sample: Callable[[], Sample] | None = None) -> bool:
        """Count one delivery; whether it is kept as an example.

        Args:
            tally: what it was.
            size: its bytes, where it was taken.
            sample: makes the example, called only if one is still wanted.
        """
        with self._lock:
            self._begin_hour(tally.hour)
            tally = self._capped(tally)
            self._counts[tally] += 1
            self._bytes[tally] += size
            key = (tally.feed if tally.known else "", tally.http_status, tally.stroom_status)
            if sample is None or self._sampled[key] >= SAMPLES_PER_KEY or len(self._samples) >= MAX_WAITING_SAMPLES:
                return False
            self._sampled[key] += 1
            self._samples.append(sample())
            return True

    def matched(self, now: datetime, feed: str, sender: str, rules: Iterable[tuple[int, bool]]) -> None:
        """Count the receipt rules that matched a delivery, each with whether it was applied.

        Senders above a limit are counted together, so that no client can fill the table.
        """
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        with self._lock:
            self._begin_hour(hour)
            for rule, applied in rules:
                key = (rule, feed[:FEED_NAME_LENGTH], sender[:MAX_SENDER])
                if key not in self._matching and len(self._matching) >= MAX_MATCHING:
                    key = (rule, OTHER_NAMES, OTHER_NAMES)
                self._matching.add(key)
                self._matches[RuleTally(rule, hour, key[1], key[2], applied)] += 1

    def flush(self) -> None:
        """Write what has been counted since the last time, in one transaction.

        Raises:
            Unavailable: the database cannot be written; everything is kept for the next time.
        """
        with self._flushing:
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            counts, sizes, samples = self._counts, self._bytes, self._samples
            self._counts, self._bytes, self._samples = Counter(), Counter(), []
            matches, self._matches = self._matches, Counter()
        if not counts and not matches:
            return
        try:
            with database(), transaction.atomic():
                # In one order in every worker: two that lock rows crosswise would wait for each other for ever.
                for tally, count in sorted(counts.items()):
                    _add_to_row(tally, count, sizes[tally])
                if samples:
                    _keep_samples(samples)
                if matches:
                    _keep_matches(matches)
        except Unavailable:
            with self._lock:
                self._matches.update(matches)
                self._counts.update(counts)
                self._bytes.update(sizes)
                self._samples = (samples + self._samples)[:MAX_WAITING_SAMPLES]
            raise

    def _begin_hour(self, hour: datetime) -> None:
        if hour != self._hour:
            self._hour = hour
            self._unknown.clear()
            self._sampled.clear()
            self._matching.clear()

    def _capped(self, tally: Tally) -> Tally:
        if tally.known or not tally.feed:
            return tally
        if tally.feed not in self._unknown:
            if len(self._unknown) >= MAX_UNKNOWN_NAMES:
                return replace(tally, feed=OTHER_NAMES)
            self._unknown.add(tally.feed)
        return tally


class CountWriter(threading.Thread):
    """Flushes a worker's counts about once a second until stopped."""

    def __init__(self, counts: DeliveryCounts) -> None:
        super().__init__(name="counts", daemon=True)
        self._counts = counts
        self._stop_asked = threading.Event()
        self._repeated = RepeatedFaults(log)

    def run(self) -> None:
        while not self._stop_asked.wait(_INTERVAL):
            self._try_flush()
        self._try_flush()
        connections.close_all()

    def stop(self) -> None:
        """Write what is left and end."""
        self._stop_asked.set()
        self.join()

    def _try_flush(self) -> None:
        try:
            self._counts.flush()
            self._repeated.report("counts of deliveries", WELL)
        except Unavailable as fault:
            self._repeated.report("counts of deliveries", "kept in memory, the database cannot be written", fault)
        except Exception:  # the thread must live on
            log.exception("counts could not be written")


def tally_of(
    now: datetime, feed: str, outcome: Outcome, *, http_status: int, stroom_status: int, known: bool
) -> Tally:
    """Return the counter's key for a delivery."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return Tally(hour, feed[:FEED_NAME_LENGTH], outcome.value, http_status, stroom_status, known)


def _add_to_row(tally: Tally, count: int, size: int) -> None:
    key = {
        "hour": tally.hour,
        "feed": tally.feed,
        "outcome": tally.outcome,
        "http_status": tally.http_status,
        "stroom_status": tally.stroom_status,
        "known": tally.known,
    }
    row, created = HourlyCount.objects.get_or_create(**key, defaults={"count": count, "bytes": size})
    if not created:
        HourlyCount.objects.filter(pk=row.pk).update(count=F("count") + count, bytes=F("bytes") + size)


def _keep_samples(samples: list[Sample]) -> None:
    """Add samples and let the oldest go, of each feed and code and of all."""
    RefusalSample.objects.bulk_create(RefusalSample(**vars(sample)) for sample in samples)
    for feed, stroom_status in sorted({(sample.feed, sample.stroom_status) for sample in samples}):
        same = RefusalSample.objects.filter(feed=feed, stroom_status=stroom_status)
        _keep_latest(same.values_list("pk", flat=True).order_by("-pk"), SAMPLES_KEPT_PER_KEY)
    _keep_latest(RefusalSample.objects.values_list("pk", flat=True).order_by("-pk"), MAX_SAMPLES)
    RefusalSample.objects.filter(at__lt=samples[-1].at - timedelta(days=30)).delete()


def _keep_matches(matches: Mapping[RuleTally, int]) -> None:
    """Add to the counts of rules that still exist; counts are kept for 30 days."""
    present = set(ReceiptRule.objects.filter(pk__in={tally.rule for tally in matches}).values_list("pk", flat=True))
    for tally, count in sorted(matches.items()):
        if tally.rule not in present:
            continue
        key = {"hour": tally.hour, "feed": tally.feed, "sender": tally.sender, "applied": tally.applied}
        row, created = ReceiptRuleMatch.objects.get_or_create(rule_id=tally.rule, **key, defaults={"count": count})
        if created:
            ReceiptRuleMatch.objects.filter(hour__lt=tally.hour - timedelta(days=30)).delete()
        else:
            ReceiptRuleMatch.objects.filter(pk=row.pk).update(count=F("count") + count)


def _keep_latest(keys: "QuerySet[RefusalSample, int]", most: int) -> None:
    surplus = list(keys[most : most + 500])
    if surplus:
        RefusalSample.objects.filter(pk__in=surplus).delete()
