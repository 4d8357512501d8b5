"""Rate limits of one address without a login and of one token, and the headers that report them."""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from portal.http.client import network_key
from portal.http.limits import COUNTER, WINDOW, Allowance
from portal.models import ApiToken

if TYPE_CHECKING:  # DRF's views read our settings while they load
    from rest_framework.views import APIView

#: Longer chains of proxies are parsed each time, so that they cannot fill the memory.
MOST_REMEMBERED = 200

#: Fields of an answer.
Fields = list[tuple[bytes, bytes]]


class TokenThrottle(BaseThrottle):
    """PORTAL_TOKEN_RATE for each token, wherever it is used from. Sessions are not limited."""

    name = "token"
    counter = COUNTER

    def allow_request(self, request: Request, view: "APIView") -> bool:
        token = request.auth
        return self.takes(request, token) if isinstance(token, ApiToken) else True

    def takes(self, request: Request, token: ApiToken) -> bool:
        """Count a request of a token; return whether it is within the limit."""
        return self.count(request, f"{self.name} {token.pk}", settings.ENVIRONMENT.token_rate)

    def count(self, request: Request, key: str, limit: int | None) -> bool:
        """Count a request; None is no limit."""
        if limit is None:
            return True
        self._allowance = self.counter.take(key, limit, time.monotonic())
        request._request.rate_limit = (self.name, self._allowance)  # type: ignore[attr-defined]  # for the headers
        return self._allowance.allowed

    def wait(self) -> float:
        return float(self._allowance.resets_in)


class AnonymousThrottle(TokenThrottle):
    """PORTAL_ANONYMOUS_RATE for each address; IPv6 callers have a whole /64, so that is what counts.

    A valid token lifts this limit, and its own counts instead.
    """

    name = "anonymous"

    def allow_request(self, request: Request, view: "APIView") -> bool:
        limit = settings.ENVIRONMENT.anonymous_rate
        address = str(getattr(request, "client_address", "") or request.META.get("REMOTE_ADDR") or "")
        header = request.headers.get("Authorization")
        token = ApiToken.objects.presented(header, address) if header and limit is not None else None
        if token is not None:
            self.name = TokenThrottle.name
            return self.takes(request, token)
        return self.count(request, _key(self.name, address), limit)


def rate_limit_headers(request: Request) -> dict[str, str]:
    """RateLimit fields as the IETF draft has them; none where there is no limit."""
    found = getattr(request._request, "rate_limit", None)
    if found is None:
        return {}
    name, allowance = found
    return {"RateLimit-Policy": _policy(name, allowance.limit), "RateLimit": _left(name, allowance)}


class ReadyThrottle:
    """Counts requests answered by the response cache in the windows of `AnonymousThrottle`."""

    def __init__(self, *, trusts: Callable[[str], bool], caller: Callable[[str, str], str]) -> None:
        """Create the limiter.

        Args:
            trusts: whose forwarding headers are believed.
            caller: finds the caller's address, given our peer's and what X-Forwarded-For says.
        """
        self._trusts = lru_cache(maxsize=1024)(trusts)
        self._caller = caller
        self._usual_caller = lru_cache(maxsize=1024)(caller)

    def __call__(self, scope: Mapping[str, Any]) -> Fields | None:
        """Count a request: the fields of its answer, or None where nothing is left and Django has to say so."""
        limit = settings.ENVIRONMENT.anonymous_rate
        if limit is None:
            return []
        key = _key(AnonymousThrottle.name, self._address(scope))
        allowance = AnonymousThrottle.counter.take(key, limit, time.monotonic())
        if not allowance.allowed:
            return None
        return [
            (b"ratelimit-policy", _policy(AnonymousThrottle.name, limit).encode()),
            (b"ratelimit", _left(AnonymousThrottle.name, allowance).encode()),
        ]

    def _address(self, scope: Mapping[str, Any]) -> str:
        client = scope.get("client")
        peer: str = client[0] if client else ""
        if not self._trusts(peer):
            return peer
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        caller = self._usual_caller if len(forwarded) <= MOST_REMEMBERED else self._caller
        return caller(peer, forwarded.decode("latin-1"))


def _policy(name: str, limit: int) -> str:
    return f'"{name}";q={limit};w={int(WINDOW)}'


def _left(name: str, allowance: Allowance) -> str:
    return f'"{name}";r={allowance.left};t={allowance.resets_in}'


@lru_cache(maxsize=1024)
def _key(name: str, address: str) -> str:
    return f"{name} {network_key(address)}"
