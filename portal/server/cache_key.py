"""Rules of the response cache: which requests it may answer and under which key, and which answers it may keep."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from portal.http.body import Scope
from portal.http.request_fields import accepts_gzip, canonical, cookie_names

MAX_QUERY = 1000
#: Longest value of a header that the answer depends on. Keys are kept, and so are parsed values of headers.
MAX_FIELD = 500
#: Longest Cookie header that is parsed here, on the event loop.
MAX_COOKIES = 4096
_COUNTED = b"/api/"
_API = ("codes", "disagreements", "sources", "vendors", "headers", "registries", "classes")
_BELOW = (b"/codes/", *(f"/api/v1/{name}/".encode() for name in _API))
_COOKIE = b"cookie"
_AUTHORIZATION = b"authorization"
#: The answer depends on more than the address: Django evaluates these.
_NOT_SIMPLE = frozenset({b"range", b"if-match", b"if-unmodified-since", b"expect", b"transfer-encoding"})
#: Headers that a kept answer must not depend on; Django does not get them.
_NOT_SHOWN = frozenset({b"if-none-match", b"accept-encoding", _COOKIE})
#: Headers of one response and not of the content: never kept.
_OF_THIS_REQUEST = frozenset({b"x-request-id", b"ratelimit", b"ratelimit-policy", b"retry-after"})

Fields = list[tuple[bytes, bytes]]
Key = tuple[bytes, str, bytes, str, bytes]


class CacheRequest(NamedTuple):
    """Request that the cache may answer: its key, and what selects the form of the answer."""

    key: Key
    head: bool
    gzip: bool
    known_tags: bytes
    request_id: bytes

    @property
    def is_counted(self) -> bool:
        """Whether the request counts towards the rate limit of the API."""
        return self.key[0].startswith(_COUNTED)


class KeyRules:
    """Rules that decide whether the cache may answer a request."""

    def __init__(self, *, private: Collection[str] = (), private_cookies: Collection[str] = ()) -> None:
        """Set what marks a private request.

        Args:
            private: headers, in lower case, in addition to Authorization.
            private_cookies: names of cookies; pages depend on no others.
        """
        self._private = {_AUTHORIZATION, *_NOT_SIMPLE, *(name.encode() for name in private)}
        self._private_cookies = frozenset(private_cookies)

    def asked(self, scope: Scope, scheme: Callable[[Scope], str]) -> CacheRequest | None:
        """Return the cache key of a request; None where only Django can answer.

        Args:
            scope: the request.
            scheme: says whether the caller used https.
        """
        path: bytes = scope.get("raw_path") or b""
        if not (path.startswith(_BELOW) or path == b"/") or scope["method"] not in {"GET", "HEAD"}:
            return None
        found = {b"host": b"", b"accept": b"", b"accept-encoding": b"", b"if-none-match": b"", b"x-request-id": b""}
        for name, value in scope["headers"]:
            if name in found:
                found[name] = found[name] + b"," + value if found[name] else value
            elif self._is_private(name, value):
                return None
        query: bytes = scope.get("query_string", b"")
        accept = found[b"accept"]
        if len(query) > MAX_QUERY or max(map(len, found.values())) > MAX_FIELD:
            return None
        return CacheRequest(
            key=(path, canonical(query) if query else "", found[b"host"], scheme(scope), accept),
            head=scope["method"] == "HEAD",
            gzip=accepts_gzip(found[b"accept-encoding"]),
            known_tags=found[b"if-none-match"],
            request_id=found[b"x-request-id"],
        )

    def _is_private(self, name: bytes, value: bytes) -> bool:
        """Return whether a header makes the request private."""
        if name == _COOKIE:
            return len(value) > MAX_COOKIES or not self._private_cookies.isdisjoint(cookie_names(value))
        return name in self._private or (name == b"content-length" and value != b"0")


def public_fields(scope: Scope) -> Fields:
    """Return the request headers that Django gets when it makes an answer for the cache."""
    return [field for field in scope["headers"] if field[0] not in _NOT_SHOWN]


def is_of_this_request(field: tuple[bytes, bytes]) -> bool:
    """Return whether a response header belongs to one response and is not kept."""
    return field[0] in _OF_THIS_REQUEST


def can_be_kept(status: int, fields: Fields) -> bool:
    """Return whether an answer is the same for every caller."""
    names = {name for name, _ in fields}
    controls = b",".join(value for name, value in fields if name == b"cache-control").lower()
    private = b"private" in controls or b"no-store" in controls
    return status == 200 and not private and names.isdisjoint({b"set-cookie", b"content-encoding"})
