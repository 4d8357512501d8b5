"""The one decision, step by step and as a whole (contract, section 5)."""

import itertools
from datetime import datetime, timedelta

import pytest

from feeds.rules import stroom_status
from feeds.rules.decision import (
    NO_CERTIFICATE,
    Certificate,
    CertificatePolicy,
    CertificateRuleSnapshot,
    Decision,
    FeedPolicy,
    FeedStatus,
    RuleAction,
    TraceStep,
    accept,
    decide,
    decide_feed,
    normal_compression,
    refuse,
)
from feeds.rules.dn import parse_dn
from tests.factories import DN, EARLIER, LATER, NOW, make_policy
from tests.feeds.rules import reference_decision
from tests.feeds.rules.reference_decision import Question, RuleFact

NAME = "PAYROLL-PROD-EVENTS"
VALID = Certificate(presented=True, verified=True, text=DN, dn=parse_dn(DN))
UNVERIFIED = Certificate(presented=True, text=DN, fault="the proxy says FAILED:self signed certificate")
NONE, REQUIRED, RESTRICTED = CertificatePolicy.NONE, CertificatePolicy.REQUIRED, CertificatePolicy.RESTRICTED
RECEIVE, REJECT, DROP = FeedStatus.RECEIVE, FeedStatus.REJECT, FeedStatus.DROP
OTHER = "CN=client-b,O=Example,C=GB"


def ask(
    policy: FeedPolicy | None,
    *,
    feed: str | None = NAME,
    certificate: Certificate = NO_CERTIFICATE,
    compression: str | None = None,
    content_encoding: str | None = None,
    now: datetime = NOW,
) -> Decision:
    return decide(
        feed=feed,
        certificate=certificate,
        compression=compression,
        content_encoding=content_encoding,
        policy=policy,
        now=now,
    )


def codes(decision: Decision) -> tuple[int, int]:
    return decision.status.http, decision.status.code


# The table of steps, each condition alone


def test_step_1_a_feed_must_be_named() -> None:
    for feed in (None, "", " ", "\t\r\n"):
        decision = ask(make_policy(), feed=feed)
        assert decision.status is stroom_status.FEED_MUST_BE_SPECIFIED
        assert decision.trace == (TraceStep(1, "stop", "No Feed argument, or a blank one."),)
        assert (decision.feed, decision.known) == ("", True)


def test_step_2_an_unknown_feed_is_not_received() -> None:
    decision = ask(None, feed=" SOME-FEED ")
    assert decision.status is stroom_status.FEED_NOT_RECEIVING
    assert decision.trace == (
        TraceStep(1, "pass", "The request names the feed SOME-FEED."),
        TraceStep(2, "stop", "No feed is called exactly SOME-FEED; upper and lower case count."),
    )
    assert (decision.feed, decision.known, decision.version) == ("SOME-FEED", False, None)


def test_step_3_a_rejecting_feed_is_not_received() -> None:
    decision = ask(make_policy(status=REJECT, version=7))
    assert decision.status is stroom_status.FEED_NOT_RECEIVING
    assert decision.trace[1:] == (
        TraceStep(2, "pass", f"The feed {NAME} exists."),
        TraceStep(3, "stop", "The feed's status is Reject."),
    )
    assert (decision.known, decision.version) == (True, 7)


def test_s21_unknown_and_rejecting_differ_only_in_the_trace() -> None:
    unknown, rejecting = ask(None), ask(make_policy(status=REJECT))
    assert unknown.status == rejecting.status
    assert (unknown.action, unknown.hint, unknown.feed) == (rejecting.action, rejecting.hint, rejecting.feed)


@pytest.mark.parametrize("policy", [REQUIRED, RESTRICTED])
def test_step_4_no_certificate_was_presented(policy: CertificatePolicy) -> None:
    decision = ask(make_policy(certificates=policy, allow=[DN]))
    assert decision.status is stroom_status.CERTIFICATE_REQUIRED
    assert decision.trace[2:] == (
        TraceStep(3, "pass", "The feed's status is Receive."),
        TraceStep(4, "stop", f"The certificate policy is {policy} and no certificate was presented."),
    )


