"""Heads of requests as the tests of metadata read them: one trusted proxy, and a stranger."""

from collections.abc import Callable, Iterable

from feeds.rules.certificate import read_certificate
from feeds.rules.decision import Certificate
from feeds.rules.metadata import RequestMetadata, read_request
from portal.http.client import IdentityNames
from tests.factories import DN, NOW

#: What an operator may configure whose proxy sets both names.
BOTH = IdentityNames(dn=("x-ssl-client-s-dn", "remotedn"))
PROXY, STRANGER = "10.0.0.1", "203.0.113.9"
Headers = Iterable[tuple[bytes, bytes]]


def trust_proxy(peer: str | None) -> bool:
    return peer in {PROXY, "10.0.0.2"}


def read(
    headers: dict[str, str] | Headers = (),
    query: str | bytes = b"",
    *,
    peer: str | None = STRANGER,
    trusts: Callable[[str | None], bool] = trust_proxy,
    identity: IdentityNames | None = None,
    require_verify: bool = True,
    takes_tokens: bool = False,
) -> RequestMetadata:
    if isinstance(headers, dict):
        headers = [(name.encode(), value.encode()) for name, value in headers.items()]
    return read_request(
        headers,
        query.encode() if isinstance(query, str) else query,
        peer=peer,
        trusts=trusts,
        identity=identity or IdentityNames(),
        require_verify=require_verify,
        now=NOW,
        takes_tokens=takes_tokens,
    )


IDENTITY = {
    "X-SSL-CLIENT-S-DN": DN,
    "RemoteDN": DN,
    "X-SSL-Client-Verify": "SUCCESS",
    "X-SSL-Client-V-End": "Nov  3 04:33:24 2026 GMT",
    "RemoteCertExpiry": "2026-11-03T04:33:24.000Z",
    "X-Forwarded-For": "198.51.100.7",
    "X-Forwarded-Proto": "https",
    "UploadUserId": "jo",
    "UploadUsername": "Jo",
}


def judged(**changes: object) -> Certificate:
    given = {"dn": DN, "verify": "SUCCESS", "expiry": None, "require_verify": True, "now": NOW} | changes
    return read_certificate(given.pop("dn"), **given)
