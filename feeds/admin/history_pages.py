"""Pages about a feed's past: who changed what, put a former state back, delete with a reason, restore."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from feeds.admin.display import visible
from feeds.admin.forms import CommentField
from feeds.admin.search_words import words_of
from feeds.changes.apply import OfficerNeeded
from feeds.changes.approval import guarded
from feeds.changes.approval_watch import is_on
from feeds.changes.permissions import may_manage_certificates
from feeds.changes.snapshots import (
    ChangedMeanwhile,
    FeedState,
    compare,
    deleted_feed,
    deleted_feeds,
    last_deletions,
    restore,
    revert,
    state_at,
    state_of,
)
from feeds.changes.timeline import RULES, Change, ValueChange, story_of
from feeds.history import commented
from feeds.models import Feed

PER_PAGE = 50


@dataclass(frozen=True)
class DiffLine:
    """One difference as the pages show it."""

    label: str
    old: str
    new: str


class WhyForm(forms.Form):
    """A change that always wants a reason."""

    change_comment = CommentField(required=True)


class RevertForm(WhyForm):
    """A former state is put back over the one that its reader was shown, and over no other."""

    seen_version = forms.IntegerField(required=False, widget=forms.HiddenInput)


def diff_lines(changes: Sequence[ValueChange]) -> list[DiffLine]:
    """Differences in words: a rule as one line, a field by its label."""
    return [_line(change) for change in changes]


def _line(change: ValueChange) -> DiffLine:
    if change.field == RULES:
        return DiffLine("certificate rule", rule_text(change.old), rule_text(change.new))
    label = str(Feed._meta.get_field(change.field).verbose_name)  # type: ignore[union-attr]  # a column
    return DiffLine(label, as_text(change.old), as_text(change.new))


def rule_text(rule: Any) -> str:
    """Format a rule in one line; nothing for a missing one."""
    if rule is None:
        return ""
    extras = [f"until {as_text(rule['expires'])}" if rule["expires"] else "", rule["comment"]]
    details = "; ".join(extra for extra in extras if extra)
    # Nothing in it may look like something else to the user who approves it.
    return visible(f"{rule['action']} {rule['subject_dn']}" + (f" ({details})" if details else ""))


def as_text(value: Any) -> str:
    """Format a value for a list of changes."""
    if value is None or value in ("", []):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


@dataclass(frozen=True)
class HistoryEntry:
    """A change with its lines and the instant that a revert refers to."""

    change: Change
    lines: list[DiffLine]
    at: str


class PastMixin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Adds the pages about the past to the admin of feeds."""

    object_history_template = "admin/feeds/feed/history.html"
    delete_confirmation_template = "admin/feeds/feed/delete.html"

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """List every change of the feed and its rules, newest first."""
        feed = self.get_object(request, unquote(object_id))
        if feed is None:
            raise Http404("There is no such feed.")
        if not self.has_view_permission(request, feed):
            raise PermissionDenied
        entries = [
            HistoryEntry(change, diff_lines(change.changes), change.at.isoformat())
            for change in story_of([feed.pk])
        ]
        pages = Paginator(entries, PER_PAGE)
        context = {
            **self._page(request, f"History of {feed.name}"),
            "object": feed,
            "page": pages.get_page(request.GET.get("p")),
            "may_revert": self.has_change_permission(request, feed),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.object_history_template, context)

    def revert_view(self, request: HttpRequest, feed_id: int) -> HttpResponse:
        """Show what putting a former state back would change, and do it."""
        feed = get_object_or_404(Feed, pk=feed_id)
        if not self.has_change_permission(request, feed):
            raise PermissionDenied
        wanted = state_at(feed.pk, _instant(request.GET.get("at")))
        if wanted is None:
            raise Http404("The feed did not exist then.")
        changes = compare(state_of(feed), wanted)
        form = RevertForm(
            request.POST if request.method == "POST" else None, initial={"seen_version": feed.version}
        )
        if request.method == "POST" and form.is_valid() and self._revert(request, feed, wanted, form):
            messages.success(request, f"{wanted.name} is as it was at {request.GET['at'][:19]} UTC.")
            return HttpResponseRedirect(reverse("admin:feeds_feed_history", args=[feed.pk]))
        context = {
            **self._page(request, f"Put {feed.name} back"),
            "object": feed,
            "at": _instant(request.GET.get("at")),
            "lines": diff_lines(changes),
            "form": form,
            "officer_needed": any(change.field in {RULES, "certificate_policy"} for change in changes)
            and not may_manage_certificates(request.user),
            "second_approval": is_on(),
        }
        return TemplateResponse(request, "admin/feeds/feed/revert.html", context)

    def _revert(self, request: HttpRequest, feed: Feed, wanted: FeedState, form: RevertForm) -> bool:
        """Restore the state; return False, with the reason in the form, where that is refused."""
        cleaned = form.cleaned_data
        try:
            with guarded(request.user):
                revert(
                    feed,
                    wanted,
                    user=request.user,
                    comment=cleaned["change_comment"],
                    seen_version=cleaned["seen_version"],
                )
        except ChangedMeanwhile:
            form.add_error(None, CHANGED_MEANWHILE)
            posted = request.POST.copy()
            posted["seen_version"] = str(feed.version)
            form.data = posted
        except OfficerNeeded:
            form.add_error(None, OFFICER_NEEDED)
        except ValidationError as fault:
            form.add_error(None, fault.messages)
        else:
            return True
        return False

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Require a reason for a deletion."""
        form = WhyForm(request.POST if request.method == "POST" else None)
        context = {**(extra_context or {}), "why_form": form, "second_approval": is_on()}
        if request.method == "POST" and not form.is_valid():
            # Shows the page again, with the fault: Django deletes as soon as anything is posted.
            request.method, request.POST = "GET", QueryDict()
            return super().delete_view(request, object_id, context)
        if not form.is_bound:
            return super().delete_view(request, object_id, context)
        with guarded(request.user), commented(form.cleaned_data["change_comment"]):
            return super().delete_view(request, object_id, context)

    def deleted_view(self, request: HttpRequest) -> HttpResponse:
        """Feeds that are gone and could come back, in pages; those with every word of a search."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        query = request.GET.get("q", "").replace("\0", "").strip()
        page = Paginator(last_deletions(*words_of(query)), PER_PAGE).get_page(request.GET.get("p"))
        context = {
            **self._page(request, "Deleted feeds"),
            "page": page,
            "deleted": deleted_feeds(page),
            "query": query,
            "may_restore": self.has_add_permission(request),
        }
        return TemplateResponse(request, "admin/feeds/feed/deleted.html", context)

    def restore_view(self, request: HttpRequest, feed_id: int) -> HttpResponse:
        """Show what would come back, and bring it back."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        deleted = deleted_feed(feed_id)
        if deleted is None:
            raise Http404("No such feed was deleted.")
        form = WhyForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                with guarded(request.user):
                    feed = restore(deleted, comment=form.cleaned_data["change_comment"])
            except ValidationError as fault:
                form.add_error(None, fault.messages)
            else:
                messages.success(request, f"{feed.name} is back, with its rules. It is {feed.status} at once.")
                return HttpResponseRedirect(feed.get_absolute_url())
        context = {
            **self._page(request, f"Restore {deleted.state.name}"),
            "deleted": deleted,
            "form": form,
            "second_approval": is_on(),
        }
        return TemplateResponse(request, "admin/feeds/feed/restore.html", context)

    def _page(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts}


CHANGED_MEANWHILE = (
    "Another user changed this feed since you opened this page. Below is what restoring would change now."
)
OFFICER_NEEDED = (
    "This would change the certificate policy or rules, or the name they guard. A certificate officer may."
)


def _instant(text: str | None) -> datetime:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError as fault:
        raise Http404("No such instant.") from fault
    if moment.tzinfo is None:
        raise Http404("An instant has a time zone.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as fault:
        raise Http404("No such instant.") from fault
