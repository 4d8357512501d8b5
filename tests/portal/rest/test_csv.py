"""Every list is to be had as a table: whole, in order, with a header line, and with no cell that calculates."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from codes import loading
from codes.models import Source, Vendor
from feeds.models import Feed, HourlyCount, Outcome, ReceiptRule, ReceiptRuleMatch, RefusalSample
from portal.models import ApiToken
from portal.rest.csv_renderer import csv_cell
from portal.rest.private import CSV_CHUNK, csv_parts
from portal.rest.schema_views import description
from tests.calls import Answer, Caller, superuser
from tests.factories import DN, LATER, make_feed, make_receipt, make_rule

pytestmark = pytest.mark.django_db

FORMULA = '=HYPERLINK("https://example.org")'
FEED = "FEED-A"
#: A number that stands in no other address.
RULE = "4711"
HOUR = datetime(2026, 2, 24, 18, tzinfo=UTC)
#: Every list, with the column that shows whether the rows are those of the JSON.
LISTS = {
    "feeds/": "name",
    f"feeds/{FEED}/history/": "at",
    "proposals/": "id",
    "receipt-rules/": "id",
    f"receipt-rules/{RULE}/history/": "at",
    f"receipt-rules/{RULE}/matches/": "sender",
    "receipts/": "id",
    f"changes/?feed={FEED}": "number",
    "deliveries/": "feed",
    "rejections/": "feed",
    "tokens/": "id",
    "codes/": "code",
    "codes/compare/?codes=301,302,307,308": "code",
    "disagreements/": "aspect",
    "sources/": "slug",
    "vendors/": "slug",
    "headers/": "slug",
    "registries/": "slug",
    "releases/": "digest",
}


@pytest.fixture(scope="module")
def catalogue(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), transaction.atomic():
        loading.load()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def viewer(catalogue: None, db: None, settings: Any) -> Caller:
    """Somebody who may see everything, and of everything there is some, with a formula wherever text may stand."""
    Source.objects.update(summary=FORMULA)
    Vendor.objects.update(name=FORMULA)
    make_rule(make_feed(FEED, allow=[DN], owner=FORMULA), "CN=ends", expires=LATER)
    Feed.objects.get(name=FEED).delete()
    make_feed(FEED, owner=FORMULA)
    for _ in range(3):
        make_receipt(FEED, sender_dn=FORMULA)
    for name in ("A", "B", FORMULA):
        count(name)
    rule = ReceiptRule.objects.create(pk=RULE, name=FORMULA, position=1, comment=FORMULA, enabled=False)
    for sender in ("a", FORMULA):
        ReceiptRuleMatch.objects.create(rule=rule, hour=HOUR, feed=FEED, sender=sender, applied=True, count=1)
    found = superuser()
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    for policy in ("required", "restricted"):
        rules = [{"subject_dn": DN, "expires": "2031-01-01T00:00:00Z"}]
        change = {"certificate_policy": policy, "certificate_rules": rules, "comment": FORMULA}
        found.patch(f"/api/v1/feeds/{FEED}/", change)
    ApiToken.objects.issue(found.user, name=FORMULA)  # it has one
    return found


def count(feed: str) -> None:
    """A refusal of this feed, counted, and kept as an example."""
    key = {"feed": feed, "http_status": 406, "stroom_status": 110}
    HourlyCount.objects.create(hour=HOUR, outcome=Outcome.REFUSED, count=1, **key)
    RefusalSample.objects.create(at=HOUR, receipt_id=f"sample of {feed}", **key)


def table(response: Answer) -> list[dict[str, str]]:
    assert response.status_code == 200, response
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    content = b"".join(response) if response.streaming else response.content
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def asked(path: str, query: str) -> str:
    return f"/api/v1/{path}{'&' if '?' in path else '?'}{query}"


def test_every_list_of_the_description_is_tried_here() -> None:
    paths = json.loads(description("json"))["paths"]
    described = {
        path.removeprefix("/api/v1/").replace("{name}", FEED).replace("{rule_id}", RULE)
        for path, operations in paths.items()
        if "results" in str(operations.get("get", {}).get("responses", {}).get("200", {}))
        or "Paginated" in str(operations.get("get", {}))
    }
    tried = {path.partition("?")[0] for path in LISTS}
    assert described <= tried
    for path in tried:
        address = "/api/v1/" + path.replace(FEED, "{name}").replace(RULE, "{rule_id}")
        assert set(paths[address]["get"]["responses"]["200"]["content"]) == {"application/json"}, path
        table_of_it = paths[f"{address.rstrip('/')}.csv"]["get"]
        assert set(table_of_it["responses"]["200"]["content"]) == {"text/csv"}, path


@pytest.mark.parametrize(("path", "column"), LISTS.items())
def test_a_table_has_the_rows_of_the_list_in_its_order(path: str, column: str, viewer: Caller) -> None:
    items = viewer.get(asked(path, "format=json")).json()["results"]
    rows = table(viewer.get(asked(path, "format=csv")))
    assert items
    assert list(rows[0]) == list(items[0])
    assert [row[column] for row in rows] == [as_cell(item[column]) for item in items]
    by_header = viewer.get(asked(path, "").rstrip("?&"), Accept="text/csv")
    assert len(table(by_header)) == len(rows)


def as_cell(value: object) -> str:
    return f"'{value}" if value == FORMULA else str(value)


@pytest.mark.parametrize("path", LISTS)
def test_s11_no_cell_begins_a_formula(path: str, viewer: Caller) -> None:
    cells = [cell for row in table(viewer.get(asked(path, "format=csv"))) for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r", "\n", "\0"))]


@pytest.mark.parametrize("path", [path for path in LISTS if "compare" not in path])
def test_a_limit_gives_a_page_whose_neighbours_stand_in_the_link_header(path: str, viewer: Caller) -> None:
    whole = table(viewer.get(asked(path, "format=csv")))
    response = viewer.get(asked(path, "format=csv&limit=1"))
    assert table(response) == whole[:1]
    if len(whole) > 1:
        following = response["Link"].partition("<")[2].partition(">")[0]
        assert table(viewer.get(following.removeprefix("http://testserver"))) == whole[1:2]


@pytest.mark.parametrize(
    "path", ["feeds/?name=NONE", "receipts/?id=none", "codes/?code=299", "disagreements/?code=299"]
)
def test_an_empty_table_has_its_header(path: str, viewer: Caller) -> None:
    response = viewer.get(asked(path, "format=csv"))
    content = b"".join(response) if response.streaming else response.content
    assert b"," in content.splitlines()[0]
    assert len(content.splitlines()) == 1


def test_refusals_have_their_examples_in_the_table_too(viewer: Caller) -> None:
    rows = table(viewer.get(asked("rejections/", "format=csv&feed=A")))
    assert "sample of A" in rows[0]["samples"]


def test_fields_choose_the_columns(viewer: Caller) -> None:
    rows = table(viewer.get(asked(f"feeds/{FEED}/history/", "format=csv&fields=action,version")))
    assert list(rows[0]) == ["action", "version"]
    assert rows[-1] == {"action": "created", "version": "1"}


def test_a_long_table_is_read_in_parts_and_misses_nothing(django_assert_max_num_queries: Any) -> None:
    now = timezone.now()
    Feed.objects.bulk_create(
        Feed(name=f"FEED-{number:05}", created=now, updated=now) for number in range(2 * CSV_CHUNK + 1)
    )
    viewer = superuser()
    # token with its user, and its use; the keys; three parts, each with the rules of its feeds
    with django_assert_max_num_queries(9):
        rows = table(viewer.get("/api/v1/feeds/?format=csv"))
    assert [row["name"] for row in rows] == [f"FEED-{number:05}" for number in range(2 * CSV_CHUNK + 1)]


def test_what_is_deleted_while_a_table_is_sent_is_left_out(viewer: Caller) -> None:
    from portal.rest import private

    before = private.CSV_CHUNK
    try:
        private.CSV_CHUNK = 1
        response = viewer.get("/api/v1/feeds/?format=csv&fields=name")
        Feed.objects.all().delete()
        assert table(response) == []
    finally:
        private.CSV_CHUNK = before


def test_lines_are_sent_many_at_a_time() -> None:
    parts = list(csv_parts(["a", "b"], (("x" * 50, str(number)) for number in range(10_000))))
    assert len(parts) < 30
    assert len("".join(parts).splitlines()) == 10_001


def test_what_is_no_list_has_no_table(viewer: Caller) -> None:
    for path in (f"feeds/{FEED}/", "codes/http/404/", "sources/iana/"):
        assert viewer.get(asked(path, "format=csv")).status_code == 400, path


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ([], ""),
        (["ietf", "stroom"], "ietf stroom"),
        ([301, 302], "301 302"),
        (["two words", "three"], '["two words", "three"]'),
        (["", "a"], '["", "a"]'),
        ({"ends": LATER}, '{"ends": "2026-03-26T18:10:27.192000Z"}'),
    ],
)
def test_the_items_of_a_list_can_be_told_apart_in_its_cell(value: object, cell: str) -> None:
    assert csv_cell(value) == cell