def test_s01_the_trace_tells_of_identity_that_was_not_believed() -> None:
    reported = Certificate(fault="remotedn: ignored, because the peer 192.0.2.1 is not a trusted proxy")
    guarded = ask(make_policy(certificates=REQUIRED), certificate=reported)
    assert guarded.status is stroom_status.CERTIFICATE_REQUIRED
    assert guarded.trace[-1].explanation == (
        "The certificate policy is required and no certificate was presented "
        "(remotedn: ignored, because the peer 192.0.2.1 is not a trusted proxy)."
    )
    assert "not a trusted proxy" in ask(make_policy(), certificate=reported).trace[3].explanation


@pytest.mark.parametrize("policy", [REQUIRED, RESTRICTED])
@pytest.mark.parametrize(
    ("certificate", "explanation"),
    [
        (UNVERIFIED, f"The certificate was presented but is not verified: {UNVERIFIED.fault}."),
        (
            Certificate(presented=True, text=DN),
            "The certificate was presented but is not verified: no reason given.",
        ),
        (
            Certificate(presented=True, verified=True, text="odd"),
            "The certificate was presented but is not verified: no reason given.",
        ),
        (
            Certificate(presented=True, verified=True, text=DN, dn=parse_dn(DN), expires=EARLIER),
            "The certificate has expired.",
        ),
    ],
)
def test_s03_step_5_a_presented_certificate_that_does_not_count(
    policy: CertificatePolicy, certificate: Certificate, explanation: str
) -> None:
    decision = ask(make_policy(certificates=policy, allow=[DN]), certificate=certificate)
    assert decision.status is stroom_status.CERTIFICATE_NOT_AUTHORISED
    assert decision.trace[3:] == (
        TraceStep(4, "pass", f"A certificate was presented: {certificate.text}."),
        TraceStep(5, "stop", explanation),
    )


def test_step_5_a_certificate_is_expired_from_its_instant_on() -> None:
    policy = make_policy(certificates=REQUIRED)
    certificate = Certificate(presented=True, verified=True, text=DN, dn=parse_dn(DN), expires=NOW)
    assert ask(policy, certificate=certificate, now=NOW - timedelta(microseconds=1)).accepted
    assert codes(ask(policy, certificate=certificate, now=NOW)) == (403, 310)
    assert ask(policy, certificate=certificate, now=NOW - timedelta(microseconds=1)).trace[4] == TraceStep(
        5, "pass", "The certificate is verified and not expired."
    )


RULE_TABLE = [
    # policy, allow, deny, may send, explanation of step 6
    (REQUIRED, [], [], True, "No deny rule matches, and any verified certificate may send."),
    (REQUIRED, [OTHER], [], True, "No deny rule matches, and any verified certificate may send."),
    (REQUIRED, [], [OTHER], True, "No deny rule matches, and any verified certificate may send."),
    (REQUIRED, [], [DN], False, f"The deny rule {DN} matches."),
    (REQUIRED, [DN], [DN], False, f"The deny rule {DN} matches."),
    (REQUIRED, [], [OTHER, "CN=client-a"], False, "The deny rule CN=client-a matches."),
    (RESTRICTED, [], [], False, "No unexpired allow rule matches."),
    (RESTRICTED, [OTHER], [], False, "No unexpired allow rule matches."),
    (RESTRICTED, [DN], [], True, f"The allow rule {DN} matches and no deny rule does."),
    (RESTRICTED, [OTHER, "CN=client-a"], [], True, "The allow rule CN=client-a matches and no deny rule does."),
    (RESTRICTED, [DN], [OTHER], True, f"The allow rule {DN} matches and no deny rule does."),
    (RESTRICTED, [DN], [DN], False, f"The deny rule {DN} matches."),
    (RESTRICTED, [DN], ["cn=client-a"], False, "The deny rule cn=client-a matches."),
    (RESTRICTED, ["not a name"], [], False, "No unexpired allow rule matches."),
    (RESTRICTED, [DN], ["not a name"], True, f"The allow rule {DN} matches and no deny rule does."),
]


