"""Additional parts of the feed page: traffic, refusals by status, and the last refusals with their trace."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.urls import reverse

from feeds.admin.remedies import Advice, advise_on_samples
from feeds.changes.denials import denials
from feeds.models import Feed, Receipt, RefusalSample
from feeds.monitoring.charts import Chart, stacked_bars
from feeds.monitoring.figures import HOUR, RefusalCount, refusals, slots
from feeds.rules.stroom_status import DOCUMENTED

SAMPLES = 5


@dataclass(frozen=True)
class RefusalLine:
    """Refusals of one kind with the message that senders saw."""

    counted: RefusalCount
    message: str


@dataclass(frozen=True)
class FeedPanel:
    """The figures of one feed."""

    day: Chart
    week: Chart
    refusals: list[RefusalLine]
    samples: list[tuple[RefusalSample, Advice]]
    last_received: datetime | None
    test_url: str


def feed_panel(feed: Feed, user: Any, now: datetime | None = None) -> FeedPanel:
    """Collect the figures, in a fixed number of queries."""
    moment = now or datetime.now(UTC)
    samples = list(RefusalSample.objects.filter(feed=feed.name)[:SAMPLES])
    advice = advise_on_samples(samples, list(denials()) if samples else [], user, moment)
    latest = Receipt.objects.filter(feed=feed.name).order_by("-received_at").values_list("received_at", flat=True)
    return FeedPanel(
        day=stacked_bars("Last 24 hours", slots(moment, hours=24, width=1, feed=feed.name), span=HOUR),
        week=stacked_bars(
            "Last 7 days", slots(moment, hours=168, width=6, feed=feed.name), span=timedelta(hours=6)
        ),
        refusals=refusal_lines(refusals(moment, hours=168, feed=feed.name)),
        samples=[(sample, advice[sample.pk]) for sample in samples],
        last_received=latest.first(),
        test_url=reverse("admin:feeds_feed_test") + f"?feed={feed.name}",
    )


def refusal_lines(counted: list[RefusalCount]) -> list[RefusalLine]:
    return [RefusalLine(count, message_of(count.stroom_status)) for count in counted]


def message_of(stroom_status: int) -> str:
    known = DOCUMENTED.get(stroom_status)
    return known.message if known else ""
