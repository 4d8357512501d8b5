"""What public pages show of the feeds to those who may see them."""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils import timezone

from feeds.monitoring.figures import refusals
from feeds.monitoring.overview import QuietFeed, went_quiet


@dataclass(frozen=True)
class FeedsAtAGlance:
    """Refusals since the hour began, and feeds that took data in the last week but not in the last day."""

    refused: int
    quiet: list[QuietFeed]


def feeds_at_a_glance(request: HttpRequest) -> dict[str, Callable[[], FeedsAtAGlance | None]]:
    """Offer the figures to templates; nothing is asked of the database where no template uses them."""

    def look() -> FeedsAtAGlance | None:
        if not request.user.has_perm("feeds.view_feed"):
            return None
        now = timezone.now()
        return FeedsAtAGlance(sum(row.count for row in refusals(now, hours=1)), went_quiet(now))

    return {"feeds_at_a_glance": look}
