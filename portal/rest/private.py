"""Views of private data: answers that no cache keeps, stricter queries, long CSV."""

import builtins
import csv
import io
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from portal.rest.conditional import ConditionalMixin
from portal.rest.csv_renderer import LIST_RENDERERS, csv_cell
from portal.rest.pagination import CursorPages, Pages
from portal.rest.queries import StrictFilterBackend, StrictQueryMixin
from portal.rest.throttling import rate_limit_headers

if TYPE_CHECKING:
    from rest_framework.viewsets import GenericViewSet

    ViewSetBase = GenericViewSet[Any]
else:
    ViewSetBase = object

READ_METHODS = ("GET", "HEAD")
WRITE_METHODS = ("POST", "PUT", "PATCH")
#: Rows that are read at a time, keys that are, and characters that are sent.
CSV_CHUNK, KEYS_CHUNK, CSV_PART = 500, 10_000, 32 * 1024


class PrivateMixin(ConditionalMixin, StrictQueryMixin):
    """For data that only some may see: nothing between us and the caller keeps a copy.

    As an empty parameter is refused, so is an empty body: `-d "$FEED"` with the variable unset must not mean a feed
    with nothing but defaults.
    """

    #: Query names of single actions or methods, in addition to those of lists.
    query_of: Mapping[str, frozenset[str]] = {}

    def known_query(self) -> set[str]:
        method = str(self.request.method)
        action = getattr(self, "action", None) or method.lower()
        known = {"format", *self.extra_query, *self.query_of.get(action, ())}
        if method in READ_METHODS and hasattr(self, "get_serializer_class"):
            known.add("fields")
        return known | self._list_query() if action == "list" else known

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method in WRITE_METHODS and request.method in self.allowed_methods:
            _refuse_odd_body(request)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        final.headers.setdefault("Cache-Control", "private, no-cache")
        for name, value in rate_limit_headers(request).items():
            final[name] = value
        return final

    def _list_query(self) -> set[str]:
        if getattr(self, "pagination_class", None) is CursorPages:
            filterset = getattr(self, "filterset_class", None)
            return {*CursorPages.query_names, *(filterset.base_filters if filterset else ())}
        return super()._list_query()


def _refuse_odd_body(request: Request) -> None:
    """Refuse a body that is not there, or that would have to be unpacked first.

    Raises:
        ParseError: it is empty.
        UnsupportedMediaType: it has a content coding.
    """
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding != "identity":
        words = f"Send the body as it is, without Content-Encoding: {coding[:40]}."
        refusal = UnsupportedMediaType(coding[:40], words)
        refusal.headers = {"Accept-Encoding": "identity"}  # type: ignore[attr-defined]  # read by the handler of problems
        raise refusal
    if request.META.get("CONTENT_LENGTH") in {None, "", "0"}:
        raise ParseError("The body is empty.")


class ListMixin(ViewSetBase):
    """GET of a list: a page of JSON, or with `format=csv` all that match, streamed (a page, with `limit`)."""

    filter_backends = [StrictFilterBackend]
    pagination_class: Any = Pages
    csv_name = "list"
    #: Actions that answer with a list. Single objects have no CSV.
    list_actions: Collection[str] = frozenset({"list"})

    def get_renderers(self) -> builtins.list[BaseRenderer]:
        in_a_list = self.action in self.list_actions
        return [renderer() for renderer in LIST_RENDERERS] if in_a_list else super().get_renderers()

    def list(self, request: Request, **_: Any) -> HttpResponseBase:
        return self.answer_list(self._ordered(self.filter_queryset(self.get_queryset())))

    def answer_list(self, items: QuerySet[Any] | Sequence[Any]) -> HttpResponseBase:
        """Items in the form that the caller wants."""
        wants_csv = self.request.accepted_renderer.format == "csv"
        if wants_csv and not {"limit", "offset", "cursor"} & set(self.request.query_params):
            return self._csv(items if isinstance(items, Sequence) else self._in_chunks(items))
        page = self.paginate_queryset(items)  # type: ignore[arg-type]  # a list is fine
        shown = self.completed(page or [])
        if not wants_csv:
            return self.get_paginated_response(self.get_serializer(shown, many=True).data)
        response = self._csv(shown)
        if link := self.get_paginated_response(()).headers.get("Link"):
            response["Link"] = link
        return response

    def completed(self, items: builtins.list[Any]) -> builtins.list[Any]:
        """Items of one page, or as many of a table, with what is read for all of them at once."""
        return items

    def _ordered(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """With the key as last resort, so that no row stands on two pages or on none."""
        if isinstance(self.paginator, CursorPages):
            return self.paginator.ordered(queryset, self.request, self)
        return queryset.order_by(*queryset.query.order_by, "pk")

    def _in_chunks(self, queryset: QuerySet[Any]) -> Iterator[Any]:
        """All of a query, however long: first the keys, eight bytes each, then some rows at a time.

        Parts of an answer are made in whichever thread is free, so no query may stay open from one to the next.
        """
        keys = array("q", queryset.values_list("pk", flat=True).iterator(chunk_size=KEYS_CHUNK))
        for start in range(0, len(keys), CSV_CHUNK):
            wanted = keys[start : start + CSV_CHUNK]
            found = {item.pk: item for item in self.get_queryset().filter(pk__in=list(wanted))}
            yield from self.completed([found[key] for key in wanted if key in found])

    def csv_cell(self, value: Any) -> str:
        return csv_cell(value)

    def _csv(self, objects: Iterable[Any]) -> StreamingHttpResponse:
        """One line for each object, made as it is sent."""
        serializer: Any = self.get_serializer()
        columns = [name for name, field in serializer.fields.items() if not field.write_only]
        rows = (serializer.to_representation(item) for item in objects)
        parts = csv_parts(columns, ([self.csv_cell(row.get(name)) for name in columns] for row in rows))
        response = StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{self.csv_name}.csv"'
        return response


def csv_parts(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, many at a time: each part costs a change of threads on its way out."""
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(row)
        if output.tell() >= CSV_PART:
            yield output.getvalue()
            output.seek(0)
            output.truncate()
    yield output.getvalue()
