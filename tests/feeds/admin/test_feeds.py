"""The admin of feeds: what it shows, what it writes, and who may do what."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from feeds.admin import pages
from feeds.admin.feeds import FeedAdmin
from feeds.models import CertificateRule, Feed, HourlyCount, Receipt, RefusalSample
from feeds.monitoring.figures import start_of_hour
from tests.feeds.admin.admin_client import DN, feed_form, one_rule, signed_in

pytestmark = pytest.mark.django_db


def change_url(feed: Feed) -> str:
    return reverse("admin:feeds_feed_change", args=[feed.pk])


def test_a_change_keeps_who_why_where_and_which_request() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    answer = client.post(
        change_url(feed),
        feed_form(status="Reject", change_comment="TICKET-7"),
        headers={"X-Request-ID": "request-0001"},
        REMOTE_ADDR="192.0.2.7",
    )
    assert answer.status_code == 302
    latest = feed.history.first()
    assert latest.status == "Reject"
    assert latest.history_user.username == "someone"
    assert latest.history_change_reason == "TICKET-7"
    assert (latest.request_id, latest.remote_address) == ("request-0001", "192.0.2.7")
    assert answer["X-Request-ID"] == "request-0001"


def test_a_rule_is_added_with_history_and_moves_the_feeds_version() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD", certificate_policy="restricted")
    client = signed_in(superuser=True)
    posted = feed_form(
        certificate_policy="restricted", change_comment="let a in", **one_rule(expires="2027-03-01 09:30")
    )
    assert client.post(change_url(feed), posted).status_code == 302
    rule = feed.certificate_rules.get()
    assert rule.subject_dn == DN
    assert rule.expires.isoformat() == "2027-03-01T09:30:00+00:00"
    assert rule.history.get().history_change_reason == "let a in"
    feed.refresh_from_db()
    assert feed.version == 2


def test_saving_without_a_change_writes_nothing() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    assert client.post(change_url(feed), feed_form()).status_code == 302
    feed.refresh_from_db()
    assert feed.version == 1
    assert feed.history.count() == 1


def test_a_dn_that_could_never_match_is_refused_in_words() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD", certificate_policy="restricted")
    client = signed_in(superuser=True)
    posted = feed_form(certificate_policy="restricted", **one_rule(subject_dn="client-a"))
    page = client.post(change_url(feed), posted)
    assert "This is not a distinguished name" in page.content.decode()
    assert not feed.certificate_rules.exists()


def test_a_feed_editor_cannot_change_policy_or_rules() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in("view_feed", "add_feed", "change_feed", "delete_feed")
    posted = feed_form(status="Drop", certificate_policy="required", **one_rule())
    assert client.post(change_url(feed), posted).status_code == 302
    feed.refresh_from_db()
    assert (feed.status, feed.certificate_policy) == ("Drop", "none")
    assert not feed.certificate_rules.exists()


def test_a_feed_editor_cannot_take_a_guard_away_by_renaming_or_deleting() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD", certificate_policy="required")
    client = signed_in("view_feed", "add_feed", "change_feed", "delete_feed")
    client.post(change_url(feed), feed_form(name="PAYROLL-OLD", status="Drop"))
    feed.refresh_from_db()
    assert (feed.name, feed.status) == ("PAYROLL-PROD", "Drop")
    assert client.post(reverse("admin:feeds_feed_delete", args=[feed.pk]), {"post": "yes"}).status_code == 403
    assert Feed.objects.filter(pk=feed.pk).exists()


def test_a_viewer_reads_the_rules_and_is_offered_no_field() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    CertificateRule.objects.create(feed=feed, subject_dn=DN)
    page = signed_in("view_feed").get(change_url(feed)).content.decode()
    assert DN in page
    assert "change_comment" not in page
    assert 'name="_save"' not in page


def test_the_list_finds_feeds_by_dn_and_counts_its_filters() -> None:
    wanted = Feed.objects.create(name="PAYROLL-PROD", status="Reject")
    Feed.objects.create(name="OTHER-FEED")
    CertificateRule.objects.create(feed=wanted, subject_dn=DN)
    client = signed_in(superuser=True)
    page = client.get(reverse("admin:feeds_feed_changelist")).content.decode()
    assert "Reject (1)" in page
    found = client.get(reverse("admin:feeds_feed_changelist"), {"q": "client-a"}).content.decode()
    assert "PAYROLL-PROD" in found
    assert "OTHER-FEED" not in found


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("payroll finance", {"PAYROLL-PROD"}),  # each word anywhere
        ('client-a "Pay runs"', {"PAYROLL-PROD"}),
        ('"runs Pay"', set()),
        ("CN=client", {"PAYROLL-PROD", "OTHER-FEED"}),  # once each, although both rules of one are found
        ('"', set()),
        ("100%", set()),
    ],
)
def test_a_search_looks_for_every_word_in_every_place(words: str, found: set[str]) -> None:
    one = Feed.objects.create(name="PAYROLL-PROD", owner="Finance", description="Pay runs and approvals")
    other = Feed.objects.create(name="OTHER-FEED")
    for feed, dn in ((one, DN), (one, "CN=client-standby"), (other, "CN=client-b")):
        CertificateRule.objects.create(feed=feed, subject_dn=dn)
    with CaptureQueriesContext(connection) as queries:
        page = signed_in(superuser=True).get(reverse("admin:feeds_feed_changelist"), {"q": words})
    assert [feed.name for feed in page.context["cl"].queryset.order_by("name")] == sorted(found)
    # It stands in the count of each facet, so it must not multiply feeds by their rules.
    assert not [query for query in queries if "DISTINCT" in query["sql"] and "LIKE" in query["sql"]]


@pytest.mark.parametrize("model", [Receipt, HourlyCount, RefusalSample])
def test_what_the_receiver_writes_is_read_only_even_for_a_superuser(model: type) -> None:
    name = f"admin:feeds_{model.__name__.lower()}"
    client = signed_in(superuser=True)
    assert client.get(reverse(f"{name}_changelist")).status_code == 200
    assert client.get(reverse(f"{name}_add")).status_code == 403


def test_sender_text_is_escaped_on_every_page_that_shows_it() -> None:
    hostile = "<script>alert(1)</script>"
    sample = RefusalSample.objects.create(
        at="2026-02-24T18:10:27Z", feed=hostile, http_status=406, stroom_status=110, receipt_id="r1",
        sender_dn=hostile, headers={hostile: hostile}, trace=[{"explanation": hostile}],
    )  # fmt: skip
    client = signed_in(superuser=True)
    for url in (
        reverse("admin:feeds_refusalsample_changelist"),
        reverse("admin:feeds_refusalsample_change", args=[sample.pk]),
    ):
        page = client.get(url).content.decode()
        assert "&lt;script&gt;alert" in page
        assert hostile not in page


def test_characters_that_hide_or_reorder_sender_text_are_written_out() -> None:
    hostile = "CN=\u202eevil\x01\u200b"
    sample = RefusalSample.objects.create(
        at="2026-02-24T18:10:27Z",
        feed=hostile,
        http_status=403,
        stroom_status=310,
        receipt_id="r1",
        sender_dn=hostile,
        headers={hostile: hostile},
        trace=[{"step": 6, "outcome": "stop", "explanation": hostile}],
    )
    client = signed_in(superuser=True)
    for url in (
        reverse("admin:feeds_refusalsample_changelist"),
        reverse("admin:feeds_refusalsample_change", args=[sample.pk]),
    ):
        page = client.get(url).content.decode()
        assert "⟨U+202E⟩evil⟨U+0001⟩⟨U+200B⟩" in page
        assert "\u202e" not in page


def test_every_page_has_the_policy_and_nothing_inline() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    for url in ("/admin/", reverse("admin:feeds_feed_changelist"), change_url(feed), "/admin/login/"):
        answer = client.get(url, follow=True)
        assert "object-src 'none'" in answer["Content-Security-Policy"]
        page = answer.content.decode()
        assert "<style" not in page
        assert not re.search(r"<script(?![^>]*\b(src|type=.application/json))", page)
        assert not re.search(r"""\s(style|on[a-z]+)=["']""", page)


