"""Receipt rules as a pure function: conditions, order, shadow, the same answer as trying one after the other."""

import random
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from feeds.rules import stroom_status
from feeds.rules.decision import (
    NO_CERTIFICATE,
    NO_TOKEN,
    Certificate,
    Decision,
    FeedStatus,
    SenderToken,
    Sent,
    decide,
)
from feeds.rules.dn import parse_dn
from feeds.rules.receipt_rules import (
    MAX_CONDITIONS,
    MAX_VALUES,
    Action,
    BadCondition,
    Condition,
    Facts,
    Operator,
    OrderedRule,
    RuleSet,
    parse_conditions,
    read_conditions,
    sent_in,
)
from tests.factories import DN, EARLIER, LATER, NOW, make_policy

ARGUMENTS = {"system": "PAYROLL", "environment": "PROD", "component": "batch-7"}
FACTS = Facts(ARGUMENTS.get, "192.0.2.7", parse_dn(DN), DN, "payroll", "FEED-A")


def rule(text: str = "", action: str = "Reject", key: int = 1, **fields: Any) -> OrderedRule:
    return OrderedRule(key, f"rule {key}", Action(action), parse_conditions(text), **fields)


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("System = PAYROLL", True),
        ("SYSTEM = PAYROLL", True),
        ("System = payroll", False),
        ("System = PAY", False),
        ("not System = PAYROLL", False),
        ("not System = OTHER", True),
        ("Absent = x", False),
        ("not Absent = x", True),
        ("not Absent ~ *", True),
        ("System ~ *", True),
        ("Environment in PROD | LIVE", True),
        ("Environment in LIVE|TEST", False),
        ("Component ~ batch-*", True),
        ("Component ~ batch-?", True),
        ("Component ~ batch-??", False),
        ("Component ~ *-7", True),
        ("Component ~ x* | *7", True),
        ("Component ~ batch", False),
        ("Component ~ [b]*", False),
        ("Feed = FEED-A", True),
        ("Feed ~ FEED-*", True),
        ("remote_address = 192.0.2.7", True),
        ("remote_address = 192.0.2.0/24", True),
        ("remote_address in 10.0.0.0/8 | 192.0.2.0/28", True),
        ("remote_address = 2001:db8::/32", False),
        ("not remote_address = 192.0.2.0/24", False),
        ("remote_address ~ 192.0.*", True),
        ("sender_dn = CN=client-a", True),
        ("sender_dn = /C=GB/O=Example/OU=Test/CN=client-a", True),
        ("sender_dn in CN=x | CN=client-a,OU=Test,O=Example,C=GB", True),
        ("sender_dn = CN=client-a,O=Example", False),
        ("not sender_dn = CN=client-a", False),
        ("sender_dn ~ *O=Example*", True),
        ("sender_token = payroll", True),
        ("sender_token ~ pay*", True),
        ("sender_token = other", False),
    ],
)
def test_a_condition_holds_as_it_says(line: str, holds: bool) -> None:
    (condition,) = parse_conditions(line)
    assert condition.holds(FACTS) is holds
    found = RuleSet((rule(line),)).verdict(FACTS, NOW)
    assert (found.rule is not None) is holds
    assert read_conditions([condition.as_record()]) == (condition,)
    assert parse_conditions(str(condition)) == (condition,)


def test_without_identity_nothing_about_it_holds() -> None:
    nobody = Facts()
    for line in ("remote_address ~ *", "sender_dn ~ *", "sender_token ~ *", "sender_dn = CN=client-a", "x ~ *"):
        assert not parse_conditions(line)[0].holds(nobody)
        assert RuleSet((rule(line),)).verdict(nobody, NOW).rule is None
        assert parse_conditions(f"not {line}")[0].holds(nobody)
    odd = Facts(address="unix")
    assert not parse_conditions("remote_address = 0.0.0.0/0")[0].holds(odd)
    assert RuleSet((rule("remote_address = 0.0.0.0/0"),)).verdict(odd, NOW).rule is None


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ({}, "a list of at most"),
        ([{"field": "a", "operator": "equal", "values": ["x"]}] * (MAX_CONDITIONS + 1), "a list of at most"),
        (["x"], "a condition has field"),
        ([{"field": "a", "operator": "equal", "values": ["x"], "more": 1}], "a condition has field"),
        ([{"field": "a b", "operator": "equal", "values": ["x"]}], "field is the name"),
        ([{"field": "remote_host", "operator": "equal", "values": ["x"]}], "field is the name"),
        ([{"field": 5, "operator": "equal", "values": ["x"]}], "field is the name"),
        ([{"field": "a", "operator": "like", "values": ["x"]}], "operator is"),
        ([{"field": "a", "operator": "equal", "values": ["x"], "negated": "no"}], "negated is"),
        ([{"field": "a", "operator": "equal", "values": []}], "values is a list"),
        ([{"field": "a", "operator": "one_of", "values": ["x"] * (MAX_VALUES + 1)}], "values is a list"),
        ([{"field": "a", "operator": "equal", "values": ["x", "y"]}], "equal has one value"),
        ([{"field": "a", "operator": "equal", "values": [" "]}], "printable text"),
        ([{"field": "a", "operator": "equal", "values": ["x\n"]}], "printable text"),
        ([{"field": "a", "operator": "equal", "values": [5]}], "printable text"),
        ([{"field": "remote_address", "operator": "equal", "values": ["here"]}], "no address or network"),
        ([{"field": "remote_address", "operator": "equal", "values": ["here"], "negated": True}], "no address"),
        ([{"field": "sender_dn", "operator": "equal", "values": ["x"]}], "no distinguished name"),
    ],
)
def test_what_cannot_be_a_condition_is_said(records: Any, words: str) -> None:
    with pytest.raises(BadCondition, match=words):
        read_conditions(records)


