"""Numbers for people: what arrived, what was refused and what went quiet, in a fixed number of queries each.

Everything is read from the hourly counts, so that the cost does not grow with the number of deliveries.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Max, Sum

from feeds.models import HourlyCount, Outcome

HOUR = timedelta(hours=1)
ARRIVED = (Outcome.RECEIVED, Outcome.DROPPED, Outcome.EMPTY)


@dataclass(frozen=True)
class TimeSlot:
    """Deliveries of one period by outcome. Empty deliveries count as accepted."""

    start: datetime
    accepted: int = 0
    refused: int = 0
    dropped: int = 0

    @property
    def total(self) -> int:
        return self.accepted + self.refused + self.dropped


@dataclass(frozen=True)
class RefusalCount:
    """Number of refusals with one pair of statuses, and the hour of the last."""

    http_status: int
    stroom_status: int
    count: int
    last: datetime


def start_of_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def first_hour(now: datetime, hours: int) -> datetime:
    """Start of the first of the `hours` hours that end with the present one."""
    return start_of_hour(now) - (hours - 1) * HOUR


def slots(now: datetime, *, hours: int, width: int, feed: str | None = None) -> list[TimeSlot]:
    """Deliveries of the last `hours` hours in slots of `width` hours, oldest first; of all feeds if none is named.

    Slots are aligned to the clock, so the first may be shorter and the last is still filling.
    """
    since = first_hour(now, hours)
    counts = HourlyCount.objects.filter(hour__gte=since, hour__lte=now)
    if feed is not None:
        counts = counts.filter(feed=feed)
    rows = counts.order_by().values_list("hour", "outcome").annotate(total=Sum("count"))
    return _fill(rows, since, start_of_hour(now), width * HOUR)


def _fill(
    rows: Iterable[tuple[datetime, str, int]], since: datetime, until: datetime, width: timedelta
) -> list[TimeSlot]:
    start = _floor(since, width)
    totals: dict[datetime, dict[str, int]] = {}
    while start <= until:
        totals[start] = {"accepted": 0, "refused": 0, "dropped": 0}
        start += width
    for hour, outcome, total in rows:
        slot = totals.get(_floor(hour, width))
        if slot is not None:
            slot[_KIND[Outcome(outcome)]] += total
    return [TimeSlot(moment, **counts) for moment, counts in totals.items()]


_KIND = {
    Outcome.RECEIVED: "accepted",
    Outcome.EMPTY: "accepted",
    Outcome.REFUSED: "refused",
    Outcome.DROPPED: "dropped",
}


def _floor(moment: datetime, width: timedelta) -> datetime:
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    return moment - (moment - epoch) % width


def refusals(now: datetime, *, hours: int, feed: str | None = None) -> list[RefusalCount]:
    """Return the refusals of the last hours by status, most frequent first."""
    counts = HourlyCount.objects.filter(outcome=Outcome.REFUSED, hour__gte=first_hour(now, hours), hour__lte=now)
    if feed is not None:
        counts = counts.filter(feed=feed)
    rows = (
        counts.order_by()
        .values_list("http_status", "stroom_status")
        .annotate(total=Sum("count"), last=Max("hour"))
        .order_by("-total", "stroom_status")
    )
    return [RefusalCount(*row) for row in rows]
