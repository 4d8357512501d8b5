"""Receipts in the admin: what came, from whom, where it went, and the data itself for those who may see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from feeds.admin.display import name_value_table, size, stroom_pair, visible, visible_lines
from feeds.models import Feed, Receipt, ReceiptFeed
from feeds.store.compression import StreamInvalid
from feeds.store.preview import (
    LISTED,
    PREVIEW_BYTES,
    ArchiveMember,
    Excerpt,
    Listing,
    decode_text,
    hex_dump,
    list_members,
    read_excerpt,
    read_member,
)
from feeds.store.spool import stored_path
from portal.admin_base import ReadOnlyAdmin, chip
from portal.admin_facets import ConditionFilter
from portal.admin_latest import values_of
from portal.audit import record

#: Later receipts with the same content, and feeds of an archive, that the page of a receipt lists.
MOST_LISTED = 20


@dataclass(frozen=True)
class Preview:
    """Data on the page: a listing of members, an excerpt, or both."""

    text: str
    is_hex: bool
    may_be_text: bool
    excerpt: Excerpt | None
    listing: Listing | None
    member: ArchiveMember | None
    fault: str = ""


class RepeatFilter(ConditionFilter):
    """Receipts whose content or GUID came before: a sender whose answer was lost sends again (R11)."""

    title = "possible duplicate"
    parameter_name = "duplicate"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def condition(self, value: str) -> Q:
        return ~Q(duplicate_of="") if value == "yes" else Q(duplicate_of="")


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    """Accepted deliveries. A row names a stored file and is never edited."""

    change_form_template = "admin/feeds/receipt/change_form.html"
    list_display = ["receipt_id", "feed", "received_at", "bytes_text", "compression", "status_chip"]
    list_display += ["remote_address", "repeat_chip"]
    list_filter = ["status", values_of("compression"), RepeatFilter, "recovered", "truncated"]
    search_fields = ["receipt_id__exact", "feed__startswith", "sha256__exact", "guid__exact", "request_id__exact"]
    search_fields += ["remote_address__exact", "sender_token__exact", "sender_dn__icontains"]
    search_help_text = (
        "Exact receipt id, request id, SHA-256, GUID, address or name of a sender token, part of a certificate's "
        "name (DN), or the beginning of a feed's name."
    )
    exact_search: Mapping[str, str] = {
        "receipt_id": "",
        "sha256": "",
        "guid": "",
        "request_id": "",
        "sender_token": "-id",
        "feed": "-received_at",
    }
    date_hierarchy = None
    fieldsets = [
        (
            None,
            {"fields": ["receipt_id", "feed_links_text", "status_text", "received_text", "size_text", "sha256"]},
        ),
        ("Sender", {"fields": ["dn_text", "token_text", "address_text", "request_text", "guid_text"]}),
        ("Duplicates", {"fields": ["repeats", "repeated_by"]}),
        ("Where it went", {"fields": ["handed_over", "stored_archives"]}),
        ("As received", {"fields": ["metadata", "stored_groups", "stored_notes", "remarks"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for _, options in self.fieldsets for name in options["fields"]]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.data_view)
        return [path("<int:pk>/data/", view, name="feeds_receipt_data"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"may_download": may_download(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def data_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the beginning of the data. Each view is recorded in the audit log, as a download is (S31)."""
        if not self.has_view_permission(request) or not may_download(request):
            raise PermissionDenied
        receipt = get_object_or_404(Receipt, pk=pk)
        try:
            shown = preview(receipt, request.GET)
        except FileNotFoundError:
            raise Http404(f"The stored file of receipt {receipt.receipt_id} is missing.") from None
        what = shown.member.name if shown.member else ""
        record.record("previewed", kind="receipt", key=receipt.receipt_id, name=receipt.feed, new=_named(what))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Data of {receipt.receipt_id}",
            "opts": self.opts,
            "receipt": receipt,
            "shown": shown,
            "limit": PREVIEW_BYTES,
            "first": _number(request.GET.get("from")),
            "step": LISTED,
        }
        return TemplateResponse(request, "admin/feeds/receipt/data.html", context)

    @admin.display(description="bytes", ordering="bytes")
    def bytes_text(self, receipt: Receipt) -> str:
        return size(receipt.bytes)

    @admin.display(description="status", ordering="status")
    def status_chip(self, receipt: Receipt) -> SafeString:
        return chip(receipt.status, receipt.status)

    @admin.display(description="duplicate of", empty_value="")
    def repeat_chip(self, receipt: Receipt) -> str | None:
        return receipt.duplicate_of or None

    @admin.display(description="feed")
    def feed_links_text(self, receipt: Receipt) -> SafeString:
        links = list(ReceiptFeed.objects.filter(receipt=receipt).order_by("pk")[: MOST_LISTED + 1])
        names = [(link.feed, link.dropped) for link in links[:MOST_LISTED]] or [(receipt.feed, False)]
        keys = dict(Feed.objects.filter(name__in=[name for name, _ in names]).values_list("name", "pk"))
        lines = format_html_join("", "<li>{}</li>", ((_feed(name, keys, dropped=out),) for name, out in names))
        more = format_html("<li>and more</li>") if len(links) > MOST_LISTED else ""
        return format_html('<ul class="plain-list">{}{}</ul>', lines, more)

    @admin.display(description="answer")
    def status_text(self, receipt: Receipt) -> SafeString:
        return format_html("{} {}", stroom_pair(200, receipt.stroom_status), self.status_chip(receipt))

    @admin.display(description="received")
    def received_text(self, receipt: Receipt) -> SafeString:
        return _time(receipt.received_at)

    @admin.display(description="size")
    def size_text(self, receipt: Receipt) -> str:
        packed = "" if receipt.compression == "NONE" else f", stored as {visible(receipt.compression)}"
        wire = f"; {receipt.wire_bytes:,} bytes on the network" if receipt.wire_bytes != receipt.bytes else ""
        return f"{receipt.bytes:,} bytes ({size(receipt.bytes)}){packed}{wire}"

    @admin.display(description="certificate")
    def dn_text(self, receipt: Receipt) -> SafeString | str:
        return _search(receipt.sender_dn, "receipts of this certificate") if receipt.sender_dn else "none verified"

    @admin.display(description="token")
    def token_text(self, receipt: Receipt) -> SafeString | str:
        return _search(receipt.sender_token, "receipts of this token") if receipt.sender_token else "none"

    @admin.display(description="address")
    def address_text(self, receipt: Receipt) -> SafeString | str:
        return (
            _search(receipt.remote_address, "receipts from this address") if receipt.remote_address else "not known"
        )

    @admin.display(description="request id")
    def request_text(self, receipt: Receipt) -> SafeString | str:
        return _search(receipt.request_id, "receipts of this request") if receipt.request_id else "none"

    @admin.display(description="GUID")
    def guid_text(self, receipt: Receipt) -> SafeString | str:
        return _search(receipt.guid, "receipts with this GUID") if receipt.guid else "none"

    @admin.display(description="possible duplicate of")
    def repeats(self, receipt: Receipt) -> SafeString | str:
        if not receipt.duplicate_of:
            return "no earlier receipt"
        return _receipts(Receipt.objects.filter(receipt_id=receipt.duplicate_of)) or format_html(
            "{} (no longer in the store)", receipt.duplicate_of
        )

    @admin.display(description="repeated by")
    def repeated_by(self, receipt: Receipt) -> SafeString | str:
        same = Receipt.objects.filter(sha256=receipt.sha256, bytes=receipt.bytes, duplicate_of=receipt.receipt_id)
        return _receipts(same.order_by("pk")) or "no later receipt"

    @admin.display(description="handed over at")
    def handed_over(self, receipt: Receipt) -> SafeString | str:
        return _time(receipt.forwarded_at) if receipt.forwarded_at else "not yet"

    @admin.display(description="handed over in")
    def stored_archives(self, receipt: Receipt) -> SafeString | str:
        rows = [
            " · ".join(f"{name} {value}" for name, value in archive.items()) for archive in receipt.archives or []
        ]
        return _lines(rows) or "none"

    @admin.display(description="metadata")
    def metadata(self, receipt: Receipt) -> SafeString:
        return name_value_table(receipt.headers)

    @admin.display(description="data items of the ZIP")
    def stored_groups(self, receipt: Receipt) -> SafeString | str:
        return _lines([_group(group) for group in receipt.groups]) or "not a ZIP"

    @admin.display(description="notes")
    def stored_notes(self, receipt: Receipt) -> SafeString | str:
        return _lines([str(note) for note in receipt.notes]) or "none"

    @admin.display(description="remarks")
    def remarks(self, receipt: Receipt) -> SafeString | str:
        remarks = {
            "The metadata was truncated.": receipt.truncated,
            "Found in the store after a crash and recorded again.": receipt.recovered,
        }
        return _lines([text for text, holds in remarks.items() if holds]) or "none"