@pytest.mark.parametrize(("certificates", "allow", "deny", "may_send", "explanation"), RULE_TABLE)
def test_step_6_deny_beats_allow_and_restricted_needs_an_allow(
    certificates: CertificatePolicy, allow: list[str], deny: list[str], may_send: bool, explanation: str
) -> None:
    decision = ask(make_policy(certificates=certificates, allow=allow, deny=deny), certificate=VALID)
    assert codes(decision) == ((200, 0) if may_send else (403, 310))
    assert decision.trace[5] == TraceStep(6, "pass" if may_send else "stop", explanation)


@pytest.mark.parametrize("action", list(RuleAction))
def test_step_6_a_rule_is_expired_from_its_instant_on(action: RuleAction) -> None:
    rule = CertificateRuleSnapshot(action, DN, expires=NOW)
    policy = FeedPolicy(NAME, RECEIVE, RESTRICTED if action is RuleAction.ALLOW else REQUIRED, (rule,))
    in_force = ask(policy, certificate=VALID, now=NOW - timedelta(microseconds=1))
    expired = ask(policy, certificate=VALID, now=NOW)
    assert in_force.accepted is (action is RuleAction.ALLOW)
    assert expired.accepted is (action is RuleAction.DENY)


def test_step_6_an_expired_deny_no_longer_hides_an_allow() -> None:
    rules = (
        CertificateRuleSnapshot(RuleAction.DENY, DN, expires=EARLIER),
        CertificateRuleSnapshot(RuleAction.ALLOW, DN, expires=LATER),
    )
    assert ask(FeedPolicy(NAME, RECEIVE, RESTRICTED, rules), certificate=VALID).accepted


def test_step_6_the_order_of_the_rules_does_not_matter() -> None:
    rules = (
        CertificateRuleSnapshot(RuleAction.ALLOW, DN),
        CertificateRuleSnapshot(RuleAction.DENY, "CN=client-a"),
        CertificateRuleSnapshot(RuleAction.ALLOW, OTHER),
    )
    for order in itertools.permutations(rules):
        assert codes(ask(FeedPolicy(NAME, RECEIVE, RESTRICTED, order), certificate=VALID)) == (403, 310)


def test_under_policy_none_certificates_and_rules_are_irrelevant() -> None:
    for certificate in (NO_CERTIFICATE, VALID):
        decision = ask(make_policy(deny=[DN]), certificate=certificate)
        assert decision.accepted
        assert [(step.step, step.outcome) for step in decision.trace] == [(n, "pass") for n in range(1, 8)]
        explanation = "The feed's certificate policy is none, so certificates are not looked at."
        assert [step.explanation for step in decision.trace[3:6]] == [explanation] * 3


@pytest.mark.parametrize("value", [None, "", " ", "NONE", "none", "GZIP", "gzip", "ZIP", "Zip", " gzip "])
def test_step_7_supported_compression(value: str | None) -> None:
    decision = ask(make_policy(), compression=value)
    assert decision.accepted
    name = (value or "").strip().upper() or "NONE"
    assert normal_compression(value) == name
    assert decision.trace[6] == TraceStep(7, "pass", f"Compression {name} is supported.")


@pytest.mark.parametrize("value", ["RAR", "BZ2", "GZIP,GZIP", "GZ IP", "0", "deflate", "x" * 9000])
def test_step_7_unsupported_compression(value: str) -> None:
    decision = ask(make_policy(), compression=value)
    assert decision.status is stroom_status.UNKNOWN_COMPRESSION
    shown = value.upper()[:100]
    assert decision.trace[6] == TraceStep(7, "stop", f"Compression {shown} is not one of ZIP, GZIP and NONE.")
    assert decision.hint == ""


