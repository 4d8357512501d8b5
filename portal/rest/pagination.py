"""Pages of a list: by limit and offset, or by a cursor.

A cursor is a place in a list that grows while it is read, so that nothing is skipped or repeated.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.db.models import QuerySet
from rest_framework.pagination import BasePagination, LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from portal.rest.problems import BadQuery
from portal.rest.queries import query_number
from portal.site import public_link

MAX_LIMIT = 1000
MAX_OFFSET = 10**9
DEFAULT_LIMIT = 100
MAX_CURSOR = 200
#: Seconds that a list may wait for something new.
MAX_WAIT = 30
#: Response header that asks the edge to look again; it never leaves the portal.
NOTHING_YET = "X-Portal-Nothing-Yet"
MAX_KEY = 2**63 - 1
#: Keys that one page is looked for in, where no index helps. Its `next` goes on from there.
LOOKED_THROUGH = 50_000
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
        """Use the portal's own address, where it is known, instead of the Host of the request."""
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


@dataclass(frozen=True)
class Place:
    """Just behind the row with this key, or, going `back`, just before it."""

    back: bool
    ordering: str
    key: int

    def encode(self) -> str:
        words = json.dumps([int(self.back), self.ordering, self.key])
        return base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")


@dataclass(frozen=True)
class KeyRange:
    """The keys, first and last included, that rows asked for can have."""

    low: int = 1
    high: int = MAX_KEY


class CursorView(Protocol):
    """Interface of a list by cursor. Its rows have a growing whole number, `key` unless it is named otherwise."""

    key_name: str

    #: The name of the order, as callers spell it in `ordering`.
    cursor_field: str

    def key_range(self) -> KeyRange:
        """Return the range of keys that rows of the query can have."""

    def looks_through(self) -> bool:
        """Whether finding a page may take looking at every row: then it ends, short or even empty, after a part."""

    def settled_key(self) -> int:
        """Up to which key no row will appear any more; MAX_KEY where keys are committed in their order."""


class CursorPages(BasePagination):
    """`limit` and `cursor`; no count, which would read the whole table.

    The order is that in which rows were made, which no clock can turn round. However much there is and whatever
    is asked, a page takes a bounded time (threat model, S27). In rising order each page, the last one too, has the
    address of what comes after it: a collector that keeps it misses no row (R33).
    """

    query_names = frozenset({"limit", "cursor", "ordering", "wait"})

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        listing: CursorView = view  # type: ignore[assignment]  # only such views choose this class
        self.request = request
        self._field = listing.cursor_field
        name = self._key = getattr(listing, "key_name", "key")
        ordering = _ordering(request, listing.cursor_field)
        limit = query_number(request, "limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
        self._may_wait = query_number(request, "wait", default=0, low=0, high=MAX_WAIT) > 0
        if self._may_wait and ordering.startswith("-"):
            raise BadQuery({"wait": f"needs ordering={listing.cursor_field}: only then new rows come at the end"})
        place = _place(request, ordering)
        back = place is not None and place.back
        falling = ordering.startswith("-") != back
        keys = _from_place(_readable(listing, falling=falling), place, falling=falling)
        part = _part(keys, falling=falling) if listing.looks_through() else keys
        rows = list(
            queryset.filter(**{f"{name}__gte": part.low, f"{name}__lte": part.high}).order_by(
                f"-{name}" if falling else name
            )[: limit + 1]
        )
        page = rows[:limit]
        onward = None
        if len(rows) > limit:
            onward = Place(back, ordering, self._key_of(page[-1]))
        elif part != keys:
            onward = Place(back, ordering, part.low if falling else part.high)
        backward = place and Place(not back, ordering, self._key_of(page[0]) if page else place.key)
        self.before, self.after = (onward, backward) if back else (backward, onward)
        shown = page[::-1] if back else page
        looked_to = part.high if listing.looks_through() and not back else 0
        self.resume = self.after or _behind(self._key_of(shown[-1]) if shown else None, place, ordering, looked_to)
        return shown

    def ordered(self, queryset: QuerySet[Any], request: Request, view: Any) -> QuerySet[Any]:
        """The whole list in the order that the caller wants."""
        name = getattr(view, "key_name", "key")
        return queryset.order_by(f"-{name}" if _ordering(request, view.cursor_field).startswith("-") else name)

    def _key_of(self, row: Any) -> int:
        key: int = getattr(row, self._key)
        return key

    def get_paginated_response(self, data: Any) -> Response:
        rising = not _ordering(self.request, self._field).startswith("-")
        body = {
            "next": self._link(self.after),
            "previous": self._link(self.before),
            "resume": self._link(self.resume if rising else None),
            "results": data,
        }
        response = Response(body)
        if self._may_wait and not data and self.after is None:
            response[NOTHING_YET] = "1"
        if link := link_header(body):
            response["Link"] = link
        return response

    def get_paginated_response_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        page = {
            "type": "object",
            "required": ["next", "previous", "resume", "results"],
            "properties": {
                "next": link,
                "previous": link,
                "resume": {
                    **link,
                    "description": "What comes after this page, now or later. On every page of a list that begins "
                    "with the oldest, also on the last and on an empty one; else null.",
                },
                "results": schema,
            },
        }
        return describe_page(page)

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
                "description": "Taken from `next`, `previous` or `resume` of an earlier answer.",
                "schema": {"type": "string", "minLength": 1, "maxLength": MAX_CURSOR},
            },
            {
                "name": "wait",
                "in": "query",
                "description": "Seconds to hold the answer while there is nothing, with the oldest first.",
                "schema": {"type": "integer", "minimum": 0, "maximum": MAX_WAIT},
            },
            {
                "name": "ordering",
                "in": "query",
                "description": "Newest first when left out.",
                "schema": {"type": "string", "enum": [field, f"-{field}"]},
            },
        ]

    def _link(self, place: Place | None) -> str | None:
        return replace_query_param(_own_address(self.request), "cursor", place.encode()) if place else None


