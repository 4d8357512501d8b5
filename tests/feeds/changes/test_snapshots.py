"""A feed as it was: put back, or brought back after deletion."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from simple_history.models import HistoricalRecords

from feeds.changes.apply import OfficerNeeded
from feeds.changes.snapshots import (
    compare,
    deleted_feed,
    deleted_feeds,
    last_deletions,
    restore,
    revert,
    state_at,
    state_of,
)
from feeds.changes.timeline import RULES, story_of
from feeds.history import commented
from feeds.models import CertificateRule, Feed

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

DN = "CN=client-a,OU=Test,O=Example,C=GB"


def make_feed() -> Feed:
    feed = Feed.objects.create(name="PAYROLL-PROD", certificate_policy="restricted", labels=["gold"])
    CertificateRule.objects.create(feed=feed, subject_dn=DN, comment="first")
    return feed


def make_user(*codenames: str) -> User:
    user = User.objects.create_user("someone")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def open_wide(feed: Feed) -> None:
    feed.certificate_rules.all().delete()
    CertificateRule.objects.create(feed=feed, subject_dn="CN=other")
    feed.certificate_policy = "none"
    feed.labels = []
    feed.save()


def test_a_state_is_put_back_with_its_rules() -> None:
    feed = make_feed()
    before = datetime.now(UTC)
    open_wide(feed)
    wanted = state_at(feed.pk, before)
    revert(feed, wanted, user=make_user("change_feed", "change_certificaterule"), comment="undo")
    feed.refresh_from_db()
    assert (feed.certificate_policy, feed.labels) == ("restricted", ["gold"])
    assert [(rule.subject_dn, rule.comment) for rule in feed.certificate_rules.all()] == [(DN, "first")]
    assert compare(state_of(feed), wanted) == []
    assert feed.history.first().history_change_reason == "undo"


def test_a_former_guard_is_put_back_by_officers_only() -> None:
    feed = make_feed()
    before = datetime.now(UTC)
    open_wide(feed)
    with pytest.raises(OfficerNeeded):
        revert(feed, state_at(feed.pk, before), user=make_user("change_feed"), comment="undo")
    feed.refresh_from_db()
    assert feed.certificate_policy == "none"


def test_the_name_of_a_guarded_feed_is_put_back_by_officers_only() -> None:
    feed = make_feed()
    before = datetime.now(UTC)
    feed.name = "PAYROLL-NEW"
    feed.save()
    wanted = state_at(feed.pk, before)
    assert [change.field for change in compare(state_of(feed), wanted)] == ["name"]
    with pytest.raises(OfficerNeeded):
        revert(feed, wanted, user=make_user("change_feed"), comment="undo")
    officer = User.objects.create_superuser("officer")
    revert(feed, wanted, user=officer, comment="undo")
    assert Feed.objects.get(pk=feed.pk).name == "PAYROLL-PROD"


def test_there_is_no_state_before_the_feed_was() -> None:
    feed = make_feed()
    assert state_at(feed.pk, datetime.now(UTC) - timedelta(days=1)) is None


def test_a_deleted_feed_comes_back_with_its_rules_under_its_former_key() -> None:
    feed = make_feed()
    key = feed.pk
    rule = CertificateRule.objects.create(feed=feed, subject_dn="CN=short-lived")
    rule.delete()
    with commented("no longer needed"):
        feed.delete()
    (gone,) = deleted_feeds(last_deletions())
    assert (gone.feed_id, gone.comment, gone.name_taken) == (key, "no longer needed", False)
    back = restore(deleted_feed(key), comment="needed after all")
    assert (back.pk, back.version) == (key, 2)
    assert DN in {found.subject_dn for found in back.certificate_rules.all()}
    assert deleted_feeds(last_deletions()) == []
    assert deleted_feed(key) is None


def test_a_deleted_feed_does_not_push_its_successor_aside() -> None:
    feed = make_feed()
    key = feed.pk
    feed.delete()
    Feed.objects.create(name="PAYROLL-PROD")
    gone = deleted_feed(key)
    assert gone.name_taken
    with pytest.raises(ValidationError):
        restore(gone, comment="x")
    assert not CertificateRule.objects.exists()


def test_rules_that_a_request_wrote_after_the_feed_belong_to_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = make_feed()
    request = SimpleNamespace(request_id="request-0001", client_address="", user=None)
    monkeypatch.setattr(HistoricalRecords.context, "request", request, raising=False)
    feed.status = "Drop"
    feed.save()
    CertificateRule.objects.create(feed=feed, subject_dn="CN=same-request")
    request.request_id = "request-0002"
    CertificateRule.objects.create(feed=feed, subject_dn="CN=next-request")
    state = state_at(feed.pk, feed.history.first().history_date)
    assert {rule.subject_dn for rule in state.rules} == {DN, "CN=same-request"}


def test_a_slow_change_that_the_history_shows_as_one_is_restored_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = make_feed()
    request = SimpleNamespace(request_id="request-0001", client_address="", user=None)
    monkeypatch.setattr(HistoricalRecords.context, "request", request, raising=False)
    feed.status = "Drop"
    feed.save()
    saved = feed.history.first().history_date
    CertificateRule.objects.create(feed=feed, subject_dn="CN=45-seconds-later")
    CertificateRule.history.filter(subject_dn="CN=45-seconds-later").update(
        history_date=saved + timedelta(seconds=45)
    )
    shown = next(change for change in story_of([feed.pk]) if change.at == saved)
    assert "CN=45-seconds-later" in [change.new["subject_dn"] for change in shown.changes if change.field == RULES]
    state = state_at(feed.pk, saved)
    assert "CN=45-seconds-later" in {rule.subject_dn for rule in state.rules}
