"""The rule that came nearest to letting a certificate in."""

from datetime import datetime, timedelta

import pytest

from feeds.rules.decision import CertificatePolicy, CertificateRuleSnapshot, FeedPolicy, FeedStatus, RuleAction
from feeds.rules.dn import parse_dn
from feeds.rules.nearest import nearest_rule
from tests.factories import DN, NOW

ALLOW, DENY = RuleAction.ALLOW, RuleAction.DENY
DAYS_AGO, LATER = NOW - timedelta(days=3, hours=5), NOW + timedelta(days=3)


def rule(
    action: RuleAction, dn: str, expires: datetime | None = None, *, everywhere: bool = False
) -> CertificateRuleSnapshot:
    return CertificateRuleSnapshot(action, dn, expires, everywhere)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([rule(ALLOW, DN, DAYS_AGO)], f"The allow rule {DN} expired 3 days ago."),
        ([rule(ALLOW, DN, NOW - timedelta(hours=1))], f"The allow rule {DN} expired 1 hour ago."),
        ([rule(ALLOW, DN, NOW)], f"The allow rule {DN} expired just now."),
        (
            [rule(ALLOW, "CN=client-a", DAYS_AGO), rule(ALLOW, DN, NOW - timedelta(days=90))],
            "CN=client-a expired 3 days",
        ),
        ([rule(ALLOW, DN, DAYS_AGO), rule(DENY, DN)], f"The deny rule {DN} of this feed matches."),
        ([rule(DENY, DN, everywhere=True)], f"The deny rule {DN} for every feed matches."),
        ([rule(DENY, DN, DAYS_AGO), rule(ALLOW, DN, DAYS_AGO)], "The allow rule"),
        ([rule(ALLOW, "C=GB,O=Example,OU=Test,CN=client-a")], "in reverse order"),
        (
            [rule(ALLOW, "CN=Client-A,OU=Prod,O=Example,C=GB"), rule(ALLOW, "CN=client-a,OU=Prod,O=Other,C=FR")],
            "it has CN=Client-A, OU=Prod, the certificate has CN=client-a, OU=Test.",
        ),
        ([rule(ALLOW, DN + ",DC=x")], "it has DC=x, the certificate has nothing more."),
        ([rule(ALLOW, "CN=client-a,O=Example,OU=Test,C=GB")], "same parts in another order"),
    ],
)
def test_the_nearest_rule_is_said_in_words(rules: list[CertificateRuleSnapshot], words: str) -> None:
    policy = FeedPolicy("A", FeedStatus.RECEIVE, CertificatePolicy.RESTRICTED, tuple(rules))
    near = nearest_rule(policy, parse_dn(DN), NOW)
    assert near is not None
    assert words in near.words


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [rule(ALLOW, "CN=another,O=Example,C=GB")],
        [rule(ALLOW, "O=Example,C=GB")],
        [rule(ALLOW, "no dn"), rule(DENY, "CN=client-a,O=Other")],
        [rule(ALLOW, "CN=client-a,O=Other", DAYS_AGO)],
    ],
)
def test_no_rule_is_near_where_none_is_alike(rules: list[CertificateRuleSnapshot]) -> None:
    policy = FeedPolicy("A", FeedStatus.RECEIVE, CertificatePolicy.RESTRICTED, tuple(rules))
    assert nearest_rule(policy, parse_dn(DN), NOW) is None
