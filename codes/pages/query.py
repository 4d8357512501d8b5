"""Query parameters of the pages: as strict as the API, in the words of the page.

A misspelt filter that is passed over shows more than was asked for and looks like an answer. Only the permalinks of
codes overlook what others hang on them, since they are promised for good.
"""

from collections.abc import Callable, Collection, Iterator
from functools import wraps

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render

from portal.rest.problems import BadQuery, status_name

MOST_SHOWN = 40
Page = Callable[..., HttpResponseBase]


def query_faults(query: QueryDict, known: Collection[str]) -> list[str]:
    """Return a sentence for each parameter that the page does not know or that is given twice."""
    return list(_faults(query, known))


def _faults(query: QueryDict, known: Collection[str]) -> Iterator[str]:
    for name, values in query.lists():
        shown = f"“{name[:MOST_SHOWN]}{'…' if len(name) > MOST_SHOWN else ''}”"
        if name not in known:
            yield f"This page has no parameter {shown}. {_known(known)}"
        elif len(values) > 1:
            yield f"The parameter {shown} is given {len(values)} times: give it once."


def _known(names: Collection[str]) -> str:
    return f"It knows {', '.join(sorted(names))}." if names else "It takes none at all."


def faults_in(refused: BadQuery) -> list[str]:
    """Return what the API says about values that it cannot use."""
    return [f"“{name}” {reason}" for name, reason in refused.faults.items()]


def takes_no_parameters(view: Page) -> Page:
    """Answer 400, saying why, where the address of a page that shows one thing only asks for something else."""

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        faults = query_faults(request.GET, ())
        return refusal(request, " ".join(faults)) if faults else view(request, *args, **kwargs)

    return answer


def refusal(request: HttpRequest, detail: str) -> HttpResponse:
    """Return the page of an address with parameters that do not exist, with a link to the page without them."""
    context = {"status": 400, "name": status_name(400), "detail": detail, "way_on": request.path}
    return render(request, "error.html", context, status=400)
