"""The SQL of the receive path gives what the ORM gives, on either database."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction

from feeds import queries
from feeds.models import Receipt, ReceiptFeed
from feeds.queries import NewReceipt
from tests.factories import make_receipt

pytestmark = pytest.mark.django_db

NEW = NewReceipt(
    receipt_id="1771956627189_0001_P_portal-1",
    feed="FEED-A",
    received_at=datetime(2026, 2, 24, 18, 10, 27, 189_123, tzinfo=UTC),
    bytes=5_000_000_000,
    wire_bytes=7,
    sha256="ab" * 32,
    compression="GZIP",
    path="received/2026-02-24/18/1771956627189_0001_P_portal-1.dat",
    sender_dn=None,
    sender_token=None,
    remote_address="192.0.2.1",
    headers=json.dumps({"Feed": "FEED-A", "Note": "100 % 'quoted' \u00e9 %s"}),
    groups=json.dumps([{"name": "1", "feed": "FEED-B", "dropped": True}]),
    notes=json.dumps(["a note"]),
    feed_version=3,
    guid="guid-1",
    request_id="request-1",
    truncated=True,
    feeds=(("FEED-A", False), ("FEED-B", True)),
    has_own_guid=True,
)
DERIVED = {"feeds", "has_own_guid"}


def another(number: int, **changes: Any) -> NewReceipt:
    return replace(NEW, receipt_id=f"1771956627189_{number:04}_P_portal-1", guid=f"guid-{number}", **changes)


def columns_of(receipt: Receipt) -> dict[str, object]:
    return {field.attname: getattr(receipt, field.attname) for field in Receipt._meta.concrete_fields}


@pytest.mark.parametrize(
    "row",
    [
        NEW,
        replace(NEW, received_at=NEW.received_at.replace(microsecond=0), sender_dn="CN=a", feed_version=None),
        replace(NEW, sender_token="payroll"),
        replace(NEW, groups="[]", notes="[]", headers="{}", truncated=False, request_id=""),
    ],
)
def test_a_row_is_the_one_that_the_orm_makes(row: NewReceipt) -> None:
    values = {name: getattr(row, name) for name in row.__slots__ if name not in DERIVED}
    values |= {name: json.loads(values[name]) for name in ("headers", "groups", "notes")}
    made = Receipt.objects.create(**values, duplicate_of="an-earlier-one")
    made.refresh_from_db()
    wanted = columns_of(made)
    made.delete()
    with transaction.atomic():
        queries.insert_receipts([row], {row.receipt_id: "an-earlier-one"})
    got = columns_of(Receipt.objects.get())
    wanted["id"] = got["id"]
    assert got == wanted
    links = ReceiptFeed.objects.order_by("pk").values_list("receipt__receipt_id", "feed", "dropped")
    assert list(links) == [(row.receipt_id, feed, dropped) for feed, dropped in row.feeds]


def test_every_column_of_a_link_is_given_by_the_statement() -> None:
    """A new column needs a value there, or a default of the database."""
    given = queries._INSERT_LINK[queries._INSERT_LINK.index("(") + 1 : queries._INSERT_LINK.index(")")].split(", ")
    columns: list[Any] = [column for column in ReceiptFeed._meta.concrete_fields if not column.primary_key]
    assert [column.column for column in columns if not column.has_db_default()] == given


def test_rows_of_a_batch_are_inserted_in_their_order() -> None:
    rows = [another(number) for number in range(40)]
    with transaction.atomic():
        queries.insert_receipts(rows, {})
    assert list(Receipt.objects.order_by("pk").values_list("receipt_id", flat=True)) == [
        row.receipt_id for row in rows
    ]
    assert ReceiptFeed.objects.count() == 80


def test_the_earlier_receipt_is_the_first_with_the_guid_or_with_the_content() -> None:
    first = make_receipt("FEED-A", content=b"same")
    make_receipt("FEED-A", content=b"same")
    other_feed = make_receipt("FEED-B", content=b"same")
    Receipt.objects.filter(pk=other_feed.pk).update(guid="guid-7")
    same = {"sha256": first.sha256, "bytes": first.bytes}
    rows = [
        another(1, **same),
        another(7),
        another(7, has_own_guid=False, feed="FEED-C"),
        another(8, feed="FEED-C", **same),
        another(9, feed="FEED-D", bytes=first.bytes + 1, sha256=first.sha256),
    ]
    rows[2] = replace(rows[2], receipt_id="1771956627189_0070_P_portal-1")
    assert queries.earlier_receipts(rows) == {
        rows[0].receipt_id: first.receipt_id,
        rows[1].receipt_id: other_feed.receipt_id,
    }


def test_r11_the_earlier_receipt_may_be_in_the_same_batch() -> None:
    rows = [another(1), another(2), replace(another(3, feed="FEED-C"), guid="guid-1")]
    assert queries.earlier_receipts(rows) == {
        rows[1].receipt_id: rows[0].receipt_id,
        rows[2].receipt_id: rows[0].receipt_id,
    }


def test_no_question_is_asked_without_keys(django_assert_num_queries: Any) -> None:
    connection.ensure_connection()  # which asks for the settings of a new one
    with django_assert_num_queries(0):
        assert queries.earlier_receipts([]) == {}
    with django_assert_num_queries(1):
        queries.earlier_receipts([replace(NEW, has_own_guid=False)])
    with django_assert_num_queries(2):
        queries.earlier_receipts([another(number) for number in range(99)])
