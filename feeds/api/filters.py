"""Filters of the lists of feeds, receipts and refusals; values are bounded, and an invalid one is named."""

import re
from collections.abc import Mapping
from typing import Any

import django_filters
from django import forms
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from feeds.changes.approval import concerning
from feeds.models import FEED_NAME_LENGTH, Feed, HourlyCount, Outcome, Proposal, Receipt, labelled
from feeds.rules.arguments import parse_time
from feeds.rules.decision import COMPRESSIONS
from portal.rest.queries import FlagFilter, WholeNumberFilter

MAX_TEXT = 200
_NUMBER = re.compile(r"\s*[-+]?\d+(\.\d*)?\s*")
MAX_DN = 4096
#: Filters of receipts that no index helps.
WITHOUT_INDEX = frozenset(
    "status stroom_status compression sender_dn remote_address duplicate recovered truncated".split()
)


_LOOK_UP = "To look something up; to collect everything keep `resume`, a time misses receipts."


class TextFilter(django_filters.CharFilter):  # type: ignore[misc]  # untyped
    """Exactly this text, as it stands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_length": MAX_TEXT, "strip": False, **kwargs})


class _InstantField(forms.Field):
    """ISO 8601, without a zone UTC. No number: seconds would pass for milliseconds, and find everything."""

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return None
        text = str(value)[:MAX_TEXT]
        # An unescaped + of a zone arrives as a blank.
        moment = None if _NUMBER.fullmatch(text) else parse_time(text.replace(" ", "+") if "T" in text else text)
        if moment is None:
            raise forms.ValidationError("This is not a time such as 2026-02-24T18:10:00Z.")
        return moment


class InstantFilter(django_filters.Filter):  # type: ignore[misc]  # untyped
    """An instant; a day alone is its midnight."""

    field_class = _InstantField
    # Without an example: Swagger sends it as it is, and the list would be empty.
    schema: Mapping[str, Any] = {"type": "string", "minLength": 1}

    def __init__(self, *args: Any, label: str, **kwargs: Any) -> None:
        super().__init__(*args, label=f"{label} In UTC, such as 2026-02-24T18:10:00Z.", **kwargs)


class FeedFilters(django_filters.FilterSet):  # type: ignore[misc]  # untyped
    """Of feeds."""

    name = TextFilter(max_length=FEED_NAME_LENGTH, help_text="The feed with exactly this name.")
    status = django_filters.ChoiceFilter(
        choices=Feed.Status.choices, empty_label=None, help_text="With this status."
    )
    certificate_policy = django_filters.ChoiceFilter(choices=Feed.Policy.choices, empty_label=None)
    owner = TextFilter(help_text="Feeds with exactly this owner.")
    classification = TextFilter(help_text="Feeds with exactly this classification.")
    stream_type = TextFilter(max_length=100, help_text="Feeds with exactly this type of stream.")
    label = TextFilter(method="by_label", max_length=100, label="Feeds with this label.")
    reference = FlagFilter()
    updated_since = InstantFilter(
        field_name="updated", lookup_expr="gte", label="Feeds changed at this instant or later."
    )
    rules_expire_before = InstantFilter(
        method="by_expiry", label="Feeds with a certificate rule that expires from now until this instant."
    )
    q = TextFilter(method="search", strip=True, label="Part of the name, owner, description or a rule's DN.")

    class Meta:
        model = Feed
        fields: list[str] = []

    def by_label(self, feeds: QuerySet[Feed], _: str, value: str) -> QuerySet[Feed]:
        return labelled(feeds, value)

    def by_expiry(self, feeds: QuerySet[Feed], _: str, value: Any) -> QuerySet[Feed]:
        soon = Q(certificate_rules__expires__gte=timezone.now(), certificate_rules__expires__lt=value)
        return feeds.filter(pk__in=Feed.objects.filter(soon).values("pk"))

    def search(self, feeds: QuerySet[Feed], _: str, value: str) -> QuerySet[Feed]:
        found = (
            Q(name__caseless=value)
            | Q(owner__caseless=value)
            | Q(description__caseless=value)
            | Q(certificate_rules__subject_dn__caseless=value)
        )
        return feeds.filter(pk__in=Feed.objects.filter(found).values("pk"))


class ReceiptFilters(django_filters.FilterSet):  # type: ignore[misc]  # untyped
    """Of receipts. `feed` finds a receipt by any feed that it holds data of."""

    feed = TextFilter(method="of_feed", max_length=FEED_NAME_LENGTH, label="Receipts that hold data of this feed.")
    since = InstantFilter(
        field_name="received_at", lookup_expr="gte", label=f"Received at this instant or later. {_LOOK_UP}"
    )
    until = InstantFilter(
        field_name="received_at", lookup_expr="lt", label=f"Received before this instant. {_LOOK_UP}"
    )
    status = django_filters.ChoiceFilter(
        choices=Receipt.Status.choices, empty_label=None, help_text="With this status."
    )
    stroom_status = WholeNumberFilter(min_value=0, max_value=999, help_text="With this Stroom-Status.")
    compression = django_filters.ChoiceFilter(
        choices=[(word, word) for word in sorted(COMPRESSIONS)],
        empty_label=None,
        help_text="Receipts whose stored bytes have this compression.",
    )
    sender_dn = TextFilter(max_length=MAX_DN, help_text="Receipts from exactly this verified DN.")
    sender_token = TextFilter(max_length=100, help_text="Receipts that tokens of this name have sent.")
    remote_address = TextFilter(max_length=100, help_text="Receipts from this address.")
    sha256 = TextFilter(max_length=64, help_text="Receipts whose stored bytes have this digest.")
    guid = TextFilter(help_text="Receipts with this GUID.")
    request_id = TextFilter(max_length=128, label="The X-Request-ID that the sender gave or was given.")
    id = TextFilter(field_name="receipt_id", max_length=120, help_text="The receipt with this id.")
    duplicate = FlagFilter(method="by_duplicate", label="Whether an earlier receipt had the same content.")
    recovered = FlagFilter(help_text="Whether the row was rebuilt from the file after a crash.")
    truncated = FlagFilter(help_text="Whether the metadata was truncated.")

    class Meta:
        model = Receipt
        fields: list[str] = []

    def of_feed(self, receipts: QuerySet[Receipt], _: str, value: str) -> QuerySet[Receipt]:
        """Find one row for each receipt, in the order of the index: it names each feed at most once."""
        return receipts.filter(feed_links__feed=value).annotate(key=F("feed_links__receipt_id"))

    def by_duplicate(self, receipts: QuerySet[Receipt], _: str, value: str) -> QuerySet[Receipt]:
        return receipts.exclude(duplicate_of="") if value == "true" else receipts.filter(duplicate_of="")


class RejectionFilters(django_filters.FilterSet):  # type: ignore[misc]  # untyped
    """Of the hourly counts of refusals."""

    feed = TextFilter(max_length=FEED_NAME_LENGTH, help_text="Refusals of this feed.")
    since = InstantFilter(field_name="hour", lookup_expr="gte", label="Hours that begin at this instant or later.")
    until = InstantFilter(field_name="hour", lookup_expr="lt", label="Hours that begin before this instant.")
    http_status = WholeNumberFilter(min_value=100, max_value=599, help_text="With this HTTP status.")
    stroom_status = WholeNumberFilter(min_value=0, max_value=999, help_text="With this Stroom-Status.")
    known = FlagFilter(label="Whether a feed of this name existed.")

    class Meta:
        model = HourlyCount
        fields: list[str] = []


class DeliveryFilters(RejectionFilters):
    """Of the hourly counts of all deliveries."""

    feed = TextFilter(max_length=FEED_NAME_LENGTH, help_text="Deliveries for this feed.")
    outcome = django_filters.ChoiceFilter(choices=Outcome.choices, empty_label=None, help_text="With this outcome.")

    class Meta:
        model = HourlyCount
        fields: list[str] = []


class ProposalFilters(django_filters.FilterSet):  # type: ignore[misc]  # untyped
    """Of proposed changes."""

    state = django_filters.ChoiceFilter(
        choices=Proposal.State.choices, empty_label=None, help_text="Proposals in this state."
    )
    feed = TextFilter(method="of_feed", max_length=FEED_NAME_LENGTH, label="Proposals that concern this feed.")
    proposed_by = TextFilter(field_name="proposer", max_length=150, help_text="Proposals of exactly this user.")

    class Meta:
        model = Proposal
        fields: list[str] = []

    def of_feed(self, proposals: QuerySet[Proposal], _: str, value: str) -> QuerySet[Proposal]:
        return concerning(value, proposals)
