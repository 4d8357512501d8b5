"""Heads of requests, read with the settings of trust: arguments, framing and the receipt id."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from feeds.rules.metadata import RequestMetadata, read_request
from portal.http.body import Scope, header, is_delimited
from portal.http.client import IdentityNames

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryHead:
    """Request line and headers of a delivery; `request` is None where they could not be read."""

    receipt_id: str
    method: str
    request: RequestMetadata | None
    length: int | None
    codings: tuple[str, ...]
    is_delimited: bool
    is_version_1_0: bool

    @classmethod
    def of(cls, scope: Scope, request: RequestMetadata | None, receipt_id: str) -> "DeliveryHead":
        length = header(scope, b"content-length")
        codings = [value for name, value in scope["headers"] if name == b"transfer-encoding"]
        return cls(
            receipt_id,
            scope["method"],
            request,
            int(length) if length is not None else None,
            tuple(part.strip().lower() for part in b",".join(codings).decode("latin-1").split(",") if part.strip()),
            is_delimited(scope),
            scope.get("http_version") == "1.0",
        )


def read_head(
    scope: Scope,
    *,
    trusts: Callable[[str | None], bool],
    identity: IdentityNames,
    require_verify: bool,
    takes_tokens: bool = False,
) -> RequestMetadata | None:
    """Read the arguments of a request; None, and a line in the log, where that fails."""
    client = scope.get("client")
    try:
        return read_request(
            scope["headers"],
            scope.get("query_string", b""),
            peer=client[0] if client else None,
            trusts=trusts,
            identity=identity,
            require_verify=require_verify,
            now=datetime.now(UTC),
            takes_tokens=takes_tokens,
        )
    except Exception:
        log.exception("the head of a request to %s could not be read", scope["path"][:100])
        return None
