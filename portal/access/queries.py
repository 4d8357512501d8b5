"""SQL of the token check on the hot path: one statement for the token and its user, on both databases."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from portal.models import LAST_USE_STEP, ApiToken, hash_secret

#: Compared in SQL, so that no column has to be converted from the form in which each database returns times.
_FIND_SQL = """
    SELECT t.id, t.scopes, t.last_used IS NULL OR t.last_used < %s, t.name, t.rate, t.networks,
        u.is_active, t.expires IS NOT NULL AND t.expires <= %s
    FROM portal_apitoken t JOIN auth_user u ON u.id = t.user_id
    WHERE t.digest = %s
"""
_NAMES_SQL = """
    SELECT t.scopes FROM portal_apitoken t JOIN auth_user u ON u.id = t.user_id
    WHERE t.name = %s AND u.is_active AND (t.expires IS NULL OR t.expires > %s)
"""


@dataclass(frozen=True)
class KnownToken:
    """A token as the database holds it now. `fault` says why it is worth nothing; empty if it is usable."""

    pk: int
    stored_scopes: str
    is_use_outdated: bool
    name: str = ""
    rate: int | None = None
    fault: str = ""
    stored_networks: str = "[]"

    @cached_property
    def networks(self) -> tuple[str, ...]:
        return tuple(json.loads(self.stored_networks))

    @cached_property
    def scopes(self) -> frozenset[str]:
        return frozenset(json.loads(self.stored_scopes))


def look_up(secret: str) -> KnownToken | None:
    """Look up the token with this secret, usable or not; None when unknown.

    The ORM builds this query again for each call, which takes several times as long as the query itself.
    """
    now = timezone.now()
    own = connections[DEFAULT_DB_ALIAS]
    instant = own.ops.adapt_datetimefield_value
    with own.cursor() as cursor:
        cursor.execute(_FIND_SQL, [instant(now - LAST_USE_STEP), instant(now), hash_secret(secret)])
        row = cursor.fetchone()
    if row is None:
        return None
    pk, scopes, is_use_outdated, name, rate, networks, is_active, has_expired = row
    fault = "it has expired" if has_expired else "" if is_active else "its user is not active"
    return KnownToken(pk, scopes, bool(is_use_outdated), name, rate, fault, networks)


def find_token(secret: str) -> KnownToken | None:
    """Look up the usable token with this secret; None when unknown, expired, or of an inactive user."""
    token = look_up(secret)
    return None if token is None or token.fault else token


def is_sender(name: str) -> bool:
    """Return whether a usable token for sending has this name."""
    own = connections[DEFAULT_DB_ALIAS]
    with own.cursor() as cursor:
        cursor.execute(_NAMES_SQL, [name, own.ops.adapt_datetimefield_value(timezone.now())])
        return any("send" in json.loads(scopes) for (scopes,) in cursor.fetchall())


def senders_ending(now: datetime, until: datetime) -> int:
    """Count the senders whose last token for sending expires in this time."""
    last: dict[str, datetime | None] = {}
    for name, scopes, expires in ApiToken.objects.filter(user__is_active=True).values_list(
        "name", "scopes", "expires"
    ):
        if "send" in scopes:
            so_far = last.get(name, expires)
            last[name] = max(so_far, expires) if so_far is not None and expires is not None else None
    return sum(end is not None and now < end <= until for end in last.values())


def note_use(token: KnownToken) -> None:
    """Record the last use, at most once a minute, so that a check is a read and not a write."""
    if token.is_use_outdated:
        ApiToken.objects.record_use(token.pk)
