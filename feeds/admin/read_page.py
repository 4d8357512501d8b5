"""The page of a feed to read first: state, picture, rules, last refusals, last receipts, history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from feeds.admin.history_pages import HistoryEntry, diff_lines
from feeds.admin.page import feed_panel
from feeds.changes.approval import concerning, waiting
from feeds.changes.approval_watch import is_on
from feeds.changes.timeline import latest_of
from feeds.models import CertificateRule, Feed, Receipt, ReceiptFeed
from feeds.rules.facts import TOKEN_SUBJECT

RECEIPTS, CHANGES, RULES = 5, 5, 200


@dataclass(frozen=True)
class ShownRule:
    """A certificate rule, and whether it has expired. One about a sender token leads to no certificate."""

    rule: CertificateRule
    is_expired: bool

    @property
    def is_of_token(self) -> bool:
        return self.rule.subject_dn.startswith(TOKEN_SUBJECT)


def key_of(object_id: str) -> str:
    """Return the key that an address means: a key, or the name of a feed."""
    name = unquote(object_id)
    if name.isdigit() or not name.isprintable():
        return object_id
    key = Feed.objects.filter(name=name).values_list("pk", flat=True).first()
    return object_id if key is None else str(key)


class ReadPageMixin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Adds the page, at the feed's name; the other pages of a feed are found by its name too."""

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().change_view(request, key_of(object_id), *args, **kwargs)

    def history_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().history_view(request, key_of(object_id), *args, **kwargs)

    def delete_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().delete_view(request, key_of(object_id), *args, **kwargs)

    def response_post_save_change(self, request: HttpRequest, obj: Feed) -> HttpResponseRedirect:
        return HttpResponseRedirect(obj.get_absolute_url())

    def response_post_save_add(self, request: HttpRequest, obj: Feed) -> HttpResponseRedirect:
        return HttpResponseRedirect(obj.get_absolute_url())

    def read_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a feed to read."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        feed = self.get_object(request, key_of(object_id))
        if not isinstance(feed, Feed):
            raise Http404("There is no such feed.")
        now = datetime.now(UTC)
        rules = list(feed.certificate_rules.all()[: RULES + 1])
        context = {
            **self.admin_site.each_context(request),
            "title": feed.name,
            "opts": self.opts,
            "original": feed,
            "object": feed,
            "rules": [ShownRule(rule, bool(rule.expires and rule.expires <= now)) for rule in rules[:RULES]],
            "more_rules": len(rules) > RULES,
            "denied_everywhere": CertificateRule.objects.filter(feed=None).count(),
            "panel": feed_panel(feed, request.user),
            "receipts": latest_receipts(feed) if request.user.has_perm("feeds.view_receipt") else None,
            "changes": latest_changes(feed),
            "proposals": list(concerning(feed.name, waiting())) if is_on() else [],
            "may_change": self.has_change_permission(request, feed),
            "may_add": self.has_add_permission(request),
            "may_delete": self.has_delete_permission(request, feed),
            "may_see_certificates": request.user.has_perm("feeds.view_certificaterule"),
        }
        return TemplateResponse(request, "admin/feeds/feed/read.html", context)


def latest_receipts(feed: Feed) -> Sequence[Receipt]:
    """Return the last receipts that hold data of the feed, the latest first: one step through an index for each."""
    links = ReceiptFeed.objects.filter(feed=feed.name).order_by("-receipt_id").select_related("receipt")
    return [link.receipt for link in links[:RECEIPTS]]


def latest_changes(feed: Feed) -> list[HistoryEntry]:
    """Return the last changes of the feed and its rules."""
    changes = latest_of(feed.pk, CHANGES)
    return [HistoryEntry(change, diff_lines(change.changes), change.at.isoformat()) for change in changes]
