"""Links in answers."""

from django.conf import settings


def public_link(path: str) -> str:
    """A link for an answer: absolute where PORTAL_PUBLIC_URL is set, else from the root."""
    base: str = settings.ENVIRONMENT.public_url
    return f"{base}{path}"
