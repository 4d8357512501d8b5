"""Test answers that a code page offers: the portal's own address of the status, and a curl line for it."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

from codes.catalogue.values import HTTP, STROOM
from codes.lookup import FoundCode
from portal.site import own_address

#: A final HTTP status. An interim one cannot be tried by itself.
FIRST_FINAL, LAST_FINAL = 200, 599


@dataclass(frozen=True)
class TryLink:
    """Address that answers with a status, and the command that asks for it."""

    address: str
    curl: str


def try_it(request: HttpRequest, found: FoundCode) -> TryLink | None:
    """Return where the status of a page can be tried; None where it cannot, or PORTAL_TRY_ENDPOINTS is off."""
    if not settings.ENVIRONMENT.try_endpoints or not _can_be_tried(found):
        return None
    address = f"/try/{found.registry.slug}/{found.code}/"
    full = f"{own_address(request)}{address}"
    delivery = " --data-binary 'test' -H 'Feed: TEST-FEED'" if found.registry.slug == STROOM else ""
    return TryLink(address, f"curl -i{delivery} '{full}'")


def _can_be_tried(found: FoundCode) -> bool:
    if found.registry.slug == HTTP:
        return FIRST_FINAL <= found.code <= LAST_FINAL
    return found.known