def make_counts(feed: str, hour: datetime, outcome: str, count: int, stroom_status: int = 0) -> None:
    HourlyCount.objects.create(
        feed=feed, hour=hour, outcome=outcome, count=count, http_status=200, stroom_status=stroom_status
    )


def test_the_list_shows_what_arrived_and_what_was_refused_in_24_hours() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    hour = start_of_hour(datetime.now(UTC))
    make_counts(feed.name, hour, "received", 1200)
    make_counts(feed.name, hour - timedelta(hours=2), "refused", 7, 310)
    make_counts(feed.name, hour - timedelta(hours=30), "received", 50_000)
    page = signed_in(superuser=True).get(reverse("admin:feeds_feed_changelist")).content.decode()
    assert '<span class="figure">1,200</span>' in page
    assert '<span class="figure">7</span>' in page
    assert "51,200" not in page


def test_the_list_costs_the_same_number_of_queries_however_many_feeds() -> None:
    client = signed_in(superuser=True)
    Feed.objects.create(name="FEED-0")
    url = reverse("admin:feeds_feed_changelist")
    client.get(url)
    with CaptureQueriesContext(connection) as one:
        client.get(url)
    Feed.objects.bulk_create(Feed(name=f"FEED-{number}") for number in range(1, 80))
    with CaptureQueriesContext(connection) as many:
        client.get(url)
    # session, user, facets, count of the page, count of all, feeds
    assert len(many) == len(one) <= 10


