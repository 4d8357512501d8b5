"""Each count next to a filter of the admin is the number of rows behind its link, at the cost of few queries."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from feeds.models import CertificateRule, Feed, HourlyCount, Outcome
from tests.factories import make_receipt
from tests.feeds.admin.admin_client import signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

FEEDS, RECEIPTS = reverse("admin:feeds_feed_changelist"), reverse("admin:feeds_receipt_changelist")
NOW = datetime.now(UTC)
Queries = Callable[[int], Any]


@pytest.fixture
def boss() -> Client:
    return signed_in(superuser=True)


@pytest.fixture(autouse=True)
def _rows() -> None:
    for number in range(12):
        feed = Feed.objects.create(
            name=f"FEED-{number}",
            status=["Receive", "Reject", "Drop"][number % 3],
            certificate_policy=["none", "required"][number % 2],
        )
        if number % 4 == 0:
            CertificateRule.objects.create(feed=feed, subject_dn="CN=a", expires=NOW + timedelta(days=number - 4))
        outcome, status = [(Outcome.RECEIVED, 0), (Outcome.REFUSED, 110), (Outcome.REFUSED, 300)][number % 3]
        HourlyCount.objects.create(
            hour=(NOW - timedelta(hours=number * 5)).replace(minute=0, second=0, microsecond=0),
            feed=feed.name,
            outcome=outcome,
            http_status=200 if status == 0 else 406,
            stroom_status=status,
            known=True,
            count=1,
        )
        make_receipt(
            feed.name,
            compression=["NONE", "GZIP", "ZIP"][number % 3],
            duplicate_of="other" if number % 5 == 0 else "",
            recovered=number % 2 == 0,
        )


def facets(html: str) -> dict[str, int]:
    """Return the address of each filter's link that has a count, and the count."""
    links = re.findall(r'<a href="(\?[^"]*)"[^>]*>[^<]*\((\d+)\)</a>', html)
    return {unescape(link): int(count) for link, count in links}


@pytest.mark.parametrize(
    ("address", "query"),
    [
        (FEEDS, ""),
        (FEEDS, "?quiet=24h&certificate_policy=required"),
        (RECEIPTS, ""),
        (RECEIPTS, "?duplicate=yes&recovered__exact=1"),
    ],
)
def test_each_count_is_the_number_of_rows_behind_its_link(boss: Client, address: str, query: str) -> None:
    found = facets(boss.get(f"{address}{query}").content.decode())
    assert len(found) > 8
    assert max(found.values()) > 1
    for link, count in found.items():
        assert boss.get(f"{address}{link}").context["cl"].result_count == count, link


@pytest.mark.parametrize("address", [FEEDS, RECEIPTS, reverse("admin:index")])
def test_p13_a_list_costs_at_most_15_queries(
    boss: Client, django_assert_max_num_queries: Queries, address: str
) -> None:
    boss.get(address)
    with django_assert_max_num_queries(15):
        assert boss.get(address).status_code == 200


def test_the_box_of_a_row_is_as_django_makes_it(boss: Client) -> None:
    html = boss.get(FEEDS).content.decode()
    feed = Feed.objects.get(name="FEED-3")
    box = re.search(rf'<input [^>]*value="{feed.pk}"[^>]*>', html)
    assert box
    assert dict(re.findall(r'([\w-]+)="([^"]*)"', box[0])) == {
        "type": "checkbox",
        "name": "_selected_action",
        "value": str(feed.pk),
        "class": "action-select",
        "aria-label": "Select this object for an action - FEED-3",
    }
    assert 'id="action-toggle"' in html