def may_download(request: HttpRequest) -> bool:
    """Whether the user may see received data (S31)."""
    return request.user.has_perm("feeds.download_receipt")


def preview(receipt: Receipt, query: Mapping[str, str]) -> Preview:
    """Read what a page asks for: `member` of an archive, `from` in its listing, `form` text or hex.

    Raises:
        FileNotFoundError: the stored file is missing.
        Http404: the archive has no such member.
    """
    file = stored_path(settings.STORE_DIR, receipt.path)
    listing = member = excerpt = None
    fault = ""
    try:
        if receipt.compression != "ZIP":
            excerpt = read_excerpt(file, receipt.compression)
        elif "member" in query:
            member, excerpt = read_member(file, _number(query["member"], wrong=-1))
        else:
            listing = list_members(file, _number(query.get("from")))
    except StreamInvalid as broken:
        fault = str(broken)
    except IndexError:
        raise Http404("The archive has no such member.") from None
    text = decode_text(excerpt.data, _encoding(receipt), whole=excerpt.whole) if excerpt else None
    is_hex = text is None or query.get("form") == "hex"
    shown = hex_dump(excerpt.data) if excerpt and is_hex else visible_lines(text or "")
    return Preview(shown, is_hex, text is not None, excerpt, listing, member, fault)


