"""Columns of the list of feeds, named by its address, so that a link and a saved view keep them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from portal.admin_facets import FacetChangeList

#: Parameter of the address, once for each column.
COLUMNS = "columns"
#: Word in the address, method of the admin, heading.
CHOICES = {
    "status": ("status_chip", "status"),
    "policy": ("policy_chip", "certificate policy"),
    "owner": ("owner_line", "owner"),
    "classification": ("classification_line", "classification"),
    "labels": ("labels_line", "labels"),
    "description": ("description_line", "description"),
    "rules": ("rule_count", "number of rules"),
    "updated": ("updated_ago", "last change"),
    "received": ("last_received_ago", "last received"),
    "arrived": ("accepted_bar", "arrived 24 h"),
    "refused": ("refused_bar", "refused 24 h"),
}
STANDARD = ("status", "policy", "owner", "labels", "received", "arrived", "refused")


@dataclass(frozen=True)
class Column:
    """A column that can be chosen."""

    word: str
    heading: str
    is_shown: bool


def chosen(request: HttpRequest) -> tuple[str, ...]:
    """Return the words of the columns that the address asks for, in our order; the standard ones without any."""
    asked = set(request.GET.getlist(COLUMNS))
    return tuple(word for word in CHOICES if word in asked) or STANDARD


def methods(request: HttpRequest) -> list[str]:
    """Return the columns as the admin names them."""
    return ["name", *(CHOICES[word][0] for word in chosen(request))]


def offered(request: HttpRequest) -> Sequence[Column]:
    """Return every column, with whether it is shown."""
    shown = chosen(request)
    return [Column(word, heading, word in shown) for word, (_, heading) in CHOICES.items()]


class FeedChangeList(FacetChangeList):
    """Change list of feeds: columns in the address, and rows that lead to the page of the feed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.preserved_filters = ""  # the address of a feed is its own

    def get_filters_params(self, params: Any = None) -> Any:
        return {name: value for name, value in super().get_filters_params(params).items() if name != COLUMNS}

    def url_for_result(self, result: Model) -> str:
        return str(result.get_absolute_url())  # type: ignore[attr-defined]  # a feed


def kept_query(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the parameters of the address without page and columns: what a form that chooses columns keeps."""
    return [(name, value) for name, values in request.GET.lists() if name not in {COLUMNS, "p"} for value in values]


def list_address(query: str = "") -> str:
    """Return the address of the list with a query."""
    return reverse("admin:feeds_feed_changelist") + (f"?{query}" if query else "")
