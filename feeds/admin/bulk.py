"""Set the status of many feeds at once, after a page that says how many and which; each keeps its own history."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from feeds.admin.forms import CommentField
from feeds.admin.remedies import REFUSAL, offer_new_test
from feeds.changes.approval import guarded
from feeds.changes.permissions import AnyUser
from feeds.history import commented
from feeds.models import Feed
from portal.audit.record import together

MAX_NAMED = 200
PART = 200

EFFECTS = {
    Feed.Status.RECEIVE: "Senders are answered 200 and their data is stored.",
    Feed.Status.REJECT: (
        "Senders are answered HTTP 406 with Stroom-Status 110 and keep their data; a stroom-proxy that forwards "
        "gives up on what it holds for these feeds."
    ),
    Feed.Status.DROP: "Senders are answered 200 and their data is discarded. Their senders cannot see this.",
}


class BulkForm(forms.Form):
    """Form of a page about selected feeds: they are in one field, as there may be many; and the reason."""

    feeds = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["comment"] = CommentField()

    def clean_feeds(self) -> list[int]:
        keys = _keys(self.cleaned_data["feeds"])
        if not keys:
            raise forms.ValidationError("These are not feeds.")
        return keys

    def keys(self) -> list[int]:
        """Return the keys of the feeds, also of a form that is not valid or not posted yet."""
        return _keys(str(self.data.get("feeds", "") if self.is_bound else self.initial.get("feeds", "")))

    def edit(self) -> Any:
        """Return what is to be done. Only for a valid form."""
        raise NotImplementedError


def _keys(text: str) -> list[int]:
    words = text.split(",")
    return [int(word) for word in words] if all(_is_key(word) for word in words) else []


def _is_key(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 19


class BulkStatusForm(BulkForm):
    """Form of the confirmation page."""

    status = forms.ChoiceField(choices=Feed.Status.choices, widget=forms.HiddenInput)


class BulkStatusMixin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Adds the three actions to the list of feeds, and the address that their confirm page posts to."""

    actions = ["set_receive", "set_reject", "set_drop", "edit_values", "add_rule", "remove_rule"]

    def get_actions(self, request: HttpRequest) -> dict[str, tuple[Callable[..., str], str, str] | None]:
        """Deleting needs a comment each, so there is no bulk deletion."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    @admin.action(description="Set to Receive …", permissions=["change"])
    def set_receive(self, request: HttpRequest, queryset: QuerySet[Feed]) -> HttpResponse:
        return self._confirm(request, queryset, Feed.Status.RECEIVE)

    @admin.action(description="Set to Reject …", permissions=["change"])
    def set_reject(self, request: HttpRequest, queryset: QuerySet[Feed]) -> HttpResponse:
        return self._confirm(request, queryset, Feed.Status.REJECT)

    @admin.action(description="Set to Drop …", permissions=["change"])
    def set_drop(self, request: HttpRequest, queryset: QuerySet[Feed]) -> HttpResponse:
        return self._confirm(request, queryset, Feed.Status.DROP)

    def _confirm(self, request: HttpRequest, feeds: QuerySet[Feed], status: Feed.Status) -> HttpResponse:
        keys = list(feeds.order_by("name").values_list("pk", flat=True))
        form = BulkStatusForm(initial={"status": status.value, "feeds": ",".join(map(str, keys))})
        return self._confirm_page(request, form, status, keys)

    def _confirm_page(
        self, request: HttpRequest, form: BulkStatusForm, status: Feed.Status, keys: list[int]
    ) -> HttpResponse:
        chosen = Feed.objects.filter(pk__in=keys).order_by("name")
        changing = chosen.exclude(status=status)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Set feeds to {status.label}",
            "opts": self.opts,
            "form": form,
            "status": status,
            "effect": EFFECTS[status],
            "changing": list(changing[:MAX_NAMED]),
            "changing_count": (count := changing.count()),
            "more": max(0, count - MAX_NAMED),
            "same_count": len(keys) - count,
            "post_url": f"{reverse('admin:feeds_feed_set_status')}{_refusal_of(request)}",
        }
        return TemplateResponse(request, "admin/feeds/feed/set_status.html", context)

    def set_status_view(self, request: HttpRequest) -> HttpResponse:
        """Write what the confirm page showed. Feeds and a status in the address lead to that page."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            asked = BulkStatusForm({**request.GET.dict(), "comment": "-"})
            if not asked.is_valid():
                return HttpResponseRedirect(reverse("admin:feeds_feed_changelist"))
            status = Feed.Status(asked.cleaned_data["status"])
            return self._confirm(request, Feed.objects.filter(pk__in=asked.cleaned_data["feeds"]), status)
        form = BulkStatusForm(request.POST)
        if not form.is_valid():
            if "status" not in form.cleaned_data:
                raise BadRequest("There is no such status.")
            status = Feed.Status(form.cleaned_data["status"])
            return self._confirm_page(request, form, status, form.cleaned_data.get("feeds", []))
        status = Feed.Status(form.cleaned_data["status"])
        changed = set_status(form.cleaned_data["feeds"], status, request.user, form.cleaned_data["comment"])
        messages.success(
            request, f"{changed} {'feed is' if changed == 1 else 'feeds are'} now set to {status.label}."
        )
        offer_new_test(request)
        return HttpResponseRedirect(reverse("admin:feeds_feed_changelist"))


def _refusal_of(request: HttpRequest) -> str:
    """Return the query that keeps the refusal for which the feeds are set."""
    return f"?{urlencode({REFUSAL: request.GET[REFUSAL]})}" if REFUSAL in request.GET else ""


def set_status(keys: list[int], status: Feed.Status, user: AnyUser, comment: str) -> int:
    """Give these feeds the status; return how many had another one.

    In parts, so that deliveries never wait long for the database's one writer (SQLite).
    """
    return sum(_set_part(keys[start : start + PART], status, user, comment) for start in range(0, len(keys), PART))


def _set_part(keys: list[int], status: Feed.Status, user: AnyUser, comment: str) -> int:
    with guarded(user), commented(comment), together():
        feeds = list(Feed.objects.select_for_update().filter(pk__in=keys).exclude(status=status))
        for feed in feeds:
            feed.status = status
            feed.save(update_fields=["status"])
    return len(feeds)