def _encoding(receipt: Receipt) -> str:
    return Feed.objects.filter(name=receipt.feed).values_list("encoding", flat=True).first() or ""


def _number(text: str | None, wrong: int = 0) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else wrong


def _named(member: str) -> dict[str, str] | None:
    return {"member": member} if member else None


def _time(moment: datetime) -> SafeString:
    return format_html('<time datetime="{}">{} UTC</time>', moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S}")


def _search(value: str, what: str) -> SafeString:
    """Return a sender's value with links to the receipts and the refusals that have it."""
    query = urlencode({"q": value})
    return format_html(
        '<bdi class="mono">{}</bdi> · <a href="{}?{}">{}</a> · <a href="{}?{}">refusals</a>',
        visible(value),
        reverse("admin:feeds_receipt_changelist"),
        query,
        what,
        reverse("admin:feeds_refusalsample_changelist"),
        query,
    )


def _feed(name: str, keys: Mapping[str, int], *, dropped: bool) -> SafeString:
    link = reverse("admin:feeds_feed_read", args=[keys[name]]) if name in keys else ""
    word = format_html('<a href="{}">{}</a>', link, visible(name)) if link else visible(name)
    others = f"{reverse('admin:feeds_receipt_changelist')}?{urlencode({'q': name})}"
    return format_html(
        '{}{} · <a href="{}">its receipts</a>', word, " (this part was dropped)" if dropped else "", others
    )


def _receipts(rows: QuerySet[Receipt]) -> SafeString | None:
    found = list(rows.values_list("pk", "receipt_id")[:MOST_LISTED])
    links = ((reverse("admin:feeds_receipt_change", args=[pk]), name) for pk, name in found)
    return format_html_join("; ", '<a href="{}">{}</a>', links) if found else None


def _group(group: Mapping[str, Any]) -> str:
    dropped = " (dropped)" if group.get("dropped") else ""
    return f"{group.get('name', '')}: {group.get('feed') or 'no feed named'}{dropped}"


def _lines(lines: list[str]) -> SafeString | None:
    items = format_html_join("", "<li>{}</li>", ((visible(line),) for line in lines))
    return format_html('<ul class="plain-list">{}</ul>', items) if lines else None
