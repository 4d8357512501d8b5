"""Saved views: search, filters, order and columns of the list of feeds, kept by a user under a name."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict

from feeds.admin.columns import list_address
from feeds.models import SavedView
from feeds.models.saved_view import MAX_QUERY

MOST_VIEWS = 30
#: Parameters of the list's address that are no part of a view: page, and Django's mark of an error.
_PASSING = ("p", "e")


class ViewForm(forms.Form):
    """A view to save."""

    name = forms.CharField(max_length=60)
    query = forms.CharField(max_length=MAX_QUERY, required=False)
    shared = forms.BooleanField(required=False)


@dataclass(frozen=True)
class ShownView:
    """A saved view as the list shows it."""

    view: SavedView
    address: str
    is_current: bool
    is_own: bool


def views_for(request: HttpRequest) -> dict[str, Any]:
    """Return what the list shows of saved views, with one query."""
    query = _clean(request.GET)
    key = request.user.pk
    found = SavedView.objects.filter(Q(user=key) | Q(shared=True)).select_related("user")
    views = [ShownView(view, list_address(view.query), view.query == query, view.user_id == key) for view in found]
    return {"views": views, "view_query": query, "may_share": request.user.has_perm("feeds.change_feed")}


def _own(request: HttpRequest) -> int:
    return int(request.user.pk or 0)  # these pages are for signed-in users


def _clean(asked: QueryDict) -> str:
    """Return a query without what passes, in one order, so that equal views are equal texts."""
    query = QueryDict(mutable=True)
    for name in sorted(asked):
        if name not in _PASSING and any(asked.getlist(name)):
            query.setlist(name, asked.getlist(name))
    return query.urlencode()


class SavedViewsMixin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Adds the addresses that save and remove a view."""

    def save_view(self, request: HttpRequest) -> HttpResponse:
        """Save the list as it was shown; a view of the user's with this name is replaced."""
        self._demand(request)
        form = ViewForm(request.POST)
        if not form.is_valid():
            messages.error(request, "A view needs a name of at most 60 characters.")
            return HttpResponseRedirect(list_address())
        query = _clean(QueryDict(form.cleaned_data["query"]))
        own = SavedView.objects.filter(user_id=_own(request))
        name = form.cleaned_data["name"]
        if own.exclude(name=name).count() >= MOST_VIEWS:
            messages.error(request, f"You have {MOST_VIEWS} views already. Remove one first.")
            return HttpResponseRedirect(list_address(query))
        shared = form.cleaned_data["shared"] and request.user.has_perm("feeds.change_feed")
        SavedView.objects.update_or_create(
            user_id=_own(request), name=name, defaults={"query": query, "shared": shared}
        )
        messages.success(request, f"Saved as {name}.")
        return HttpResponseRedirect(list_address(query))

    def remove_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Remove a view of the user's own."""
        self._demand(request)
        view = SavedView.objects.filter(pk=min(key, 2**63 - 1), user_id=_own(request)).first()
        if view is None:
            raise Http404("You have no such view.")
        view.delete()
        messages.success(request, f"Removed the view {view.name}.")
        return HttpResponseRedirect(list_address())

    def _demand(self, request: HttpRequest) -> None:
        if request.method != "POST" or not self.has_view_permission(request):
            raise PermissionDenied
