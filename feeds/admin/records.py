"""Read-only admin of what was received and refused. Nothing here can be added, edited or removed by hand."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from feeds.admin.display import size, stroom_pair, visible
from feeds.admin.refusals import RefusalsMixin
from feeds.models import HourlyCount, Receipt, RefusalSample, RetentionPolicy
from portal.admin_base import ReadOnlyAdmin, chip
from portal.admin_latest import values_of


def as_text(value: Any) -> SafeString:
    """Stored JSON in a form that people read, escaped."""
    lines = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True).splitlines()
    return format_html('<pre class="stored" tabindex="0">{}</pre>', "\n".join(map(visible, lines)))


class RepeatFilter(admin.SimpleListFilter):
    """Receipts whose content or GUID came before: a sender whose answer was lost sends again (R11)."""

    title = "possible duplicate"
    parameter_name = "duplicate"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Receipt]) -> QuerySet[Receipt]:
        if self.value() == "yes":
            return queryset.exclude(duplicate_of="")
        return queryset.filter(duplicate_of="") if self.value() == "no" else queryset


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    """Accepted deliveries. A row names a stored file and is never edited."""

    list_display = [
        "receipt_id",
        "feed",
        "received_at",
        "bytes_text",
        "compression",
        "status_chip",
        "remote_address",
    ]
    list_filter = ["status", values_of("compression"), RepeatFilter, "recovered", "truncated"]
    search_fields = ["receipt_id__exact", "feed__startswith", "sha256__exact", "guid__exact", "request_id__exact"]
    search_help_text = "Exact receipt id, request id, SHA-256 or GUID, or the beginning of a feed's name."
    exact_search = {"receipt_id": "", "sha256": "", "guid": "", "request_id": "", "feed": "-received_at"}
    date_hierarchy = None
    exclude = ["headers", "groups", "notes", "sender_dn", "guid", "duplicate_of", "archives"]
    readonly_fields = ["dn_text", "guid_text", "repeats", "stored_headers", "stored_groups", "stored_notes"]
    readonly_fields += ["stored_archives"]

    @admin.display(description="bytes", ordering="bytes")
    def bytes_text(self, receipt: Receipt) -> str:
        return size(receipt.bytes)

    @admin.display(description="status", ordering="status")
    def status_chip(self, receipt: Receipt) -> SafeString:
        return chip(receipt.status, receipt.status)

    @admin.display(description="certificate", empty_value="none verified")
    def dn_text(self, receipt: Receipt) -> str | None:
        return visible(receipt.sender_dn) if receipt.sender_dn else None

    @admin.display(description="GUID")
    def guid_text(self, receipt: Receipt) -> str:
        return visible(receipt.guid)

    @admin.display(description="possible duplicate of", empty_value="none")
    def repeats(self, receipt: Receipt) -> str | None:
        earlier = Receipt.objects.filter(receipt_id=receipt.duplicate_of).values_list("pk", flat=True).first()
        if earlier is None:
            return receipt.duplicate_of or None
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:feeds_receipt_change", args=[earlier]), receipt.duplicate_of
        )

    @admin.display(description="metadata")
    def stored_headers(self, receipt: Receipt) -> SafeString:
        return as_text(receipt.headers)

    @admin.display(description="groups of a ZIP")
    def stored_groups(self, receipt: Receipt) -> SafeString:
        return as_text(receipt.groups)

    @admin.display(description="handed over in", empty_value="nothing")
    def stored_archives(self, receipt: Receipt) -> SafeString | None:
        return as_text(receipt.archives) if receipt.archives else None

    @admin.display(description="notes")
    def stored_notes(self, receipt: Receipt) -> SafeString:
        return as_text(receipt.notes)


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

    list_display = ["at", "feed_text", "answer", "dn_text", "remote_address", "receipt_id"]
    list_filter = ["stroom_status"]
    search_fields = ["feed__startswith", "receipt_id__exact", "request_id__exact", "sender_dn__icontains"]
    search_help_text = "The beginning of a feed's name, part of a DN, or an exact receipt or request id."
    fields = ["at", "answer", "feed_text", "dn_text", "remote_address", "receipt_id", "request_id"]
    fields += ["steps", "stored_headers"]
    readonly_fields = ["answer", "feed_text", "dn_text", "stored_headers", "steps"]

    @admin.display(description="feed", ordering="feed")
    def feed_text(self, sample: RefusalSample) -> str:
        return visible(sample.feed)

    @admin.display(description="certificate", ordering="sender_dn")
    def dn_text(self, sample: RefusalSample) -> str:
        return visible(sample.sender_dn)

    @admin.display(description="answer", ordering="stroom_status")
    def answer(self, sample: RefusalSample) -> SafeString:
        return stroom_pair(sample.http_status, sample.stroom_status)

    @admin.display(description="headers")
    def stored_headers(self, sample: RefusalSample) -> SafeString:
        return as_text(sample.headers)

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
