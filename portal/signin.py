"""Signing in: passwords with a lock-out after failures (S17), and the name that a trusted proxy's sign-on gives.

Both serve every way in alike: the admin's login page, and getting a token over REST.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import MiddlewareNotUsed, PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from portal.http.client import network_key
from portal.middleware import GetResponse
from portal.models import LoginTry
from portal.problems import API_PREFIX

MAX_TRIES = 10
LOCKED_FOR = timedelta(minutes=15)
#: Rows that are kept at most: an attacker may invent as many names as there are atoms.
MAX_ROWS = 50_000
ADMIN_PREFIX = "/admin/"
_SIGNED_ON = "signed_on_by_header"


class PasswordBackend(ModelBackend):
    """Django's own, for ten failures; then user name and address are locked together for a quarter of an hour.

    A locked pair is answered as a wrong password is, in the same time, so that nobody learns which names exist or
    are locked. Another address is not affected: nobody can lock others out. Each try is counted before the password
    is looked at, so that many at once are not more than ten either.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if request is None or username is None or password is None:
            return super().authenticate(request, username=username, password=password, **kwargs)
        pair = pair_of(username, getattr(request, "client_address", ""))
        if not take_try(pair, timezone.now()):
            User().set_password(password)  # takes as long as looking at the password would
            raise PermissionDenied
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is not None:
            LoginTry.objects.filter(pk=pair).delete()
        return user


def pair_of(username: str, address: str) -> str:
    """One key for a user name and the network it comes from. Hashed: people type passwords into the wrong field."""
    told = f"{username.strip().casefold()}\0{network_key(address)}"
    return hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()


@transaction.atomic
def take_try(pair: str, now: datetime) -> bool:
    """Count one try as failed, in advance; False when there is none left."""
    row, _ = LoginTry.objects.select_for_update().get_or_create(pk=pair, defaults={"tries": 0, "last": now})
    tries = 0 if row.last <= now - LOCKED_FOR else row.tries
    if tries >= MAX_TRIES:
        return False
    if tries == 0:
        _forget(now)
    row.tries, row.last = tries + 1, now
    row.save()
    return True


def _forget(now: datetime) -> None:
    """Remove what is over, and the oldest of too many."""
    LoginTry.objects.filter(last__lt=now - LOCKED_FOR).delete()
    surplus = LoginTry.objects.order_by("-last").values_list("pk", flat=True)[MAX_ROWS : MAX_ROWS + 1000]
    keys = list(surplus)
    if keys:
        LoginTry.objects.filter(pk__in=keys).delete()


class HeaderSignOnMiddleware:
    """Signs in the user whom a trusted proxy names in the header of PORTAL_SIGNIN_HEADER; off without that setting.

    It counts on pages and the admin alone: programs that call the API have tokens, and a proxy does not ask them to
    sign in. Only users that exist here and are active are signed in. From any other peer the header is ignored, and
    so is one with two values. The session that came from it ends when the proxy names somebody else, and below the
    admin when it names nobody; elsewhere an empty header changes nothing, as a proxy may guard the admin alone.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._header = settings.ENVIRONMENT.signin_header
        if not self._header:
            raise MiddlewareNotUsed

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API_PREFIX):
            self._sign_on(request)
        return self._get_response(request)

    def _sign_on(self, request: HttpRequest) -> None:
        trusted = settings.ENVIRONMENT.trusted_proxies.trusts(str(request.META.get("REMOTE_ADDR") or ""))
        name = request.headers.get(self._header, "").strip() if trusted else ""
        told = name or request.path_info.startswith(ADMIN_PREFIX)
        if told and request.session.get(_SIGNED_ON, name) != name:
            auth.logout(request)
        if name and request.user.get_username() != name:
            user = User.objects.filter(username=name, is_active=True).first()
            if user is not None:
                auth.login(request, user, backend="portal.signin.PasswordBackend")
                request.session[_SIGNED_ON] = name