def found(client: Client, **query: str) -> set[str]:
    page = client.get(reverse("admin:feeds_feed_changelist"), query)
    return {feed.name for feed in page.context["cl"].result_list}


def test_quiet_feeds_are_found_by_how_long_nothing_came() -> None:
    hour = start_of_hour(datetime.now(UTC))
    for name in ("BUSY-FEED", "QUIET-FEED", "NEVER-FEED", "DROPPING-FEED"):
        Feed.objects.create(name=name)
    Feed.objects.create(name="CLOSED-FEED", status="Reject")
    make_counts("BUSY-FEED", hour, "received", 1)
    make_counts("QUIET-FEED", hour - timedelta(days=2), "received", 1)
    make_counts("QUIET-FEED", hour, "refused", 5, 310)
    make_counts("DROPPING-FEED", hour, "dropped", 1)
    client = signed_in(superuser=True)
    assert found(client, quiet="24h") == {"QUIET-FEED", "NEVER-FEED"}
    assert found(client, quiet="7d") == {"NEVER-FEED"}
    assert found(client, quiet="never") == {"NEVER-FEED"}
    assert found(client, refused="yes") == {"QUIET-FEED"}
    assert found(client, refused="certificate") == {"QUIET-FEED"}


def test_rules_that_end_soon_are_found() -> None:
    now = datetime.now(UTC)
    for name, days in (("SOON-FEED", 5), ("GONE-FEED", -1), ("LATER-FEED", 90)):
        feed = Feed.objects.create(name=name)
        CertificateRule.objects.create(feed=feed, subject_dn=DN, expires=now + timedelta(days=days))
    client = signed_in(superuser=True)
    assert found(client, rules="soon") == {"SOON-FEED"}
    assert found(client, rules="expired") == {"GONE-FEED"}


