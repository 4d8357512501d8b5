"""Lists of receipts and counts look through the latest rows; exact values are found however old (S27)."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from feeds.models import HourlyCount, Outcome, Receipt
from portal import admin_latest as latest
from tests.factories import make_receipt
from tests.feeds.admin.admin_client import signed_in

pytestmark = pytest.mark.django_db

RECEIPTS, COUNTS = reverse("admin:feeds_receipt_changelist"), reverse("admin:feeds_hourlycount_changelist")


@pytest.fixture
def boss() -> Client:
    return signed_in(superuser=True)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest, "LATEST", 10)


def shown(boss: Client, address: str, **query: str) -> list[str]:
    response = boss.get(address, query)
    assert response.status_code == 200
    return [str(row) for row in response.context["cl"].result_list]


def make_old_and_new(old: int, new: int) -> list[Receipt]:
    return [make_receipt("OLD-FEED", guid=f"g-{n}") for n in range(old)] + [
        make_receipt("NEW-FEED") for _ in range(new)
    ]


def test_the_list_ends_with_the_latest_and_says_so(boss: Client) -> None:
    made = make_old_and_new(5, 10)
    assert set(shown(boss, RECEIPTS)) == {receipt.receipt_id for receipt in made[5:]}
    assert "The latest " in boss.get(RECEIPTS).content.decode()


def test_a_short_list_is_whole_and_says_nothing(boss: Client) -> None:
    make_old_and_new(3, 7)
    assert len(shown(boss, RECEIPTS)) == 10
    assert "The latest " not in boss.get(RECEIPTS).content.decode()


def test_a_list_whose_older_rows_are_gone_says_nothing(boss: Client) -> None:
    made = make_old_and_new(15, 5)
    assert "The latest " in boss.get(RECEIPTS).content.decode()
    Receipt.objects.filter(pk__in=[receipt.pk for receipt in made[:15]]).delete()
    assert len(shown(boss, RECEIPTS)) == 5
    assert "The latest " not in boss.get(RECEIPTS).content.decode()


@pytest.mark.parametrize("field", ["receipt_id", "sha256", "guid", "request_id", "feed"])
def test_an_exact_value_is_found_however_old(field: str, boss: Client) -> None:
    old = make_receipt("OLD-FEED", guid="g-old", sha256="f" * 64, request_id="my-request-0001")
    make_old_and_new(0, 12)
    assert shown(boss, RECEIPTS, q=getattr(old, field)) == [old.receipt_id]
    assert shown(boss, RECEIPTS, q=getattr(old, field), status__exact="failed") == []
    assert boss.get(RECEIPTS, {"q": getattr(old, field)}).context["cl"].query == getattr(old, field)


def test_the_beginning_of_a_name_is_looked_for_in_the_latest(boss: Client) -> None:
    made = make_old_and_new(5, 10)
    assert shown(boss, RECEIPTS, q="OLD") == []
    assert len(shown(boss, RECEIPTS, q="NEW-")) == 10
    assert set(shown(boss, RECEIPTS, q="OLD-FEED")) == {receipt.receipt_id for receipt in made[:5]}


def test_an_old_receipt_has_its_page(boss: Client) -> None:
    old = make_old_and_new(1, 12)[0]
    assert boss.get(reverse("admin:feeds_receipt_change", args=[old.pk])).status_code == 200


def test_counts_of_a_feed_are_found_however_old(boss: Client) -> None:
    hour = datetime(2026, 2, 24, 18, tzinfo=UTC)
    for number in range(15):
        HourlyCount.objects.create(
            hour=hour + timedelta(hours=number),
            feed="OLD-FEED" if number < 2 else "NEW-FEED",
            outcome=Outcome.REFUSED,
            http_status=406,
            stroom_status=100 if number < 2 else 110,
        )
    assert len(shown(boss, COUNTS)) == 10
    assert len(shown(boss, COUNTS, q="OLD-FEED")) == 2
    page = boss.get(COUNTS).content.decode()
    assert "?stroom_status=110" in page
    assert "?stroom_status=100" not in page
    assert shown(boss, COUNTS, stroom_status="110") != []
    for odd in ("100", "x", "'"):
        assert shown(boss, COUNTS, stroom_status=odd) == []


def test_filters_count_what_they_would_show(boss: Client) -> None:
    make_old_and_new(0, 8)
    make_receipt("NEW-FEED", status=Receipt.Status.FAILED, compression="ZIP")
    page = boss.get(RECEIPTS).content.decode()
    assert "failed (1)" in page
    assert "ZIP (1)" in page