@pytest.mark.parametrize("value", [None, "", " ", "gzip", "GZIP", "x-gzip", "X-Gzip", "identity", " gzip "])
def test_step_7_supported_content_encoding(value: str | None) -> None:
    assert ask(make_policy(), content_encoding=value).accepted


@pytest.mark.parametrize("value", ["br", "deflate", "gzip, gzip", "zstd", "none"])
def test_step_7_an_unsupported_content_encoding_is_named(value: str) -> None:
    for compression in (None, "GZIP", "RAR"):
        decision = ask(make_policy(), content_encoding=value, compression=compression)
        assert decision.status is stroom_status.UNKNOWN_COMPRESSION
        assert decision.hint == f"Content-Encoding {value} is not supported; use gzip or leave it out."
        assert decision.trace[6] == TraceStep(7, "stop", f"Content-Encoding {value} is not supported; gzip is.")


def test_step_7_of_a_long_content_encoding_only_the_beginning_is_repeated() -> None:
    decision = ask(make_policy(), content_encoding="b" * 9000)
    assert "b" * 100 + " " in decision.hint
    assert len(decision.hint) < 200
    assert codes(ask(make_policy(), content_encoding="gzip" + " " * 200 + "x")) == (406, 200)


# The table of combinations; for rows that the body decides, what is known before it


Combination = tuple[int, str | None, FeedStatus | None, CertificatePolicy, str, str | None, int, int]
COMBINATIONS: list[Combination] = [
    # row, feed, status, policy, certificate, compression, http, code
    (1, None, None, NONE, "none", "GZIP", 406, 100),
    (2, " ", None, NONE, "valid", "RAR", 406, 100),
    (3, NAME, None, NONE, "none", "GZIP", 406, 110),
    (4, NAME, None, NONE, "valid", "RAR", 406, 110),
    (5, NAME, REJECT, RESTRICTED, "none", "RAR", 406, 110),
    (6, NAME, RECEIVE, REQUIRED, "none", "GZIP", 401, 300),
    (7, NAME, RECEIVE, RESTRICTED, "none", "RAR", 401, 300),
    (8, NAME, RECEIVE, REQUIRED, "failed", "GZIP", 403, 310),
    (9, NAME, RECEIVE, RESTRICTED, "not listed", "RAR", 403, 310),
    (10, NAME, RECEIVE, RESTRICTED, "valid", "RAR", 406, 200),
    (11, NAME, RECEIVE, NONE, "none", "RAR", 406, 200),
    (12, NAME, RECEIVE, NONE, "failed", None, 200, 0),
    (13, NAME, RECEIVE, NONE, "none", "GZIP", 200, 0),
    (15, NAME, RECEIVE, NONE, "none", "ZIP", 200, 0),
    (16, NAME, RECEIVE, RESTRICTED, "valid", "gzip", 200, 0),
    (17, NAME, RECEIVE, NONE, "none", "NONE", 200, 0),
    (18, NAME, RECEIVE, REQUIRED, "none", "NONE", 401, 300),
    (19, NAME, DROP, NONE, "none", "GZIP", 200, 0),
    (20, NAME, DROP, REQUIRED, "none", "GZIP", 401, 300),
    (21, NAME, DROP, NONE, "none", "RAR", 406, 200),
]
CERTIFICATES = {
    "none": NO_CERTIFICATE,
    "valid": VALID,
    "failed": UNVERIFIED,
    "not listed": Certificate(presented=True, verified=True, text=OTHER, dn=parse_dn(OTHER)),
}


@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda combination: f"row {combination[0]}")
def test_each_combination_of_the_contract(combination: Combination) -> None:
    _, feed, status, policy, certificate, compression, http, code = combination
    known = None if status is None else make_policy(status=status, certificates=policy, allow=[DN])
    decision = ask(known, feed=feed, certificate=CERTIFICATES[certificate], compression=compression)
    assert codes(decision) == (http, code)
    assert decision.action is (REJECT if code else status)


