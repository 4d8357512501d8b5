"""Snapshot of the portal: stored receipts, feeds that stopped sending, expiring rules, free disk space.

For Prometheus, and for the first page of the admin. Read from the database at most once a minute, by whichever
worker comes first: the latest result lies in a file that all of them read. Prometheus gets no value that cannot be
read now, so that its absence can be noticed; a page says instead how old its figure is.
"""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from django.db import connections
from django.db.models import Count, Min, OuterRef, Q, Subquery, Sum
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feeds.models import Feed, Receipt, ReceiptFeed
from feeds.monitoring.metrics import NAMESPACE
from feeds.monitoring.overview import SOON, feeds_by_status, rules_ending, went_quiet
from feeds.store.spool import SpaceMark
from portal.access.queries import senders_ending
from portal.database.threads import Unavailable, database
from portal.files import lock_within
from portal.repeated import WELL, RepeatedFaults

log = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
FILE = "standing.json"
LOCK = "standing.lock"
#: Of the time, at most one part in so many is spent on having the figures ready.
SPARING = 100
#: How long one worker waits for another to read the figures, which may be stopped while it does.
LOCK_SECONDS = 5.0
#: How long a stop waits for a look that is being taken.
STOP_SECONDS = 5.0
#: Beyond so many open feeds the latest receipt of each is not looked for.
MOST_OPEN_FEEDS = 20_000


@dataclass(frozen=True)
class FeedSnapshot:
    """Figures at one moment; times are seconds since 1970.

    `received` holds the latest receipt of each open feed, `stopped` the last hour of each that stopped sending.
    """

    receipts: int
    stored_bytes: int
    feeds: dict[str, int]
    rules_ending: int
    next_rule_end: float | None
    quiet: int | None = None
    received: dict[str, float] = field(default_factory=dict)
    stopped: dict[str, float] = field(default_factory=dict)
    by_status: dict[str, int] = field(default_factory=dict)
    oldest_waiting: float | None = None
    tokens_ending: int = 0


def read_standing(now: datetime, most_feeds: int) -> FeedSnapshot:
    """Read the figures, with the `most_feeds` open feeds that received last.

    Raises:
        Unavailable: the database cannot be read.
    """
    with database():
        stored = _stored()
        ending = rules_ending(now)
        first = ending.values_list("expires", flat=True).first()
        feeds = feeds_by_status()
        standing = FeedSnapshot(
            receipts=sum(stored.by_status.values()),
            stored_bytes=stored.bytes,
            feeds=feeds,
            rules_ending=ending.count(),
            next_rule_end=first.timestamp() if first else None,
            by_status=stored.by_status,
            oldest_waiting=stored.oldest_waiting,
            tokens_ending=senders_ending(now, now + SOON),
        )
        if feeds[Feed.Status.RECEIVE.value] > MOST_OPEN_FEEDS:
            return standing
        stopped = went_quiet(now)
        received = _latest_receipts()
    listed = sorted(received, key=lambda name: received[name], reverse=True)[:most_feeds]
    return FeedSnapshot(
        **{
            **vars(standing),
            "quiet": len(stopped),
            "received": {name: received[name].timestamp() for name in listed},
            "stopped": {feed.name: feed.last.timestamp() for feed in stopped[:most_feeds]},
        }
    )


@dataclass(frozen=True)
class _Stored:
    by_status: dict[str, int]
    bytes: int
    oldest_waiting: float | None


def _stored() -> _Stored:
    """Count the receipts by status, in one query over all of them."""
    counts = {status.value: Count("pk", filter=Q(status=status)) for status in Receipt.Status}
    oldest = Min("received_at", filter=~Q(status=Receipt.Status.FORWARDED))
    found = Receipt.objects.aggregate(size=Sum("bytes"), oldest=oldest, **counts)
    oldest_waiting = found["oldest"].timestamp() if found["oldest"] else None
    return _Stored({status: found[status] for status in counts}, found["size"] or 0, oldest_waiting)


def _latest_receipts() -> dict[str, datetime]:
    """Return the last receipt of each open feed; one step through an index for each."""
    latest = ReceiptFeed.objects.filter(feed=OuterRef("name"), dropped=False).order_by("-receipt_id")
    feeds = Feed.objects.filter(status=Feed.Status.RECEIVE).order_by()
    rows = feeds.values_list("name", Subquery(latest.values("receipt__received_at")[:1]))
    return {name: at for name, at in rows if at is not None}


def shared_standing(folder: Path, read: Callable[[], FeedSnapshot]) -> FeedSnapshot:
    """Return the snapshot in the folder, or take a new one where it is too old; one worker takes it at a time.

    Raises:
        Unavailable: the database cannot be read.
        OSError: the folder cannot be used.
    """
    with (folder / LOCK).open("ab") as lock:
        if not lock_within(lock.fileno(), LOCK_SECONDS):
            raise BlockingIOError(f"another worker has held {LOCK} for {LOCK_SECONDS:.0f} seconds")
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # none yet, or not one of ours
            content = json.loads((folder / FILE).read_bytes())
            if 0 <= time.time() - content.pop("at") < FRESH_SECONDS:
                return FeedSnapshot(**content)
        standing = read()
        with contextlib.suppress(OSError):
            _put(folder, json.dumps({**asdict(standing), "at": time.time()}).encode())
    return standing


