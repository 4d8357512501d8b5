"""What all our REST endpoints share: pages of a list, strict queries, chosen fields, CSV, conditional reads.

Two rules stand behind it: what a caller misspells is answered 400 with its name, never silently ignored; and a list
looks the same everywhere. The shape of errors is in `portal.rest.problems`.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import django_filters
from django import forms
from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.filters import OrderingFilter
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from portal import text
from portal.rest.problems import API_PREFIX, BadQuery, PreconditionFailed, problem, read_only, reason
from portal.rest.throttling import AnonymousThrottle, rate_limit_headers

if TYPE_CHECKING:
    from rest_framework.views import APIView

    ViewBase = APIView
else:  # importing it here would go in a circle: DRF's views read our settings while they load
    ViewBase = object

MAX_LIMIT = 1000
MAX_OFFSET = 10**9
#: What scripts of other sites may read of an answer of the catalogue.
READABLE_HEADERS = "ETag, Link, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
#: What they may send, and how long a browser need not ask again.
ASKABLE_HEADERS = "Accept, Accept-Language, Content-Type, If-None-Match, If-Modified-Since, X-Request-ID"
PREFLIGHT_SECONDS = 3600
_ALSO_UNCHANGED = frozenset(
    {
        "Access-Control-Allow-Origin",
        "Access-Control-Expose-Headers",
        "RateLimit",
        "RateLimit-Policy",
        "X-Portal-Nothing-Yet",
    }
)


#: Descriptions of the keys of a page.
_PAGE_KEYS = {
    "count": "Total number of items.",
    "next": "URL of the next page; null on the last page.",
    "previous": "URL of the previous page; null on the first page.",
    "results": "Items of this page.",
}


def describe_page(schema: dict[str, Any]) -> dict[str, Any]:
    """Add descriptions to the schema of a page."""
    keys = {
        name: {**key, "description": _PAGE_KEYS[name]} if name in _PAGE_KEYS else key
        for name, key in schema["properties"].items()
    }
    return {**schema, "properties": keys}


class Pages(LimitOffsetPagination):
    """`limit` and `offset`, each refused when it makes no sense; neighbours also as a Link header (RFC 8288)."""

    default_limit = 100
    max_limit = MAX_LIMIT
    max_offset = MAX_OFFSET

    def get_limit(self, request: Request) -> int:
        return query_number(request, "limit", default=self.default_limit, low=1, high=MAX_LIMIT)

    def get_offset(self, request: Request) -> int:
        return query_number(request, "offset", default=0, low=0, high=self.max_offset)

    def get_next_link(self) -> str | None:
        return self._absolute(super().get_next_link())

    def get_previous_link(self) -> str | None:
        return self._absolute(super().get_previous_link())

    def get_paginated_response(self, data: Any) -> Response:
        response = super().get_paginated_response(data)
        if link := link_header(response.data):
            response["Link"] = link
        return response

    def get_paginated_response_schema(self, schema: Any) -> Any:
        return describe_page(super().get_paginated_response_schema(schema))

    def _absolute(self, link: str | None) -> str | None:
        """Where the portal's address is known, it is used instead of the Host of the request."""
        own = settings.ENVIRONMENT.public_url
        if link is None or not own or self.request is None:
            return link
        return own + link.removeprefix(self.request.build_absolute_uri("/").rstrip("/"))


def link_header(page: Mapping[str, Any]) -> str:
    """The neighbours of a page, and where to go on later, in the form of RFC 8288."""
    return ", ".join(
        f'<{page[key]}>; rel="{relation}"'
        for key, relation in (("next", "next"), ("previous", "prev"), ("resume", "resume"))
        if page.get(key)
    )


def query_number(request: Request, name: str, *, default: int, low: int, high: int) -> int:
    """A whole number from the query.

    Raises:
        BadQuery: it is none, or out of range.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high:
        return int(text)
    raise BadQuery({name: f"must be a whole number from {low} to {high}, not {text[:40]!r}"})


class StrictFilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # untyped
    """A value that a filter cannot use is answered 400 with the filter's name."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: "APIView") -> QuerySet[Any]:
        filterset = self.get_filterset(request, queryset, view)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            faults = filterset.errors
            raise BadQuery({name: " ".join(str(reason) for reason in reasons) for name, reasons in faults.items()})
        found: QuerySet[Any] = filterset.qs
        return found


