"""The edge: the ASGI application that receives every request.

Deliveries go to the receiver and feed-status questions to `feed_status`. Liveness, /metrics and the try-it
endpoints have applications of their own. Public pages may come from the response cache. Every other request
loses the headers that must not be trusted and goes to Django.
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from feeds.monitoring.health import Health
from feeds.receipt.refusals import METHODS
from portal.http.answer import JSON, Answer, send_answer
from portal.http.body import Message, Receive, Scope, Send
from portal.http.client import IdentityNames, client_address
from portal.http.request_ids import current_request_id, request_id
from portal.server.cache import AtOnce, ResponseCache
from portal.server.cache_key import CacheRequest
from portal.server.gate import Gate
from portal.server.proxy_probe import ProxyProbe

log = logging.getLogger(__name__)

#: With a trailing slash and with any sub-path too; never redirected (contract section 2).
RECEIVE = re.compile(r"/(?:stroom/(?:noauth/)?)?datafeed(?:/.*)?|/stroom/datafeeddirect(?:/.*)?", re.DOTALL)
FEED_STATUS = re.compile(r"/api/feedStatus/v[12]/getFeedStatus/?")
_SLASHES = re.compile("/{2,}")
STATUS = frozenset({"/status", "/stroom/noauth/status", "/status/", "/stroom/noauth/status/"})
LIVE, READY = "/livez", frozenset({"/readyz", "/healthz"})
METRICS = "/metrics"
TRY_IT = re.compile(r"/try(?:/.*)?", re.DOTALL)

_PROXY_HEADERS = frozenset({b"forwarded", b"x-real-ip", b"remotedn", b"remotecertexpiry"})
_PROXY_PREFIXES = (b"x-ssl-", b"x-forwarded-")

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Edge:
    """ASGI application that the server runs."""

    def __init__(
        self,
        *,
        receiver: Application,
        feed_status: Application,
        try_it: Application,
        metrics: Application,
        ready: ResponseCache,
        gate: Gate,
        health: Callable[[], Health],
        trusts: Callable[[str | None], bool],
        identity: IdentityNames,
        probe: ProxyProbe | None = None,
    ) -> None:
        """Create the edge from its applications.

        Args:
            receiver: takes deliveries.
            feed_status: answers stroom-proxies.
            try_it: answers with any status that is asked for.
            metrics: shows Prometheus what was measured.
            ready: answers for everybody that need not be made again.
            gate: hands everything else to Django.
            health: the latest health result.
            trusts: whose identity and forwarding headers are believed.
            identity: names of the identity headers.
            probe: answers `manage.py check_proxy`.
        """
        self._receiver = receiver
        self._feed_status = feed_status
        self._try_it = try_it
        self._metrics = metrics
        self._ready = ready
        self._gate = gate
        self._health = health
        self._trusts = trusts
        self._identity = identity
        self._probe = probe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application that answers it."""
        # A base address that ends with a slash is a common mistake: repeated slashes are ignored.
        path = _SLASHES.sub("/", scope["path"])
        scope = {**scope, "path": path}
        if self._probe is not None and self._probe.recognises(scope):
            await self._probe.answer(scope, receive, send)
        elif RECEIVE.fullmatch(path):
            await _with_request_id(self._receiver, scope, receive, send)
        elif FEED_STATUS.fullmatch(path):
            await _with_request_id(self._feed_status, scope, receive, send)
        elif TRY_IT.fullmatch(path):
            await _with_request_id(self._try_it, scope, receive, send)
        elif path in STATUS or path == LIVE:
            await _send_state(scope, send, 200, {"status": "UP"})
        elif path in READY:
            health = self._health()
            word = "UP" if health.ready else "DOWN"
            await _send_state(scope, send, 200 if health.ready else 503, {"status": word, "checks": health.checks})
        elif path == METRICS:
            await self._metrics(scope, receive, send)
        elif asked := self._ready.asked(scope, self._scheme):
            await self._ready.answer(asked, scope, receive, send, self._to_django)
        else:
            await self._to_django(scope, receive, send)

    def at_once(self, scope: Scope) -> AtOnce | None:
        """Return a cached answer that the protocol can write immediately."""
        return self._ready.at_once(scope, self._scheme)

    def again(self, asked: CacheRequest, scope: Scope) -> AtOnce | None:
        """Return a cached answer to a request that was answered at once before."""
        return self._ready.again(asked, scope)

    def demands_length(self, scope: Scope) -> bool:
        """Return whether this request has to declare where its body ends."""
        return scope["method"] in METHODS and RECEIVE.fullmatch(_SLASHES.sub("/", scope["path"])) is not None

    async def _to_django(self, scope: Scope, receive: Receive, send: Send) -> None:
        cleaned = {**scope, "headers": self._believable(scope), "scheme": self._scheme(scope)}
        await self._gate(cleaned, receive, send, address=self._address(scope))

    def _address(self, scope: Scope) -> str:
        client = scope.get("client")
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return client_address(client[0] if client else "", forwarded, self._trusts)

    def _believable(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Return the headers that Django may see.

        Django would read a name with an underscore as one with a dash. Identity and forwarding headers are accepted
        from a trusted peer only, and a repeated identity header never.
        """
        client = scope.get("client")
        trusted = self._trusts(client[0] if client else None)
        names = [name for name, _ in scope["headers"]]
        return [
            (name, value)
            for name, value in scope["headers"]
            if b"_" not in name
            and (not self._is_proxys(name) or (trusted and (names.count(name) == 1 or not self._is_identity(name))))
        ]

    def _scheme(self, scope: Scope) -> str:
        """Return the scheme that the browser used, if a trusted proxy states it."""
        schemes = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        client = scope.get("client")
        if schemes == [b"https"] and self._trusts(client[0] if client else None):
            return "https"
        return cast("str", scope.get("scheme", "http"))

    def _is_identity(self, name: bytes) -> bool:
        text = name.decode("latin-1")
        return (
            text.startswith("x-ssl-")
            or text in {"remotedn", self._identity.signin}
            or self._identity.includes(text)
        )

    def _is_proxys(self, name: bytes) -> bool:
        return name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIXES) or self._is_identity(name)


async def _with_request_id(application: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Add the request id to answer and log, as Django's middleware does."""
    supplied = [value for name, value in scope["headers"] if name == b"x-request-id"]
    given = request_id(b",".join(supplied))

    async def send_with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"x-request-id", given)]}
        await send(message)

    token = current_request_id.set(given.decode())
    try:
        await application(scope, receive, send_with_id)
    finally:
        current_request_id.reset(token)


async def _send_state(scope: Scope, send: Send, http: int, content: Mapping[str, object]) -> None:
    """Answer a monitoring request, for any Host."""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", JSON), ("Cache-Control", "no-store"))
    if scope["method"] not in {"GET", "HEAD"}:
        http, content, headers = 405, {"error": "Use GET."}, (*headers, ("Allow", "GET, HEAD"))
    await send_answer(send, Answer(http, headers, json.dumps(content).encode() + b"\n"))