def _put(folder: Path, content: bytes) -> None:
    """Replace the file atomically: pages read it without waiting for the lock."""
    part = folder / f"{FILE}.part"
    part.write_bytes(content)
    part.replace(folder / FILE)


@dataclass(frozen=True)
class Holdings:
    """Size of the store when it was last counted."""

    receipts: int
    bytes: int
    at: datetime


def last_holdings(folder: Path) -> Holdings | None:
    """Return the size of the store from the last snapshot, without taking a new one; None before the first."""
    try:
        content = json.loads((folder / FILE).read_bytes())
        return Holdings(content["receipts"], content["stored_bytes"], datetime.fromtimestamp(content["at"], UTC))
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None


class SnapshotKeeper(threading.Thread):
    """Thread that keeps the snapshot fresh, so that no request waits until a million receipts are counted."""

    def __init__(self, folder: Path, *, most_feeds: int) -> None:
        super().__init__(name="standing", daemon=True)
        self._folder = folder
        self._most_feeds = most_feeds
        self._stop_asked = threading.Event()
        self._repeated = RepeatedFaults(log)

    def run(self) -> None:
        pause = 0.0
        while not self._stop_asked.wait(pause):
            began = time.monotonic()
            self.look()
            connections.close_all()  # it is needed once a minute
            pause = max(FRESH_SECONDS, SPARING * (time.monotonic() - began))

    def look(self) -> None:
        """Read the figures where they are old."""
        what = "figures of the store and the feeds"
        try:
            shared_standing(self._folder, lambda: read_standing(datetime.now(UTC), self._most_feeds))
            self._repeated.report(what, WELL)
        except (Unavailable, OSError) as fault:
            self._repeated.report(what, "cannot be read", fault)
        except Exception:  # the thread must live on
            log.exception("%s could not be read", what)

    def stop(self) -> None:
        """End, after the present look if that does not take long: nothing is lost with it."""
        self._stop_asked.set()
        if self.is_alive():
            self.join(STOP_SECONDS)


class SnapshotCollector(Collector):
    """Prometheus collector of the snapshot."""

    def __init__(self, folder: Path, space: SpaceMark, *, most_feeds: int) -> None:
        """Make the collector of one worker.

        Args:
            folder: where the workers share their measures.
            space: the free-space mark.
            most_feeds: of how many feeds the latest receipt is shown; 0 for none.
        """
        self._folder = folder
        self._space = space
        self._most_feeds = most_feeds
        self._repeated = RepeatedFaults(log)

    def collect(self) -> Iterator[Metric]:
        with contextlib.suppress(OSError):
            yield from self._disk()
        try:
            standing = shared_standing(self._folder, self._read)
        except (Unavailable, OSError) as fault:
            self._repeated.report("figures of the database for Prometheus", "cannot be read", fault)
            return
        self._repeated.report("figures of the database for Prometheus", WELL)
        yield from self._figures(standing)

    def _read(self) -> FeedSnapshot:
        return read_standing(datetime.now(UTC), self._most_feeds)

    def _disk(self) -> Iterator[Metric]:
        space = self._space.measure()
        yield _gauge("store_disk_size_bytes", "Size of the disk that holds the store.", space.size)
        yield _gauge("store_disk_free_bytes", "Free bytes of that disk.", space.free)
        yield _gauge("store_disk_mark_bytes", "With less than this free, deliveries are refused.", space.mark)

    def _figures(self, standing: FeedSnapshot) -> Iterator[Metric]:
        yield _gauge("store_receipts", "Deliveries in the store.", standing.receipts)
        yield _gauge("store_bytes", "Bytes of the deliveries in the store.", standing.stored_bytes)
        statuses = GaugeMetricFamily(
            f"{NAMESPACE}_receipts", "Deliveries in the store by status.", labels=["status"]
        )
        for status, count in standing.by_status.items():
            statuses.add_metric([status], count)
        yield statuses
        if standing.oldest_waiting is not None:
            text = "When the oldest delivery that was not handed over was received."
            yield _gauge("receipts_oldest_waiting_timestamp_seconds", text, standing.oldest_waiting)
        feeds = GaugeMetricFamily(f"{NAMESPACE}_feeds", "Feeds by status.", labels=["status"])
        for status, count in standing.feeds.items():
            feeds.add_metric([status], count)
        yield feeds
        yield _gauge("certificate_rules_ending", "Allow rules that end within 30 days.", standing.rules_ending)
        if standing.next_rule_end is not None:
            text = "When the first of them ends."
            yield _gauge("certificate_rule_next_end_timestamp_seconds", text, standing.next_rule_end)
        text = "Senders whose tokens all end within 30 days."
        yield _gauge("sender_tokens_ending", text, standing.tokens_ending)
        if standing.quiet is not None:
            text = (
                "Feeds not set to Reject that took something in the last 7 days, but nothing in the last 24 hours."
            )
            yield _gauge("feeds_quiet", text, standing.quiet)
        text = "Latest receipt of the open feeds that received last, of a bounded number."
        yield _by_feed("feed_last_receipt_timestamp_seconds", text, standing.received)
        text = "Feeds counted in feeds_quiet: start of the last hour in which something arrived; a bounded number."
        yield _by_feed("feed_stopped_timestamp_seconds", text, standing.stopped)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{NAMESPACE}_{name}", text, value=value)


def _by_feed(name: str, text: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{NAMESPACE}_{name}", text, labels=["feed"])
    for feed, value in values.items():
        family.add_metric([feed], value)
    return family
