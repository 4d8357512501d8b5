"""The list of feeds: its figures, its filters, and the page of the list that shows them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.text import smart_split, unescape_string_literal

from feeds.models import CertificateRule, Feed, HourlyCount, Outcome, ReceiptFeed
from feeds.monitoring.figures import ARRIVED, first_hour
from feeds.monitoring.overview import stopped_sending
from portal.admin_facets import ConditionFilter

EXPIRES_SOON = timedelta(days=30)
LAST_RECEIVED = F("last_received").asc(nulls_first=True)
Lookups = list[tuple[str, str]]
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def with_figures(feeds: QuerySet[Feed], now: datetime) -> QuerySet[Feed]:
    """Add `last_received`, `accepted_24h` and `refused_24h`; every value is one step through an index."""
    latest = ReceiptFeed.objects.filter(feed=OuterRef("name"), dropped=False).order_by("-receipt_id")
    return feeds.annotate(
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


def words_of(text: str) -> list[str]:
    """Split a search into words; text in quotation marks is one word."""
    return [
        unescape_string_literal(word) if word[0] in "\"'" and word[0] == word[-1] and len(word) > 1 else word
        for word in smart_split(text)
    ]


def mentions(word: str) -> Q:
    """Feeds that have this in their name, owner, description or the DN of a rule."""
    own = Q(name__caseless=word) | Q(owner__caseless=word) | Q(description__caseless=word)
    return own | Q(Exists(CertificateRule.objects.filter(feed=OuterRef("pk"), subject_dn__caseless=word)))


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
    spans = {"1h": 1, "24h": 24, "7d": 168, "30d": 720}

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
        now = datetime.now(UTC)
        if value == "stopped":  # as the first page counts them
            return Q(pk__in=stopped_sending(now).order_by().values("pk"))
        since = _LONG_AGO if value == "never" else first_hour(now, self.spans[value] + 1)
        return ~Q(status=Feed.Status.REJECT) & ~Q(arrived_since(since))


class RefusedFilter(ConditionFilter):
    """Feeds whose senders are being turned away now."""

    title = "refused in 24 h"
    parameter_name = "refused"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [("yes", "Any refusal"), ("certificate", "Refused because of a certificate or token")]

    def condition(self, value: str) -> Q:
        refused = HourlyCount.objects.filter(
            feed=OuterRef("name"), outcome=Outcome.REFUSED, hour__gte=first_hour(datetime.now(UTC), 24)
        )
        if value == "certificate":
            refused = refused.filter(stroom_status__in=(300, 302, 310, 311))
        return Q(Exists(refused))


class RuleExpiryFilter(ConditionFilter):
    """Feeds whose allow rules end soon or have ended: their senders will be turned away."""

    title = "expiring certificate rules"
    parameter_name = "rules"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [("soon", "Within 30 days"), ("expired", "Expired")]

    def condition(self, value: str) -> Q:
        now = datetime.now(UTC)
        rules = CertificateRule.objects.filter(feed=OuterRef("pk"), action=CertificateRule.Action.ALLOW)
        if value == "soon":
            return Q(Exists(rules.filter(expires__gt=now, expires__lte=now + EXPIRES_SOON)))
        return Q(Exists(rules.filter(expires__lte=now)))
