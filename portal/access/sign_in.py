"""Sign-in: passwords with lock-out after failures (S17), and single sign-on through a trusted proxy.

Both serve every way in alike: the admin's login page, and getting a token over REST.
"""

import hashlib
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import MiddlewareNotUsed, PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, parse_cookie
from django.utils import timezone
from rest_framework.exceptions import APIException

from portal.database.threads import database
from portal.http.bearer import bearer_secret
from portal.http.client import network_key
from portal.http.limits import COUNTER
from portal.middleware import GetResponse
from portal.models import ApiToken, LoginTry
from portal.rest.problems import API_PREFIX

#: Failed sign-ins that one network may make in a minute, and all networks without a recent sign-in together.
SIGN_INS, ALL_SIGN_INS = 20, 600
#: For how long a network is known after somebody has signed in from it.
KNOWN_SECONDS = 30 * 24 * 3600
MAX_TRIES = 10
LOCKED_FOR = timedelta(minutes=15)
#: Rows that are kept at most: an attacker may invent as many names as there are atoms.
MAX_ROWS = 50_000
ADMIN_PREFIX = "/admin/"
_COMMON_KEY = "sign-in from unknown networks"
_SIGNED_ON = "signed_on_by_header"


class TooManySignIns(APIException):
    """Error for more failed sign-ins in a minute than one network, or all unknown networks together, may make."""

    status_code = 429
    default_detail = "Too many failed sign-ins from your network. Wait a minute, then try again."
    default_code = "throttled"

    def __init__(self, wait: int) -> None:
        super().__init__()
        self.wait = wait


class PasswordBackend(ModelBackend):
    """Django's backend with a limit: after ten failures, user name and address are locked for a quarter of an hour.

    A locked pair gets the answer of a wrong password, in the same time, so that a client cannot learn which names
    exist or are locked. Other addresses are not affected. Each try is counted before the password is checked:
    concurrent tries stay within the ten too.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if request is None or username is None or password is None:
            return super().authenticate(request, username=username, password=password, **kwargs)
        network = network_key(getattr(request, "client_address", ""))
        _take_allowance(request, network)
        pair = pair_of(username, network)
        if not take_try(pair, timezone.now()):
            User().set_password(password)  # takes as long as looking at the password would
            raise PermissionDenied
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is not None:
            LoginTry.objects.filter(pk=pair).delete()
            _note_success(network)
        return user


def _take_allowance(request: HttpRequest, network: str) -> None:
    """Count a sign-in as failed in advance: checking a password is slow by design.

    A network from which somebody has signed in before does not depend on what strangers leave of the common limit.

    Raises:
        TooManySignIns: nothing is left.
    """
    now = time.monotonic()
    allowance = COUNTER.take(_own_key(network), SIGN_INS, now)
    request.rate_limit = ("sign-in", allowance)  # type: ignore[attr-defined]  # for the headers
    if not allowance.allowed:
        raise TooManySignIns(allowance.resets_in)
    if not is_known(network):
        common = COUNTER.take(_COMMON_KEY, ALL_SIGN_INS, now)
        if not common.allowed:
            raise TooManySignIns(common.resets_in)


def _note_success(network: str) -> None:
    now = time.monotonic()
    COUNTER.give_back(_own_key(network), now)
    if not is_known(network):
        COUNTER.give_back(_COMMON_KEY, now)
    COUNTER.table.update(_known_key(network), lambda _: (time.time(), 1.0))


def is_known(network: str) -> bool:
    """Return whether a user has signed in from this network recently."""
    found = COUNTER.table.find(_known_key(network))
    return found is not None and found[0] > time.time() - KNOWN_SECONDS


def _own_key(network: str) -> str:
    return f"sign-in {network}"


def _known_key(network: str) -> str:
    return f"signed in from {network}"


def is_signed_in(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether trusted headers of a request hold a valid token, session or sign-on name.

    Raises:
        Unavailable: the database cannot be read.
    """
    values = {name: value.decode("latin-1") for name, value in headers}
    secret = bearer_secret(values.get(b"authorization"))
    sign_on = settings.ENVIRONMENT.signin_header.encode()
    with database():
        if secret:
            return ApiToken.objects.usable(secret) is not None
        if sign_on and values.get(sign_on, "").strip():
            return User.objects.filter(username=values[sign_on].strip(), is_active=True).exists()
        return _has_session(values.get(b"cookie", ""))


def _has_session(cookie: str) -> bool:
    key = parse_cookie(cookie).get(settings.SESSION_COOKIE_NAME)
    if not key:
        return False
    request = HttpRequest()
    request.session = SessionStore(key)
    return auth.get_user(request).is_authenticated


def pair_of(username: str, address: str) -> str:
    """Return the key of a user name and network, hashed because users type passwords into the wrong field."""
    counted = f"{username.strip().casefold()}\0{network_key(address)}"
    return hashlib.sha256(counted.encode(errors="surrogatepass")).hexdigest()


@transaction.atomic
def take_try(pair: str, now: datetime) -> bool:
    """Count one try as failed in advance; return False when none is left."""
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
    """Remove expired rows, and the oldest rows above the limit."""
    LoginTry.objects.filter(last__lt=now - LOCKED_FOR).delete()
    surplus = LoginTry.objects.order_by("-last").values_list("pk", flat=True)[MAX_ROWS : MAX_ROWS + 1000]
    keys = list(surplus)
    if keys:
        LoginTry.objects.filter(pk__in=keys).delete()


class HeaderSignOnMiddleware:
    """Signs in the user that a trusted proxy names in the header of PORTAL_SIGNIN_HEADER; off without the setting.

    It counts on pages and the admin alone: programs that call the API have tokens, and a proxy does not ask them to
    sign in. Only users that exist here and are active are signed in. From any other peer the header is ignored, and
    so is one with two values. The session that came from it ends when the proxy names somebody else, and below the
    admin when it is empty; elsewhere an empty header changes nothing, as a proxy may guard the admin alone.
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
        named = name or request.path_info.startswith(ADMIN_PREFIX)
        if named and request.session.get(_SIGNED_ON, name) != name:
            auth.logout(request)
        if name and request.user.get_username() != name:
            user = User.objects.filter(username=name, is_active=True).first()
            if user is not None:
                auth.login(request, user, backend="portal.access.sign_in.PasswordBackend")
                request.session[_SIGNED_ON] = name
