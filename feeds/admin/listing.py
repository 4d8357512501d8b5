"""The list of feeds: its figures, its filters, and the page of the list that shows them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from feeds.models import CertificateRule, Feed, HourlyCount, Outcome, ReceiptFeed, has_label
from feeds.monitoring.figures import ARRIVED, first_hour
from feeds.monitoring.overview import stopped_sending
from portal.admin_facets import ConditionFilter, ValuesFilter

EXPIRES_SOON = timedelta(days=30)
LAST_RECEIVED = F("last_received").asc(nulls_first=True)
Lookups = list[tuple[str, str]]
_SPAN = re.compile(r"(\d{1,4})(h|d)", re.ASCII)
_HOURS = {"h": 1, "d": 24}
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def with_figures(feeds: QuerySet[Feed], now: datetime) -> QuerySet[Feed]:
    """Add `last_received`, `accepted_24h`, `refused_24h` and `rules`; every value is one step through an index."""
    latest = ReceiptFeed.objects.filter(feed=OuterRef("name"), dropped=False).order_by("-receipt_id")
    rules = CertificateRule.objects.filter(feed=OuterRef("pk")).order_by().values("feed")
    return feeds.annotate(
        rules=Coalesce(Subquery(rules.annotate(number=Count("pk")).values("number")), 0),
        last_received=Subquery(latest.values("receipt__received_at")[:1]),
        accepted_24h=Coalesce(_sum_24h(now, *ARRIVED), 0),
        refused_24h=Coalesce(_sum_24h(now, Outcome.REFUSED), 0),
    )


def _sum_24h(now: datetime, *outcomes: Outcome) -> Subquery:
    counts = HourlyCount.objects.filter(feed=OuterRef("name"), hour__gte=first_hour(now, 24), outcome__in=outcomes)
    return Subquery(counts.order_by().values("feed").annotate(total=Sum("count")).values("total"))


def arrived_since(moment: datetime) -> Exists:
    """Return whether the feed took anything since `moment`, to the hour."""
    return Exists(HourlyCount.objects.filter(feed=OuterRef("name"), outcome__in=ARRIVED, hour__gte=moment))


class LabelFilter(ValuesFilter):
    """Feeds with a label."""

    title = "label"
    parameter_name = "label"
    column = "labels"

    def condition(self, value: str) -> Q:
        return has_label(value)


class OwnerFilter(ValuesFilter):
    """Feeds of an owner."""

    title = "owner"
    parameter_name = column = "owner"


class ClassificationFilter(ValuesFilter):
    """Feeds with a classification."""

    title = "classification"
    parameter_name = column = "classification"


class PolicyFilter(ConditionFilter):
    """The certificate policy by its word alone; the field's own choices explain too much for a side bar."""

    title = "certificate policy"
    parameter_name = "certificate_policy"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [(policy.value, policy.value) for policy in Feed.Policy]

    def condition(self, value: str) -> Q:
        return Q(certificate_policy=value)


class QuietFilter(ConditionFilter):
    """Feeds that are open but take nothing: the sender may have stopped."""

    title = "time without data"
    parameter_name = "quiet"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [
            ("1h", "No data for 1 hour"),
            ("24h", "No data for 24 hours"),
            ("7d", "No data for 7 days"),
            ("30d", "No data for 30 days"),
            ("stopped", "Stopped sending"),
            ("never", "Never received data"),
        ]

    def condition(self, value: str) -> Q:
        return quiet_for(value) or Q()


class RefusedFilter(ConditionFilter):
    """Feeds whose senders are being turned away now."""

    title = "refused in 24 h"
    parameter_name = "refused"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [("yes", "Any refusal"), ("certificate", "Refused because of a certificate or token")]

    def condition(self, value: str) -> Q:
        return refused_for(value) or Q()


class RuleExpiryFilter(ConditionFilter):
    """Feeds whose allow rules end soon or have ended: their senders will be turned away."""

    title = "expiring certificate rules"
    parameter_name = "rules"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [("soon", "Within 30 days"), ("expired", "Expired")]

    def condition(self, value: str) -> Q:
        return rules_for(value) or Q()


def quiet_for(value: str) -> Q | None:
    """Return the condition for a time without data such as `24h` or `7d`, for `stopped` and `never`; else None."""
    now = datetime.now(UTC)
    if value == "stopped":  # as the first page counts them
        return Q(pk__in=stopped_sending(now).order_by().values("pk"))
    span = _SPAN.fullmatch(value)
    if span is None and value != "never":
        return None
    since = first_hour(now, int(span[1]) * _HOURS[span[2]] + 1) if span else _LONG_AGO
    return ~Q(status=Feed.Status.REJECT) & ~Q(arrived_since(since))


def refused_for(value: str) -> Q | None:
    """Return the condition for `yes`, any refusal in 24 hours, and `certificate`, one because of a certificate."""
    refused = HourlyCount.objects.filter(
        feed=OuterRef("name"), outcome=Outcome.REFUSED, hour__gte=first_hour(datetime.now(UTC), 24)
    )
    if value == "certificate":
        return Q(Exists(refused.filter(stroom_status__in=(300, 302, 310, 311))))
    return Q(Exists(refused)) if value == "yes" else None


def rules_for(value: str) -> Q | None:
    """Return the condition for allow rules that end within 30 days (`soon`), and that have ended (`expired`)."""
    now = datetime.now(UTC)
    rules = CertificateRule.objects.filter(feed=OuterRef("pk"), action=CertificateRule.Action.ALLOW)
    if value == "soon":
        return Q(Exists(rules.filter(expires__gt=now, expires__lte=now + EXPIRES_SOON)))
    return Q(Exists(rules.filter(expires__lte=now))) if value == "expired" else None


#: Prefixes of the search that stand for a filter of the list.
WORD_FILTERS = {"quiet": quiet_for, "refused": refused_for, "rules": rules_for}
