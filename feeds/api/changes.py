"""Every change of every feed and its certificate rules, in the order in which they were made."""

import json
from collections.abc import Iterable
from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from feeds.api.filters import InstantFilter, TextFilter
from feeds.changes.timeline import feeds_once_called
from feeds.models import FEED_NAME_LENGTH, CertificateRule, Feed
from portal.access.tokens import HasScope, demand_permissions
from portal.audit.record import instant_words
from portal.models import AuditRecord
from portal.rest.pagination import MAX_KEY, CursorPages, KeyRange
from portal.rest.private import ListMixin, PrivateMixin
from portal.rest.queries import ChosenFieldsMixin

FEED_KIND, RULE_KIND = str(Feed._meta.verbose_name), str(CertificateRule._meta.verbose_name)
#: Kinds as the API names them, with those of the audit log.
KINDS = {"feed": FEED_KIND, "certificate_rule": RULE_KIND}
_NAMES = {value: name for name, value in KINDS.items()}


class MayViewChanges(BasePermission):
    """Users who may view feeds may view their history."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        demand_permissions(request, "feeds.view_feed")
        return True


class ChangeSerializer(ChosenFieldsMixin, serializers.ModelSerializer[AuditRecord]):
    """One change of a feed or of one of its certificate rules. Those of one request have the same `request_id`."""

    at = serializers.CharField(help_text="Time in UTC.")
    feed = serializers.SerializerMethodField(help_text="Name of the feed, the last that it had if it is gone.")
    kind = serializers.SerializerMethodField(help_text="What was changed: `feed` or `certificate_rule`.")
    user = serializers.CharField(source="actor", help_text="User name; empty for a command.")
    old = serializers.SerializerMethodField(help_text="Values before, of what changed.")
    new = serializers.SerializerMethodField(help_text="Values after, of what changed.")

    class Meta:
        model = AuditRecord
        fields = ["number", "at", "feed", "kind", "action", "user", "comment", "request_id", "remote_address"]
        fields += ["old", "new"]
        extra_kwargs = {
            "number": {"help_text": "Number of the entry in the audit log; grows with each change."},
            "action": {"help_text": "created, changed or deleted. There may be new ones."},
            "comment": {"help_text": "Reason, kept with the record."},
            "request_id": {"help_text": "`X-Request-ID` of the request."},
            "remote_address": {"help_text": "Address of the caller as the portal saw it."},
        }

    def get_feed(self, entry: AuditRecord) -> str:
        return str(getattr(entry, "feed_name", ""))

    @extend_schema_field(serializers.CharField())
    def get_kind(self, entry: AuditRecord) -> str:
        return _NAMES.get(entry.kind, entry.kind)

    @extend_schema_field(serializers.DictField())
    def get_old(self, entry: AuditRecord) -> Any:
        return _values(entry.old)

    @extend_schema_field(serializers.DictField())
    def get_new(self, entry: AuditRecord) -> Any:
        return _values(entry.new)


def _values(text: str) -> dict[str, Any]:
    """Return the values of an entry without the keys of the database."""
    values = json.loads(text) if text else {}
    return {name: value for name, value in values.items() if name != "feed_id"}


class ChangeFilters(django_filters.FilterSet):  # type: ignore[misc]  # untyped
    """Of changes."""

    feed = TextFilter(method="of_feed", max_length=FEED_NAME_LENGTH, label="Changes of the feed with this name.")
    kind = django_filters.ChoiceFilter(
        choices=[(name, name) for name in KINDS], method="of_kind", empty_label=None, label="Changes of these."
    )
    user = TextFilter(field_name="actor", max_length=150, help_text="Changes by exactly this user.")
    request_id = TextFilter(max_length=128, help_text="Changes of exactly this request.")
    since = InstantFilter(method="from_time", label="Changes at this instant or later.")
    until = InstantFilter(method="to_time", label="Changes before this instant.")

    class Meta:
        model = AuditRecord
        fields: list[str] = []

    def of_feed(self, entries: QuerySet[AuditRecord], _: str, value: str) -> QuerySet[AuditRecord]:
        keys = feeds_once_called(value)
        rules = CertificateRule.history.filter(feed_id__in=keys).values_list("id", flat=True).distinct()
        own = Q(kind=FEED_KIND, key__in=[str(key) for key in keys])
        return entries.filter(own | Q(kind=RULE_KIND, key__in=[str(key) for key in rules]))

    def of_kind(self, entries: QuerySet[AuditRecord], _: str, value: str) -> QuerySet[AuditRecord]:
        return entries.filter(kind=KINDS[value])

    def from_time(self, entries: QuerySet[AuditRecord], _: str, value: Any) -> QuerySet[AuditRecord]:
        return entries.filter(at__gte=instant_words(value))

    def to_time(self, entries: QuerySet[AuditRecord], _: str, value: Any) -> QuerySet[AuditRecord]:
        return entries.filter(at__lt=instant_words(value))


@extend_schema_view(
    list=extend_schema(
        description="Every change of every feed and of its certificate rules, newest first. With `ordering=at` "
        "each page has `resume`, the address of what comes after it: a collector that keeps it misses no change."
    )
)
class ChangeViewSet(PrivateMixin, ListMixin, GenericViewSet[AuditRecord]):
    """Changes of feeds, in the order of the audit log."""

    queryset = AuditRecord.objects.filter(kind__in=KINDS.values())
    serializer_class = ChangeSerializer
    permission_classes = [HasScope, MayViewChanges]
    filterset_class = ChangeFilters
    pagination_class = CursorPages
    cursor_field = "at"
    key_name = "number"
    csv_name = "changes"
    schema_tags = ["feeds"]

    def key_range(self) -> KeyRange:
        return KeyRange()

    def looks_through(self) -> bool:
        return False

    def settled_key(self) -> int:
        """Numbers are given under a lock that is held until the commit, so none appears behind a reader."""
        return MAX_KEY

    def completed(self, items: list[AuditRecord]) -> list[AuditRecord]:
        """Add the names of the feeds, with three queries for the page."""
        rules = {entry.key for entry in items if entry.kind == RULE_KIND}
        feed_of_rule = _feeds_of_rules(rules)
        feeds = [feed_of_rule.get(entry.key, "") if entry.kind == RULE_KIND else entry.key for entry in items]
        names = _last_names(set(feeds))
        for entry, key in zip(items, feeds, strict=True):
            own = entry.name if entry.kind == FEED_KIND else ""
            entry.feed_name = names.get(key, own)  # type: ignore[attr-defined]  # read by the serializer
        return items


def _feeds_of_rules(rules: Iterable[str]) -> dict[str, str]:
    """Return the key of the feed of each rule, also of deleted ones, as text."""
    rows = CertificateRule.history.filter(id__in=[int(key) for key in rules if key.isdigit()])
    return {str(rule): str(feed) for rule, feed in rows.values_list("id", "feed_id").distinct()}


def _last_names(feeds: Iterable[str]) -> dict[str, str]:
    """Return the last name of each feed, also of deleted ones."""
    rows = Feed.history.filter(id__in=[int(key) for key in feeds if key.isdigit()]).order_by("history_id")
    return {str(key): name for key, name in rows.values_list("id", "name")}
