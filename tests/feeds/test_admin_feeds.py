"""The admin of feeds: what it shows, what it writes, and who may do what."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from feeds.models import CertificateRule, Feed, HourlyCount, Receipt, RefusalSample

pytestmark = pytest.mark.django_db

DN = "CN=client-a,OU=Test,O=Example,C=GB"


def signed_in(*codenames: str, superuser: bool = False) -> Client:
    """A client whose user has exactly these permissions of the feeds app."""
    user = User.objects.create_user("someone", password="x", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="feeds", codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def feed_form(**changes: str) -> dict[str, str]:
    """What the browser posts from the feed page, without rules."""
    return {
        "name": "PAYROLL-PROD",
        "status": "Receive",
        "certificate_policy": "none",
        "description": "",
        "owner": "",
        "classification": "",
        "labels": "",
        "stream_type": "Raw Events",
        "encoding": "UTF-8",
        "context_encoding": "UTF-8",
        "data_format": "",
        "schema": "",
        "schema_version": "",
        "change_comment": "",
        "certificate_rules-TOTAL_FORMS": "0",
        "certificate_rules-INITIAL_FORMS": "0",
        **changes,
    }


def one_rule(**changes: str) -> dict[str, str]:
    row = {"action": "allow", "subject_dn": DN, "expires": "", "comment": "", "id": "", "feed": "", **changes}
    return {
        "certificate_rules-TOTAL_FORMS": "1",
        **{f"certificate_rules-0-{name}": value for name, value in row.items()},
    }


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