def test_many_feeds_are_set_at_once_after_a_page_that_says_which() -> None:
    feeds = [Feed.objects.create(name=f"FEED-{number}") for number in range(3)]
    already = Feed.objects.create(name="FEED-X", status="Drop")
    client = signed_in("view_feed", "change_feed")
    chosen = [feed.pk for feed in (*feeds[:2], already)]
    posted = {"action": "set_drop", "_selected_action": chosen}
    page = client.post(reverse("admin:feeds_feed_changelist"), posted)
    text = page.content.decode()
    assert "FEED-0" in text
    assert "FEED-2" not in text
    assert "1 of the selected feeds is already" in text
    assert not Feed.objects.filter(status="Drop").exclude(pk=already.pk).exists()
    form = {"status": "Drop", "feeds": ",".join(map(str, chosen)), "comment": "maintenance"}
    done = client.post(reverse("admin:feeds_feed_set_status"), form, follow=True).content.decode()
    assert "2 feeds are now set to Drop" in done
    assert set(Feed.objects.filter(status="Drop").values_list("name", flat=True)) == {"FEED-0", "FEED-1", "FEED-X"}
    for feed in feeds[:2]:
        latest = feed.history.first()
        assert (latest.status, latest.version, latest.history_change_reason) == ("Drop", 2, "maintenance")
        assert latest.history_user.username == "someone"
    assert already.history.count() == 1


def test_setting_many_feeds_needs_the_right_to_change_feeds() -> None:
    feed = Feed.objects.create(name="FEED-1")
    client = signed_in("view_feed")
    form = {"status": "Drop", "feeds": str(feed.pk), "comment": "x"}
    assert client.post(reverse("admin:feeds_feed_set_status"), form).status_code == 403
    feed.refresh_from_db()
    assert feed.status == "Receive"


def test_feeds_named_by_anything_but_numbers_are_refused() -> None:
    client = signed_in("view_feed", "change_feed")
    page = client.post(reverse("admin:feeds_feed_set_status"), {"status": "Drop", "feeds": "1;2", "comment": "x"})
    assert page.status_code == 200
    assert "There is nothing to change" in page.content.decode()


@pytest.mark.parametrize("status", ["", "Bogus", "drop"])
def test_a_status_that_there_is_not_is_refused(status: str) -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    form = {"status": status, "feeds": str(feed.pk), "comment": "x"}
    client = signed_in("view_feed", "change_feed")
    assert client.post(reverse("admin:feeds_feed_set_status"), form).status_code == 400
    feed.refresh_from_db()
    assert feed.status == "Receive"


def test_the_second_of_two_editors_is_told_and_overwrites_nothing() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    client.post(change_url(feed), feed_form(owner="first", seen_version="1"))
    page = client.post(change_url(feed), feed_form(status="Drop", seen_version="1"))
    assert "someone changed this feed while you edited it" in page.content.decode()
    feed.refresh_from_db()
    assert (feed.owner, feed.status) == ("first", "Receive")


def test_a_copy_takes_the_rules_along() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD", certificate_policy="restricted")
    rule = CertificateRule.objects.create(feed=feed, subject_dn=DN)
    client = signed_in(superuser=True)
    rows = one_rule(id=str(rule.pk), feed=str(feed.pk))
    rows["certificate_rules-INITIAL_FORMS"] = "1"
    posted = feed_form(name="PAYROLL-COPY", certificate_policy="restricted", _saveasnew="1", **rows)
    assert client.post(change_url(feed), posted).status_code == 302
    copy = Feed.objects.get(name="PAYROLL-COPY")
    assert (copy.certificate_policy, copy.certificate_rules.get().subject_dn) == ("restricted", DN)
    assert feed.certificate_rules.count() == 1


def test_a_copy_without_its_guard_is_warned_of() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD", certificate_policy="restricted")
    client = signed_in("view_feed", "add_feed", "change_feed")
    page = client.post(change_url(feed), feed_form(name="PAYROLL-COPY", _saveasnew="1"), follow=True)
    assert "neither the certificate policy nor the rules of PAYROLL-PROD" in page.content.decode()
    assert Feed.objects.get(name="PAYROLL-COPY").certificate_policy == "none"


