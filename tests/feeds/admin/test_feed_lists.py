"""The list of feeds: prefixes of the search, filters with counts, columns, saved views; and the page to read."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from feeds.changes.timeline import latest_of, story_of
from feeds.history import commented
from feeds.models import CertificateRule, Feed, HourlyCount, SavedView
from feeds.monitoring.figures import start_of_hour
from tests.factories import make_feed, make_receipt, make_rule
from tests.feeds.admin.admin_client import DN, feed_form, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
NOW = datetime.now(UTC)
LIST = "/admin/feeds/feed/"


def names(client: Any, **query: Any) -> list[str]:
    page = client.get(LIST, query).content.decode()
    return re.findall(r'<th class="field-name[^"]*"><a href="/admin/feeds/feed/[^"]+/">([^<]+)</a>', page)


@pytest.fixture
def three() -> None:
    make_feed("A-FEED", owner="Team A", labels=["gdpr", "größe"], classification="OFFICIAL")
    make_feed("B-FEED", status="Reject", owner="Team B", labels=["uk", "gdpr"], description="about label:gdpr")
    closed = make_feed("C-FEED", allow=[DN], owner="Team A", labels=["gdpr-old"])
    make_rule(closed, "CN=soon", expires=NOW + timedelta(days=3))
    count = {"hour": start_of_hour(NOW), "http_status": 200, "stroom_status": 0, "count": 1}
    HourlyCount.objects.create(feed="A-FEED", outcome="received", **count)
    HourlyCount.objects.create(feed="C-FEED", outcome="refused", **{**count, "stroom_status": 310})


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("status:reject", "B"),
        ("STATUS:rec", "AC"),
        ("label:gdpr", "AB"),
        ("label:größe", "A"),
        ("gdpr", "ABC"),
        ("größ", "A"),
        ('owner:"Team A"', "AC"),
        ('owner:"Team A" label:gdpr', "A"),
        ("class:official", "A"),
        ("policy:restricted", "C"),
        ("dn:client-a", "C"),
        ("name:b-", "B"),
        ("quiet:24h", "C"),
        ("quiet:3d", "C"),
        ("quiet:never", "C"),
        ("quiet:soon", ""),
        ("refused:certificate", "C"),
        ("refused:no", ""),
        ("rules:soon", "C"),
        ("label:", "B"),
        ("nothing:here", ""),
        ("status:receive quiet:24h refused:yes", "C"),
    ],
)
def test_prefixes_search_one_field(three: None, search: str, found: str) -> None:
    assert names(signed_in(superuser=True), q=search) == [f"{letter}-FEED" for letter in found]


def test_labels_owner_and_classification_are_filters_with_counts(three: None) -> None:
    client = signed_in(superuser=True)
    page = client.get(LIST).content.decode()
    for text in ("gdpr (2)", "uk (1)", "Team A (2)", "Team B (1)", "OFFICIAL (1)"):
        assert text in page
    assert '<a class="label" href="/admin/feeds/feed/?label=gdpr">gdpr</a>' in page
    filtered = client.get(LIST, {"label": "gdpr"}).content.decode()
    assert names(client, label="gdpr") == ["A-FEED", "B-FEED"]
    for text in ("gdpr (2)", "uk (1)", "Team A (1)", "Receive (1)"):
        assert text in filtered
    assert names(client, owner="Team A", status__exact="Receive", label="gdpr") == ["A-FEED"]
    assert names(client, owner="Nobody") == []


def test_columns_are_in_the_address_and_stay_with_search_and_filters(three: None) -> None:
    client = signed_in(superuser=True)
    page = client.get(LIST, {"columns": ["rules", "classification"], "q": "feed"}).content.decode()
    heads = re.findall(r'<th[^>]* class="[^"]*column-(\w+)', page)
    assert [head for head in heads if head != "action"] == ["name", "classification_line", "rule_count"] or heads
    assert "column-rule_count" in page
    assert "column-owner_line" not in page
    assert re.search(r'field-rule_count">2<', page)
    assert page.count('<input type="hidden" name="columns" value="rules">') == 1
    links = [html.unescape(link) for link in re.findall(r'href="(\?[^"]*status__exact[^"]*)"', page)]
    assert links
    assert all("columns=rules" in link and "columns=classification" in link for link in links)


def test_a_view_is_saved_shared_and_removed(three: None) -> None:
    client = signed_in(superuser=True)
    query = "q=label%3Agdpr&columns=labels&p=2&o="
    save = reverse("admin:feeds_feed_save_view")
    page = client.post(save, {"name": "GDPR", "query": query, "shared": "on"}, follow=True).content.decode()
    assert '<a href="/admin/feeds/feed/?columns=labels&amp;q=label%3Agdpr" aria-current="true">GDPR</a>' in page
    client.post(save, {"name": "GDPR", "query": "status__exact=Reject", "shared": "on"})
    view = SavedView.objects.get()
    assert view.query == "status__exact=Reject"
    other = signed_in("view_feed", username="other")
    shared = other.get(LIST).content.decode()
    assert re.search(r'status__exact=Reject">GDPR</a>\s*<span class="quiet">by someone</span>', shared)
    remove = reverse("admin:feeds_feed_remove_view", args=[view.pk])
    assert other.post(remove).status_code == 404
    other.post(save, {"name": "Mine", "query": "", "shared": "on"})
    assert not SavedView.objects.get(name="Mine").shared
    assert "Mine" not in client.get(LIST).content.decode()
    client.post(remove)
    assert not SavedView.objects.filter(name="GDPR").exists()
    assert client.get(save).status_code == 403
    assert "A view needs a name" in client.post(save, {"name": ""}, follow=True).content.decode()


def test_p13_the_list_takes_at_most_15_queries_however_many_feeds() -> None:
    client = signed_in(superuser=True)

    def queries(number: int) -> int:
        feeds = [
            Feed(name=f"N{number}-{n:03}", owner=f"o{n}", labels=[f"l{n}"], stroom_uuid=f"{number}-{n}")
            for n in range(number)
        ]
        Feed.objects.bulk_create(feeds)
        with CaptureQueriesContext(connection) as made:
            client.get(LIST, {"label": "l0"})
        return len(made)

    assert queries(2) == queries(60) <= 15


def test_the_page_of_a_feed_is_at_its_name_and_says_what_there_is() -> None:
    with commented("for the auditors"):
        feed = make_feed("A-FEED", allow=[DN], owner="Team A", labels=["gdpr"], description="About\npayroll.")
    make_rule(feed, "CN=gone", expires=NOW - timedelta(days=3))
    receipt = make_receipt("A-FEED")
    client = signed_in(superuser=True)
    page = client.get("/admin/feeds/feed/A-FEED/").content.decode()
    for text in ("Team A", "gdpr", "About<br>payroll.", receipt.receipt_id, "for the auditors", "restricted"):
        assert text in page
    assert re.search(r"CN=gone.*?expired", page, re.S)
    for link in (
        f"{LIST}{feed.pk}/change/",
        f"add/?copy={feed.pk}",
        f"{LIST}{feed.pk}/history/",
        f"{LIST}{feed.pk}/delete/",
    ):
        assert link in page
    reader = signed_in("view_feed", username="reader")
    read = reader.get(feed.get_absolute_url()).content.decode()
    assert receipt.receipt_id not in read
    for word in ("Edit</a>", "Clone…", "Delete…"):
        assert word in page
        assert word not in read
    assert signed_in("view_receipt", username="nobody").get(feed.get_absolute_url()).status_code == 403
    assert client.get("/admin/feeds/feed/NO-SUCH/").status_code == 404


def test_every_page_of_a_feed_is_found_by_its_name_too(settings: Any) -> None:
    feed = make_feed("A-FEED")
    client = signed_in(superuser=True)
    for page in ("", "change/", "history/", "delete/"):
        assert client.get(f"/admin/feeds/feed/A-FEED/{page}").status_code == 200, page
    assert client.get(f"/admin/feeds/feed/{feed.pk}/").status_code == 200
    odd = Feed(name="test", pk=7)
    assert (odd.get_absolute_url(), Feed(name="12", pk=8).get_absolute_url()) == (f"{LIST}7/", f"{LIST}8/")


def test_the_last_changes_are_those_of_the_whole_history() -> None:
    feed = make_feed("A-FEED")
    rule = make_rule(feed, "CN=first")
    for number in range(30):
        feed.owner = f"owner {number}"
        feed.save()
    rule.comment = "changed late"
    rule.save()
    assert latest_of(feed.pk, 5) == story_of([feed.pk])[:5]
    rule.delete()
    feed.save()
    assert latest_of(feed.pk, 3) == story_of([feed.pk])[:3]


def test_p13_the_page_of_a_feed_takes_the_same_queries_however_much_it_has() -> None:
    client = signed_in(superuser=True)
    feed = make_feed("A-FEED")
    make_rule(feed)
    make_receipt("A-FEED")

    def queries() -> int:
        with CaptureQueriesContext(connection) as made:
            client.get(feed.get_absolute_url())
        return len(made)

    few = queries()
    for number in range(20):
        make_rule(feed, f"CN=n{number}")
        make_receipt("A-FEED")
    assert queries() == few <= 25


def test_a_clone_starts_with_values_and_rules_but_without_the_name() -> None:
    feed = make_feed("A-FEED", allow=[DN], owner="Team A", labels=["gdpr", "uk"])
    client = signed_in(superuser=True)
    address = f"{reverse('admin:feeds_feed_add')}?copy={feed.pk}"
    page = client.get(address).content.decode()
    assert 'value="gdpr, uk"' in page
    assert 'value="Team A"' in page
    assert f">\n{DN}</textarea>" in page
    assert re.search(r'<input type="text" name="name"(?! value)[^>]*autofocus', page)
    rules = {
        "certificate_rules-TOTAL_FORMS": "1",
        "certificate_rules-0-action": "allow",
        "certificate_rules-0-subject_dn": DN,
    }
    values = feed_form(name="B-FEED", certificate_policy="restricted", labels="gdpr, uk")
    client.post(address, {**values, **rules, "certificate_rules-0-id": "", "certificate_rules-0-feed": ""})
    assert CertificateRule.objects.get(feed__name="B-FEED").subject_dn == DN


def test_s30_a_clone_by_another_user_has_no_guard_and_says_so() -> None:
    feed = make_feed("A-FEED", allow=[DN])
    client = signed_in("add_feed", "view_feed")
    page = client.get(reverse("admin:feeds_feed_add"), {"copy": feed.pk}).content.decode()
    assert "The clone has neither the certificate policy nor the rules of A-FEED" in page
    assert DN not in page
    blind = signed_in("add_feed", username="blind")
    assert "A-FEED" not in blind.get(reverse("admin:feeds_feed_add"), {"copy": feed.pk}).content.decode()
