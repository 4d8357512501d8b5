"""Building blocks of the admin that all apps share."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portal.admin_latest import LATEST, LatestChangeList, first_of_latest


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Admin of rows that the portal writes and users only read."""

    actions = None
    show_facets = admin.ShowFacets.ALWAYS
    list_per_page = 50
    change_form_template = "admin/feeds/read_only.html"
    show_full_result_count = False
    #: Fields in which a search finds an exact value in rows of any age, each with the order of its index.
    exact_search: Mapping[str, str] = {}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LatestChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        title = str(self.opts.verbose_name_plural).capitalize()
        only = f"The latest {LATEST:,}; exact values are searched for in all." if self._has_more() else None
        return super().changelist_view(request, {"title": title, "subtitle": only, **(extra_context or {})})

    def _has_more(self) -> bool:
        return first_of_latest(self.model) is not None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class UtcDateTimeField(forms.DateTimeField):
    """Form field for a time in UTC, in ISO 8601 regardless of the browser's language; a date means its midnight."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"placeholder": "YYYY-MM-DD HH:MM", "size": "17", "class": "utc mono", "autocomplete": "off"}
        kwargs.setdefault("widget", forms.DateTimeInput(attrs=attrs, format="%Y-%m-%d %H:%M:%S"))
        kwargs.setdefault("input_formats", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"])
        super().__init__(**kwargs)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {"aria-label": self.label} if self.label else {}


def chip(kind: str, text: str, title: str = "") -> SafeString:
    """Return a word in a coloured frame; the colour only repeats the word."""
    return format_html('<span class="chip chip-{}" title="{}">{}</span>', kind.lower(), title, text)