@pytest.mark.parametrize("text", ["System", "System PAYROLL", "= x", "System =", "\n".join(["a = b"] * 21)])
def test_a_line_that_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(BadCondition):
        parse_conditions(text)


def test_the_first_match_in_force_decides_and_shadows_before_it_are_noted() -> None:
    rules = RuleSet(
        (
            rule("System = OTHER", key=1),
            rule("System = PAYROLL", key=2, expires=NOW),
            rule("Environment ~ PR*", key=3, shadow=True),
            rule("", "Drop", key=4, shadow=True),
            rule("System = PAYROLL\nEnvironment = TEST", key=5),
            rule("System = PAYROLL\nEnvironment = PROD", "Drop", key=6, expires=LATER),
            rule("", key=7, shadow=True),
            rule("", key=8),
        )
    )
    found = rules.verdict(FACTS, NOW)
    assert found.rule is not None
    assert (found.rule.key, [shadow.key for shadow in found.shadows]) == (6, [3, 4])
    assert [(match.key, match.action.value, match.applied) for match in found.matches] == [
        (3, "Reject", False),
        (4, "Drop", False),
        (6, "Drop", True),
    ]
    assert rules.verdict(FACTS, NOW - timedelta(seconds=1)).rule == rules.rules[1]
    assert RuleSet().verdict(FACTS, NOW).matches == ()


def test_finding_by_values_gives_what_trying_each_gives() -> None:
    chance = random.Random(18)
    fields = ["system", "environment", "remote_address", "sender_dn", "sender_token", "feed"]
    values = {
        "system": ["A", "B", "AB"],
        "environment": ["PROD", "TEST"],
        "remote_address": ["192.0.2.7", "192.0.2.0/24", "10.0.0.0/8", "::/0"],
        "sender_dn": ["CN=client-a", "CN=b", DN],
        "sender_token": ["t", "u"],
        "feed": ["FEED-A", "FEED-B"],
    }

    def condition() -> Condition:
        name = chance.choice(fields)
        operator = chance.choice(list(Operator))
        several = 1 if operator is Operator.EQUAL else chance.randint(1, 2)
        offered = ["*", "A*", "*B", "?", "19*"] if operator is Operator.WILDCARD else values[name]
        return Condition(name, operator, tuple(chance.choices(offered, k=several)), chance.random() < 0.2)

    decided = 0
    for _ in range(400):
        rules = tuple(
            OrderedRule(
                key,
                "r",
                chance.choice(list(Action)),
                tuple(condition() for _ in range(chance.randint(0, 3))),
                shadow=chance.random() < 0.3,
                expires=chance.choice([None, LATER, EARLIER]),
            )
            for key in range(12)
        )
        named = chance.choice([DN, "CN=b,O=x", ""])
        arguments = {"system": chance.choice(["A", "B", "AB", ""]), "environment": chance.choice(["PROD", "x"])}
        facts = Facts(
            arguments.get,
            chance.choice(["192.0.2.7", "10.1.1.1", "::1", "unix", ""]),
            parse_dn(named) if named else None,
            named,
            chance.choice(["t", ""]),
            chance.choice(["FEED-A", "X"]),
        )
        matching = [one for one in rules if one.matches(replace(facts), NOW)]
        first = next((one for one in matching if not one.shadow), None)
        end = matching.index(first) if first else len(matching)
        found = RuleSet(rules).verdict(facts, NOW)
        assert (found.rule, found.shadows) == (first, tuple(one for one in matching[:end] if one.shadow))
        decided += first is not None
    assert 100 < decided < 400


