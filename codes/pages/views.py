"""Pages of the catalogue. None needs a login or a script."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.paginator import InvalidPage, Page, Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from codes import snapshot
from codes.api import export, retry
from codes.catalogue.contradictions import NAME, PRESENCE
from codes.catalogue.values import HTTP, STROOM, Severity
from codes.comparison import READY_SETS, compare
from codes.filters import CodeFilterSet, DisagreementFilterSet
from codes.lookup import NUMBERS, FoundCode, find_code, find_meaning
from codes.models import CodeClass, Disagreement, Release, StatusCode
from codes.pages import facets
from codes.pages.not_loaded import NOT_LOADED
from codes.pages.query import faults_in, query_faults, takes_no_parameters
from codes.pages.shown import show_meanings, weighty
from codes.pages.trying import try_it
from codes.plaintext import code_text, negotiated, plain_response, wants_plain_text
from codes.queries import asked_pair, compared_codes, refuse_unknown_registry
from codes.search.index import FoundRow, best_and_others, by_rank, find, no_answer_in, straight_to
from codes.search.remarks import remarks_on
from portal.rest.conditional import conditional_page
from portal.rest.problems import BadQuery
from portal.site import public_link

CLASS_KEY = re.compile(r"[0-9]xx|invalid", re.IGNORECASE)
DISPUTES_PER_PAGE = 40
EXAMPLES = (
    ("404", "/codes/http/404/"),
    ("406/110", "/codes/lookup/?http=406&stroom=110"),
    ("Stroom 310", "/codes/stroom/310/"),
    ("too large", "/codes/?q=too+large"),
    ("Retry-After", "/codes/headers/retry-after/"),
    ("401 or 403?", "/codes/compare/?codes=401,403"),
    ("499, whose?", "/codes/http/499/"),
    ("471", "/codes/http/471/"),
    ("paste an answer", "/codes/explain/"),
)


@conditional_page
def home(request: HttpRequest) -> HttpResponse:
    catalogue = snapshot.current()
    differing = [row for row in catalogue.disagreements.values() if row.aspect != PRESENCE]
    context = {
        "registries": list(catalogue.registries.values()),
        "not_loaded": NOT_LOADED,
        "source_count": len(catalogue.sources),
        "disputed_count": len({row.status_code_id for row in differing if row.status_code_id}),
        "high_count": sum(row.severity == Severity.HIGH for row in differing),
        "examples": EXAMPLES,
    }
    return render(request, "codes/home.html", context)


@conditional_page
def code_list(request: HttpRequest) -> HttpResponse:
    """Show search and filters; redirect where only one page can be meant."""
    query = request.GET.get("q", "").strip()
    if set(request.GET) == {"q"} and (target := straight_to(query)):
        return HttpResponseRedirect(target)
    filterset = CodeFilterSet(request.GET, StatusCode.objects.for_lists())
    catalogue = snapshot.current()
    shown = facets.context(request.GET, filterset, facets.code_groups(catalogue), others=())
    usable = not shown["faults"]
    keys = filterset.qs.values_list("pk", flat=True) if request.GET else catalogue.codes
    rows = catalogue.in_order(keys) if usable else []
    result = find(query) if query and usable else None
    rows = by_rank(rows, query) if result else rows
    best, others = best_and_others(rows, result) if result else ([], [])
    context = {
        "query": query,
        "result": result,
        "best": best,
        "by_class": [] if result else _by_class(rows, catalogue.classes),
        "others": _found_by_class(others, catalogue.classes),
        "remarks": list(remarks_on(query, no_answer_in(query))) if usable else [],
        "total": len(rows),
        **shown,
    }
    return render(request, "codes/list.html", context, status=200 if usable else 400)


def _by_class(
    rows: Iterable[StatusCode], classes: Mapping[str, CodeClass]
) -> list[tuple[CodeClass, list[StatusCode]]]:
    """Group the rows by class, without empty classes."""
    grouped: dict[str, list[StatusCode]] = {}
    for row in rows:
        grouped.setdefault(row.code_class_id, []).append(row)
    return [(classes[key], sorted(grouped[key], key=lambda row: row.code)) for key in classes if key in grouped]


def _found_by_class(
    found: Iterable[FoundRow], classes: Mapping[str, CodeClass]
) -> list[tuple[CodeClass, list[FoundRow]]]:
    """Group what was found by class, keeping why each row was found."""
    by_key = {one.row.pk: one for one in found}
    grouped = _by_class([one.row for one in by_key.values()], classes)
    return [(group, [by_key[row.pk] for row in rows]) for group, rows in grouped]


@conditional_page
@takes_no_parameters
def registry_page(request: HttpRequest, registry: str) -> HttpResponse:
    catalogue = snapshot.current()
    space = catalogue.registries.get(registry)
    if space is None:
        return _number_alone(registry)
    classes = [row for row in catalogue.classes.values() if row.registry_id == registry]
    by_class = [(item, catalogue.codes_of(item)) for item in classes]
    disputes = catalogue.about_class(registry, "any")
    context = {"registry": space, "by_class": by_class, "disagreements": disputes}
    return render(request, "codes/registry.html", context)


def _number_alone(text: str) -> HttpResponse:
    """Redirect `/codes/404/` to HTTP, temporarily, because a number without its registry is ambiguous."""
    if text.lower() in NUMBERS:
        return HttpResponseRedirect(reverse("codes:registry", args=[text.lower()]))
    if NUMBERS[HTTP].fullmatch(text):
        return HttpResponseRedirect(reverse("codes:detail", args=[HTTP, text]))
    if f"{STROOM}/{text}" in snapshot.current().codes:
        return HttpResponseRedirect(reverse("codes:detail", args=[STROOM, text]))
    raise Http404


@conditional_page
def detail(request: HttpRequest, registry: str, code: str) -> HttpResponseBase:
    """Show a class or a number, known or not."""
    if registry != registry.lower() or code != code.lower():
        return HttpResponseRedirect(reverse("codes:detail", args=[registry.lower(), code.lower()]))
    if CLASS_KEY.fullmatch(code):
        return _class_page(request, f"{registry}/{code}")
    found = find_code(registry, code)
    if found is None:
        raise Http404
    if wants_plain_text(request):
        return plain_response(code_text(found, None if found.known else find_code(HTTP, str(found.treat_as))))
    return _code_page(request, found) if found.known else _unknown_page(request, found)


@takes_no_parameters
def _class_page(request: HttpRequest, key: str) -> HttpResponse:
    catalogue = snapshot.current()
    code_class = catalogue.classes.get(key)
    if code_class is None:
        raise Http404
    context = {
        "class": code_class,
        "rows": catalogue.codes_of(code_class),
        "disagreements": catalogue.about_class(code_class.registry_id, code_class.slug),
    }
    return render(request, "codes/class.html", context)


@conditional_page
def meaning_page(request: HttpRequest, registry: str, code: str, owner: str) -> HttpResponse:
    """Show the meaning that one owner gives to a number."""
    if f"{registry}{owner}" != f"{registry}{owner}".lower():
        return HttpResponseRedirect(reverse("codes:meaning", args=[registry.lower(), code, owner.lower()]))
    found = find_meaning(registry, code, owner)
    if found is None:
        raise Http404
    if wants_plain_text(request):
        return plain_response(code_text(found))
    return _code_page(request, found)


def _code_page(request: HttpRequest, found: FoundCode) -> HttpResponse:
    meanings = show_meanings(found)
    own = meanings[0].meaning
    is_part = found.row is not None and len(found.row.owners) > len(meanings)
    address = own.get_absolute_url() if is_part else found.url
    context = {
        "found": found,
        "meanings": meanings,
        "names": [shown.meaning.name for shown in meanings],
        "registered": own.owner_id == "ietf",
        "permalink_of": found if is_part else None,
        "api_address": _api_address(found, own.owner_id if is_part else None),
        "canonical": public_link(address),
        "entries": found.entries,
        "disputes": [item for item in found.disagreements if not _seen_in_the_table(item)],
        "differences": [item for item in found.disagreements if _seen_in_the_table(item)],
        "weighty": weighty(found),
        "try_it": try_it(request, found),
    }
    return negotiated(render(request, "codes/detail.html", context))


def _api_address(found: FoundCode, owner: str | None = None) -> str:
    """Return the address of the same code in the API."""
    place = [found.registry.slug, str(found.code)]
    return reverse("codes_api:meaning", args=[*place, owner]) if owner else reverse("codes_api:code", args=place)


def _seen_in_the_table(item: Disagreement) -> bool:
    """Return whether the table of sources shows the difference already: a listing, or a computed name."""
    return item.aspect == PRESENCE or (item.aspect == NAME and not item.authored)


def _unknown_page(request: HttpRequest, found: FoundCode) -> HttpResponse:
    neighbours = _neighbours(found)
    fallback = found.catalogue.codes.get(f"{found.registry.slug}/{found.treat_as}")
    context = {
        "found": found,
        "neighbours": neighbours,
        "fallback_name": fallback.name if fallback else "",
        "try_it": try_it(request, found),
        "api_address": _api_address(found),
        "canonical": public_link((found.code_class or found.registry).get_absolute_url()),
    }
    return negotiated(render(request, "codes/unknown.html", context))


def _neighbours(found: FoundCode) -> list[StatusCode]:
    rows = [row for row in found.catalogue.codes.values() if row.registry_id == found.registry.pk]
    before = [row for row in rows if row.code < found.code][-2:]
    after = [row for row in rows if row.code > found.code][:2]
    return [*before, *after] if found.valid else []


@conditional_page
@takes_no_parameters
def sources(request: HttpRequest) -> HttpResponse:
    return render(request, "codes/sources.html", {"sources": list(snapshot.current().sources.values())})


@conditional_page
@takes_no_parameters
def source(request: HttpRequest, slug: str) -> HttpResponse:
    found = snapshot.current().sources.get(slug)
    if found is None:
        raise Http404
    context = {"source": found, "entries": found.entries.all(), "notes": found.notes}
    return render(request, "codes/source.html", context)


@conditional_page
@takes_no_parameters
def vendors(request: HttpRequest) -> HttpResponse:
    return render(request, "codes/vendors.html", {"vendors": list(snapshot.current().vendors.values())})


@conditional_page
@takes_no_parameters
def vendor(request: HttpRequest, slug: str) -> HttpResponse:
    found = snapshot.current().vendors.get(slug)
    if found is None:
        raise Http404
    return render(request, "codes/vendors.html", {"vendors": [found], "single": True})


@conditional_page
@takes_no_parameters
def header_list(request: HttpRequest) -> HttpResponse:
    return render(request, "codes/headers.html", {"headers": list(snapshot.current().headers.values())})


@conditional_page
@takes_no_parameters
def header(request: HttpRequest, slug: str) -> HttpResponse:
    if slug != slug.lower():
        return HttpResponseRedirect(reverse("codes:header", args=[slug.lower()]))
    found = snapshot.current().headers.get(slug)
    if found is None:
        raise Http404
    return render(request, "codes/headers.html", {"headers": [found], "single": True})


@conditional_page
def disagreements(request: HttpRequest) -> HttpResponse:
    """Return all disagreements, those about mere listing only on request."""
    catalogue, rows = snapshot.current(), Disagreement.objects.all()
    if request.GET.get("aspect") != PRESENCE and request.GET.get("severity") != Severity.INFO:
        rows = rows.about_content()
    filterset = DisagreementFilterSet(request.GET, rows)
    shown = facets.context(request.GET, filterset, facets.disagreement_groups(catalogue), others=("page",))
    keys = [] if shown["faults"] else filterset.qs.values_list("pk", flat=True)
    found = [catalogue.disagreements[key] for key in keys if key in catalogue.disagreements]
    paginator = Paginator(found, DISPUTES_PER_PAGE)
    page, fault = _page_of(paginator, request.GET.get("page", "1"))
    if not shown["faults"] and fault:
        shown["faults"] = [fault]
    usable = not shown["faults"]
    context = {"page": page, "total": paginator.count, **shown}
    return render(request, "codes/disagreements.html", context, status=200 if usable else 400)


def _page_of(paginator: "Paginator[Any]", asked: str) -> "tuple[Page[Any], str]":
    """Return the page of the list, and a fault if its number is wrong; the page is empty then."""
    try:
        return paginator.page(asked), ""
    except InvalidPage:
        fault = f"“page” must be a whole number from 1 to {paginator.num_pages}, not {asked[:40]!r}"
        return Page([], 1, paginator), fault


@conditional_page
def compare_page(request: HttpRequest) -> HttpResponse:
    registry, asked = request.GET.get("registry") or HTTP, request.GET.get("codes", "")
    codes: Sequence[FoundCode] = ()
    faults = query_faults(request.GET, ("codes", "registry"))
    if not faults:
        try:
            refuse_unknown_registry(registry)
            codes = compared_codes(registry, asked) if asked else ()
        except BadQuery as bad:
            faults = faults_in(bad)
    context = {
        "codes": codes,
        "mixed": len({code.registry.slug for code in codes}) > 1,
        "rows": compare(codes),
        "asked": asked,
        "registry": registry,
        "ready_sets": READY_SETS,
        "faults": faults,
    }
    return render(request, "codes/compare.html", context, status=400 if faults else 200)


@conditional_page
def lookup(request: HttpRequest) -> HttpResponse:
    asked = {name: request.GET.get(name, "").strip() for name in (HTTP, STROOM)}
    pair, faults = None, query_faults(request.GET, asked)
    if any(asked.values()) and not faults:
        try:
            pair = asked_pair(**asked)
        except BadQuery as bad:
            faults = faults_in(bad)
    context = {
        "pair": pair,
        "asked": asked,
        "faults": faults,
        "of_stroom": [row for row in snapshot.current().codes.values() if row.registry_id == STROOM],
    }
    return render(request, "codes/lookup.html", context, status=400 if faults else 200)


@conditional_page
@takes_no_parameters
def data(request: HttpRequest) -> HttpResponseBase:
    return render(request, "codes/data.html", {"releases": Release.objects.all()[:10]})


@conditional_page
@takes_no_parameters
def retry_json(_request: HttpRequest) -> HttpResponseBase:
    """Return the retry verdicts of all numbers, as the API does."""
    return HttpResponse(retry.retry_json(export.current_digest()), content_type="application/json")
