"""Receipt rules in the admin: conditions as lines, the test, what they matched, and a second person."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from feeds.models import ReceiptRule, ReceiptRuleMatch
from tests.factories import DN, make_receipt
from tests.feeds.admin.admin_client import signed_in

pytestmark = pytest.mark.django_db
ADD = "admin:feeds_receiptrule_add"
LIST = "admin:feeds_receiptrule_changelist"
FORM = {
    "name": "test stays out",
    "position": "10",
    "action": "Reject",
    "conditions": "Environment in TEST | DEV\nnot remote_address = 192.0.2.0/24",
    "enabled": "on",
    "expires": "",
    "comment": "",
    "change_comment": "ticket 4711",
}
OFFICER = ("view_receiptrule", "add_receiptrule", "change_receiptrule", "delete_receiptrule", "view_receipt")


def page(client: Client, rule: ReceiptRule) -> str:
    return client.get(rule.get_absolute_url()).content.decode()


def test_a_rule_is_made_and_changed_with_its_conditions_as_lines() -> None:
    client = signed_in(*OFFICER)
    new = client.get(reverse(ADD)).content.decode()
    assert re.search(r'<input[^>]*name="shadow"[^>]*checked', new)
    assert client.post(reverse(ADD), FORM).status_code == 302
    rule = ReceiptRule.objects.get()
    assert [condition["field"] for condition in rule.conditions] == ["environment", "remote_address"]
    assert rule.history.get().history_change_reason == "ticket 4711"
    shown = page(client, rule)
    assert "environment in TEST | DEV\nnot remote_address = 192.0.2.0/24</textarea>" in shown
    assert "ticket 4711" in shown
    listed = client.get(reverse(LIST)).content.decode()
    assert "in force" in listed
    client.post(rule.get_absolute_url(), {**FORM, "shadow": "on", "conditions": ""})
    rule.refresh_from_db()
    assert (rule.shadow, rule.conditions) == (True, [])
    assert "every delivery" in client.get(reverse(LIST)).content.decode()
    refused = client.post(reverse(ADD), {**FORM, "conditions": "Environment TEST"}).content.decode()
    assert "write a name, then =, in or ~" in refused


def test_a_rule_is_tried_without_being_saved() -> None:
    client = signed_in(*OFFICER)
    make_receipt("FEED-A", headers={"Environment": "TEST"}, sender_dn=DN)
    make_receipt("FEED-A", headers={"Environment": "PROD"})
    tried = client.post(reverse(ADD), {**FORM, "conditions": "Environment = TEST", "_test": "1"})
    text = tried.content.decode()
    assert tried.status_code == 200
    assert "The rule would match <strong>1</strong> of them" in text
    assert DN in text
    assert "Environment = TEST</textarea>" in text
    assert not ReceiptRule.objects.exists()
    wrong = client.post(reverse(ADD), {**FORM, "conditions": "x", "_test": "1"}).content.decode()
    assert "cannot be tried" in wrong
    rule = ReceiptRule.objects.create(name="x", position=1)
    again = client.post(rule.get_absolute_url(), {**FORM, "conditions": "", "_test": "1"}).content.decode()
    assert "<strong>2</strong>" in again
    assert ReceiptRule.objects.get().name == "x"
    assert signed_in("view_receiptrule", username="v").post(reverse(ADD), {"_test": "1"}).status_code == 403


def test_what_it_matched_is_shown_by_sender() -> None:
    rule = ReceiptRule.objects.create(name="x", position=1, shadow=True)
    hour = datetime(2026, 2, 24, 18, tzinfo=UTC)
    ReceiptRuleMatch.objects.create(rule=rule, hour=hour, feed="FEED-A", sender=DN, applied=False, count=7)
    client = signed_in("view_receiptrule")
    text = page(client, rule)
    assert "no, in shadow" in text
    assert DN in text
    assert "Save" not in text
    assert ">7<" in client.get(reverse(LIST)).content.decode()


def test_s30_a_second_person_approves_in_the_admin(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    one, two = signed_in(*OFFICER, username="one"), signed_in(*OFFICER, username="two")
    one.post(reverse(ADD), FORM)
    rule = ReceiptRule.objects.get()
    assert not rule.enabled
    decide = reverse("admin:feeds_receiptrule_decide", args=[rule.pk])
    assert "waits for approval" in one.get(reverse(LIST)).content.decode()
    assert "Proposed by one" in page(two, rule)
    text = one.post(decide, {"decision": "approve"}, follow=True).content.decode()
    assert "another certificate officer has to decide" in text
    assert two.post(decide, {"decision": "approve", "comment": "fine"}).status_code == 302
    rule.refresh_from_db()
    assert (rule.enabled, rule.pending) == (True, None)
    one.post(reverse("admin:feeds_receiptrule_delete", args=[rule.pk]), {"post": "yes"})
    assert "removed" in page(two, rule)
    two.post(decide, {"decision": "decline"})
    assert ReceiptRule.objects.get().pending is None
    one.post(reverse("admin:feeds_receiptrule_delete", args=[rule.pk]), {"post": "yes"})
    two.post(decide, {"decision": "approve"})
    assert not ReceiptRule.objects.exists()
    assert signed_in("view_receiptrule", username="v").post(decide, {"decision": "approve"}).status_code == 403
    assert two.get(decide).status_code == 403