@pytest.mark.parametrize(
    "line", ["System = S{}", "System in S{} | T{}", "System ~ S{}-*", "System ~ *-x{}", "sender_dn = CN=c{}"]
)
def test_a_thousand_rules_are_looked_through_with_few_tried(line: str) -> None:
    """Time is not asserted: rules that name values are found by them, whatever their number."""
    rules = RuleSet(tuple(rule(line.replace("{}", str(number)), key=number) for number in range(1000)))
    assert rules.verdict(FACTS, NOW).rule is None
    tried = len(rules._candidates(FACTS))
    assert tried == (1000 if "*-x" in line else 0)
    began = time.process_time()
    rules.verdict(FACTS, NOW)
    assert time.process_time() - began < 1  # of a thousandth, with room for any machine


def test_s39_a_pattern_of_many_stars_is_linear() -> None:
    (condition,) = parse_conditions("System ~ " + "*a" * 40 + "*b")
    assert not condition.holds(Facts({"system": "a" * 8000}.get))


def ask(*rules: OrderedRule, status: FeedStatus = FeedStatus.RECEIVE, **changes: Any) -> Decision:
    policy = replace(make_policy(status=status, version=3), receipt_rules=RuleSet(rules))
    asked: dict[str, Any] = {
        "feed": policy.name,
        "certificate": NO_CERTIFICATE,
        "compression": None,
        "content_encoding": None,
        "policy": policy,
        "now": NOW,
        "sent": Sent(ARGUMENTS.get, "192.0.2.7"),
    }
    return decide(**{**asked, **changes})


def test_a_decision_says_which_rule_it_followed() -> None:
    rejected = ask(rule("System = PAYROLL", shadow=True, key=1), rule("Environment = PROD", key=2))
    assert rejected.status is stroom_status.REJECTED_BY_RULES
    assert (rejected.version, rejected.known, [match.applied for match in rejected.matches]) == (
        3,
        True,
        [False, True],
    )
    assert [step.explanation for step in rejected.trace[3:]] == [
        "The receipt rule rule 1 is in shadow; it would reject this.",
        "The receipt rule rule 2 rejects this.",
    ]
    dropped = ask(rule("", "Drop"))
    assert (dropped.action, dropped.status) == (FeedStatus.DROP, stroom_status.OK)
    assert dropped.trace[3].explanation == "The receipt rule rule 1 drops this."
    received = ask(rule("", "Receive"), rule("", key=2))
    assert received.action is FeedStatus.RECEIVE
    assert received.trace[3].explanation == "The receipt rule rule 1 leaves it to the feed."
    assert ask(rule("", "Receive"), status=FeedStatus.DROP).action is FeedStatus.DROP
    none = ask(rule("System = X"))
    assert (none.accepted, none.trace[3].explanation) == (True, "No receipt rule in force matches.")
    assert len(ask().trace) == 7


def test_rules_come_after_the_feed_and_before_the_sender() -> None:
    assert ask(rule(""), status=FeedStatus.REJECT).status is stroom_status.FEED_NOT_RECEIVING
    assert ask(rule(""), policy=None).status is stroom_status.FEED_NOT_RECEIVING
    guarded = replace(make_policy(allow=[DN]), receipt_rules=RuleSet((rule("", "Receive"),)))
    assert ask(policy=guarded).status.code in {0, 300}
    rejecting = replace(guarded, receipt_rules=RuleSet((rule(""),)))
    assert ask(policy=rejecting).status is stroom_status.REJECTED_BY_RULES
    assert ask(rule(""), compression="RAR").status is stroom_status.REJECTED_BY_RULES


def test_only_verified_identities_are_asked_about() -> None:
    valid = Certificate(presented=True, verified=True, text=DN, dn=parse_dn(DN))
    by_dn, by_token = rule("sender_dn = CN=client-a"), rule("sender_token = payroll")
    assert not ask(by_dn, certificate=valid).accepted
    assert not ask(by_dn, certificate=replace(valid, expires=LATER)).accepted
    for doubtful in (replace(valid, verified=False), replace(valid, expires=NOW), NO_CERTIFICATE):
        assert ask(by_dn, certificate=doubtful).accepted
    assert not ask(by_token, token=SenderToken("payroll")).accepted
    for other in (SenderToken("x"), SenderToken(fault="x"), NO_TOKEN, None):
        assert ask(by_token, token=other).accepted


def test_the_map_of_a_proxy_is_read_by_name_in_lower_case_and_only_its_texts() -> None:
    sent = sent_in({"feed": "A", "remoteaddress": " 198.51.100.7 ", "size": 7})
    assert (sent.argument("Feed"), sent.argument("size"), sent.argument("System")) == ("A", None, None)
    assert sent.address == "198.51.100.7"
    assert sent_in({}).address == ""