class StrictOrdering(OrderingFilter):
    """`ordering=-updated,name`, among the view's `ordering_fields` only."""

    def remove_invalid_fields(
        self, queryset: QuerySet[Any], fields: Iterable[str], view: "APIView", request: Request
    ) -> list[str]:
        valid = {name for name, _ in self.get_valid_fields(queryset, view, {"request": request})}
        for name in fields:
            if name.removeprefix("-") not in valid:
                known = ", ".join(sorted(valid))
                raise BadQuery(
                    {"ordering": reason("unknown_field", f"unknown field {name[:40]!r}; known are {known}")}
                )
        return list(fields)


class FlagFilter(django_filters.ChoiceFilter):  # type: ignore[misc]  # untyped
    """`true` or `false`; django-filter's own takes any other word for "not asked"."""

    def __init__(self, **kwargs: Any) -> None:
        choices = [("true", "true"), ("false", "false")]
        super().__init__(choices=choices, empty_label=None, **kwargs)

    def filter(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        filtered: QuerySet[Any] = super().filter(queryset, {"true": True, "false": False}.get(value, value))
        return filtered


class WholeNumberFilter(django_filters.Filter):  # type: ignore[misc]  # untyped
    """A whole number; bounds are given as `min_value` and `max_value`."""

    field_class = forms.IntegerField


class Negotiation(DefaultContentNegotiation):
    """`?format=` beats the Accept header, and an unknown one is 400 with its name."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        wanted = request.query_params.get(self.settings.URL_FORMAT_OVERRIDE)
        if wanted is None:
            chosen: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
            return chosen
        for renderer in renderers:
            if renderer.format == wanted:
                return renderer, str(renderer.media_type)
        known = ", ".join(str(renderer.format) for renderer in renderers)
        raise BadQuery({self.settings.URL_FORMAT_OVERRIDE: f"must be one of {known}, not {wanted[:40]!r}"})


class StrictQueryMixin(ViewBase):
    """Refuses what a view's query does not know; adds `fields` to the views that answer with a serializer.

    So is an empty parameter: `?feed=$FEED` with the variable unset must not mean "every feed".
    """

    content_negotiation_class = Negotiation
    extra_query: Collection[str] = ()
    #: Parameters that mean something by being there.
    flags: Collection[str] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method == "OPTIONS":
            return  # which methods there are is no secret: the description has them
        _join_lists(request)
        super().initial(request, *args, **kwargs)
        if request.method in self.allowed_methods:  # else the answer is 405, whatever the query
            self.refuse_unknown_query(request)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """Answer OPTIONS with the methods in `Allow`; scripts of other sites learn nothing more."""
        return Response(status=HTTPStatus.NO_CONTENT)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002  # DRF's
        """A method that there is not is answered 405, whatever form of answer is wanted."""
        return super().perform_content_negotiation(request, force or request.method not in self.allowed_methods)

    def refuse_unknown_query(self, request: Request) -> None:
        known = self.known_query()
        unknown = [name for name in request.query_params if name not in known]
        if unknown:
            hint = f"known are {', '.join(sorted(known))}" if known else "there are no parameters"
            raise BadQuery(
                {name[:80]: reason("unknown_parameter", f"is not known here; {hint}") for name in unknown}
            )
        if twice := [name for name, values in request.query_params.lists() if len(values) > 1]:
            raise BadQuery(dict.fromkeys(twice, reason("given_twice", "is given twice")))
        given = {name: values[0] for name, values in request.query_params.lists() if name not in self.flags}
        faults = {name: _fault_in(value) for name, value in given.items()}
        if found := {name: fault for name, fault in faults.items() if fault}:
            raise BadQuery(found)
        if "fields" in request.query_params and getattr(self, "serializer_class", None) is not None:
            self._refuse_unknown_fields(request.query_params["fields"])

    def _refuse_unknown_fields(self, chosen: str) -> None:
        """Name an unknown field also where no item would reveal it."""
        serializer = self.get_serializer_class()()  # type: ignore[attr-defined]  # of the generic views
        known = [name for name, field in serializer.fields.items() if not field.write_only]
        unknown = sorted({name for name in chosen.split(",") if name not in known})
        if unknown:
            raise BadQuery({"fields": _unknown_fields(unknown, known)})

    def known_query(self) -> set[str]:
        known = {settings.REST_FRAMEWORK.get("URL_FORMAT_OVERRIDE", "format"), "fields", *self.extra_query}
        if not getattr(self, "detail", False) and getattr(self, "action", "list") in {"list", None}:
            known |= self._list_query()
        return known

    def _list_query(self) -> set[str]:
        known: set[str] = set()
        if filterset := getattr(self, "filterset_class", None):
            known |= set(filterset.base_filters)
        if getattr(self, "pagination_class", None):
            known |= {"limit", "offset"}
        if getattr(self, "ordering_fields", None):
            known.add("ordering")
        return known

    def get_serializer_context(self) -> dict[str, Any]:
        context: dict[str, Any] = super().get_serializer_context()  # type: ignore[misc]  # of the generic views
        request = context.get("request")
        if request is not None and request.method in {"GET", "HEAD"} and "fields" in request.query_params:
            context["chosen_fields"] = [name for name in request.query_params["fields"].split(",") if name]
        return context


#: Parameters that are lists. Generated clients repeat them instead of separating the words by commas.
LISTS = frozenset({"fields", "ordering", "codes", "code__in"})


def _join_lists(request: Request) -> None:
    """Let repeated lists add up, and forgive blanks behind their commas."""
    query = request._request.GET
    joined = {
        name: ",".join(part.strip() for value in query.getlist(name) for part in value.split(","))
        for name in LISTS & set(query)
    }
    if any(query.getlist(name) != [value] for name, value in joined.items()):
        changed = query.copy()
        for name, value in joined.items():
            changed[name] = value
        request._request.GET = changed  # type: ignore[assignment]  # mutable, and read only from now on


def _unknown_fields(unknown: Sequence[str], known: Iterable[str]) -> str:
    return reason("unknown_field", f"unknown {', '.join(unknown)[:200]!r}; known are {', '.join(known)}")


def _fault_in(value: str) -> str:
    """Why nothing can be meant by a parameter's value; empty where something may be."""
    if not value.strip():
        return reason("empty", "is empty; leave it out to ask for everything")
    return "contains a NUL character" if "\0" in value else ""


class ChosenFieldsMixin(serializers.Serializer[Any]):
    """Answers `fields=code,name`: only these keys of the outermost object or of each item of the list."""

    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        chosen = self.context.get("chosen_fields")
        outermost = self.parent is None or (self.parent.parent is None and getattr(self.parent, "many", False))
        if chosen is None or not outermost:
            return fields
        unknown = [name for name in chosen if name not in fields]
        if unknown:
            raise BadQuery({"fields": _unknown_fields(unknown, fields)})
        return {name: field for name, field in fields.items() if name in chosen}


class CsvRenderer(BaseRenderer):
    """`?format=csv`: one line for each item, nested values as JSON, cells safe to open in a spreadsheet."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        rows = data.get("results", [data]) if isinstance(data, Mapping) else data or []
        return csv_text(rows, _columns((renderer_context or {}).get("view")))


def _columns(view: Any) -> list[str]:
    """What a list shows of each item, so that a table has its header also where there is no item."""
    if not hasattr(view, "get_serializer"):
        return []
    serializer = view.get_serializer()
    item = serializer.fields["results"].child if "results" in serializer.fields else serializer
    return [name for name, field in item.fields.items() if not field.write_only]


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """A table with a header line; without given columns they are the keys of all rows in order of appearance."""
    columns = columns or list(dict.fromkeys(name for row in rows for name in row))
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(columns)
    writer.writerows([csv_cell(row.get(name)) for name in columns] for row in rows)
    return output.getvalue()


def csv_cell(value: Any) -> str:
    """Return the text of a cell; no spreadsheet evaluates it."""
    return text.csv_cell(value, text.escape_formula, _structure)


def _structure(value: Any) -> str:
    """Return plain words separated by blanks, and everything else as JSON, with times as in JSON answers."""
    if not isinstance(value, Mapping) and all(_is_word(item) for item in value):
        return " ".join(str(item) for item in value)
    return json.dumps(value, ensure_ascii=False, cls=JSONEncoder)


def _is_word(item: Any) -> bool:
    """Return whether an item of a list can be separated by blanks."""
    return isinstance(item, int) or (isinstance(item, str) and item != "" and " " not in item)


LIST_RENDERERS = [JSONRenderer, CsvRenderer]


# --- conditional reads and writes ---


def conditional(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Give an answer to a read its fingerprint, and answer 304 to a caller who has it already.

    The tag is weak: the edge may compress the same answer.
    """
    if request.method not in {"GET", "HEAD"} or response.status_code != HTTPStatus.OK:
        return response
    if not isinstance(response, HttpResponse):
        return response
    if not response.has_header("ETag"):
        response["ETag"] = f'W/"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response.headers.setdefault("Cache-Control", "no-cache")
    answer = get_conditional_response(request, etag=response["ETag"], response=response) or response
    if answer.status_code == HTTPStatus.PRECONDITION_FAILED and request.path.startswith(API_PREFIX):
        return problem(request, answer.status_code, str(PreconditionFailed.default_detail))
    if answer is not response:
        # Django keeps only what caches need.
        for name in _ALSO_UNCHANGED & {*response.headers}:
            answer[name] = response[name]
    return answer


class ConditionalMixin(ViewBase):
    """Reads carry an ETag; `If-None-Match` is answered 304."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        if isinstance(response, Response) and not response.is_rendered:
            response.add_post_render_callback(lambda rendered: conditional(request, rendered))
            return response
        return conditional(request, response)


class OpenToAllMixin(ConditionalMixin):
    """Public reading: no login, and scripts of other sites may read too, since nothing depends on who asks."""

    authentication_classes: Sequence[Any] = ()
    permission_classes: Sequence[Any] = ()
    throttle_classes: Sequence[Any] = (AnonymousThrottle,)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002  # DRF's
        """Count requests for an unavailable format too, and add the rate limit headers."""
        if not force:
            self.check_throttles(request)
        return super().perform_content_negotiation(request, force)

    def check_throttles(self, request: Request) -> None:
        """Count a request once."""
        if not rate_limit_headers(request):
            super().check_throttles(request)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """What a browser asks before a script of another site may send more than the plainest request."""
        preflight = {
            "Access-Control-Allow-Methods": ", ".join(self.allowed_methods),
            "Access-Control-Allow-Headers": ASKABLE_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
        return Response(status=HTTPStatus.NO_CONTENT, headers=preflight)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        final["Access-Control-Allow-Origin"] = "*"
        final["Access-Control-Expose-Headers"] = READABLE_HEADERS
        for name, value in rate_limit_headers(request).items():
            final[name] = value
        return final


def require_match(request: Request, etag: str) -> None:
    """Refuse a write whose If-Match names another version; without the header any version will do.

    Raises:
        PreconditionFailed: the caller saw another version.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None or wanted.strip() == "*":
        return
    tags = {tag.strip().removeprefix("W/") for tag in wanted.split(",")}
    if etag.removeprefix("W/") not in tags:
        raise PreconditionFailed


# --- description and pages ---


FIELDS_PARAMETER = OpenApiParameter("fields", str, description="Only these keys, with commas between.")
FORMAT_PARAMETER = OpenApiParameter("format", str, enum=["json", "csv"])

ConditionalPage = Callable[..., HttpResponseBase]


def _compressed(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Smaller where the caller takes gzip. The padding of Django's own hides lengths from who listens in."""
    return GZipMiddleware(lambda _: response)(request)  # type: ignore[return-value]


def conditional_page(view: ConditionalPage) -> ConditionalPage:
    """For pages that are only read: as `ConditionalMixin`, and compressed.

    The navigation and parts of pages depend on who is signed in, hence Vary; shared caches do not keep the pages of
    signed-in users. Nothing can be changed here, so a request that wants to gets that as the answer, and not that a
    form's token is missing.
    """

    @csrf_exempt
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method not in {"GET", "HEAD"}:
            return read_only(request)
        response = view(request, *args, **kwargs)
        patch_vary_headers(response, ["Cookie"])
        if request.user.is_authenticated:
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return _compressed(request, conditional(request, response))

    answer.__name__, answer.__doc__, answer.__module__ = view.__name__, view.__doc__, view.__module__
    return answer
