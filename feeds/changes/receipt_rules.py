"""Changes of receipt rules: written at once, or kept for a second person where second approval is on.

A pending change is kept with its rule. A new rule that waits is there without being enabled.
"""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max

from feeds.changes.approval import CannotDecide, MayNotDecide
from feeds.changes.approval_watch import is_on
from feeds.changes.permissions import AnyUser
from feeds.history import commented
from feeds.models import ReceiptRule
from feeds.models.receipt_rule import MAX_RULES, STEP
from portal.audit.record import record

CHANGE_RULES = "feeds.change_receiptrule"
#: What callers may set.
WRITABLE = ("position", "name", "action", "conditions", "enabled", "shadow", "expires", "comment")


def next_position() -> int:
    """Return the position of a new rule: behind all others."""
    return (ReceiptRule.objects.aggregate(last=Max("position"))["last"] or 0) + STEP


def values_of(rule: ReceiptRule) -> dict[str, Any]:
    """Return what a rule says, as JSON."""
    values = {name: getattr(rule, name) for name in WRITABLE}
    return {**values, "expires": rule.expires.isoformat() if rule.expires else None}


@transaction.atomic
def write_rule(rule: ReceiptRule, user: AnyUser, *, comment: str = "") -> bool:
    """Write a new or changed rule, of which `rule` holds the wanted values; return whether it is in force.

    Raises:
        ValidationError: the rule cannot be so, or there are too many.
    """
    is_new = rule.pk is None
    if is_new and ReceiptRule.objects.count() >= MAX_RULES:
        raise ValidationError(f"At most {MAX_RULES} receipt rules.")
    rule.full_clean()
    if not is_on():
        with commented(comment):
            rule.save()
        return True
    wanted = values_of(rule)
    if is_new:
        rule.enabled = False
        with commented(comment):
            rule.save()
    _keep(rule, wanted, user, comment)
    return False


@transaction.atomic
def remove_rule(rule: ReceiptRule, user: AnyUser, *, comment: str = "") -> bool:
    """Delete a rule; return whether it is gone."""
    if not is_on():
        with commented(comment):
            rule.delete()
        return True
    _keep(rule, {}, user, comment)
    return False


def _keep(rule: ReceiptRule, wanted: dict[str, Any], user: AnyUser, comment: str) -> None:
    ReceiptRule.objects.filter(pk=rule.pk).update(
        pending=wanted, pending_by_id=user.pk, pending_comment=comment.strip()[:1000]
    )
    _record("proposed", ReceiptRule.objects.get(pk=rule.pk), wanted, comment, user)


@transaction.atomic
def approve_rule(key: int, user: AnyUser, *, comment: str = "") -> ReceiptRule | None:
    """Do what waits; return the rule, None where it was removed.

    Raises:
        MayNotDecide: the user proposed it, or may not change rules.
        CannotDecide: nothing waits, or it cannot be done any more.
    """
    rule = _waiting(key, user)
    wanted, proposer = rule.pending, rule.pending_by
    by = proposer.get_username() if proposer else "an account that is gone"
    both = f"[proposed by {by}, approved by {user.get_username()}] {comment}".strip()
    why = f"{rule.pending_comment} {both}".strip()
    _record("approved", rule, wanted or {}, comment, user)
    with commented(why):
        if not wanted:
            rule.delete()
            return None
        for name, value in wanted.items():
            setattr(rule, name, value)
        rule.expires = datetime.fromisoformat(wanted["expires"]) if wanted["expires"] else None
        _forget(rule)
        try:
            rule.full_clean()
        except ValidationError as fault:
            raise CannotDecide(f"{' '.join(fault.messages)} Nothing was changed.") from fault
        rule.save()
    return rule


@transaction.atomic
def decline_rule(key: int, user: AnyUser, *, comment: str = "") -> ReceiptRule:
    """Throw away what waits. The proposer may do it too, which withdraws it.

    Raises:
        MayNotDecide: the user may not change rules.
        CannotDecide: nothing waits.
    """
    rule = _waiting(key, user, is_own=True)
    _record("declined", rule, rule.pending or {}, comment, user)
    _forget(rule)
    ReceiptRule.objects.filter(pk=rule.pk).update(pending=None, pending_by=None, pending_comment="")
    return rule


def _waiting(key: int, user: AnyUser, *, is_own: bool = False) -> ReceiptRule:
    rule = ReceiptRule.objects.select_for_update(of=("self",)).select_related("pending_by").filter(pk=key).first()
    if rule is None or rule.pending is None:
        raise CannotDecide("No change of this rule waits.")
    if not user.has_perm(CHANGE_RULES):  # type: ignore[union-attr]  # both kinds have it
        raise MayNotDecide("Only a certificate officer may decide on receipt rules.")
    if not is_own and rule.pending_by_id == user.pk:
        raise MayNotDecide("You proposed this yourself: another certificate officer has to decide on it.")
    return rule


def _forget(rule: ReceiptRule) -> None:
    rule.pending, rule.pending_by, rule.pending_comment = None, None, ""


def _record(action: str, rule: ReceiptRule, wanted: dict[str, Any], comment: str, user: AnyUser) -> None:
    record(
        action,
        kind="receipt rule",
        key=rule.pk,
        name=str(rule),
        old=values_of(rule),
        new=wanted or {"removed": True},
        comment=comment,
        actor=user.get_username(),
    )
