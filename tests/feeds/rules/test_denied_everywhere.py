"""A deny rule without a feed holds for every feed, whatever its policy (403/310), and for no other certificate."""

from datetime import timedelta

import pytest

from feeds.rules import stroom_status
from feeds.rules.decision import (
    NO_CERTIFICATE,
    Certificate,
    CertificatePolicy,
    CertificateRuleSnapshot,
    FeedPolicy,
    RuleAction,
    decide_feed,
)
from feeds.rules.dn import parse_dn
from tests.factories import DN, NOW

VALID = Certificate(presented=True, verified=True, text=DN, dn=parse_dn(DN))
ALLOW = CertificateRuleSnapshot(RuleAction.ALLOW, DN)
EVERYWHERE = CertificateRuleSnapshot(RuleAction.DENY, DN, everywhere=True)
OWN = CertificateRuleSnapshot(RuleAction.DENY, DN)


def policy(kind: CertificatePolicy, *rules: CertificateRuleSnapshot) -> FeedPolicy:
    return FeedPolicy("FEED-A", certificate_policy=kind, rules=rules)


@pytest.mark.parametrize("kind", list(CertificatePolicy))
def test_s30_it_refuses_under_every_policy(kind: CertificatePolicy) -> None:
    found = decide_feed(feed="FEED-A", certificate=VALID, policy=policy(kind, ALLOW, EVERYWHERE), now=NOW)
    assert found.status is stroom_status.CERTIFICATE_NOT_AUTHORISED
    assert found.trace[-1].step == 6
    assert "every feed" in found.trace[-1].explanation
    assert [step.step for step in found.trace] == [1, 2, 3, 4, 5, 6]


def test_a_feeds_own_deny_rule_still_means_nothing_where_certificates_do_not_matter() -> None:
    assert decide_feed(
        feed="FEED-A", certificate=VALID, policy=policy(CertificatePolicy.NONE, OWN), now=NOW
    ).accepted


@pytest.mark.parametrize(
    "certificate", [NO_CERTIFICATE, Certificate(presented=True, text=DN, fault="not verified")]
)
def test_a_sender_without_a_verified_certificate_is_not_meant(certificate: Certificate) -> None:
    open_feed = policy(CertificatePolicy.NONE, EVERYWHERE)
    assert decide_feed(feed="FEED-A", certificate=certificate, policy=open_feed, now=NOW).accepted


def test_an_expired_one_and_another_name_match_nothing() -> None:
    ended = CertificateRuleSnapshot(RuleAction.DENY, DN, NOW - timedelta(seconds=1), everywhere=True)
    other = CertificateRuleSnapshot(RuleAction.DENY, "CN=someone-else", everywhere=True)
    for rule in (ended, other):
        found = decide_feed(
            feed="FEED-A", certificate=VALID, policy=policy(CertificatePolicy.RESTRICTED, ALLOW, rule), now=NOW
        )
        assert found.accepted
