"""From a refusal to its remedy: the links, the forms that they fill in, and the test that follows."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from feeds.models import CertificateRule, Feed, HourlyCount, RefusalSample
from feeds.monitoring.figures import start_of_hour
from tests.factories import make_feed, make_rule
from tests.feeds.admin.admin_client import DN, feed_form, one_rule, signed_in

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
TRACE = [{"step": 6, "outcome": "stop", "explanation": "No unexpired allow rule matches."}]


def refuse(feed: str = "PAYROLL-PROD", stroom: int = 310, dn: str = DN, **values: Any) -> RefusalSample:
    """A refusal as the portal counts and keeps it."""
    http = {310: 403, 300: 401}.get(stroom, 406)
    HourlyCount.objects.get_or_create(
        feed=feed,
        hour=start_of_hour(NOW),
        outcome="refused",
        http_status=http,
        stroom_status=stroom,
        defaults={"count": 1},
    )
    kept = {"remote_address": "192.0.2.9", "receipt_id": "r1", "headers": {"Feed": feed}, "trace": TRACE, **values}
    return RefusalSample.objects.create(
        at=NOW, feed=feed, http_status=http, stroom_status=stroom, sender_dn=dn, **kept
    )


def links(page: str) -> dict[str, str]:
    """The remedies of a page by their label."""
    found = re.findall(r'<li><a href="([^"]+)">([^<]+…)', page)
    return {label: html.unescape(address) for address, label in found}


def shown(client: Any, **query: str) -> str:
    return client.get(reverse("admin:feeds_refusalsample_now"), query).content.decode()


def test_a_certificate_is_allowed_in_three_steps_and_tested_again() -> None:
    make_feed("PAYROLL-PROD", allow=["CN=other"])
    sample = refuse()
    client = signed_in(superuser=True)
    address = links(shown(client))["Allow this certificate…"]
    form = client.get(address).content.decode()
    row = re.search(
        r'<tr class="form-row[^>]*id="certificate_rules-1" tabindex="-1" data-read>.*?</tr>', form, re.S
    )
    assert row
    assert re.search(rf"<textarea[^>]*autofocus[^>]*>\s*{DN}</textarea>", row[0])
    assert f"An allow rule for {DN} is filled in below" in form
    rule = CertificateRule.objects.get()
    rows = {**one_rule(), **{f"certificate_rules-1-{name}": "" for name in ("expires", "comment", "id")}}
    rows |= {"certificate_rules-TOTAL_FORMS": "2", "certificate_rules-INITIAL_FORMS": "1"}
    rows |= {"certificate_rules-0-id": str(rule.pk), "certificate_rules-0-subject_dn": "CN=other"}
    rows |= {"certificate_rules-0-feed": str(rule.feed_id), "certificate_rules-1-feed": str(rule.feed_id)}
    rows |= {"certificate_rules-1-action": "allow", "certificate_rules-1-subject_dn": DN}
    saved = client.post(address, {**feed_form(certificate_policy="restricted"), **rows}, follow=True)
    again = f"{reverse('admin:feeds_feed_test')}?sample={sample.pk}"
    assert f'<a href="{again}">Test again</a>' in saved.content.decode()
    assert "Now it would be answered <strong>HTTP 200 · Stroom 0</strong>" in client.get(again).content.decode()
    assert "Today’s rules accept it." in shown(client)


@pytest.mark.parametrize(
    ("rule", "words", "label", "focused"),
    [
        ({"expires": NOW - timedelta(days=3, hours=1)}, "expired 3 days ago", "Extend the rule…", "expires"),
        ({"action": "deny"}, "of this feed matches", "Open the deny rule…", "action"),
    ],
)
def test_the_nearest_rule_is_named_and_opened(rule: dict[str, Any], words: str, label: str, focused: str) -> None:
    feed = make_feed("PAYROLL-PROD", certificate_policy="restricted")
    make_rule(feed, "CN=other")
    make_rule(feed, DN, **rule)
    refuse()
    client = signed_in(superuser=True)
    page = shown(client)
    assert words in page
    form = client.get(links(page)[label]).content.decode()
    (field,) = re.findall(r"<(?:input|select|textarea)[^>]*autofocus[^>]*>", form)
    assert re.search(rf'name="certificate_rules-\d-{focused}"', field)


def test_a_rejecting_feed_is_set_to_receive_after_a_page_that_says_what_it_does() -> None:
    make_feed("PAYROLL-PROD", status="Reject")
    sample = refuse(stroom=110, dn="")
    client = signed_in("view_refusalsample", "view_hourlycount", "change_feed", "view_feed")
    page = client.get(links(shown(client))["Set to Receive…"]).content.decode()
    assert "Senders are answered 200 and their data is stored." in page
    (action,) = re.findall(r'<form method="post" action="([^"]+set-status[^"]*)"', page)
    feed = Feed.objects.get()
    saved = client.post(action, {"status": "Receive", "feeds": str(feed.pk), "comment": "x"}, follow=True)
    assert f"?sample={sample.pk}" in saved.content.decode()
    feed.refresh_from_db()
    assert feed.status == "Receive"


def test_an_unknown_name_says_who_sends_it_and_is_created() -> None:
    sample = refuse("NEW-FEED", 110, "CN=who,O=Example")
    client = signed_in(superuser=True)
    page = shown(client)
    assert "192.0.2.9" in page
    assert "CN=who,O=Example" in page
    address = links(page)["Create this feed…"]
    assert 'value="NEW-FEED"' in client.get(address).content.decode()
    saved = client.post(address, feed_form(name="NEW-FEED"), follow=True).content.decode()
    assert f"?sample={sample.pk}" in saved


@pytest.mark.parametrize(
    "feed", [{"status": "Reject"}, {"certificate_policy": "restricted"}, {"certificate_policy": "required"}]
)
def test_s30_nobody_is_offered_what_they_may_not_do(feed: dict[str, str]) -> None:
    made = make_feed("PAYROLL-PROD", **feed)
    refuse(stroom=110 if "status" in feed else 310)
    refuse("NEW-FEED", 110)
    reader = signed_in("view_refusalsample", "view_hourlycount", "view_feed")
    assert links(shown(reader)) == {}
    editor = signed_in("view_refusalsample", "view_feed", "change_feed", username="editor")
    address = reverse("admin:feeds_feed_change", args=[made.pk])
    page = editor.get(address, {"allow": DN, "rule": "1"}).content.decode()
    assert "filled in below" not in page
    assert "data-read" not in page
    assert links(page) == ({"Set to Receive…": links(page).get("Set to Receive…")} if "status" in feed else {})


def test_what_the_sender_has_to_mend_has_no_remedy() -> None:
    make_feed("PAYROLL-PROD", certificate_policy="restricted")
    refuse(trace=[{"step": 5, "outcome": "stop", "explanation": "not verified"}])
    refuse(stroom=200)
    page = shown(signed_in(superuser=True))
    assert links(page) == {}
    assert "No rule helps" in page


def test_the_page_is_searched_by_feed_address_and_certificate() -> None:
    for name in ("A-FEED", "B-FEED"):
        make_feed(name, status="Reject")
    refuse("A-FEED", 110, "CN=alpha")
    refuse("B-FEED", 110, "CN=beta", remote_address="198.51.100.7")
    refuse("C-UNKNOWN", 110, "CN=gamma")
    client = signed_in(superuser=True)
    for text, found in {"a-fe": "A-FEED", "198.51": "B-FEED", "CN=BETA": "B-FEED", "gamma": "C-UNKNOWN"}.items():
        page = shown(client, q=text)
        names = set(re.findall(r'<th scope="row" class="mono">(?:<a[^>]*>|<bdi>)([A-Z]-[A-Z]+)', page))
        assert names == {found}, text
    assert "Nothing was refused with “nothing”" in shown(client, q="nothing")


def test_only_the_most_frequent_are_shown_until_all_are_asked_for() -> None:
    for number in range(12):
        refuse(f"UNKNOWN-{number:02}", 110)
    client = signed_in(superuser=True)
    assert shown(client).count("Create this feed…") == 10
    assert shown(client, all="unknown").count("Create this feed…") == 12


def test_p13_the_page_takes_the_same_queries_however_much_is_refused() -> None:
    client = signed_in(superuser=True)

    def queries() -> int:
        with CaptureQueriesContext(connection) as made:
            shown(client, all="known")
        return len(made)

    make_feed("FEED-000", certificate_policy="restricted")
    refuse("FEED-000")
    refuse("UNKNOWN", 110)
    few = queries()
    for number in range(1, 30):
        make_feed(f"FEED-{number:03}", allow=["CN=other"])
        refuse(f"FEED-{number:03}")
    assert queries() == few <= 15


def test_a_test_has_an_address_without_what_may_be_secret() -> None:
    make_feed("PAYROLL-PROD", allow=["CN=other"])
    client = signed_in(superuser=True)
    asked = {"feed": "PAYROLL-PROD", "headers": "X-Api-Key: secret\nCompression: GZIP", "presented": "verified"}
    page = client.post(reverse("admin:feeds_feed_test"), {**asked, "certificate": DN, "expires": "2099-01-01"})
    text = page.content.decode()
    (link,) = re.findall(r'<a href="([^"]+)">Link to this result', text)
    assert "secret" not in link
    assert "X-Api-Key, which decides nothing" in text
    query = parse_qs(urlsplit(html.unescape(link)).query)
    assert query == {
        "feed": ["PAYROLL-PROD"],
        "presented": ["verified"],
        "certificate": [DN],
        "expires": ["2099-01-01 00:00:00"],
        "compression": ["GZIP"],
    }
    linked = client.get(html.unescape(link)).content.decode()
    assert "HTTP 403 · Stroom 310" in linked
    assert "Allow this certificate…" in linked
    late = client.get(html.unescape(link).replace("2099", "2020")).content.decode()
    assert re.search(r"not verified: [^<]*expired", late)
    assert "No rule helps" in late


def test_the_answer_is_shown_as_text() -> None:
    make_feed("PAYROLL-PROD", status="Reject")
    page = signed_in("view_feed").get(reverse("admin:feeds_feed_test"), {"feed": "PAYROLL-PROD"}).content.decode()
    assert "\nStroom Status 110 - Feed is not set to receive data" in page


def test_the_page_of_a_refusal_has_its_feed_its_words_and_its_remedy() -> None:
    feed = make_feed("PAYROLL-PROD", allow=["CN=other"])
    sample = refuse()
    client = signed_in(superuser=True)
    page = client.get(reverse("admin:feeds_refusalsample_change", args=[sample.pk])).content.decode()
    assert reverse("admin:feeds_feed_change", args=[feed.pk]) in page
    assert "Client Certificate not authorised" in page
    assert "Allow this certificate…" in links(page)
    assert "Allow this certificate…" in links(client.get(feed.get_absolute_url()).content.decode())
