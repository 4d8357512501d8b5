"""What the database says of a feed when a decision is due, and what it refuses to keep."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from feeds.models import (
    CertificateRule,
    Feed,
    HourlyCount,
    Outcome,
    Receipt,
    ReceiptFeed,
    RefusalSample,
    validate_feed_name,
    validate_rule_dn,
)
from feeds.models.feed import stored_instant
from feeds.rules.decision import CertificatePolicy, CertificateRuleSnapshot, FeedPolicy, FeedStatus, RuleAction
from tests.factories import DN, LATER, NOW, make_feed, make_receipt, make_rule

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

FEED = "PAYROLL-PROD-EVENTS"


def test_a_feed_without_rules_is_read_as_it_is() -> None:
    feed = make_feed(status="Drop", certificate_policy="required")
    assert Feed.objects.policy_for(FEED) == FeedPolicy(
        FEED, FeedStatus.DROP, CertificatePolicy.REQUIRED, (), version=feed.version
    )


def test_rules_are_read_in_the_order_they_were_made() -> None:
    feed = make_feed(certificate_policy="restricted")
    make_rule(feed, DN, expires=LATER)
    make_rule(feed, "CN=b", action="deny")
    make_rule(feed, "CN=a", expires=NOW.replace(microsecond=0))
    make_rule(make_feed("OTHER"), "CN=c")
    policy = Feed.objects.policy_for(FEED)
    assert policy is not None
    assert policy.rules == (
        CertificateRuleSnapshot(RuleAction.ALLOW, DN, LATER),
        CertificateRuleSnapshot(RuleAction.DENY, "CN=b", None),
        CertificateRuleSnapshot(RuleAction.ALLOW, "CN=a", NOW.replace(microsecond=0)),
    )


def test_a_decision_costs_one_query_however_many_rules_there_are(django_assert_num_queries: Any) -> None:
    feed = make_feed()
    for number in range(30):
        make_rule(feed, f"CN=client-{number}")
    with django_assert_num_queries(1):  # the feed and its rules in one read
        policy = Feed.objects.policy_for(FEED)
    assert policy is not None
    assert len(policy.rules) == 30


def test_s21_an_unknown_feed_is_read_as_a_rejecting_one_is() -> None:
    """One row either way, so that reading takes as long; found by its name, not by looking through all."""
    make_feed(status="Reject")
    for number in range(300):
        make_feed(f"OTHER-{number}")
    with CaptureQueriesContext(connection) as read:
        assert Feed.objects.policy_for("NO-SUCH-FEED") is None
        assert Feed.objects.policy_for(FEED) is not None
    unknown, rejecting = (query["sql"] for query in read.captured_queries)
    assert unknown.replace("NO-SUCH-FEED", FEED) == rejecting
    with connection.cursor() as cursor:
        for sql in (unknown, rejecting):
            cursor.execute(sql)
            assert len(cursor.fetchall()) == 1
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE feeds_feed")
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{rejecting}")
        plan = str(cursor.fetchall())
    assert "SCAN f" not in plan
    assert "Seq Scan on feeds_feed" not in plan


@pytest.mark.parametrize(
    "name", ["payroll-prod-events", FEED + " ", " " + FEED, FEED + "\n", FEED[:-1], "", "%", "PAYROLL_PROD_EVENTS"]
)
def test_only_exactly_the_same_name_is_the_feed(name: str) -> None:
    make_feed()
    assert Feed.objects.policy_for(name) is None


@pytest.mark.parametrize(
    "name", ["\x00", "A\x00B", "\ud800", "A\udfff", "A\u2028", "ＰＡＹ", "x" * 9000, "'; --", "%s"]
)
def test_s09_a_name_that_no_feed_can_have_is_unknown_and_no_fault(name: str) -> None:
    make_feed()
    assert Feed.objects.policy_for(name) is None


def test_s09_the_database_is_not_even_asked_for_what_it_cannot_look_up(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert Feed.objects.policy_for("A\x00B") is None


def test_r19_nothing_is_cached() -> None:
    assert Feed.objects.policy_for(FEED) is None
    feed = make_feed()
    first = Feed.objects.policy_for(FEED)
    make_rule(feed)
    feed.status = "Reject"
    feed.save()
    second = Feed.objects.policy_for(FEED)
    assert first is not None
    assert second is not None
    assert (first.status, len(first.rules)) == (FeedStatus.RECEIVE, 0)
    assert (second.status, len(second.rules), second.version) == (FeedStatus.REJECT, 1, first.version + 1)
    feed.delete()
    assert Feed.objects.policy_for(FEED) is None


@pytest.mark.parametrize(
    ("stored", "instant"),
    [
        (None, None),
        ("2026-02-24 18:10:27.192000", NOW),
        ("2026-02-24T18:10:27.192+00:00", NOW),
        (NOW, NOW),
        (NOW.replace(tzinfo=None), NOW),
        (NOW.astimezone(timezone(timedelta(hours=1))), NOW),
    ],
)
def test_instants_are_read_from_every_database_driver(stored: Any, instant: datetime | None) -> None:
    found = stored_instant(stored)
    assert found == instant
    assert found is None or found.tzinfo is not None


@pytest.mark.parametrize("name", ["ABC", FEED, "A_1", "123", "---"])
def test_s09_feed_names_follow_the_pattern(name: str) -> None:
    validate_feed_name(name)


@pytest.mark.parametrize(
    "name", ["", "AB", "abc", "A B C", "ABC\n", "ABC ", " ABC", "A,B", "../X", "ÄÖÜ", "ABC\x00", "A/B", "A.B"]
)
def test_s09_other_feed_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="A feed name matches"):
        validate_feed_name(name)


@pytest.mark.parametrize("name", ["A\n", "A\x00", "A\x7f", " A", "A ", "A\u2028B", "\u00a0A", "A\ud800"])
def test_s09_a_looser_pattern_does_not_let_unreachable_names_in(name: str, settings: Any) -> None:
    from dataclasses import replace

    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, feed_name_pattern=".*")
    validate_feed_name("any name")
    with pytest.raises(ValidationError):
        validate_feed_name(name)


def test_a_rule_whose_dn_could_never_match_is_refused_in_words() -> None:
    validate_rule_dn(DN)
    validate_rule_dn("CN=client-a")
    with pytest.raises(ValidationError, match="not a distinguished name: no = after the type client"):
        validate_rule_dn("client-a")


@pytest.mark.parametrize("subject_dn", ["", "client-a", "CN=", "CN=" + "a" * 2000, "CN=a\x00"])
def test_a_rule_is_validated_with_its_model(subject_dn: str) -> None:
    with pytest.raises(ValidationError):
        CertificateRule(feed=make_feed(), action="allow", subject_dn=subject_dn).full_clean()


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (make_feed, {"status": "receive"}),
        (make_feed, {"certificate_policy": "any"}),
        (lambda **fields: make_rule(make_feed(), **fields), {"action": "Allow"}),
    ],
)
def test_the_database_itself_refuses_choices_that_do_not_exist(make: Any, fields: dict[str, str]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make(**fields)


def test_two_feeds_cannot_have_one_name() -> None:
    make_feed()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_feed()


def test_every_saved_change_moves_the_version_also_a_partial_one() -> None:
    feed = make_feed()
    assert feed.version == 1
    feed.owner = "jo"
    feed.save(update_fields=["owner"])
    feed.refresh_from_db()
    assert (feed.version, feed.owner) == (2, "jo")
    feed.description = "x"
    feed.save()
    assert Feed.objects.get().version == 3
    assert feed.updated > feed.created


def test_objects_say_what_they_are() -> None:
    feed = make_feed()
    assert str(feed) == FEED
    assert str(make_rule(feed)) == f"allow {DN}"
    assert feed.get_absolute_url() == f"/admin/feeds/feed/{feed.name}/"
    receipt = make_receipt()
    assert str(receipt) == receipt.receipt_id
    assert str(ReceiptFeed.objects.get()) == f"{receipt.pk}: {FEED}"
    hour = datetime(2026, 2, 24, 18, tzinfo=UTC)
    count = HourlyCount(hour=hour, feed=FEED, outcome=Outcome.REFUSED, http_status=406, stroom_status=110, count=3)
    assert str(count) == f"2026-02-24 18 {FEED} refused 110: 3"
    sample = RefusalSample(at=NOW, feed=FEED, http_status=406, stroom_status=110, receipt_id="r")
    assert str(sample) == "r: 406/110"


def test_receipts_are_found_by_every_feed_they_hold() -> None:
    first, second = make_receipt("AAA"), make_receipt("BBB", content=b"")
    ReceiptFeed.objects.create(receipt=second, feed="AAA", dropped=True)
    assert set(Receipt.objects.of_feed("AAA")) == {first, second}
    assert set(Receipt.objects.of_feed("BBB")) == {second}
    assert not Receipt.objects.of_feed("CCC").exists()


def test_deleting_a_feed_leaves_what_it_received() -> None:
    feed = make_feed()
    make_receipt()
    feed.delete()
    assert Receipt.objects.get().feed == FEED
    assert not CertificateRule.objects.exists()
