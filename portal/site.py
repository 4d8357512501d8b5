"""Links in answers."""

from django.conf import settings
from django.http import HttpRequest


def public_link(path: str) -> str:
    """A link for an answer: absolute where PORTAL_PUBLIC_URL is set, else from the root."""
    base: str = settings.ENVIRONMENT.public_url
    return f"{base}{path}"


def own_address(request: HttpRequest) -> str:
    """Where the portal is reached, without a slash at the end: PORTAL_PUBLIC_URL, else the address of this request.

    A Host that PORTAL_ALLOWED_HOSTS does not name is refused by Django, with 400.
    """
    configured: str = settings.ENVIRONMENT.public_url
    return configured or f"{request.scheme}://{request.get_host()}"
