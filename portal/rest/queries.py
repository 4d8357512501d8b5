"""Query parameters of the REST API: strict filters, ordering and choice of fields.

A parameter that is unknown, given twice, empty or unusable is answered 400 with its name, never silently ignored.
"""

from collections.abc import Collection, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes

import django_filters
from django import forms
from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.response import Response

from portal.rest.negotiation import Negotiation
from portal.rest.parsing import media_types
from portal.rest.problems import BadQuery, reason

if TYPE_CHECKING:
    from rest_framework.views import APIView

    ViewBase = APIView
else:  # importing it here would go in a circle: DRF's views read our settings while they load
    ViewBase = object


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
        patched = {"Accept-Patch": media_types(self.get_parsers())} if "PATCH" in self.allowed_methods else {}
        return Response(status=HTTPStatus.NO_CONTENT, headers=patched)

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
        if wrong := _not_utf8(str(request.META.get("QUERY_STRING", ""))):
            raise BadQuery(dict.fromkeys(wrong, "is not UTF-8, percent-encoded"))
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


def _not_utf8(query: str) -> list[str]:
    """Return the names of parameters whose bytes are not UTF-8, which Django replaces by U+FFFD."""
    return [
        unquote(part.partition("=")[0])[:80] for part in query.split("&") if not _is_utf8(unquote_to_bytes(part))
    ]


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _fault_in(value: str) -> str:
    """Return why a parameter's value cannot be used; empty where it can."""
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


FIELDS_PARAMETER = OpenApiParameter("fields", str, description="Only these keys, with commas between.")
FORMAT_PARAMETER = OpenApiParameter("format", str, enum=["json", "csv"])
