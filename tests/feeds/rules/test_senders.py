"""Sender tokens beside certificates in steps 4 to 6: the decision against the table, and its words."""

import itertools
from datetime import timedelta

import pytest

from feeds.rules import stroom_status
from feeds.rules.decision import (
    NO_CERTIFICATE,
    NO_TOKEN,
    Certificate,
    CertificatePolicy,
    CertificateRuleSnapshot,
    Decision,
    FeedPolicy,
    FeedStatus,
    RuleAction,
    SenderToken,
    decide_feed,
)
from feeds.rules.dn import parse_dn
from feeds.rules.senders import TOKEN_NOT_ALLOWED
from tests.factories import DN, EARLIER, LATER, NOW
from tests.feeds.rules import reference_decision
from tests.feeds.rules.reference_decision import Question, RuleFact

NAME = "PAYROLL-PROD-EVENTS"
OTHER = "CN=client-b,O=Example,C=GB"
GOOD = Certificate(presented=True, verified=True, text=DN, dn=parse_dn(DN), expires=LATER)
CERTIFICATES = {
    "none": NO_CERTIFICATE,
    "unverified": Certificate(presented=True, text=DN, fault="the proxy says FAILED:reason"),
    "expired": Certificate(presented=True, verified=True, text=DN, dn=parse_dn(DN), expires=EARLIER),
    "good": GOOD,
}
BAD = SenderToken(fault="it is not known, or was revoked")
TOKENS = {None: None, "none": NO_TOKEN, "bad": BAD, "good": SenderToken("payroll")}
RULES = [
    RuleFact(action, fits=fits, over=over, of_tokens=of_tokens)
    for action in ("allow", "deny")
    for fits, over in ((True, False), (False, False), (True, True))
    for of_tokens in (True, False)
]
DENIED = [RuleFact("deny", fits=True, everywhere=True, of_tokens=of_tokens) for of_tokens in (True, False)]
RULE_SETS = [(), *((rule,) for rule in (*RULES, *DENIED)), *itertools.combinations(RULES, 2)]


def snapshot(fact: RuleFact) -> CertificateRuleSnapshot:
    subjects = ("token:payroll", "token:Payroll") if fact.of_tokens else (DN, OTHER)
    expires = NOW if fact.over else LATER
    return CertificateRuleSnapshot(RuleAction(fact.action), subjects[not fact.fits], expires, fact.everywhere)


def ask(policy: str, certificate: Certificate, token: SenderToken | None, *rules: RuleFact) -> Decision:
    known = FeedPolicy(NAME, FeedStatus.RECEIVE, CertificatePolicy(policy), tuple(map(snapshot, rules)))
    return decide_feed(feed=NAME, certificate=certificate, policy=known, now=NOW, token=token)


def test_the_decision_agrees_with_the_table_on_every_pair_of_identities() -> None:
    asked = 0
    for policy, certificate, token, rules in itertools.product(
        ("none", "required", "restricted"), CERTIFICATES, TOKENS, RULE_SETS
    ):
        if any(rule.everywhere for rule in rules) and policy == "none" and certificate == "expired":
            continue  # an expired certificate is read as not verified; the head's reader says so
        question = Question(NAME, "Receive", policy, certificate, rules, None, None, token)
        decision = ask(policy, CERTIFICATES[certificate], TOKENS[token], *rules)
        expected = reference_decision.answer(question, last_step=6)
        found = (decision.status.http, decision.status.code, decision.status.message, decision.trace[-1].step)
        assert found == (expected.http, expected.code, expected.message, expected.last_step), question
        assert [step.step for step in decision.trace] == list(range(1, len(decision.trace) + 1))
        assert decision.token is TOKENS[token]
        asked += 1
    assert asked > 3500


ALLOW_TOKEN, DENY_TOKEN = RuleFact("allow", fits=True, of_tokens=True), RuleFact("deny", fits=True, of_tokens=True)
VALID, UNVERIFIED = TOKENS["good"], CERTIFICATES["unverified"]


@pytest.mark.parametrize(
    ("decision", "step", "words"),
    [
        (ask("required", NO_CERTIFICATE, NO_TOKEN), 4, "no certificate or token was presented."),
        (ask("required", NO_CERTIFICATE, VALID), 4, "A token was presented."),
        (ask("required", GOOD, VALID), 4, f"A token was presented and a certificate: {DN}."),
        (ask("required", NO_CERTIFICATE, VALID), 5, "The token payroll is valid."),
        (ask("required", GOOD, VALID), 5, "is valid, and the certificate is verified and not expired."),
        (
            ask("required", UNVERIFIED, VALID),
            5,
            "is valid (the certificate does not count: the proxy says FAILED:reason).",
        ),
        (
            ask("required", CERTIFICATES["expired"], VALID),
            5,
            "is valid (the certificate does not count: it has expired).",
        ),
        (ask("required", NO_CERTIFICATE, BAD), 5, "A token was presented; it is not known, or was revoked."),
        (ask("required", GOOD, BAD), 5, "(a token was presented too; it is not known, or was revoked)."),
        (ask("required", NO_CERTIFICATE, VALID), 6, "any verified certificate or valid token may send."),
        (ask("restricted", NO_CERTIFICATE, VALID, ALLOW_TOKEN), 6, "The allow rule token:payroll matches"),
        (
            ask("restricted", NO_CERTIFICATE, VALID, ALLOW_TOKEN, DENY_TOKEN),
            6,
            "The deny rule token:payroll matches",
        ),
        (ask("restricted", GOOD, BAD), 6, "matches the certificate, and it is not known, or was revoked."),
        (ask("none", NO_CERTIFICATE, BAD), 4, "are not looked at (it is not known, or was revoked)."),
        (ask("none", UNVERIFIED, BAD), 5, "(the proxy says FAILED:reason; it is not known, or was revoked)."),
        (ask("none", NO_CERTIFICATE, VALID, DENIED[0]), 6, "token:payroll, which holds for every feed, matches."),
    ],
)
def test_the_trace_says_what_the_token_came_to(decision: Decision, step: int, words: str) -> None:
    assert words in decision.trace[step - 1].explanation


def test_a_valid_token_that_is_not_allowed_is_told_so_and_not_of_certificates() -> None:
    for decision in (ask("restricted", NO_CERTIFICATE, VALID), ask("required", GOOD, VALID, DENY_TOKEN)):
        assert (decision.status, decision.hint) == (stroom_status.CERTIFICATE_NOT_AUTHORISED, TOKEN_NOT_ALLOWED)
    assert ask("restricted", GOOD, NO_TOKEN).hint == ""


def test_a_rule_about_a_token_holds_until_its_instant_and_matches_the_exact_name() -> None:
    rule = CertificateRuleSnapshot(RuleAction.ALLOW, "token:payroll", NOW)
    assert rule.in_force(NOW - timedelta(microseconds=1))
    assert not rule.in_force(NOW)
    for name, fits in (("payroll", True), ("PAYROLL", False), ("payroll2", False), ("", False)):
        assert rule.matches(None, name) is fits
    assert not CertificateRuleSnapshot(RuleAction.ALLOW, "token:").matches(parse_dn(DN), "")
    assert not CertificateRuleSnapshot(RuleAction.ALLOW, "CN=payroll").matches(None, "payroll")


def test_a_token_is_presented_where_it_is_valid_or_at_fault_and_rules_name_it_by_its_name() -> None:
    assert not NO_TOKEN.presented
    assert BAD.presented
    assert SenderToken("payroll").presented
    assert SenderToken("payroll").subject == "token:payroll"
