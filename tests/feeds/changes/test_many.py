"""One edit of many feeds."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from feeds.changes.apply import OfficerNeeded, RuleValues
from feeds.changes.many import FeedEdit, TooManyFeeds, edit_feeds, shared_rules
from feeds.models import CertificateRule, Feed
from portal.models import AuditRecord
from tests.factories import DN, NOW, make_feed, make_rule

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def admin() -> User:
    return User.objects.create_superuser("admin", password="x")


def edit(*feeds: Feed, user: Any = None, **what: Any) -> int:
    return edit_feeds([feed.pk for feed in feeds], FeedEdit(**what), user=user or admin(), comment="why")


def rules_of(feed: Feed) -> list[tuple[str, str]]:
    return sorted(feed.certificate_rules.values_list("action", "subject_dn"))


def test_labels_and_owner_change_where_they_differ_and_nothing_else_does() -> None:
    first = make_feed("A-FEED", labels=["gdpr", "old"], owner="Team A", classification="OFFICIAL")
    second = make_feed("B-FEED", labels=["uk", "gdpr"], owner="Team B")
    entries = AuditRecord.objects.filter(kind="feed", action="changed")
    before = entries.count()  # other tests may have left some: they cannot be removed
    changed = edit(
        first, second, values={"owner": "Team B"}, add_labels=["uk", "gdpr"], remove_labels=["old", "uk"]
    )
    first.refresh_from_db()
    second.refresh_from_db()
    assert changed == 1
    assert (first.labels, first.owner, first.classification, first.version) == (
        ["gdpr", "uk"],
        "Team B",
        "OFFICIAL",
        2,
    )
    assert (second.labels, second.version) == (["uk", "gdpr"], 1)
    assert first.history.first().history_change_reason == "why"
    assert entries.count() == before + 1


def test_a_rule_is_added_once_in_any_form_of_its_name() -> None:
    plain = make_feed("A-FEED")
    has_it = make_feed("B-FEED", allow=[])
    make_rule(has_it, "/C=GB/O=Example/OU=Test/CN=client-a", action="deny")
    ends = make_feed("C-FEED")
    make_rule(ends, DN, action="deny", expires=NOW)
    allows = make_feed("D-FEED", allow=[DN])
    assert edit(plain, has_it, ends, allows, add_rule=RuleValues("deny", DN)) == 3
    assert rules_of(plain) == rules_of(ends) == [("deny", DN)]
    assert rules_of(has_it) == [("deny", "/C=GB/O=Example/OU=Test/CN=client-a")]
    assert rules_of(allows) == [("allow", DN), ("deny", DN)]
    assert ends.certificate_rules.get().expires is None
    assert Feed.objects.get(pk=plain.pk).version == 2
    assert Feed.objects.get(pk=has_it.pk).version == 1


def test_a_rule_is_removed_wherever_it_is_and_others_stay() -> None:
    first, second = make_feed("A-FEED", allow=[DN, "CN=other"]), make_feed("B-FEED", allow=["CN=other"])
    make_rule(first, DN, action="deny", expires=NOW + timedelta(days=1))
    found = shared_rules([first.pk, second.pk])
    assert (found[0].subject_dn, found[0].feeds, len(found)) == ("CN=other", 2, 3)
    assert edit(first, second, remove_rule=("allow", DN)) == 1
    assert rules_of(first) == [("allow", "CN=other"), ("deny", DN)]
    assert rules_of(second) == [("allow", "CN=other")]
    assert CertificateRule.history.filter(history_type="-").count() == 1


def test_s30_rules_are_for_certificate_officers() -> None:
    feed = make_feed("A-FEED")
    user = User.objects.create_user("editor")
    with pytest.raises(OfficerNeeded):
        edit(feed, user=user, add_rule=RuleValues("allow", DN))
    assert rules_of(feed) == []


def test_a_feed_that_cannot_take_it_stops_the_whole_edit() -> None:
    first, full = make_feed("A-FEED"), make_feed("B-FEED", labels=[f"l{number}" for number in range(50)])
    with pytest.raises(TooManyFeeds, match="B-FEED would have more than 50 labels"):
        edit(first, full, add_labels=["one more"])
    assert Feed.objects.get(pk=first.pk).labels == []
