"""SQL of the token check on the hot path: one statement for the token and its user, on both databases."""

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.utils import timezone

from portal.models import LAST_USE_STEP, ApiToken, hash_secret

#: Compared in SQL, so that no column has to be converted from the form in which each database returns times.
_CALLER_SQL = """
    SELECT t.id, t.scopes, t.last_used IS NULL OR t.last_used < %s
    FROM portal_apitoken t JOIN auth_user u ON u.id = t.user_id
    WHERE t.digest = %s AND u.is_active AND (t.expires IS NULL OR t.expires > %s)
"""


@dataclass(frozen=True)
class KnownToken:
    """Usable token of an active user, as the database holds it now."""

    pk: int
    stored_scopes: str
    is_use_outdated: bool

    @cached_property
    def scopes(self) -> frozenset[str]:
        return frozenset(json.loads(self.stored_scopes))


def find_token(secret: str) -> KnownToken | None:
    """Look up the usable token with this secret; None when unknown, expired, or of an inactive user.

    The ORM builds this query again for each call, which takes several times as long as the query itself.
    """
    now = timezone.now()
    own = connections[DEFAULT_DB_ALIAS]
    instant = own.ops.adapt_datetimefield_value
    with own.cursor() as cursor:
        cursor.execute(_CALLER_SQL, [instant(now - LAST_USE_STEP), hash_secret(secret), instant(now)])
        row = cursor.fetchone()
    return None if row is None else KnownToken(row[0], row[1], bool(row[2]))


def note_use(token: KnownToken) -> None:
    """Record the last use, at most once a minute, so that a check is a read and not a write.

    A database that cannot be written must not turn a check into an error: a stroom-proxy takes an error as leave
    to accept.
    """
    if token.is_use_outdated:
        now: datetime = timezone.now()
        with contextlib.suppress(DatabaseError):
            ApiToken.objects.filter(pk=token.pk).update(last_used=now)
