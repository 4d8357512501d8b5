"""Pages of a list that grows while it is read: a cursor is a place in it, so nothing is skipped or repeated."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model, Q, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from portal.api import MAX_LIMIT, link_header, query_number
from portal.links import public_link
from portal.problems import BadQuery

DEFAULT_LIMIT = 100
MAX_CURSOR = 200


@dataclass(frozen=True)
class Place:
    """Between two rows: just behind (or, going `back`, just before) the row with this time and key."""

    back: bool
    ordering: str
    moment: datetime
    key: int

    def encode(self) -> str:
        words = json.dumps([int(self.back), self.ordering, self.moment.isoformat(), self.key])
        return base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")


class CursorPages(BasePagination):
    """`limit` and `cursor`; no count, which would read the whole table.

    The view names its time column in `cursor_field`; rows of one instant are ordered by their key.
    """

    query_names = frozenset({"limit", "cursor", "ordering"})

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        self.request = request
        self.field = str(getattr(view, "cursor_field", ""))
        self.ordering = self._ordering(request)
        self.limit = query_number(request, "limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
        self.place = self._place(request)
        back = self.place is not None and self.place.back
        descending = self.ordering.startswith("-") != back
        if self.place is not None:
            queryset = queryset.filter(_beyond(self.field, self.place, descending=descending))
        sign = "-" if descending else ""
        rows = list(queryset.order_by(f"{sign}{self.field}", f"{sign}pk")[: self.limit + 1])
        self.more = len(rows) > self.limit
        rows = rows[: self.limit]
        self.rows = rows[::-1] if back else rows
        return self.rows

    def ordered(self, queryset: QuerySet[Any], request: Request, view: APIView) -> QuerySet[Any]:
        """The whole list in the order that the caller wants."""
        self.field = str(getattr(view, "cursor_field", ""))
        wanted = self._ordering(request)
        return queryset.order_by(wanted, "-pk" if wanted.startswith("-") else "pk")

    def get_paginated_response(self, data: Any) -> Response:
        body = {"next": self._next(), "previous": self._previous(), "results": data}
        response = Response(body)
        if link := link_header(body):
            response["Link"] = link
        return response

    def get_paginated_response_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        field = getattr(view, "cursor_field", "")
        return [
            {
                "name": "limit",
                "in": "query",
                "description": f"How many at most; {DEFAULT_LIMIT} when left out.",
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
            },
            {
                "name": "cursor",
                "in": "query",
                "description": "Taken from `next` or `previous` of an earlier answer.",
                "schema": {"type": "string", "minLength": 1, "maxLength": MAX_CURSOR},
            },
            {
                "name": "ordering",
                "in": "query",
                "description": "Newest first when left out.",
                "schema": {"type": "string", "enum": [field, f"-{field}"]},
            },
        ]

    def _ordering(self, request: Request) -> str:
        wanted = str(request.query_params.get("ordering", f"-{self.field}"))
        if wanted.removeprefix("-") != self.field:
            raise BadQuery({"ordering": f"must be {self.field} or -{self.field}, not {wanted[:40]!r}"})
        return wanted

    def _place(self, request: Request) -> Place | None:
        text = request.query_params.get("cursor")
        if text is None:
            return None
        place = decode_place(str(text))
        if place is None or place.ordering != self.ordering:
            raise BadQuery({"cursor": "is not one that this list gave with this ordering"})
        return place

    def _next(self) -> str | None:
        going_back = self.place is not None and self.place.back
        return self._link(self.rows[-1], back=False) if self.rows and (self.more or going_back) else None

    def _previous(self) -> str | None:
        going_back = self.place is not None and self.place.back
        there = self.more if going_back else self.place is not None
        return self._link(self.rows[0], back=True) if self.rows and there else None

    def _link(self, row: Model, *, back: bool) -> str:
        place = Place(back, self.ordering, getattr(row, self.field), row.pk)
        return replace_query_param(_own_address(self.request), "cursor", place.encode())


def decode_place(text: str) -> Place | None:
    """The place that a cursor names, None when it was not made by us."""
    if len(text) > MAX_CURSOR or not text.isascii():
        return None
    try:
        words = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        back, ordering, moment, key = words
        place = Place(bool(back), str(ordering), datetime.fromisoformat(moment), int(key))
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return place if place.moment.tzinfo is not None and abs(place.key) < 2**63 else None


def _beyond(field: str, place: Place, *, descending: bool) -> Q:
    """The rows behind a place. The first, redundant condition is the one that an index can start from."""
    beyond = "lt" if descending else "gt"
    return Q(**{f"{field}__{beyond}e": place.moment}) & (
        Q(**{f"{field}__{beyond}": place.moment}) | Q(**{field: place.moment, f"pk__{beyond}": place.key})
    )


def _own_address(request: Request) -> str:
    """This list's address without its cursor."""
    address = public_link("") + request.get_full_path() if public_link("") else request.build_absolute_uri()
    return remove_query_param(address, "cursor")
