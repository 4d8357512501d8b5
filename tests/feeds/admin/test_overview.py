"""The first page of the admin, and the page of what is refused."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from feeds.admin.refusals import alike
from feeds.models import CertificateRule, Feed, HourlyCount, Receipt, RefusalSample
from feeds.monitoring.figures import start_of_hour
from feeds.monitoring.overview import certificates_ending, went_quiet
from feeds.monitoring.snapshot import FeedSnapshot, shared_standing
from tests.feeds.admin.admin_client import DN, signed_in
from tests.steps import steps_of_sqlite

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)
HOUR = start_of_hour(NOW)


def make_count(
    feed: str, outcome: str = "received", count: int = 1, *, hours_ago: int = 0, stroom: int = 0
) -> None:
    HourlyCount.objects.create(
        feed=feed,
        hour=HOUR - timedelta(hours=hours_ago),
        outcome=outcome,
        count=count,
        http_status=406 if stroom else 200,
        stroom_status=stroom,
    )


def make_receipt(number: int, **changes: object) -> Receipt:
    values = {
        "receipt_id": f"r{number}",
        "feed": "PAYROLL-PROD",
        "received_at": NOW,
        "bytes": 1,
        "sha256": "0" * 64,
        "path": "x",
        **changes,
    }
    return Receipt.objects.create(**values)


def test_the_first_page_says_how_things_stand() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    Feed.objects.create(name="CLOSED-FEED", status="Reject")
    make_count("PAYROLL-PROD", count=1234)
    make_count("NO-SUCH-FEED", "refused", 17, stroom=110)
    CertificateRule.objects.create(feed=feed, subject_dn=DN, expires=NOW + timedelta(days=3))
    page = signed_in(superuser=True).get(reverse("admin:index")).content.decode()
    assert "1,234" in page
    assert "HTTP 406 · Stroom 110" in page
    assert f"{NOW + timedelta(days=3):%Y-%m-%d}" in page
    assert "All feeds, last 24 hours: 1,234 accepted, 17 refused, 0 dropped." in page


def test_the_first_page_says_what_the_store_holds_as_it_was_counted_last(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    client = signed_in(superuser=True)
    with override_settings(DATA_DIR=tmp_path):
        assert "in the store" not in client.get(reverse("admin:index")).content.decode()
        shared_standing(folder, lambda: FeedSnapshot(1234, 5 * 1024 * 1024, {}, 0, None))
        with CaptureQueriesContext(connection) as queries:
            page = client.get(reverse("admin:index")).content.decode()
    assert re.search(r"Receipts in the store</dt><dd>1,234 <small>5.0\sMiB, at <time[^>]*>\d\d:\d\d</time>", page)
    assert not [query for query in queries if 'SUM("feeds_receipt"' in query["sql"]]


def test_who_may_not_see_feeds_sees_no_numbers() -> None:
    make_count("PAYROLL-PROD", count=1234)
    page = signed_in("view_receipt").get(reverse("admin:index")).content.decode()
    assert "1,234" not in page
    assert "Receipts" in page


def test_the_first_page_costs_the_same_number_of_queries_however_much_there_is() -> None:
    client = signed_in(superuser=True)
    client.get(reverse("admin:index"))
    with CaptureQueriesContext(connection) as few:
        client.get(reverse("admin:index"))
    for number in range(30):
        make_count(f"FEED-{number}", hours_ago=30)
        Feed.objects.create(name=f"FEED-{number}")
        make_receipt(number, sender_dn=f"CN={number}", headers={"RemoteCertExpiry": "2026-01-01T00:00:00.000Z"})
    with CaptureQueriesContext(connection) as many:
        client.get(reverse("admin:index"))
    assert len(many) == len(few)


def test_a_feed_went_quiet_when_it_took_something_this_week_but_nothing_today() -> None:
    for name in ("BUSY-FEED", "QUIET-FEED", "LONG-QUIET", "CLOSED-FEED"):
        Feed.objects.create(name=name, status="Reject" if name == "CLOSED-FEED" else "Receive")
    make_count("BUSY-FEED")
    make_count("QUIET-FEED", hours_ago=40)
    make_count("LONG-QUIET", hours_ago=400)
    make_count("CLOSED-FEED", hours_ago=40)
    assert [(quiet.name, quiet.last) for quiet in went_quiet(NOW)] == [("QUIET-FEED", HOUR - timedelta(hours=40))]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="counts the steps of SQLite")
def test_s27_quiet_feeds_are_found_without_reading_a_week_of_counts() -> None:
    def fill(first: int, last: int) -> None:
        HourlyCount.objects.bulk_create(
            HourlyCount(
                feed=f"NO-SUCH-{number}",
                hour=HOUR - timedelta(hours=number % 160),
                outcome="received",
                http_status=200,
                stroom_status=0,
                count=1,
            )
            for number in range(first, last)
        )

    def work() -> int:
        with steps_of_sqlite(100) as steps:
            assert [quiet.name for quiet in went_quiet(NOW)] == ["QUIET-FEED"]
        return steps.taken

    Feed.objects.create(name="QUIET-FEED")
    make_count("QUIET-FEED", hours_ago=40)
    fill(0, 100)
    few = work()
    fill(100, 5_000)
    assert work() <= few + 2


def test_the_number_of_quiet_feeds_leads_to_exactly_these() -> None:
    for number in range(11):
        Feed.objects.create(name=f"QUIET-{number:02}")
        make_count(f"QUIET-{number:02}", hours_ago=40)
    for name, hours in (("BUSY-FEED", 1), ("LONG-QUIET", 400)):
        Feed.objects.create(name=name)
        make_count(name, hours_ago=hours)
    Feed.objects.create(name="NEVER-USED")
    client = signed_in(superuser=True)
    page = client.get(reverse("admin:index")).content.decode()
    (address,) = re.findall(r'href="([^"]+)">11 in all', page)
    listed = client.get(address).content.decode()
    assert set(re.findall(r"[A-Z]+-[A-Z0-9]+(?=</a></th>)", listed)) == {f"QUIET-{n:02}" for n in range(11)}


def test_certificates_that_senders_use_and_that_end_soon_are_named_once() -> None:
    soon = (NOW + timedelta(days=9)).isoformat()
    for number in range(3):
        make_receipt(number, sender_dn="CN=soon", headers={"RemoteCertExpiry": soon})
    make_receipt(4, sender_dn="CN=later", headers={"RemoteCertExpiry": (NOW + timedelta(days=90)).isoformat()})
    make_receipt(5, sender_dn=None, headers={"RemoteCertExpiry": soon})
    make_receipt(6, sender_dn="CN=odd", headers={"RemoteCertExpiry": "someday"})
    assert [certificate.dn for certificate in certificates_ending(NOW)] == ["CN=soon"]


def test_the_refusals_page_tells_known_from_unknown_names_and_offers_to_create_one() -> None:
    Feed.objects.create(name="PAYROLL-PROD-EVENTS", status="Reject")
    make_count("PAYROLL-PROD-EVENTS", "refused", 5, stroom=110)
    make_count("PAYROL-PROD-EVENTS", "refused", 7, stroom=110)
    make_count("no good name", "refused", 2, stroom=110)
    make_count("", "refused", 3, stroom=100)
    page = signed_in(superuser=True).get(reverse("admin:feeds_refusalsample_now")).content.decode()
    assert "/admin/feeds/feed/add/?name=PAYROL-PROD-EVENTS" in page
    assert "?name=PAYROLL-PROD-EVENTS" not in page
    assert "invalid feed name" in page
    assert "no Feed header was sent" in page
    assert re.search(r"Stroom 110 <span[^>]*>Feed is not set to receive data</span> <strong>14</strong>", page)


def test_a_feed_created_since_is_no_longer_unknown() -> None:
    make_count("NEW-FEED", "refused", 7, stroom=110)
    client = signed_in(superuser=True)
    url = reverse("admin:feeds_refusalsample_now")
    assert "add/?name=NEW-FEED" in client.get(url).content.decode()
    Feed.objects.create(name="NEW-FEED")
    assert "add/?name=NEW-FEED" not in client.get(url).content.decode()


def test_one_code_can_be_looked_at_alone() -> None:
    Feed.objects.create(name="A-FEED")
    Feed.objects.create(name="B-FEED")
    make_count("A-FEED", "refused", 5, stroom=310)
    make_count("B-FEED", "refused", 5, stroom=200)
    page = signed_in(superuser=True).get(reverse("admin:feeds_refusalsample_now"), {"stroom_status": "310"})
    assert "A-FEED" in page.content.decode()
    assert "B-FEED" not in page.content.decode()


def test_senders_are_grouped_by_address_and_certificate() -> None:
    for number in range(3):
        RefusalSample.objects.create(
            at=NOW,
            feed="A-FEED",
            http_status=403,
            stroom_status=310,
            receipt_id=f"r{number}",
            remote_address="192.0.2.9",
            sender_dn="CN=\u202eevil",
        )
    page = signed_in(superuser=True).get(reverse("admin:feeds_refusalsample_now")).content.decode()
    assert page.count(">192.0.2.9</th>") == 1
    assert "CN=⟨U+202E⟩evil" in page
    assert "\u202e" not in page


def test_the_refusals_page_needs_the_right_to_see_refusals() -> None:
    assert signed_in("view_feed").get(reverse("admin:feeds_refusalsample_now")).status_code == 403


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("payroll_prod_events", ["PAYROLL-PROD-EVENTS"]),
        ("PAYROL-PROD-EVENTS", ["PAYROLL-PROD-EVENTS"]),
        ("WHOLLY-DIFFERENT", []),
        ("", []),
    ],
)
def test_names_that_were_perhaps_meant_are_found(sent: str, meant: list[str]) -> None:
    assert alike(sent, ["BADGE-TEST", "PAYROLL-PROD-EVENTS"]) == meant


def test_a_full_disk_is_said_on_the_first_page() -> None:
    client = signed_in(superuser=True)
    with override_settings(ENVIRONMENT=replace(settings.ENVIRONMENT, min_free_bytes=2**62)):
        assert "deliveries are answered HTTP 503" in client.get(reverse("admin:index")).content.decode()
    with override_settings(ENVIRONMENT=replace(settings.ENVIRONMENT, min_free_bytes=0)):
        assert "deliveries are answered HTTP 503" not in client.get(reverse("admin:index")).content.decode()