def test_rows_23_and_24_a_feed_named_inside_a_zip_passes_the_feed_decision_alone() -> None:
    restricted = decide_feed(
        feed=NAME, certificate=NO_CERTIFICATE, policy=make_policy(certificates=RESTRICTED), now=NOW
    )
    assert codes(restricted) == (401, 300)
    dropping = decide_feed(feed=NAME, certificate=NO_CERTIFICATE, policy=make_policy(status=DROP), now=NOW)
    assert (codes(dropping), dropping.action) == ((200, 0), DROP)
    assert [step.step for step in dropping.trace] == [1, 2, 3, 4, 5, 6]


def test_drop_is_indistinguishable_but_for_the_action() -> None:
    for certificate, compression in itertools.product(CERTIFICATES.values(), (None, "GZIP", "RAR")):
        for policy in CertificatePolicy:
            received, dropped = (
                ask(
                    make_policy(status=status, certificates=policy, allow=[DN]),
                    certificate=certificate,
                    compression=compression,
                )
                for status in (RECEIVE, DROP)
            )
            assert received.status is dropped.status
            assert received.accepted is dropped.accepted


# The whole product of inputs, against the second implementation


CERTIFICATE_FACTS = {
    "none": NO_CERTIFICATE,
    "unverified": UNVERIFIED,
    "expired": Certificate(presented=True, verified=True, text=DN, dn=parse_dn(DN), expires=NOW),
    "good": Certificate(presented=True, verified=True, text=DN, dn=parse_dn(DN), expires=LATER),
}
RULE_FACTS = [
    RuleFact("allow", fits=True),
    RuleFact("allow", fits=False),
    RuleFact("allow", fits=True, over=True),
    RuleFact("deny", fits=True),
    RuleFact("deny", fits=False),
    RuleFact("deny", fits=True, over=True),
]
RULE_SETS = [(), *((rule,) for rule in RULE_FACTS), *itertools.combinations(RULE_FACTS, 2), tuple(RULE_FACTS)]


def snapshot(fact: RuleFact, position: int) -> CertificateRuleSnapshot:
    subject_dn = ("CN=client-a", DN)[position % 2] if fact.fits else OTHER
    return CertificateRuleSnapshot(RuleAction(fact.action), subject_dn, NOW if fact.over else LATER)


def questions() -> itertools.product:  # type: ignore[type-arg]
    return itertools.product(
        (None, " ", NAME),
        (None, "Receive", "Reject", "Drop"),
        ("none", "required", "restricted"),
        CERTIFICATE_FACTS,
        RULE_SETS,
        (None, "", "zip", " Gzip", "NONE", "RAR"),
        (None, "X-GZIP", "identity", "br"),
    )


def test_the_decision_agrees_with_the_table_on_the_full_product_of_inputs() -> None:
    asked = 0
    for facts in questions():
        question = Question(*facts)
        policy = question.status and FeedPolicy(
            NAME,
            FeedStatus(question.status),
            CertificatePolicy(question.policy),
            tuple(snapshot(rule, position) for position, rule in enumerate(question.rules)),
        )
        decision = ask(
            policy or None,
            feed=question.feed,
            certificate=CERTIFICATE_FACTS[question.certificate],
            compression=question.compression,
            content_encoding=question.content_encoding,
        )
        expected = reference_decision.answer(question)
        found = reference_decision.Answer(
            *codes(decision), decision.status.message, decision.action.value, decision.trace[-1].step
        )
        assert found == expected, question
        stopped = [step.outcome for step in decision.trace]
        assert stopped[:-1] == ["pass"] * (len(stopped) - 1)
        assert (stopped[-1] == "stop") is not decision.accepted
        assert [step.step for step in decision.trace] == list(range(1, len(stopped) + 1))
        assert all(step.explanation for step in decision.trace)
        asked += 1
    assert asked > 75_000


