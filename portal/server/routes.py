"""Routes of Django's requests, as far as the edge asks: how large a body may be, and which threads answer."""

from dataclasses import dataclass
from enum import Enum

from django.urls import Resolver404, ResolverMatch, resolve

from codes.explain.recognise import MAX_LENGTH

KIBIBYTE = 1024
#: Body limit of an ordinary request.
SMALL_BODY = 64 * KIBIBYTE
#: Files of feeds and changes of many; what reads them refuses those over 8 MiB in its own words.
LARGE_BODY = 32 * 1024 * KIBIBYTE
#: Percent-encoded, a text takes three times its bytes.
PASTED_BODY = 3 * MAX_LENGTH + KIBIBYTE

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_EXPLAIN = frozenset({"codes:explain", "codes_api:explain"})
_LARGE = frozenset(
    {
        "feeds_api:feeds",
        "feeds_api:feed",
        "feeds_api:feeds-import",
        "feeds_api:feeds-bulk",
        "feeds_api:feeds-bulk-delete",
    }
)
#: Every address at which a password is hashed.
_PASSWORDS = frozenset(
    {
        "auth_api:token-create",
        "admin:login",
        "admin:password_change",
        "admin:auth_user_add",
        "admin:auth_user_password_change",
    }
)


class Kind(Enum):
    """Kind of threads that answer a request."""

    PAGE = "page"
    PASSWORD = "password"  # noqa: S105  # no password
    EXPLAIN = "explain"


@dataclass(frozen=True)
class Route:
    """Bytes of body that are read without and with a login, and the kind of the request; 0 reads no body."""

    without_login: int = 0
    with_login: int = 0
    kind: Kind = Kind.PAGE


NO_BODY = Route()


def route_of(method: str, path: str) -> Route:
    """Return the route of a request; without a body where the address is unknown or accepts none."""
    if method not in _BODY_METHODS:
        return NO_BODY
    try:
        match = resolve(path)
    except Resolver404:
        return NO_BODY
    name = match.view_name
    if not _takes(match, method):
        return NO_BODY
    if name in _EXPLAIN:
        return Route(PASTED_BODY, PASTED_BODY, Kind.EXPLAIN)
    kind = Kind.PASSWORD if name in _PASSWORDS else Kind.PAGE
    large = name in _LARGE or (match.namespace == "admin" and name != "admin:login")
    return Route(SMALL_BODY, LARGE_BODY if large else SMALL_BODY, kind)


def _takes(match: ResolverMatch, method: str) -> bool:
    """Return whether a view accepts a body with this method."""
    if match.namespace == "admin" or match.view_name == "codes:explain":
        return method == "POST"
    actions = getattr(match.func, "actions", None)
    if actions is not None:
        return method.lower() in actions
    view = getattr(match.func, "cls", None) or getattr(match.func, "view_class", None)
    return view is not None and hasattr(view, method.lower())
