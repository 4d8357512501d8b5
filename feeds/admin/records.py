"""Read-only admin of what was received and refused. Nothing here can be added, edited or removed by hand."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from feeds.admin.display import name_value_table, size, stroom_pair, visible
from feeds.admin.page import message_of
from feeds.admin.refusals import RefusalsMixin
from feeds.admin.remedies import advise_on_samples
from feeds.changes.denials import denials
from feeds.models import Feed, HourlyCount, RefusalSample, RetentionPolicy
from portal.admin_base import ReadOnlyAdmin, chip
from portal.admin_latest import values_of


@admin.register(HourlyCount)
class HourlyCountAdmin(ReadOnlyAdmin):
    """Deliveries by feed, outcome and hour."""

    list_display = ["hour", "feed_text", "outcome_chip", "answer", "known", "count", "bytes_text"]
    list_display_links = None
    list_filter = ["outcome", values_of("stroom_status"), "known"]
    search_fields = ["feed__startswith"]
    search_help_text = "The beginning of a feed's name."
    exact_search = {"feed": "-hour"}

    @admin.display(description="feed", ordering="feed")
    def feed_text(self, row: HourlyCount) -> str:
        return visible(row.feed)

    @admin.display(description="outcome", ordering="outcome")
    def outcome_chip(self, row: HourlyCount) -> SafeString:
        return chip(row.outcome, row.outcome)

    @admin.display(description="answer", ordering="stroom_status")
    def answer(self, row: HourlyCount) -> SafeString:
        return stroom_pair(row.http_status, row.stroom_status)

    @admin.display(description="bytes", ordering="bytes")
    def bytes_text(self, row: HourlyCount) -> str:
        return size(row.bytes)


@admin.register(RefusalSample)
class RefusalSampleAdmin(RefusalsMixin, ReadOnlyAdmin):
    """Examples of refused deliveries, with the steps that led to the refusal."""

    list_display = ["at", "feed_text", "answer", "dn_text", "sender_token", "remote_address", "receipt_id"]
    list_filter = ["stroom_status"]
    search_fields = ["feed__startswith", "receipt_id__exact", "request_id__exact", "sender_dn__icontains"]
    search_fields += ["remote_address__exact", "sender_token__exact"]
    search_help_text = (
        "The beginning of a feed's name, part of a DN, or an exact address, token name, receipt id or request id."
    )
    fields = [
        "at",
        "answer_in_words",
        "feed_link",
        "helps",
        "dn_link",
        "sender_token",
        "remote_address",
        "receipt_id",
        "request_id",
    ]
    fields += ["steps", "stored_headers"]
    readonly_fields = ["answer_in_words", "feed_link", "helps", "dn_link", "stored_headers", "steps"]

    @admin.display(description="feed", ordering="feed")
    def feed_text(self, sample: RefusalSample) -> str:
        return visible(sample.feed)

    @admin.display(description="certificate", ordering="sender_dn")
    def dn_text(self, sample: RefusalSample) -> str:
        return visible(sample.sender_dn)

    @admin.display(description="answer", ordering="stroom_status")
    def answer(self, sample: RefusalSample) -> SafeString:
        return stroom_pair(sample.http_status, sample.stroom_status)

    @admin.display(description="answer")
    def answer_in_words(self, sample: RefusalSample) -> SafeString:
        return format_html("{} {}", self.answer(sample), message_of(sample.stroom_status))

    @admin.display(description="feed")
    def feed_link(self, sample: RefusalSample) -> SafeString | str:
        key = Feed.objects.filter(name=sample.feed).values_list("pk", flat=True).first()
        if key is None:
            return visible(sample.feed) or "none named"
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:feeds_feed_read", args=[key]), visible(sample.feed)
        )

    @admin.display(description="certificate")
    def dn_link(self, sample: RefusalSample) -> SafeString | str:
        if not sample.sender_dn:
            return "none presented"
        page = f"{reverse('admin:feeds_certificate')}?{urlencode({'certificate': sample.sender_dn})}"
        return format_html('<a class="mono" href="{}"><bdi>{}</bdi></a>', page, visible(sample.sender_dn))

    @admin.display(
        description="what helps", empty_value="The sender mends this: no setting of the feed decides it."
    )
    def helps(self, sample: RefusalSample) -> SafeString | None:
        advice = getattr(sample, "advice", None)
        if advice is None or not advice.words:
            return None
        return mark_safe(render_to_string("admin/feeds/_remedies.html", {"advice": advice}))  # noqa: S308  # a template's

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the refusal with what helps this user against it."""
        sample = super().get_object(request, object_id, from_field)
        if sample is not None:
            found = advise_on_samples([sample], list(denials()), request.user, datetime.now(UTC))
            sample.advice = found[sample.pk]
        return sample

    @admin.display(description="headers")
    def stored_headers(self, sample: RefusalSample) -> SafeString:
        return name_value_table(sample.headers)

    @admin.display(description="steps")
    def steps(self, sample: RefusalSample) -> SafeString:
        return mark_safe(render_to_string("admin/feeds/_trace.html", {"trace": sample.trace}))  # noqa: S308  # a template's


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Retention policies: how long received data is kept."""

    list_display = ["feed_text", "keep_days", "keep_bytes_text", "only_forwarded"]
    search_fields = ["feed__startswith"]
    show_facets = admin.ShowFacets.ALWAYS
    actions = None

    @admin.display(description="feed", ordering="feed")
    def feed_text(self, policy: RetentionPolicy) -> str:
        return str(policy)

    @admin.display(description="keep at most", ordering="keep_bytes")
    def keep_bytes_text(self, policy: RetentionPolicy) -> str:
        return size(policy.keep_bytes)
