"""Feed figures on pages of other apps: the first page of the admin and the public home page."""

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.conf import settings
from django.template import Context
from django.utils import timezone

from feeds.changes.approval import waiting
from feeds.changes.approval_watch import is_on
from feeds.models import RefusalSample
from feeds.monitoring.figures import refusals
from feeds.monitoring.metrics import FOLDER
from feeds.monitoring.overview import overview, went_quiet
from feeds.monitoring.snapshot import last_holdings

register = template.Library()


@register.inclusion_tag("admin/feeds/_overview.html", takes_context=True)
def feeds_overview(context: Context) -> dict[str, Any]:
    """Show numbers, one chart and the number of open proposals to users who may view feeds."""
    user = context["request"].user
    shown: dict[str, Any] = {}
    if user.has_perms(["feeds.view_feed", "feeds.view_hourlycount"]):
        shown["overview"] = overview()
        shown["holdings"] = last_holdings(settings.DATA_DIR / FOLDER)
    if is_on() and user.has_perm("feeds.view_feed"):
        shown["proposals_waiting"] = waiting().count()
    return shown


@register.inclusion_tag("includes/_feeds_at_a_glance.html", takes_context=True)
def feeds_at_a_glance(context: Context) -> dict[str, Any]:
    """Show refusals of this hour, and feeds that took data in the last week but not in the last day."""
    if not context["request"].user.has_perm("feeds.view_feed"):
        return {"may_view": False}
    now = timezone.now()
    return {
        "may_view": True,
        "refused": sum(row.count for row in refusals(now, hours=1)),
        "quiet": went_quiet(now),
    }


@register.inclusion_tag("includes/_feeds_refused_with.html", takes_context=True)
def feeds_refused_with(context: Context, registry: str, code: int) -> dict[str, Any]:
    """Show how many deliveries this portal refused with a status in 24 hours, to users who may view counts."""
    user = context["request"].user
    if not user.has_perms(["feeds.view_hourlycount", "feeds.view_refusalsample"]):
        return {"may_view": False}
    now, column = timezone.now(), "http_status" if registry == "http" else "stroom_status"
    rows = [row for row in refusals(now, hours=24) if getattr(row, column) == code]
    may_test = user.has_perm("feeds.view_feed")
    may_refuse = bool(rows) or (registry == "stroom" and code != 0) or (registry == "http" and code >= 400)
    return {
        "may_view": may_refuse,
        "rows": rows,
        "may_test": may_test,
        "sample": _latest_sample(now, column, code) if may_test and rows else None,
    }


def _latest_sample(now: datetime, column: str, code: int) -> int | None:
    """Return the key of the latest refusal of 24 hours that was kept in full; None where none was."""
    samples = RefusalSample.objects.filter(**{column: code}, at__gte=now - timedelta(hours=24))
    return samples.values_list("pk", flat=True).first()
