"""Models of access: API tokens, kept as hashes, and the audit record."""

import contextlib
import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.validators import MinValueValidator
from django.db import DatabaseError, models
from django.utils import timezone

from portal.http.bearer import bearer_secret
from portal.http.client import is_within

#: Those that a token has when none are named.
USUAL_SCOPES = ("read", "write", "check")
SCOPES = (*USUAL_SCOPES, "send")
LAST_USE_STEP = timedelta(minutes=1)


def hash_secret(secret: str) -> str:
    """SHA-256 suffices: the secret is 256 random bits, not a password."""
    return hashlib.sha256(secret.encode()).hexdigest()


def default_scopes() -> list[str]:
    return list(USUAL_SCOPES)


class ApiTokenManager(models.Manager["ApiToken"]):
    """Issues tokens and finds the one a caller shows."""

    def issue(
        self,
        user: AbstractBaseUser,
        *,
        name: str = "",
        scopes: list[str] | None = None,
        expires: datetime | None = None,
        rate: int | None = None,
        networks: Sequence[str] = (),
    ) -> tuple["ApiToken", str]:
        """Create a token; the returned text is its only copy."""
        secret = f"sp_{secrets.token_urlsafe(32)}"
        token = self.create(
            user_id=user.pk,
            name=name,
            scopes=default_scopes() if scopes is None else scopes,
            expires=expires,
            rate=rate,
            networks=list(networks),
            prefix=secret[:8],
            digest=hash_secret(secret),
        )
        return token, secret

    def usable(self, secret: str) -> "ApiToken | None":
        """The token with this secret, None when unknown, expired, or of an inactive user."""
        token = self.select_related("user").filter(digest=hash_secret(secret)).first()
        if token is None or token.expired or not token.user.is_active:
            return None
        return token

    def presented(self, authorization: str | None, address: str) -> "ApiToken | None":
        """Return the usable token of an Authorization header, and record its use; None when there is none.

        A token that is bound to networks is usable only from an address in one of them.

        `portal.access.queries.find_token` is the same check for receive paths, in one SQL statement.
        """
        secret = bearer_secret(authorization)
        token = self.usable(secret) if secret else None
        if token is None or not is_within(address, token.networks):
            return None
        token.note_use()
        return token

    def record_use(self, pk: int) -> None:
        """Record the last use of a token.

        A database that cannot be written must not turn a check into an error: a stroom-proxy takes an error as
        permission to accept.
        """
        with contextlib.suppress(DatabaseError):
            self.filter(pk=pk).update(last_used=timezone.now())


class ApiToken(models.Model):
    """A bearer token of one user. It can do at most what the user can, within its scopes."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True, help_text="What uses this token.")
    prefix = models.CharField(max_length=12, editable=False, help_text="First characters, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=default_scopes, help_text="Any of read, write, check and send.")
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    last_used = models.DateTimeField(null=True, blank=True, editable=False)
    rate = models.PositiveIntegerField(
        "deliveries a minute",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="With the scope send: deliveries a minute from all tokens of this name. Empty: no limit.",
    )

    networks = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="Networks from which it may be used. Empty: from everywhere.",
    )

    objects: ClassVar[ApiTokenManager] = ApiTokenManager()

    class Meta:
        ordering = ["-created"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}".strip()

    @property
    def expired(self) -> bool:
        return self.expires is not None and self.expires <= timezone.now()

    def note_use(self) -> None:
        """Record the last use at most once a minute, so that a read rarely writes."""
        if self.last_used is None or timezone.now() - self.last_used > LAST_USE_STEP:
            ApiToken.objects.record_use(self.pk)


class AuditRecord(models.Model):
    """Entry of the audit record. Written by `portal.audit.record`, never changed or removed (S23)."""

    number = models.PositiveBigIntegerField(unique=True)
    at = models.CharField("time (UTC)", max_length=30)
    actor = models.CharField(max_length=150, blank=True, help_text="Empty: the portal itself, or a command.")
    remote_address = models.CharField(max_length=100, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    action = models.CharField(max_length=30)
    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=100, blank=True)
    name = models.CharField(max_length=300, blank=True)
    old = models.TextField(blank=True)
    new = models.TextField(blank=True)
    comment = models.TextField(blank=True)
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["-number"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["kind", "-number"], name="audit_kind"),
            models.Index(fields=["request_id", "-number"], name="audit_request"),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.action} {self.kind} {self.name}"


class LoginTry(models.Model):
    """Number of failed sign-ins with one user name from one network; removed after a while."""

    pair = models.CharField(max_length=64, primary_key=True)
    tries = models.PositiveSmallIntegerField(default=0)
    last = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.pair[:8]}: {self.tries}"
