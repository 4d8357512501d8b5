"""Certificates that are denied for every feed: added by one certificate officer, withdrawn with more care.

Adding one only refuses, so it holds at once, also where second approval is on. Withdrawing one opens every feed
again: where second approval is on, only the command on the portal's machine does that.
"""

from datetime import datetime

from django.db.models import QuerySet

from feeds.changes.approval_watch import is_on
from feeds.history import commented
from feeds.models import CertificateRule

WITHDRAW_BY_COMMAND = (
    "Second approval is on, and withdrawing a denial opens every feed to the certificate again. An operator "
    "does it on the portal's machine: manage.py deny_certificate --withdraw."
)


class MayNotWithdraw(Exception):
    """Second approval is on."""

    def __init__(self) -> None:
        super().__init__(WITHDRAW_BY_COMMAND)


def denials() -> QuerySet[CertificateRule]:
    """Return the rules that hold for every feed."""
    return CertificateRule.objects.filter(feed=None).order_by("subject_dn", "pk")


def deny_everywhere(subject_dn: str, *, comment: str = "", expires: datetime | None = None) -> CertificateRule:
    """Deny a certificate for every feed, from the next request on.

    Raises:
        ValidationError: the DN cannot be read.
    """
    rule = CertificateRule(
        feed=None, action=CertificateRule.Action.DENY, subject_dn=subject_dn, comment=comment[:500], expires=expires
    )
    rule.full_clean()
    with commented(comment):
        rule.save()
    return rule


def withdraw(rule: CertificateRule, *, comment: str = "", by_operator: bool = False) -> None:
    """Take a denial back.

    Args:
        rule: one of `denials`.
        comment: the reason, kept with the history.
        by_operator: whether the command on the portal's machine asks.

    Raises:
        MayNotWithdraw: second approval is on.
    """
    if is_on() and not by_operator:
        raise MayNotWithdraw
    with commented(comment):
        rule.delete()