def test_the_feed_decision_agrees_with_the_first_six_rows() -> None:
    for status, policy, certificate, rules in itertools.product(
        (None, "Receive", "Reject", "Drop"), CertificatePolicy, CERTIFICATE_FACTS, RULE_SETS
    ):
        question = Question(NAME, status, policy, certificate, rules, "RAR", "br")
        known = status and FeedPolicy(
            NAME, FeedStatus(status), policy, tuple(snapshot(rule, place) for place, rule in enumerate(rules))
        )
        decision = decide_feed(feed=NAME, certificate=CERTIFICATE_FACTS[certificate], policy=known or None, now=NOW)
        expected = reference_decision.answer(question, last_step=6)
        assert (*codes(decision), decision.action.value) == (expected.http, expected.code, expected.action)
        assert decision.trace[-1].step == expected.last_step


# What comes after the decision


def test_accepting_completes_the_trace_with_step_12() -> None:
    before = ask(make_policy(version=3))
    after = accept(before, "Stored as one item.")
    assert after.trace == (*before.trace, TraceStep(12, "pass", "Stored as one item."))
    assert (after.action, after.status, after.version) == (RECEIVE, stroom_status.OK, 3)


def test_refusing_turns_an_acceptance_around_and_keeps_what_was_known() -> None:
    before = ask(make_policy(status=DROP, version=3))
    after = refuse(before, 9, stroom_status.STREAM_INVALID, "The third member is cut off.", hint="Cut off.")
    assert after.trace == (*before.trace, TraceStep(9, "stop", "The third member is cut off."))
    assert (after.action, after.status, after.hint) == (REJECT, stroom_status.STREAM_INVALID, "Cut off.")
    assert (after.feed, after.version, after.known, after.accepted) == (NAME, 3, True, False)
    assert refuse(before, 11, stroom_status.UNKNOWN_ERROR, "x").hint == ""


def test_an_acceptance_says_which_feed_and_version_decided() -> None:
    decision = ask(make_policy(version=42), feed=f" {NAME} ")
    assert (decision.feed, decision.version, decision.known, decision.hint) == (NAME, 42, True, "")
    assert decision.trace[0].explanation == f"The request names the feed {NAME}."


# Faults are never answers


def test_r13_the_policy_of_another_feed_is_a_fault_and_no_decision() -> None:
    for name in (NAME.lower(), NAME + " ", "OTHER"):
        with pytest.raises(ValueError, match=r"^the policy is that of another feed$"):
            ask(make_policy(name), feed=NAME)


def test_r13_a_fault_inside_the_steps_is_raised_and_never_an_answer() -> None:
    naive = FeedPolicy(
        NAME, RECEIVE, RESTRICTED, (CertificateRuleSnapshot(RuleAction.ALLOW, DN, NOW.replace(tzinfo=None)),)
    )
    with pytest.raises(TypeError):
        ask(naive, certificate=VALID)


def test_r13_no_passing_fault_has_a_number_that_makes_proxies_give_up() -> None:
    faults = [
        stroom_status.UNKNOWN_ERROR,
        stroom_status.UNAVAILABLE,
        stroom_status.METHOD_NOT_ALLOWED,
        stroom_status.HEADERS_TOO_LARGE,
        stroom_status.CODING_NOT_SUPPORTED,
        stroom_status.BAD_REQUEST,
        stroom_status.STREAM_INVALID,
        stroom_status.CONTENT_TOO_LARGE,
    ]
    assert {100, 110, 113, 120} == stroom_status.FINAL_FOR_PROXIES
    assert all(status.code not in stroom_status.FINAL_FOR_PROXIES and status.code for status in faults)
    assert [status for status in faults if status.retry_after] == [stroom_status.UNAVAILABLE]


# The numbers and words themselves


