"""Absolute and relative links to the portal."""

from django.conf import settings
from django.http import HttpRequest


def public_link(path: str) -> str:
    """Return a link for an answer: absolute where PORTAL_PUBLIC_URL is set, else from the root."""
    base: str = settings.ENVIRONMENT.public_url
    return f"{base}{path}"


def followed_link(request: HttpRequest | None, path: str) -> str:
    """Return a link that programs follow: always absolute where there is a request to take the address from."""
    return public_link(path) if request is None else f"{own_address(request)}{path}"


def own_address(request: HttpRequest) -> str:
    """Return the portal's address without a trailing slash: PORTAL_PUBLIC_URL, else that of the request.

    A Host that PORTAL_ALLOWED_HOSTS does not name is refused by Django, with 400.
    """
    configured: str = settings.ENVIRONMENT.public_url
    return configured or f"{request.scheme}://{request.get_host()}"