def test_the_feed_page_shows_traffic_as_a_picture_and_as_a_table() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    hour = start_of_hour(datetime.now(UTC))
    make_counts(feed.name, hour, "received", 41)
    make_counts(feed.name, hour, "refused", 3, 310)
    page = signed_in(superuser=True).get(change_url(feed)).content.decode()
    assert 'aria-label="Last 24 hours: 41 accepted, 3 refused, 0 dropped."' in page
    assert 'class="bar-refused"' in page
    assert '<td class="num">41</td>' in page
    assert "/codes/stroom/310/" in page


def test_enter_after_a_refused_copy_never_writes_over_the_original() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    Feed.objects.create(name="TAKEN")
    client = signed_in(superuser=True)
    address = reverse("admin:feeds_feed_change", args=[feed.pk])
    page = client.post(address, {**feed_form(name="TAKEN"), "_saveasnew": "1"}).content.decode()
    assert "already exists" in page
    first = re.search(r'<input type="submit" name="(\w+)"', page)
    assert first
    assert first[1] == "_saveasnew"
    assert "&rsaquo; Add feed" in page
    assert re.search(r'<input type="submit" name="(\w+)"', client.get(address).content.decode())[1] == "_save"


def test_a_label_with_a_comma_is_still_one_label_after_a_save() -> None:
    labels = ["gold, really", 'say "hi"', '"quoted"', "plain"]
    feed = Feed.objects.create(name="PAYROLL-PROD", labels=labels)
    client = signed_in(superuser=True)
    shown = client.get(change_url(feed)).context["adminform"].form["labels"].value()
    assert client.post(change_url(feed), feed_form(labels=shown, change_comment="looked")).status_code == 302
    feed.refresh_from_db()
    assert (feed.labels, feed.version) == (labels, 1)


@pytest.mark.parametrize("labels", ["a" * 101, "one\ntwo", ",".join(f"label-{number}" for number in range(51))])
def test_labels_that_rest_would_refuse_are_refused_here_too(labels: str) -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    answer = signed_in(superuser=True).post(change_url(feed), feed_form(labels=labels))
    assert answer.context["adminform"].form.errors["labels"]


def test_a_feed_with_very_many_rules_can_be_saved() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    rules = [CertificateRule(feed=feed, subject_dn=f"CN=client-{number}") for number in range(300)]
    CertificateRule.objects.bulk_create(rules)
    rows = {"certificate_rules-TOTAL_FORMS": "300", "certificate_rules-INITIAL_FORMS": "300"}
    for number, rule in enumerate(feed.certificate_rules.order_by("pk")):
        row = {"id": rule.pk, "feed": feed.pk, "action": "allow", "subject_dn": rule.subject_dn}
        row |= {"expires": "", "comment": "changed" if number == 299 else ""}
        rows |= {f"certificate_rules-{number}-{name}": str(value) for name, value in row.items()}
    answer = signed_in(superuser=True).post(change_url(feed), feed_form(**rows))
    assert answer.status_code == 302
    assert feed.certificate_rules.filter(comment="changed").count() == 1


def test_a_save_holds_the_feed_before_it_looks_at_the_version() -> None:
    """Where two may write at once (PostgreSQL), the second has to wait and then sees the first one's version."""
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    with CaptureQueriesContext(connection) as queries:
        client.post(change_url(feed), feed_form(owner="Payroll"))
    held, read = [query["sql"] for query in queries if 'FROM "feeds_feed"' in query["sql"]][:2]
    assert '"version"' not in held
    assert '"version"' in read
    assert held.endswith("FOR UPDATE") == (connection.vendor == "postgresql")
    assert Feed.objects.get().owner == "Payroll"


def test_every_page_of_the_feed_admin_is_in_one_list() -> None:
    own = [cls for cls in FeedAdmin.__mro__ if cls.__module__.startswith("feeds") and "get_urls" in vars(cls)]
    assert own == [FeedAdmin]
    assert len({name for _, _, name in pages.PAGES}) == len(pages.PAGES)