DOCUMENTED = {
    0: (200, "OK"),
    100: (406, "Feed must be specified"),
    110: (406, "Feed is not set to receive data"),
    200: (406, "Unknown compression"),
    300: (401, "Client Certificate Required"),
    310: (403, "Client Certificate not authorised"),
    400: (500, "Compressed stream invalid"),
    999: (500, "Unknown error"),
}


def test_the_eight_documented_messages_are_verbatim() -> None:
    found = {code: (status.http, status.message) for code, status in stroom_status.DOCUMENTED.items()}
    assert found == DOCUMENTED
    assert [status.code for status in stroom_status.DOCUMENTED.values()] == list(DOCUMENTED)


def every_status() -> list[stroom_status.StroomStatus]:
    return [value for value in vars(stroom_status).values() if isinstance(value, stroom_status.StroomStatus)]


def test_zero_and_200_go_together_and_nowhere_else() -> None:
    assert len(every_status()) == 18
    for status in every_status():
        assert (status.code == 0) is (status.http == 200) is status.accepted


def test_the_other_answers_of_the_receiver_are_those_of_the_contract() -> None:
    others = {(status.http, status.code) for status in every_status()} - {
        (http, code) for code, (http, _) in DOCUMENTED.items()
    }
    chosen = {(401, 302), (401, 311), (406, 113)}  # where sender tokens are taken, where receipt rules are made
    assert others - chosen == {(413, 410), (503, 999), (405, 999), (431, 999), (411, 999), (501, 999), (400, 999)}


def test_every_explanation_fits_one_line_that_any_script_can_print() -> None:
    for status in every_status():
        assert status.explanation.isascii()
        assert status.explanation.isprintable()
        assert "\\" not in status.explanation
        assert 10 < len(status.explanation) < 200


def test_the_names_that_proxies_read_are_stroom_s() -> None:
    names = {status.code: status.wire_name for status in every_status() if status.code != 410}
    assert names == {
        0: "OK",
        100: "FEED_MUST_BE_SPECIFIED",
        110: "FEED_IS_NOT_SET_TO_RECEIVE_DATA",
        113: "REJECTED_BY_POLICY_RULES",
        200: "UNKNOWN_COMPRESSION",
        300: "CLIENT_CERTIFICATE_REQUIRED",
        302: "CLIENT_TOKEN_OR_CERT_REQUIRED",
        310: "CLIENT_CERTIFICATE_NOT_AUTHENTICATED",
        311: "CLIENT_TOKEN_NOT_AUTHENTICATED",
        400: "COMPRESSED_STREAM_INVALID",
        999: "UNKNOWN_ERROR",
    }
    assert stroom_status.FEED_IS_NOT_DEFINED_NAME == "FEED_IS_NOT_DEFINED"
    assert stroom_status.FEED_IS_NOT_DEFINED_MESSAGE == "Feed is not defined"


def test_the_spellings_of_the_choices_are_those_of_the_wire() -> None:
    assert [status.value for status in FeedStatus] == ["Receive", "Reject", "Drop"]
    assert [policy.value for policy in CertificatePolicy] == ["none", "required", "restricted"]
    assert [action.value for action in RuleAction] == ["allow", "deny"]


def test_only_a_verified_certificate_has_a_dn_to_be_believed() -> None:
    assert VALID.verified_dn == DN
    assert UNVERIFIED.verified_dn is None
    assert NO_CERTIFICATE.verified_dn is None


def test_a_decision_made_elsewhere_is_by_default_about_a_known_feed() -> None:
    decision = Decision(REJECT, stroom_status.UNAVAILABLE, ())
    assert (decision.feed, decision.known, decision.version, decision.hint) == ("", True, None, "")


def test_a_policy_is_by_default_an_open_receiving_feed() -> None:
    assert FeedPolicy(NAME) == FeedPolicy(NAME, RECEIVE, NONE, (), 0)
    nothing = Certificate(presented=False, verified=False, text="", dn=None, expires=None, fault="")
    assert nothing == NO_CERTIFICATE
