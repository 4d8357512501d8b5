"""Overview of the portal for its administrators: a few numbers, and lists of what needs attention."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery, Sum

from feeds.models import CertificateRule, Feed, HourlyCount, Outcome, Receipt
from feeds.monitoring.charts import Chart, stacked_bars
from feeds.monitoring.figures import ARRIVED, HOUR, RefusalCount, first_hour, refusals, slots
from feeds.rules.arguments import parse_time
from feeds.store.spool import Space, SpaceMark

SOON = timedelta(days=30)
LISTED = 8
RECENT_RECEIPTS = 2000


@dataclass(frozen=True)
class QuietFeed:
    """A feed that used to receive and has stopped."""

    pk: int
    name: str
    last: datetime


@dataclass(frozen=True)
class EndingCertificate:
    """A certificate that senders used lately and that ends soon."""

    dn: str
    expires: datetime
    feed: str


@dataclass(frozen=True)
class Overview:
    """Everything that the first page of the admin shows."""

    chart: Chart
    stored_bytes: int
    feeds_by_status: dict[str, int]
    refused: list[RefusalCount]
    quiet: list[QuietFeed]
    quiet_count: int
    rules_ending: list[CertificateRule]
    rules_ending_count: int
    certificates_ending: list[EndingCertificate]
    space: Space | None

    @property
    def used_percent(self) -> int:
        return round(100 * (1 - self.space.free / self.space.size)) if self.space and self.space.size else 0

    @property
    def is_full(self) -> bool:
        """Whether deliveries are refused for want of room."""
        return self.space is not None and self.space.free < self.space.mark


def overview(now: datetime | None = None) -> Overview:
    """Collect the numbers, in a fixed number of queries whatever the size of the portal."""
    moment = now or datetime.now(UTC)
    quiet = went_quiet(moment)
    ending = rules_ending(moment)
    return Overview(
        chart=stacked_bars("All feeds, last 24 hours", slots(moment, hours=24, width=1), span=HOUR, width=760),
        stored_bytes=_stored_bytes(moment),
        feeds_by_status=feeds_by_status(),
        refused=refusals(moment, hours=24),
        quiet=quiet[:LISTED],
        quiet_count=len(quiet),
        rules_ending=list(ending[:LISTED]),
        rules_ending_count=ending.count(),
        certificates_ending=certificates_ending(moment)[:LISTED],
        space=room(settings.DATA_DIR, settings.ENVIRONMENT.min_free_bytes),
    )


def feeds_by_status() -> dict[str, int]:
    """Count the feeds of each status, in the order of the statuses."""
    counted = dict(Feed.objects.order_by().values_list("status").annotate(total=Count("pk")))
    return {status.value: counted.get(status.value, 0) for status in Feed.Status}


def _stored_bytes(now: datetime) -> int:
    received = HourlyCount.objects.filter(outcome=Outcome.RECEIVED, hour__gte=first_hour(now, 24))
    return int(received.aggregate(total=Sum("bytes"))["total"] or 0)


def stopped_sending(now: datetime) -> QuerySet[Any]:
    """Return the feeds that took something in the last 7 days but nothing in the last 24 hours, the latest first.

    The only definition: the overview, the filter of the feed list and the gauge `feeds_quiet` all use it. `last` is
    the start of the last hour in which something arrived.

    Asked feed by feed: the index leads to the latest count of each, while the counts of a week are a hundred
    times as many, and those of names that no feed has are among them.
    """
    arrived = HourlyCount.objects.filter(feed=OuterRef("name"), outcome__in=ARRIVED, hour__gte=first_hour(now, 168))
    latest = Subquery(arrived.order_by("-hour").values("hour")[:1])
    feeds = Feed.objects.exclude(status=Feed.Status.REJECT).annotate(last=latest)
    return feeds.filter(last__lt=first_hour(now, 24)).order_by("-last", "name")


def went_quiet(now: datetime) -> list[QuietFeed]:
    """Return the feeds that stopped sending, as values for a page."""
    return [QuietFeed(*row) for row in stopped_sending(now).values_list("pk", "name", "last")]


def rules_ending(now: datetime) -> QuerySet[CertificateRule]:
    """Allow rules that end within 30 days, the next first."""
    rules = CertificateRule.objects.filter(
        action=CertificateRule.Action.ALLOW, expires__gt=now, expires__lte=now + SOON
    )
    return rules.select_related("feed").order_by("expires")


def certificates_ending(now: datetime) -> list[EndingCertificate]:
    """Certificates seen on the latest deliveries that end within 30 days, the next first.

    Read from the metadata of a bounded number of receipts; a sender that has been silent for long is not seen.
    """
    recent = Receipt.objects.filter(received_at__gte=now - timedelta(days=7)).order_by("-received_at", "-id")
    found: dict[str, EndingCertificate] = {}
    for feed, dn, headers in recent.values_list("feed", "sender_dn", "headers")[:RECENT_RECEIPTS]:
        expires = parse_time(str(headers.get("RemoteCertExpiry", ""))) if dn and isinstance(headers, dict) else None
        if dn and expires is not None and expires <= now + SOON:
            found.setdefault(dn, EndingCertificate(dn, expires, feed))
    return sorted(found.values(), key=_end)


def _end(certificate: EndingCertificate) -> datetime:
    return certificate.expires


def room(folder: Path, minimum: int | None) -> Space | None:
    """Room on the disk of the store; None when it cannot be read."""
    try:
        return SpaceMark(folder, minimum).measure()
    except OSError:
        return None


# --- what is being refused ---


@dataclass(frozen=True)
class RefusedFeed:
    """Refusals of one feed with one pair of statuses."""

    feed: str
    known: bool
    http_status: int
    stroom_status: int
    last_hour: int
    count: int
    last: datetime


def refused_feeds(
    now: datetime,
    *,
    known: bool,
    stroom_status: int | None = None,
    limit: int = 100,
    text: str = "",
    names: Iterable[str] = (),
) -> list[RefusedFeed]:
    """Return the refusals of 24 hours by feed and status, most frequent first; of existing or of unknown feeds.

    Args:
        text: only feeds with this in their name, and those of `names`.
        names: names that are included whatever the text is.
    """
    counts = HourlyCount.objects.filter(outcome=Outcome.REFUSED, hour__gte=first_hour(now, 24), hour__lte=now)
    exists = Exists(Feed.objects.filter(name=OuterRef("feed")))
    counts = counts.filter(exists if known else ~exists)
    if stroom_status is not None:
        counts = counts.filter(stroom_status=stroom_status)
    if text:
        counts = counts.filter(Q(feed__icontains=text) | Q(feed__in=list(names)))
    groups = counts.order_by().values_list("feed", "http_status", "stroom_status")
    totals = groups.annotate(total=Sum("count"), last=Max("hour")).order_by("-total", "feed")[:limit]
    latest = dict(_last_hour(counts, now))
    return [
        RefusedFeed(feed, known, http, stroom, latest.get((feed, http, stroom), 0), total, last)
        for feed, http, stroom, total, last in totals
    ]


def _last_hour(counts: QuerySet[HourlyCount], now: datetime) -> list[tuple[tuple[str, int, int], int]]:
    rows = counts.filter(hour__gte=first_hour(now, 1)).order_by()
    summed = rows.values_list("feed", "http_status", "stroom_status").annotate(total=Sum("count"))
    return [((feed, http, stroom), total) for feed, http, stroom, total in summed]
