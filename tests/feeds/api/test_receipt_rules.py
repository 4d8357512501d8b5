"""Receipt rules over REST: made, changed, tried, decided on by a second person, and their history."""

from dataclasses import replace
from typing import Any

import pytest

from feeds.changes.receipt_rules import next_position
from feeds.models import ReceiptRule, ReceiptRuleMatch
from feeds.models.receipt_rule import MAX_RULES
from portal.models import AuditRecord
from tests.calls import OFFICER, VIEWER, Caller, caller, problem_of
from tests.factories import DN, NOW, make_receipt

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
RULES = "/api/v1/receipt-rules/"
GUARDS = tuple(f"feeds.{verb}_receiptrule" for verb in ("view", "add", "change", "delete"))
CONDITION = {"field": "Environment", "operator": "equal", "values": ["TEST"], "negated": False}
BODY = {"name": "test stays out", "conditions": [CONDITION]}


def recorded(rule: int) -> list[str]:
    """Actions on a rule in the audit record; other tests leave theirs there too."""
    entries = AuditRecord.objects.filter(kind="receipt rule", key=str(rule), number__gt=BEFORE[0])
    return list(entries.order_by("number").values_list("action", flat=True))


BEFORE = [0]


@pytest.fixture(autouse=True)
def _before(db: None) -> None:
    BEFORE[0] = AuditRecord.objects.order_by("-number").values_list("number", flat=True).first() or 0


@pytest.fixture
def officer() -> Caller:
    return caller(*OFFICER, *GUARDS)


def test_a_rule_is_made_read_changed_and_deleted(officer: Caller) -> None:
    made = officer.post(RULES, BODY)
    assert made.status_code == 201
    rule = made.json()
    assert (rule["action"], rule["enabled"], rule["shadow"], rule["position"]) == ("Reject", True, False, 10)
    assert rule["conditions"] == [CONDITION]
    assert (rule["pending"], rule["pending_by"]) == (None, None)
    address = f"{RULES}{rule['id']}/"
    assert officer.get(address).json() == rule
    assert officer.patch(address, {"shadow": True, "comment": "first look"}).json()["shadow"] is True
    replaced = officer.put(address, {"name": "all"}).json()
    assert (replaced["shadow"], replaced["conditions"], replaced["position"]) == (False, [], 10)
    assert [row["id"] for row in officer.get(RULES).json()["results"]] == [rule["id"]]
    assert next_position() == 20
    history = officer.get(f"{address}history/").json()["results"]
    assert [row["action"] for row in history] == ["changed", "changed", "created"]
    assert (history[1]["comment"], history[1]["values"]["shadow"]) == ("first look", True)
    assert officer.delete(address).status_code == 204
    assert officer.get(address).status_code == 404
    assert recorded(rule["id"]) == ["created", "changed", "changed", "deleted"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "action": "Keep"}, "action"),
        ({"name": "x", "position": -1}, "position"),
        ({"name": "x", "conditions": [{**CONDITION, "operator": "like"}]}, "conditions.0.operator"),
        ({"name": "x", "conditions": [{**CONDITION, "values": ["a", "b"]}]}, "conditions"),
        ({"name": "x", "conditions": [{**CONDITION, "field": "remote_address"}]}, "conditions"),
        ({"name": "x", "rule": 1}, "rule"),
        ({"name": "x", "enabled": "yes"}, "enabled"),
    ],
)
def test_what_cannot_be_a_rule_is_named(officer: Caller, body: dict[str, Any], field: str) -> None:
    problem = problem_of(officer.post(RULES, body), 400)
    assert field in [error["field"].split(".0.values")[0] for error in problem["errors"]]
    assert not ReceiptRule.objects.exists()


def test_s30_only_officers_change_rules() -> None:
    editor = caller(*VIEWER, "feeds.view_receiptrule", "feeds.change_feed")
    problem_of(editor.post(RULES, BODY), 403)
    rule = ReceiptRule.objects.create(name="x", position=1)
    for answer in (
        editor.patch(f"{RULES}{rule.pk}/", {"enabled": False}),
        editor.delete(f"{RULES}{rule.pk}/"),
        editor.post(f"{RULES}test/", BODY),
    ):
        problem_of(answer, 403)
    assert editor.get(f"{RULES}{rule.pk}/").status_code == 200
    assert problem_of(caller(*VIEWER).get(RULES), 403)["permission"] == "feeds.view_receiptrule"


