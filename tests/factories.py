"""Objects for tests, with kind defaults: say only what the test is about."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from feeds.models import CertificateRule, Feed, Receipt, ReceiptFeed
from feeds.rules.decision import CertificatePolicy, CertificateRuleSnapshot, FeedPolicy, FeedStatus, RuleAction
from feeds.store.ids import ReceiptIds, data_path

#: The instant that tests call now, unless they say otherwise.
NOW = datetime(2026, 2, 24, 18, 10, 27, 192_000, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
EARLIER = NOW - timedelta(days=30)
DN = "CN=client-a,OU=Test,O=Example,C=GB"

_ids = ReceiptIds("test", clock=NOW.timestamp)


def make_feed(name: str = "PAYROLL-PROD-EVENTS", *, allow: Sequence[str] = (), **fields: Any) -> Feed:
    """A saved feed that receives from everybody; with `allow`, only from those DNs."""
    if allow:
        fields.setdefault("certificate_policy", CertificatePolicy.RESTRICTED.value)
    feed = Feed.objects.create(name=name, **fields)
    for subject_dn in allow:
        make_rule(feed, subject_dn)
    return feed


def make_rule(feed: Feed, subject_dn: str = DN, *, action: str = "allow", **fields: Any) -> CertificateRule:
    """A saved rule of the feed that never expires."""
    return CertificateRule.objects.create(feed=feed, subject_dn=subject_dn, action=action, **fields)


def make_receipt(feed: str = "PAYROLL-PROD-EVENTS", *, content: bytes = b"some data\n", **fields: Any) -> Receipt:
    """The row of a stored delivery of plain data; the file itself is not written."""
    receipt_id = fields.pop("receipt_id", None) or _ids.next()
    defaults: dict[str, Any] = {
        "received_at": NOW,
        "bytes": len(content),
        "wire_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "path": str(data_path(receipt_id)),
        "remote_address": "192.0.2.7",
        "headers": {"Feed": feed, "ReceiptId": receipt_id},
        "groups": [],
    }
    receipt = Receipt.objects.create(receipt_id=receipt_id, feed=feed, **{**defaults, **fields})
    ReceiptFeed.objects.create(receipt=receipt, feed=feed)
    return receipt


def make_policy(
    name: str = "PAYROLL-PROD-EVENTS",
    *,
    status: FeedStatus = FeedStatus.RECEIVE,
    certificates: CertificatePolicy = CertificatePolicy.NONE,
    allow: Sequence[str] = (),
    deny: Sequence[str] = (),
    version: int = 1,
) -> FeedPolicy:
    """A feed policy without a database; its rules never expire."""
    rules = (
        *(CertificateRuleSnapshot(RuleAction.ALLOW, subject_dn) for subject_dn in allow),
        *(CertificateRuleSnapshot(RuleAction.DENY, subject_dn) for subject_dn in deny),
    )
    return FeedPolicy(name, status, certificates, rules, version)