def decode_place(text: str) -> Place | None:
    """The place that a cursor names, None when it was not made by us."""
    if len(text) > MAX_CURSOR or not text.isascii():
        return None
    try:
        words = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        back, ordering, key = words
    except (binascii.Error, ValueError, TypeError, RecursionError):
        return None
    # Their types first: what JSON can hold is more than what can be looked for in a set.
    if type(back) is not int or not isinstance(ordering, str) or type(key) is not int:
        return None
    if back not in {0, 1} or not 0 <= key <= MAX_KEY:
        return None
    return Place(bool(back), ordering, key)


def _ordering(request: Request, field: str) -> str:
    wanted = str(request.query_params.get("ordering", f"-{field}"))
    if wanted not in {field, f"-{field}"}:
        raise BadQuery({"ordering": f"must be {field} or -{field}, not {wanted[:40]!r}"})
    return wanted


def _place(request: Request, ordering: str) -> Place | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    place = decode_place(str(text))
    if place is None or place.ordering != ordering:
        raise BadQuery({"cursor": "is not one that this list gave with this ordering"})
    return place


def _from_place(keys: KeyRange, place: Place | None, *, falling: bool) -> KeyRange:
    if place is None:
        return keys
    if falling:
        return KeyRange(keys.low, min(keys.high, place.key - 1))
    return KeyRange(max(keys.low, place.key + 1), keys.high)


def _readable(listing: CursorView, *, falling: bool) -> KeyRange:
    """The keys that can be read; going up, no further than up to which no row appears behind the reader."""
    # Asked before any row is read: what was committed up to it is then seen.
    settled = MAX_KEY if falling else listing.settled_key()
    keys = listing.key_range()
    return KeyRange(keys.low, min(keys.high, settled))


def _behind(last: int | None, place: Place | None, ordering: str, looked_to: int) -> Place:
    """Return the position after all rows that were shown or examined."""
    begun = 0 if place is None else place.key - place.back
    return Place(back=False, ordering=ordering, key=max(begun if last is None else last, looked_to, 0))


def _part(keys: KeyRange, *, falling: bool) -> KeyRange:
    """As much of a range as is looked through for one page."""
    if falling:
        return KeyRange(max(keys.low, keys.high - LOOKED_THROUGH + 1), keys.high)
    return KeyRange(keys.low, min(keys.high, keys.low + LOOKED_THROUGH - 1))


def _own_address(request: Request) -> str:
    """This list's address without its cursor."""
    address = public_link("") + request.get_full_path() if public_link("") else request.build_absolute_uri()
    return remove_query_param(address, "cursor")