def test_a_rule_is_tried_on_the_latest_deliveries(officer: Caller) -> None:
    headers = {"Environment": "TEST", "RemoteAddress": "198.51.100.1"}
    test = [make_receipt("FEED-A", headers=headers, sender_dn=DN) for _ in range(3)]
    make_receipt("FEED-B", headers=headers, sender_token="payroll")
    make_receipt("FEED-B", headers={"Environment": "PROD"}, remote_address="203.0.113.5")
    found = officer.post(f"{RULES}test/", BODY).json()
    assert (found["looked_at"], found["matched"]) == (5, 4)
    assert found["groups"] == [
        {"feed": "FEED-A", "sender": DN, "count": 3},
        {"feed": "FEED-B", "sender": "token:payroll", "count": 1},
    ]
    assert {receipt.receipt_id for receipt in test} < set(found["examples"])
    for field, value, matched in (
        ("remote_address", "198.51.100.0/24", 4),
        ("remote_address", "203.0.113.5", 1),
        ("sender_dn", "CN=client-a", 3),
        ("sender_token", "payroll", 1),
        ("feed", "FEED-B", 2),
        ("compression", "NONE", 5),
    ):
        condition = {"field": field, "operator": "equal", "values": [value]}
        asked = officer.post(f"{RULES}test/", {"name": "x", "conditions": [condition], "shadow": True}).json()
        assert asked["matched"] == matched, field
    assert not ReceiptRule.objects.exists()


def test_what_a_rule_matched_is_listed(officer: Caller) -> None:
    rule = ReceiptRule.objects.create(name="x", position=1, shadow=True)
    hour = NOW.replace(minute=0, second=0, microsecond=0)
    ReceiptRuleMatch.objects.create(rule=rule, hour=hour, feed="FEED-A", sender=DN, applied=False, count=7)
    (row,) = officer.get(f"{RULES}{rule.pk}/matches/").json()["results"]
    assert (row["feed"], row["sender"], row["applied"], row["count"]) == ("FEED-A", DN, False, 7)


def test_there_are_at_most_a_thousand_rules(officer: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_RULES == 1000
    monkeypatch.setattr("feeds.changes.receipt_rules.MAX_RULES", 1)
    assert officer.post(RULES, BODY).status_code == 201
    problem_of(officer.post(RULES, BODY), 400)


@pytest.fixture
def approval(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)


@pytest.mark.usefixtures("approval")
def test_s30_a_rule_waits_for_a_second_person(officer: Caller) -> None:
    other = caller(*OFFICER, *GUARDS)
    made = officer.post(RULES, BODY)
    assert made.status_code == 202
    address = f"{RULES}{made.json()['id']}/"
    assert (made.json()["enabled"], made.json()["pending"]["enabled"]) == (False, True)
    assert made.json()["pending_by"] == officer.user.username
    problem_of(officer.post(f"{address}approve/", {"comment": "mine"}), 403)
    approved = other.post(f"{address}approve/", {"comment": "looked at it"})
    assert (approved.status_code, approved.json()["enabled"], approved.json()["pending"]) == (200, True, None)
    problem_of(other.post(f"{address}approve/", {"comment": "again"}), 409)
    comment = other.get(f"{address}history/").json()["results"][0]["comment"]
    assert officer.user.username in comment
    assert other.user.username in comment
    assert officer.patch(address, {"enabled": False}).status_code == 202
    assert ReceiptRule.objects.get().enabled
    assert other.post(f"{address}decline/", {"comment": "no"}).json()["pending"] is None
    assert ReceiptRule.objects.get().enabled
    assert officer.patch(address, {"shadow": True, "expires": "2031-01-01T00:00:00Z"}).status_code == 202
    assert other.post(f"{address}approve/", {"comment": "yes"}).json()["expires"] == "2031-01-01T00:00:00Z"
    assert officer.delete(address).status_code == 202
    assert ReceiptRule.objects.exists()
    assert other.post(f"{address}approve/", {"comment": "gone"}).status_code == 204
    assert not ReceiptRule.objects.exists()
    done = "created proposed approved changed proposed declined proposed approved changed proposed approved deleted"
    assert recorded(made.json()["id"]) == done.split()


@pytest.mark.usefixtures("approval")
def test_what_waits_is_withdrawn_by_who_proposed_it_and_checked_again(officer: Caller) -> None:
    other = caller(*OFFICER, *GUARDS)
    rule = officer.post(RULES, BODY).json()["id"]
    assert officer.post(f"{RULES}{rule}/decline/", {"comment": "a slip"}).status_code == 200
    assert not ReceiptRule.objects.get().enabled
    ReceiptRule.objects.update(pending={**BODY, "position": 1, "action": "No", "enabled": True, "shadow": False})
    broken = {**(ReceiptRule.objects.get().pending or {}), "expires": None, "comment": ""}
    ReceiptRule.objects.update(pending=broken)
    problem_of(other.post(f"{RULES}{rule}/approve/", {"comment": "yes"}), 409)
    assert ReceiptRule.objects.get().action == "Reject"
