"""How often one address may ask without a login, and the headers that tell it so."""

import ipaddress
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from portal.tallies import Pair, Tallies

if TYPE_CHECKING:  # DRF's views read our settings while they load
    from rest_framework.views import APIView

WINDOW = 60.0
#: Attempts to get a token that one address has in a minute.
SIGN_INS = 300


@dataclass(frozen=True)
class Allowance:
    """What an address has left in its window of a minute."""

    allowed: bool
    limit: int
    left: int
    resets_in: int


class Counter:
    """Counts by address in windows of a minute; of all workers together once they share their tallies."""

    def __init__(self, tallies: Tallies | None = None) -> None:
        self.tallies = tallies or Tallies()

    def take(self, address: str, limit: int, now: float) -> Allowance:
        """Count one request. A refused one counts for nothing, so that waiting always helps."""
        allowed = False

        def count(window: Pair | None) -> Pair:
            nonlocal allowed
            started, used = window or (now, 0)
            # A window of another boot of the machine may lie in what is now the future.
            if not 0 <= now - started < WINDOW:
                started, used = now, 0
            allowed = used < limit
            return started, used + allowed

        started, used = self.tallies.update(address, count)
        resets_in = max(1, math.ceil(started + WINDOW - now))
        return Allowance(allowed, limit, max(0, limit - int(used)), resets_in)


#: What this process counts in. A worker gives it tallies that it shares with all others.
COUNTER = Counter()


class AnonymousThrottle(BaseThrottle):
    """PORTAL_ANONYMOUS_RATE for each address; IPv6 callers have a whole /64, so that is what counts."""

    name = "anonymous"
    counter = COUNTER

    def limit(self) -> int | None:
        """Requests a minute, None for no limit."""
        found: int | None = settings.ENVIRONMENT.anonymous_rate
        return found

    def allow_request(self, request: Request, view: "APIView") -> bool:
        limit = self.limit()
        if limit is None:
            return True
        address = getattr(request, "client_address", "") or str(request.META.get("REMOTE_ADDR") or "")
        self._allowance = self.counter.take(f"{self.name} {_network_of(address)}", limit, time.monotonic())
        request._request.rate_limit = (self.name, self._allowance)  # type: ignore[attr-defined]  # for the headers
        return self._allowance.allowed

    def wait(self) -> float:
        return float(self._allowance.resets_in)


class SignInThrottle(AnonymousThrottle):
    """Looking at a password is slow by design, so nobody may ask for it without end, whatever the user name."""

    name = "sign-in"

    def limit(self) -> int:
        return SIGN_INS


def rate_limit_headers(request: Request) -> dict[str, str]:
    """RateLimit fields as the IETF draft has them; none where there is no limit."""
    found = getattr(request._request, "rate_limit", None)
    if found is None:
        return {}
    name, allowance = found
    return {
        "RateLimit-Policy": f'"{name}";q={allowance.limit};w={int(WINDOW)}',
        "RateLimit": f'"{name}";r={allowance.left};t={allowance.resets_in}',
    }


def _network_of(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
