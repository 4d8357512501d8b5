"""Tokens for sending: who may issue one, and its rotation.

The name of such a token is an identity, as the subject of a certificate is: rules of feeds allow it, receipts show
it. So certificate officers issue them, each must have a name, and a token that replaces itself keeps its name.
Tokens of one name are one sender: while one replaces the other, both are valid.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied

from portal.http.bearer import SENDER_NAME
from portal.models import ApiToken
from portal.rest.reasons import PermissionMissing

SEND = "send"
#: Permission of certificate officers, who decide on senders.
ISSUE_SENDERS = "feeds.change_certificaterule"
BAD_NAME = (
    "The name of a token for sending is of letters, digits, dot, hyphen and underscore: rules call it token:NAME."
)
BY_COMMAND = (
    "Second approval is on, and a token for sending opens feeds to anyone who has it. An operator issues it on the "
    "portal's machine: manage.py create_token --scopes send."
)


def may_issue(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Return whether the user may issue tokens for sending in pages and over REST."""
    allowed = bool(user.has_perm(ISSUE_SENDERS))  # type: ignore[union-attr]  # both kinds have it
    return allowed and not settings.ENVIRONMENT.second_approval


def demand_issuer(user: AbstractBaseUser) -> None:
    """Let pass who may issue tokens for sending.

    Raises:
        PermissionMissing: the user is no certificate officer.
        PermissionDenied: second approval is on.
    """
    if not user.has_perm(ISSUE_SENDERS):  # type: ignore[attr-defined]
        raise PermissionMissing(ISSUE_SENDERS, "Only a certificate officer may issue tokens with the scope send.")
    if settings.ENVIRONMENT.second_approval:
        raise PermissionDenied(BY_COMMAND)


def is_sender_name(name: str) -> bool:
    """Return whether a token for sending may be called so."""
    return SENDER_NAME.fullmatch(name) is not None


@transaction.atomic
def replace(token: ApiToken, *, overlap: timedelta, expires: datetime | None) -> tuple[ApiToken, str]:
    """Issue the successor of a token: same user, name, scopes and limit. The old one ends after the overlap.

    Returns:
        The successor, and its secret, of which this is the only copy.
    """
    successor = ApiToken.objects.issue(
        token.user,
        name=token.name,
        scopes=list(token.scopes),
        expires=expires,
        rate=token.rate,
        networks=token.networks,
    )
    end_after(token, overlap)
    return successor


def end_after(token: ApiToken, overlap: timedelta) -> None:
    """Let a token expire after this time, if it does not expire earlier."""
    end = timezone.now() + overlap
    if token.expires is None or token.expires > end:
        token.expires = end
        token.save(update_fields=["expires"])
