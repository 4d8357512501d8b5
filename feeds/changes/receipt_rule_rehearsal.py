"""What receipt rules would have done to the latest deliveries: nothing is written."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from feeds.models import Receipt
from feeds.rules.dn import BadDistinguishedName, DistinguishedName, parse_dn
from feeds.rules.receipt_rules import Facts, OrderedRule, RuleSet

#: How many deliveries are looked at, and how many groups and examples are shown.
MOST_DELIVERIES, MOST_GROUPS, MOST_EXAMPLES = 1000, 50, 10


@dataclass(frozen=True)
class RuleRehearsal:
    """How many of the latest deliveries a rule would have matched, from whom, and some of them."""

    looked_at: int
    matched: int
    groups: Sequence[tuple[str, str, int]]
    examples: Sequence[str]


def rehearse(rule: OrderedRule, now: datetime) -> RuleRehearsal:
    """Try one rule alone on the latest accepted deliveries, newest first."""
    rules = RuleSet((rule,))
    groups: Counter[tuple[str, str]] = Counter()
    examples: list[str] = []
    looked_at = 0
    rows = Receipt.objects.order_by("-pk").only(
        "receipt_id", "feed", "headers", "remote_address", "sender_dn", "sender_token"
    )
    for receipt in rows[:MOST_DELIVERIES]:
        looked_at += 1
        if not rules.verdict(_facts(receipt), now).matches:
            continue
        groups[receipt.feed, _sender(receipt)] += 1
        if len(examples) < MOST_EXAMPLES:
            examples.append(receipt.receipt_id)
    shown = [(feed, sender, count) for (feed, sender), count in groups.most_common(MOST_GROUPS)]
    return RuleRehearsal(looked_at, groups.total(), shown, examples)


def _facts(receipt: Receipt) -> Facts:
    headers = {str(name).lower(): str(value) for name, value in receipt.headers.items()}
    # What is not kept with the data: the packing of the stored file.
    headers.setdefault("compression", receipt.compression)
    address = "" if "guid" in headers and "remoteaddress" not in headers else headers.get("remoteaddress", "")
    text = receipt.sender_dn or ""
    return Facts(
        headers.get, address or receipt.remote_address, _dn(text), text, receipt.sender_token or "", receipt.feed
    )


def _dn(text: str) -> DistinguishedName | None:
    try:
        return parse_dn(text) if text else None
    except BadDistinguishedName:
        return None


def _sender(receipt: Receipt) -> str:
    token = f"token:{receipt.sender_token}" if receipt.sender_token else ""
    return token or receipt.sender_dn or receipt.remote_address
