"""Receipt rules on the wire: the surfaces agree, shadow is counted and not applied, a change counts at once."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from feeds.models import ReceiptRule, ReceiptRuleMatch, RefusalSample
from feeds.receipt.delivery import Delivery
from feeds.rules.receipt_rules import parse_conditions
from portal.models import ApiToken
from tests.factories import DN, make_feed
from tests.live import PROXY, Live, request

pytestmark = pytest.mark.both_databases
CERTIFICATE = {"X-SSL-CLIENT-S-DN": DN, "X-SSL-Client-Verify": "SUCCESS"}


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    make_feed("OPEN-FEED")
    make_feed("OTHER-FEED")
    make_feed("DROP-FEED", status="Drop")
    make_feed("REJECT-FEED", status="Reject")
    make_feed("GUARDED-FEED", certificate_policy="required")
    user = User.objects.create_user("asker")
    user.user_permissions.add(Permission.objects.get(codename="view_feed"))
    return ApiToken.objects.issue(user, scopes=["check"])[1]


@pytest.fixture(autouse=True)
def empty(live: Live, key: str) -> Iterator[None]:
    yield
    live.clear()
    for rule in ReceiptRule.objects.all():
        rule.delete()
    ReceiptRule.history.model.objects.all().delete()


def make_rule(text: str = "", action: str = "Reject", **fields: Any) -> ReceiptRule:
    conditions = [condition.as_record() for condition in parse_conditions(text)]
    values = {"name": "rule", "position": 10, **fields}
    return ReceiptRule.objects.create(action=action, conditions=conditions, **values)


def send(live: Live, feed: str = "OPEN-FEED", body: bytes = b"data", **headers: str) -> Any:
    return live.send("/datafeed", {"Feed": feed, **headers}, body, peer=PROXY)


#: By feed and Environment: the Stroom status; and whether it is stored. Written by hand.
TABLE = {
    ("OPEN-FEED", "PROD"): (0, "Receive"),
    ("OPEN-FEED", "TEST"): (113, "Reject"),
    ("OPEN-FEED", "DEV"): (0, "Drop"),
    ("DROP-FEED", "PROD"): (0, "Drop"),
    ("DROP-FEED", "TEST"): (113, "Reject"),
    ("REJECT-FEED", "TEST"): (110, "Reject"),
    ("NO-FEED", "TEST"): (110, "Reject"),
    ("GUARDED-FEED", "TEST"): (113, "Reject"),
    ("GUARDED-FEED", "PROD"): (300, "Reject"),
}


def test_all_surfaces_agree_with_the_table(live: Live, key: str) -> None:
    make_rule("Environment = TEST", position=20)
    make_rule("Environment = DEV", "Drop", position=30)
    make_rule("Environment = PROD", "Receive", position=10)
    make_rule("", position=40, shadow=True)
    make_rule("Environment = PROD", position=15)
    for (feed, environment), (code, action) in TABLE.items():
        where = (feed, environment)
        answer = send(live, feed, Environment=environment)
        assert answer.outcome == ({0: 200, 300: 401}.get(code, 406), code), where
        question = {"headers": {"Feed": feed, "Environment": environment}}
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = request("/api/v1/receipt/check/", headers, json.dumps(question).encode())
        dry = json.loads(live.exchange(data.replace(b"Host: somewhere.example.org", b"Host: localhost")).body)
        assert (dry["stroom_status"], dry["decision"]) == (code, action), where
        asked = {"feedName": feed, "attributeMap": {"Environment": environment}}
        told = json.loads(
            live.send(
                "/api/feedStatus/v2/getFeedStatus", {"Authorization": f"Bearer {key}"}, json.dumps(asked).encode()
            ).body
        )
        assert told["status"] == action, where
        if code == 113:
            assert told == {"status": "Reject", "message": "Data has been rejected by the receipt policy rules"}
    assert [receipt.feed for receipt in live.receipts()] == ["OPEN-FEED"]


def test_version_1_asks_by_feed_and_certificate(live: Live, key: str) -> None:
    make_rule("sender_dn = CN=client-a\nFeed = OPEN-FEED")
    headers = {"Authorization": f"Bearer {key}"}
    for dn, status in ((DN, "Reject"), (None, "Receive")):
        question = json.dumps({"feedName": "OPEN-FEED", "senderDn": dn}).encode()
        told = json.loads(live.send("/api/feedStatus/v1/getFeedStatus", headers, question).body)
        assert told["status"] == status
        assert "stroomStatusCode" not in told


def test_address_and_certificate_are_those_of_the_sender(live: Live) -> None:
    make_rule("remote_address = 198.51.100.0/24")
    forwarded = {"X-Forwarded-For": "198.51.100.9"}
    assert send(live, **forwarded).outcome == (406, 113)
    assert send(live).outcome == (200, 0)
    stranger = live.send("/datafeed", {"Feed": "OPEN-FEED", **forwarded}, b"data")
    assert stranger.outcome == (200, 0)
    make_rule("sender_dn = CN=client-a")
    assert send(live, **CERTIFICATE).outcome == (406, 113)
    assert live.send("/datafeed", {"Feed": "OPEN-FEED", **CERTIFICATE}, b"data").outcome == (200, 0)


def test_a_refusal_keeps_the_trace_and_names_no_rule_to_the_sender(live: Live) -> None:
    make_rule("System = SECRET-PROJECT", name="the secret rule")
    answer = send(live, System="SECRET-PROJECT")
    assert (
        answer.lines[0]
        == "Stroom Status 113 - Data has been rejected by the receipt policy rules [Feed: OPEN-FEED]"
    )
    assert "secret rule" not in answer.text
    live.worker.service.counts.flush()
    assert "the secret rule rejects this" in RefusalSample.objects.get().trace[-1]["explanation"]


def test_a_rule_in_shadow_is_counted_by_sender_and_not_applied(live: Live) -> None:
    shadow = make_rule("Environment = TEST", shadow=True)
    applied = make_rule("Environment = TEST", "Drop", position=20)
    measures = live.worker.metrics._rule_matches
    before = measures["Reject", False]._value.get()
    for _ in range(3):
        assert send(live, Environment="TEST").outcome == (200, 0)
    assert send(live, Environment="TEST", **CERTIFICATE).outcome == (200, 0)
    assert send(live, Environment="PROD").outcome == (200, 0)
    live.worker.service.counts.flush()
    rows = {(row.rule_id, row.sender, row.applied): row.count for row in ReceiptRuleMatch.objects.all()}
    assert rows == {
        (shadow.pk, PROXY, False): 3,
        (shadow.pk, DN, False): 1,
        (applied.pk, PROXY, True): 3,
        (applied.pk, DN, True): 1,
    }
    assert measures["Reject", False]._value.get() == before + 4
    send(live, Environment="TEST")
    shadow.delete()
    live.worker.service.counts.flush()
    assert sum(ReceiptRuleMatch.objects.values_list("count", flat=True)) == 5


def test_a_change_counts_for_the_next_request(live: Live) -> None:
    assert send(live).outcome == (200, 0)
    rule = make_rule()
    assert send(live).outcome == (406, 113)
    rule.shadow = True
    rule.save()
    assert send(live).outcome == (200, 0)
    rule.shadow, rule.enabled = False, False
    rule.save()
    assert send(live).outcome == (200, 0)
    rule.enabled = True
    rule.save()
    assert send(live).outcome == (406, 113)
    rule.delete()
    assert send(live).outcome == (200, 0)


def test_r19_a_rule_made_during_the_upload_counts_when_it_ends(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    verify = Delivery.verify

    def ruled(self: Delivery) -> None:
        make_rule("Feed = OTHER-FEED")
        verify(self)

    monkeypatch.setattr(Delivery, "verify", ruled)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("1.meta", "Feed:OTHER-FEED")
        packed.writestr("1.dat", b"data")
    answer = send(live, body=archive.getvalue(), Compression="ZIP")
    assert answer.outcome == (406, 113)
    assert "[Feed: OTHER-FEED" in answer.lines[0]
    assert live.files() == []


def test_r13_rules_that_cannot_be_read_are_a_passing_fault(live: Live, key: str) -> None:
    rule = make_rule()
    ReceiptRule.objects.filter(pk=rule.pk).update(conditions=[{"field": "?"}])
    ReceiptRule.objects.create(name="another", position=1, enabled=False)
    assert send(live).outcome == (503, 999)
    question = json.dumps({"feedName": "OPEN-FEED"}).encode()
    answer = live.send("/api/feedStatus/v2/getFeedStatus", {"Authorization": f"Bearer {key}"}, question)
    assert answer.status == 503
