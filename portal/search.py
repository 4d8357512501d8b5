"""The one search: what each app finds for a text, for those who may see it. Apps register their finders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers

from portal.methods import with_methods

MAX_LENGTH = 1000
#: Results of one kind that the page shows.
MOST_SHOWN = 10


@dataclass(frozen=True)
class SearchHit:
    """One result. It is exact where the text names this object and no other of its kind."""

    title: str
    address: str
    detail: str = ""
    is_exact: bool = False


@dataclass(frozen=True)
class Finder:
    """A search for one kind of object.

    Attributes:
        title: the kind, in the plural.
        searched: the fields that are searched, in the user's words.
        find: returns the results for a text, one more than the page shows where there are more.
        permissions: permissions that the results need; empty where they are open to all.
        place: where its results are on the page.
        all_results: returns the address of the list with all results; None where there is none.
    """

    title: str
    searched: str
    find: Callable[[str], Sequence[SearchHit]]
    permissions: tuple[str, ...] = ()
    place: int = 0
    all_results: Callable[[str], str] | None = None


@dataclass(frozen=True)
class Results:
    """The results of one finder."""

    finder: Finder
    hits: Sequence[SearchHit]
    more: str


FINDERS: list[Finder] = []


def split_by_right(user: Any) -> tuple[list[Finder], list[Finder]]:
    """Return the finders that a user may use, and the others."""
    ordered = sorted(FINDERS, key=lambda finder: finder.place)
    allowed = [finder for finder in ordered if user.has_perms(finder.permissions)]
    return allowed, [finder for finder in ordered if finder not in allowed]


def find_all(text: str, finders: Sequence[Finder]) -> list[Results]:
    """Return what each finder finds; finders without results are left out."""
    found = []
    for finder in finders:
        hits = finder.find(text)
        more = finder.all_results(text) if finder.all_results and len(hits) > MOST_SHOWN else ""
        if hits:
            found.append(Results(finder, hits[:MOST_SHOWN], more))
    return found


def only_exact(found: Sequence[Results]) -> str:
    """Return the address of the one object that a text names; empty where it names none or several."""
    exact = {hit.address for part in found for hit in part.hits if hit.is_exact}
    return exact.pop() if len(exact) == 1 else ""


@with_methods("GET", "HEAD")
def search_page(request: HttpRequest) -> HttpResponse:
    """Search everything that the user may see. Visitors search the status codes, on their page."""
    text = request.GET.get("q", "").strip()
    if len(text) > MAX_LENGTH:
        raise BadRequest(f"A search takes at most {MAX_LENGTH:,} characters.")
    if not request.user.is_authenticated:
        query = f"?{request.GET.urlencode()}" if text else ""
        return _private(HttpResponseRedirect(reverse("codes:list") + query))
    allowed, refused = split_by_right(request.user)
    found = find_all(text, allowed) if text and text.isprintable() else []
    if address := only_exact(found):
        return _private(HttpResponseRedirect(address))
    context = {"query": text, "found": found, "allowed": allowed, "refused": refused}
    return _private(render(request, "search.html", context))


def _private(response: HttpResponse) -> HttpResponse:
    add_never_cache_headers(response)
    return response
