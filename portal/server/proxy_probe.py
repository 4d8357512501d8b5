"""Answers probes of `manage.py check_proxy` with the identity headers that reached the portal.

Only somebody who may write to the data folder can make a probe: its key is random, lies there as a fingerprint, and
ends with the command or after ten minutes. A probe is answered and nothing else: it is not stored, not counted, and
it signs no user in.
"""

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feeds.rules.certificate import is_identity_header
from portal.environment import Environment
from portal.http.answer import JSON, Answer, send_answer
from portal.http.body import Body, Receive, Scope, Send

PROBE_HEADER = "x-portal-probe"
LIFETIME_SECONDS = 600
_FILE = "proxy-probe"
_DRAINED_BYTES = 64 * 1024


@contextmanager
def probe_key(data_dir: Path) -> Iterator[str]:
    """Let the portal of this data folder answer probes that carry the key, until the block ends."""
    key, path = secrets.token_urlsafe(32), data_dir / _FILE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{_fingerprint(key.encode())} {time.time() + LIFETIME_SECONDS:.0f}\n")
    try:
        yield key
    finally:
        path.unlink(missing_ok=True)


class ProxyProbe:
    """Application that recognises and answers probes."""

    def __init__(self, environment: Environment) -> None:
        self._path = environment.data_dir / _FILE
        self._trusts = environment.trusted_proxies.trusts
        self._identity = environment.identity_headers

    def recognises(self, scope: Scope) -> bool:
        """Return whether the request carries the key of a running check."""
        given = [value for name, value in scope["headers"] if name == PROBE_HEADER.encode()]
        if len(given) != 1:
            return False
        try:
            fingerprint, ends = self._path.read_text(encoding="utf-8").split()
            in_time = time.time() < float(ends)
        except (OSError, ValueError):
            return False
        return in_time and hmac.compare_digest(fingerprint, _fingerprint(given[0]))

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say who the peer is, and which identity headers came with the request."""
        body = Body(scope, receive)
        await body.drain(_DRAINED_BYTES, 2.0)
        client = scope.get("client")
        peer = client[0] if client else ""
        data = json.dumps(
            {
                "peer": peer or "unix",
                "trusted": self._trusts(peer),
                "headers": [
                    [name, value.decode("latin-1")]
                    for raw, value in scope["headers"]
                    if self._is_shown(name := raw.decode("latin-1"))
                ],
            }
        ).encode()
        headers = (("Content-Type", JSON), ("Cache-Control", "no-store"), (PROBE_HEADER, "seen"))
        await send_answer(send, Answer(200, headers, data))

    def _is_shown(self, name: str) -> bool:
        """Return whether it is an identity header, also in spellings that other programs accept."""
        return is_identity_header(name.lower().replace("_", "-"), self._identity)


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()
