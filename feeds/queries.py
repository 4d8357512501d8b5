"""SQL of the receive path, for statements that the ORM would build again for each delivery.

Runs on SQLite and PostgreSQL. Columns that a delivery does not set take the default of their model field, so a new
column needs no change here.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

from django.db import connection

from feeds.models import Receipt

#: Columns of a receipt that a delivery sets, besides `received_at` and `duplicate_of`.
_GIVEN = (
    "receipt_id",
    "feed",
    "bytes",
    "wire_bytes",
    "sha256",
    "compression",
    "path",
    "sender_dn",
    "sender_token",
    "remote_address",
    "headers",
    "groups",
    "notes",
    "feed_version",
    "guid",
    "request_id",
    "truncated",
)
_given_of: Callable[["NewReceipt"], tuple[Any, ...]] = attrgetter(*_GIVEN)
_INSERT_LINK = (
    "INSERT INTO feeds_receiptfeed (receipt_id, feed, dropped) "
    "SELECT id, %s, %s FROM feeds_receipt WHERE receipt_id = %s"
)
# One statement for any number of keys. Each inner query takes the first row from its index, however many match.
_BY_GUID = {
    "sqlite": (
        "SELECT asked.value, "
        "(SELECT receipt_id FROM feeds_receipt WHERE guid = asked.value ORDER BY id LIMIT 1) "
        "FROM json_each(%s) AS asked"
    ),
    "postgresql": (
        "SELECT asked.guid, "
        "(SELECT receipt_id FROM feeds_receipt WHERE guid = asked.guid ORDER BY id LIMIT 1) "
        "FROM jsonb_array_elements_text(%s::jsonb) AS asked(guid)"
    ),
}
_BY_CONTENT = {
    "sqlite": (
        "SELECT asked.key, (SELECT receipt_id FROM feeds_receipt "
        "WHERE sha256 = json_extract(asked.value, '$[0]') AND bytes = json_extract(asked.value, '$[1]') "
        "AND feed = json_extract(asked.value, '$[2]') ORDER BY id LIMIT 1) "
        "FROM json_each(%s) AS asked"
    ),
    "postgresql": (
        "SELECT asked.place - 1, (SELECT receipt_id FROM feeds_receipt "
        "WHERE sha256 = asked.value ->> 0 AND bytes = (asked.value ->> 1)::bigint AND feed = asked.value ->> 2 "
        "ORDER BY id LIMIT 1) "
        "FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS asked(value, place)"
    ),
}


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """A receipt before it has a row. `headers`, `groups` and `notes` are JSON text.

    `feeds` holds each feed that the receipt has data of, and whether that data is dropped. `has_own_guid` is true
    where the sender gave the GUID, so that it identifies a repeated delivery.
    """

    receipt_id: str
    feed: str
    received_at: datetime
    bytes: int
    wire_bytes: int
    sha256: str
    compression: str
    path: str
    sender_dn: str | None
    sender_token: str | None
    remote_address: str
    headers: str
    groups: str
    notes: str
    feed_version: int | None
    guid: str
    request_id: str
    truncated: bool
    feeds: tuple[tuple[str, bool], ...]
    has_own_guid: bool

    @property
    def content(self) -> tuple[str, int, str]:
        """The key by which the same data for the same feed is found."""
        return self.sha256, self.bytes, self.feed


def insert_receipts(rows: Sequence[NewReceipt], duplicate_of: dict[str, str]) -> None:
    """Insert receipts and their feeds. Call it in a transaction.

    Args:
        rows: the receipts.
        duplicate_of: id of the earlier receipt, by receipt id, as `earlier_receipts` found them.
    """
    statement, defaults = _insert_receipt()
    adapt = connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        cursor.executemany(
            statement,
            [
                (*_given_of(row), adapt(row.received_at), duplicate_of.get(row.receipt_id, ""), *defaults)
                for row in rows
            ],
        )
        cursor.executemany(
            _INSERT_LINK, [(feed, dropped, row.receipt_id) for row in rows for feed, dropped in row.feeds]
        )


def earlier_receipts(rows: Sequence[NewReceipt]) -> dict[str, str]:
    """Find the earlier receipt that each of these may repeat: the sender's own GUID, or same content and feed.

    Earlier ones are those in the database and those before it in `rows`. Receipts that repeat none are left out.
    """
    by_guid = _first_by_guid(list(dict.fromkeys(row.guid for row in rows if row.has_own_guid)))
    by_content = _first_by_content(list(dict.fromkeys(row.content for row in rows)))
    found = {}
    for row in rows:
        earlier = (by_guid.get(row.guid) if row.has_own_guid else None) or by_content.get(row.content)
        if earlier:
            found[row.receipt_id] = earlier
        by_guid.setdefault(row.guid, row.receipt_id)
        by_content.setdefault(row.content, row.receipt_id)
    return found


def recorded_of(receipt_ids: Iterable[str]) -> set[str]:
    """Return those of the ids that have a row."""
    return set(Receipt.objects.filter(receipt_id__in=list(receipt_ids)).values_list("receipt_id", flat=True))


def _first_by_guid(guids: list[str]) -> dict[str, str]:
    return {guid: first for guid, first in _rows(_BY_GUID[connection.vendor], guids) if first}


def _first_by_content(contents: list[tuple[str, int, str]]) -> dict[tuple[str, int, str], str]:
    return {contents[place]: first for place, first in _rows(_BY_CONTENT[connection.vendor], contents) if first}


def _rows(statement: str, asked: Sequence[object]) -> list[tuple[Any, str | None]]:
    if not asked:
        return []
    with connection.cursor() as cursor:
        cursor.execute(statement, [json.dumps(asked)])
        found: list[tuple[Any, str | None]] = cursor.fetchall()
    return found


@cache
def _insert_receipt() -> tuple[str, tuple[Any, ...]]:
    """Make the statement that inserts one receipt, and the values of the columns that a delivery does not set."""
    given = (*_GIVEN, "received_at", "duplicate_of")
    columns: list[Any] = [column for column in Receipt._meta.concrete_fields if not column.primary_key]
    others = [
        column
        for column in columns
        if column.column not in given and (column.has_default() or not column.has_db_default())
    ]
    defaults = tuple(column.get_db_prep_save(column.get_default(), connection) for column in others)
    every = (*given, *(column.column for column in others))
    names = ", ".join(connection.ops.quote_name(name) for name in every)
    places = ", ".join(["%s"] * len(every))
    return f"INSERT INTO feeds_receipt ({names}) VALUES ({places})", defaults  # noqa: S608  # our own names
