"""Pages about a feed's past: history, putting back, deleting with a reason, restoring."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from feeds.changes.snapshots import deleted_feed, restore, state_at
from feeds.history import commented
from feeds.models import CertificateRule, Feed
from tests.calls import superuser
from tests.feeds.admin.admin_client import DN, feed_form, signed_in

pytestmark = pytest.mark.django_db


def make_guarded() -> Feed:
    feed = Feed.objects.create(name="PAYROLL-PROD", certificate_policy="restricted")
    CertificateRule.objects.create(feed=feed, subject_dn=DN)
    return feed


def test_the_history_tells_who_what_why_from_where_and_by_which_request() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    client.post(
        reverse("admin:feeds_feed_change", args=[feed.pk]),
        feed_form(status="Drop", owner="<b>Payroll</b>", change_comment="TICKET-7"),
        headers={"X-Request-ID": "request-0001"},
        REMOTE_ADDR="192.0.2.7",
    )
    page = client.get(reverse("admin:feeds_feed_history", args=[feed.pk])).content.decode()
    for expected in (
        "someone",
        "TICKET-7",
        "192.0.2.7",
        "request-0001",
        "<del>Receive</del>",
        "<ins>Drop</ins>",
        "&lt;b&gt;Payroll",
    ):
        assert expected in page
    assert "<b>Payroll" not in page


def test_a_change_of_rules_is_in_the_history_of_the_feed() -> None:
    feed = make_guarded()
    feed.certificate_rules.get().delete()
    page = signed_in("view_feed").get(reverse("admin:feeds_feed_history", args=[feed.pk])).content.decode()
    assert f"<del>allow {DN}</del>" in page
    assert "Restore this version" not in page


def test_a_former_state_is_shown_before_it_is_put_back_and_wants_a_reason() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    at = datetime.now(UTC).isoformat()
    feed.status = "Drop"
    feed.save()
    client = signed_in("view_feed", "change_feed")
    url = reverse("admin:feeds_feed_revert", args=[feed.pk]) + "?at=" + at.replace("+", "%2B")
    assert "<ins>Receive</ins>" in client.get(url).content.decode()
    assert "This field is required" in client.post(url, {"change_comment": " "}).content.decode()
    feed.refresh_from_db()
    assert feed.status == "Drop"
    assert client.post(url, {"change_comment": "undo"}).status_code == 302
    feed.refresh_from_db()
    assert feed.status == "Receive"
    assert feed.history.first().history_change_reason == "undo"


def test_a_former_state_is_not_put_back_over_one_that_was_not_shown() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    at = datetime.now(UTC).isoformat().replace("+", "%2B")
    feed.status = "Drop"
    feed.save()
    client = signed_in("view_feed", "change_feed")
    url = reverse("admin:feeds_feed_revert", args=[feed.pk]) + "?at=" + at
    seen = re.search(r'name="seen_version" value="(\d+)"', client.get(url).content.decode())
    feed.description = "written meanwhile"
    feed.save()
    page = client.post(url, {"change_comment": "undo", "seen_version": seen[1]}).content.decode()
    assert "Another user changed this feed" in page
    assert "<del>written meanwhile</del>" in page
    feed.refresh_from_db()
    assert (feed.status, feed.description) == ("Drop", "written meanwhile")
    latest = re.search(r'name="seen_version" value="(\d+)"', page)
    assert client.post(url, {"change_comment": "undo", "seen_version": latest[1]}).status_code == 302
    feed.refresh_from_db()
    assert (feed.status, feed.description) == ("Receive", "")


def test_a_script_that_gives_all_its_requests_one_id_gets_back_what_was_then() -> None:
    officer = superuser()
    officer.headers["X-Request-ID"] = "deploy-42"
    address = "/api/v1/feeds/PAYROLL-PROD/"
    first, second = {"subject_dn": "CN=first"}, {"subject_dn": "CN=second"}
    officer.put(address, {"certificate_rules": [first, second]})
    officer.patch(address, {"certificate_rules": [second]})
    feed = Feed.objects.get()
    row = feed.history.order_by("history_id").first()
    then = state_at(feed.pk, row.history_date)
    assert then is not None
    assert [rule.subject_dn for rule in then.rules] == ["CN=first", "CN=second"]
    officer.delete(address)
    gone = deleted_feed(feed.pk)
    assert gone is not None
    assert [rule.subject_dn for rule in gone.state.rules] == ["CN=second"]
    before_it_went = state_at(feed.pk, gone.at - timedelta(microseconds=1))
    assert before_it_went is not None
    assert [rule.subject_dn for rule in before_it_went.rules] == ["CN=second"]


def test_a_feed_editor_cannot_put_back_a_former_guard() -> None:
    feed = make_guarded()
    at = datetime.now(UTC).isoformat().replace("+", "%2B")
    feed.certificate_policy = "none"
    feed.save()
    client = signed_in("view_feed", "change_feed")
    url = reverse("admin:feeds_feed_revert", args=[feed.pk]) + "?at=" + at
    assert "Ask a certificate officer" in client.get(url).content.decode()
    assert client.post(url, {"change_comment": "x"}).status_code == 200
    feed.refresh_from_db()
    assert feed.certificate_policy == "none"


@pytest.mark.parametrize("at", ["", "yesterday", "2026-01-01T00:00:00", "1999-01-01T00:00:00%2B00:00"])
def test_an_instant_that_never_was_is_not_found(at: str) -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    url = reverse("admin:feeds_feed_revert", args=[feed.pk]) + f"?at={at}"
    assert signed_in(superuser=True).get(url).status_code == 404


def test_nothing_is_deleted_without_a_reason() -> None:
    feed = make_guarded()
    client = signed_in(superuser=True)
    url = reverse("admin:feeds_feed_delete", args=[feed.pk])
    page = client.post(url, {"post": "yes", "change_comment": "  "})
    assert "This field is required" in page.content.decode()
    # A list inside of a paragraph would end it, and the field would stand outside of its frame.
    assert not re.search(r"<p[^>]*>(?:(?!</p>).)*<ul", page.content.decode(), re.DOTALL)
    assert Feed.objects.filter(pk=feed.pk).exists()
    assert client.post(url, {"post": "yes", "change_comment": "retired"}).status_code == 302
    assert not Feed.objects.filter(pk=feed.pk).exists()
    row = Feed.history.filter(id=feed.pk).first()
    assert (row.history_type, row.history_change_reason, row.history_user.username) == ("-", "retired", "someone")
    rule = CertificateRule.history.filter(feed_id=feed.pk).first()
    assert (rule.history_type, rule.history_change_reason) == ("-", "retired")


def test_a_deleted_feed_is_listed_and_restored_with_its_rules() -> None:
    feed = make_guarded()
    key = feed.pk
    client = signed_in(superuser=True)
    client.post(reverse("admin:feeds_feed_delete", args=[key]), {"post": "yes", "change_comment": "retired"})
    listed = client.get(reverse("admin:feeds_feed_deleted")).content.decode()
    assert "PAYROLL-PROD" in listed
    assert "retired" in listed
    url = reverse("admin:feeds_feed_restore", args=[key])
    assert DN in client.get(url).content.decode()
    client.post(url, {"change_comment": "needed after all"})
    back = Feed.objects.get(pk=key)
    assert (back.certificate_policy, back.certificate_rules.get().subject_dn) == ("restricted", DN)
    assert client.get(url).status_code == 404


def delete_many(number: int) -> None:
    """Feeds that were made and deleted, in the order of their numbers."""
    for place in range(number):
        with commented(f"ticket {place}"):
            Feed.objects.create(name=f"OLD-FEED-{place:03}", owner="Finance" if place == 7 else "QA").delete()


def test_any_deleted_feed_is_found_page_by_page_or_by_its_name() -> None:
    delete_many(120)
    Feed.objects.create(name="STILL-THERE")
    client = signed_in(superuser=True)
    url = reverse("admin:feeds_feed_deleted")

    def listed(**query: object) -> list[str]:
        return re.findall(r'<th scope="row" class="mono">([^<]+)', client.get(url, query).content.decode())

    pages = [listed(p=number) for number in (1, 2, 3)]
    assert [name for page in pages for name in page] == [f"OLD-FEED-{n:03}" for n in reversed(range(120))]
    assert listed(q="feed-003") == ["OLD-FEED-003"]
    assert listed(q="finance old") == ["OLD-FEED-007"]
    assert listed(q='"ticket 119"') == ["OLD-FEED-119"]
    assert listed(q="STILL") == []
    found = client.get(url, {"q": "old", "p": 2}).content.decode()
    assert "120 deleted feeds with “old”" in found
    assert "?q=old&amp;p=3" in found
    assert "0 deleted feeds with “STILL”" in client.get(url, {"q": "STILL"}).content.decode()


def test_a_feed_that_was_deleted_twice_is_listed_once() -> None:
    feed = Feed.objects.create(name="TWICE-GONE")
    key = feed.pk
    feed.delete()
    restore(deleted_feed(key), comment="back").delete()
    page = signed_in(superuser=True).get(reverse("admin:feeds_feed_deleted")).content.decode()
    assert page.count('class="mono">TWICE-GONE') == 1


@pytest.mark.parametrize("query", [{"q": "\0"}, {"q": "'"}, {"p": "x"}, {"p": "99"}, {"q": "<b>&\"'"}])
def test_the_list_of_deleted_feeds_bears_any_question(query: dict[str, str]) -> None:
    delete_many(1)
    answer = signed_in(superuser=True).get(reverse("admin:feeds_feed_deleted"), query)
    assert answer.status_code == 200
    assert "<b>&" not in answer.content.decode()


def test_restoring_needs_the_right_to_add_feeds() -> None:
    feed = make_guarded()
    key = feed.pk
    feed.delete()
    client = signed_in("view_feed", "change_feed")
    assert client.post(reverse("admin:feeds_feed_restore", args=[key]), {"change_comment": "x"}).status_code == 403
    assert not Feed.objects.exists()


@pytest.mark.parametrize("at", ["", "x", "2026-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_that_is_none_is_not_found(at: str) -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    assert client.get(reverse("admin:feeds_feed_revert", args=[feed.pk]), {"at": at}).status_code == 404


@pytest.mark.parametrize("key", ["abc", "0", "9" * 30, "_00"])
def test_the_history_of_no_feed_is_not_found(key: str) -> None:
    client = signed_in(superuser=True)
    assert client.get(reverse("admin:feeds_feed_history", args=[key])).status_code == 404
