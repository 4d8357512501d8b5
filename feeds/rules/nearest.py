"""The rule that came nearest to letting a certificate in, in words for an administrator. Pure; decides nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from feeds.rules.decision import CertificateRuleSnapshot, FeedPolicy, RuleAction
from feeds.rules.dn import BadDistinguishedName, DistinguishedName, parse_dn, rule_matches


class Nearness(StrEnum):
    """Relation of a rule to a certificate that is refused."""

    DENIED = "denied"
    EXPIRED = "expired"
    REVERSED = "reversed"
    ALIKE = "alike"


@dataclass(frozen=True)
class NearRule:
    """A rule, how it relates to the certificate, and the same in words."""

    rule: CertificateRuleSnapshot
    nearness: Nearness
    words: str


def nearest_rule(policy: FeedPolicy, dn: DistinguishedName, now: datetime) -> NearRule | None:
    """Return the rule that explains a refusal best.

    That is a deny rule that matches; else the allow rule that matched and expired last; else the unexpired allow
    rule with the same parts in another order, or with the same common name. None where no rule is near.
    """
    matching = [rule for rule in policy.rules if rule_matches(rule.subject_dn, dn)]
    denying = [rule for rule in matching if rule.action is RuleAction.DENY and rule.in_force(now)]
    if denying:
        where = "for every feed" if denying[0].everywhere else "of this feed"
        return NearRule(denying[0], Nearness.DENIED, f"The deny rule {denying[0].subject_dn} {where} matches.")
    expired = [rule for rule in matching if rule.action is RuleAction.ALLOW and rule.expires is not None]
    if expired:
        last = max(expired, key=_expiry)
        return NearRule(
            last, Nearness.EXPIRED, f"The allow rule {last.subject_dn} expired {_past(now - _expiry(last))}."
        )
    return _alike(policy, dn, now)


def _expiry(rule: CertificateRuleSnapshot) -> datetime:
    assert rule.expires is not None  # noqa: S101  # only such rules are asked
    return rule.expires


def _past(length: timedelta) -> str:
    for unit, word in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if count := length // unit:
            return f"{count} {word}{'s' if count > 1 else ''} ago"
    return "just now"


def _alike(policy: FeedPolicy, dn: DistinguishedName, now: datetime) -> NearRule | None:
    found: list[tuple[int, NearRule]] = []
    for rule in policy.rules:
        if rule.action is not RuleAction.ALLOW or not rule.in_force(now):
            continue
        try:
            other = parse_dn(rule.subject_dn)
        except BadDistinguishedName:
            continue
        if other.parts == dn.parts[::-1]:
            words = f"The allow rule {rule.subject_dn} has the parts of the name in reverse order."
            return NearRule(rule, Nearness.REVERSED, words)
        if _folded(other.common_name) and _folded(other.common_name) == _folded(dn.common_name):
            missing = _attributes(other) ^ _attributes(dn)
            found.append((len(missing), NearRule(rule, Nearness.ALIKE, _difference(rule, other, dn))))
    return min(found, key=lambda one: one[0])[1] if found else None


def _difference(rule: CertificateRuleSnapshot, other: DistinguishedName, dn: DistinguishedName) -> str:
    asked, has = _attributes(other) - _attributes(dn), _attributes(dn) - _attributes(other)
    wanted = ", ".join(f"{kind}={value}" for kind, value in sorted(asked)) or "nothing more"
    shown = ", ".join(f"{kind}={value}" for kind, value in sorted(has)) or "nothing more"
    if not asked and not has:
        return f"The allow rule {rule.subject_dn} has the same parts in another order."
    return f"The allow rule {rule.subject_dn} is alike: it has {wanted}, the certificate has {shown}."


def _attributes(dn: DistinguishedName) -> set[tuple[str, str]]:
    return {attribute for part in dn.parts for attribute in part}


def _folded(name: str | None) -> str:
    return (name or "").casefold()
