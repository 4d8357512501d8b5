"""Where the portal stands, for Prometheus: what is stored, which feeds went quiet, which rules end, room on disk.

Read from the database at most once a minute, whichever worker is asked: the latest result lies in a file
that all of them read. What cannot be read now is left out, so that its absence can be noticed.
"""

import contextlib
import fcntl
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db.models import Count, OuterRef, Subquery, Sum
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feeds.measures import NAMESPACE
from feeds.models import Feed, Receipt, ReceiptFeed
from feeds.overview import feeds_by_status, rules_ending
from feeds.pools import Unavailable, database
from feeds.receipt.spool import SpaceMark

log = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
FILE = "standing.json"
#: Beyond so many open feeds nobody looks for the latest receipt of each.
MOST_OPEN_FEEDS = 20_000
QUIET_AFTER = timedelta(hours=24)
FORGOTTEN_AFTER = timedelta(days=7)


@dataclass(frozen=True)
class Standing:
    """The figures at one moment. `received` holds the latest receipt (seconds since 1970) of each open feed."""

    receipts: int
    stored_bytes: int
    feeds: dict[str, int]
    rules_ending: int
    next_rule_end: float | None
    quiet: int | None = None
    received: dict[str, float] = field(default_factory=dict)


def read_standing(now: datetime, most_feeds: int) -> Standing:
    """Read the figures, with the `most_feeds` open feeds that received last.

    Raises:
        Unavailable: the database cannot be read.
    """
    with database():
        stored = Receipt.objects.aggregate(receipts=Count("pk"), stored=Sum("bytes"))
        ending = rules_ending(now)
        first = ending.values_list("expires", flat=True).first()
        feeds = feeds_by_status()
        standing = Standing(
            receipts=stored["receipts"],
            stored_bytes=stored["stored"] or 0,
            feeds=feeds,
            rules_ending=ending.count(),
            next_rule_end=first.timestamp() if first else None,
        )
        if feeds[Feed.Status.RECEIVE.value] > MOST_OPEN_FEEDS:
            return standing
        received = _latest_receipts()
    quiet = sum(now - FORGOTTEN_AFTER <= at < now - QUIET_AFTER for at in received.values())
    listed = sorted(received, key=lambda name: received[name], reverse=True)[:most_feeds]
    return Standing(
        **{**vars(standing), "quiet": quiet, "received": {name: received[name].timestamp() for name in listed}}
    )


def _latest_receipts() -> dict[str, datetime]:
    """When each open feed received last; one step through an index for each."""
    latest = ReceiptFeed.objects.filter(feed=OuterRef("name"), dropped=False).order_by("-receipt_id")
    feeds = Feed.objects.filter(status=Feed.Status.RECEIVE).order_by()
    rows = feeds.values_list("name", Subquery(latest.values("receipt__received_at")[:1]))
    return {name: at for name, at in rows if at is not None}


def shared_standing(folder: Path, read: Callable[[], Standing]) -> Standing:
    """The result in the folder, read anew where it is too old; only one worker reads at a time.

    Raises:
        Unavailable: the database cannot be read.
        OSError: the folder cannot be used.
    """
    with (folder / FILE).open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        with contextlib.suppress(ValueError, TypeError, KeyError):  # empty, or cut short by a full disk
            content = json.loads(file.read())
            if 0 <= time.time() - content.pop("at") < FRESH_SECONDS:
                return Standing(**content)
        standing = read()
        with contextlib.suppress(OSError):
            file.truncate(0)
            file.write(json.dumps({**asdict(standing), "at": time.time()}).encode())
    return standing


class StandingCollector(Collector):
    """Gives Prometheus the figures when it asks."""

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

    def collect(self) -> Iterator[Metric]:
        with contextlib.suppress(OSError):
            yield from self._disk()
        try:
            standing = shared_standing(self._folder, self._read)
        except (Unavailable, OSError) as fault:
            log.warning("Prometheus is told no figures of the database: %s", fault)
            return
        yield from self._figures(standing)

    def _read(self) -> Standing:
        return read_standing(datetime.now(UTC), self._most_feeds)

    def _disk(self) -> Iterator[Metric]:
        space = self._space.measure()
        yield _gauge("store_disk_size_bytes", "Size of the disk that holds the store.", space.size)
        yield _gauge("store_disk_free_bytes", "Free bytes of that disk.", space.free)
        yield _gauge("store_disk_mark_bytes", "With less than this free, deliveries are refused.", space.mark)

    def _figures(self, standing: Standing) -> Iterator[Metric]:
        yield _gauge("store_receipts", "Deliveries in the store.", standing.receipts)
        yield _gauge("store_bytes", "Bytes of the deliveries in the store.", standing.stored_bytes)
        feeds = GaugeMetricFamily(f"{NAMESPACE}_feeds", "Feeds by status.", labels=["status"])
        for status, count in standing.feeds.items():
            feeds.add_metric([status], count)
        yield feeds
        yield _gauge("certificate_rules_ending", "Allow rules that end within 30 days.", standing.rules_ending)
        if standing.next_rule_end is not None:
            text = "When the first of them ends."
            yield _gauge("certificate_rule_next_end_timestamp_seconds", text, standing.next_rule_end)
        if standing.quiet is not None:
            text = "Open feeds that received something in the last 7 days, but nothing in the last 24 hours."
            yield _gauge("feeds_quiet", text, standing.quiet)
        name = f"{NAMESPACE}_feed_last_receipt_timestamp_seconds"
        last = GaugeMetricFamily(
            name, "Latest receipt of the open feeds that received last, of a bounded number.", labels=["feed"]
        )
        for feed, at in standing.received.items():
            last.add_metric([feed], at)
        yield last


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{NAMESPACE}_{name}", text, value=value)
