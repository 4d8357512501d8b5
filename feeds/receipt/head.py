"""The head of a request as the server gives it, read with what the operator has chosen to believe."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from feeds.rules.metadata import RequestMetadata, read_request
from portal.http.body import Scope
from portal.http.client import IdentityNames

log = logging.getLogger(__name__)


def read_head(
    scope: Scope, *, trusts: Callable[[str | None], bool], identity: IdentityNames, require_verify: bool
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
        )
    except Exception:
        log.exception("the head of a request to %s could not be read", scope["path"][:100])
        return None
