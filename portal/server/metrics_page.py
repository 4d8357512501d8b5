"""Application of /metrics for Prometheus, open to the clients in PORTAL_METRICS_READERS.

Answered by the edge and not by Django, so that any Host will do: Prometheus asks by address.
"""

import asyncio
import gzip
import logging
import platform
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feeds.monitoring.metrics import NAMESPACE
from portal.database.threads import Unavailable, database
from portal.documentation import version
from portal.http.answer import Answer, send_answer, text_answer
from portal.http.bearer import bearer_secret
from portal.http.body import Receive, Scope, Send
from portal.http.client import client_address, is_loopback
from portal.models import ApiToken
from portal.repeated import REMIND_AFTER, RepeatedFaults
from portal.setting_values import MetricsReaders

log = logging.getLogger(__name__)

#: What a token's user needs to see in any other way; that of the viewers.
PERMISSIONS = ("feeds.view_feed", "feeds.view_hourlycount")
_LOCAL_HOSTS = frozenset({"", "localhost", "127.0.0.1", "[::1]"})
#: With one of these the peer has only passed the request on.
_PASSED_ON = frozenset(
    {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"}
)


@dataclass(frozen=True)
class MetricsRequest:
    """Request as far as the answer depends on it; header names are in lower case."""

    method: str
    peer: str
    headers: Mapping[str, str] = field(default_factory=dict)


_NO_TOKEN = text_answer(
    401, "Give a token: Authorization: Bearer <token>.", ("WWW-Authenticate", 'Bearer realm="portal"')
)


class MetricsPage:
    """Application that checks the client and shows the registry's metrics."""

    def __init__(
        self,
        *,
        readers: MetricsReaders,
        trusts: Callable[[str | None], bool],
        registry: CollectorRegistry,
        callers: Executor,
        threads: Executor,
    ) -> None:
        """Create the page of one worker.

        Args:
            readers: clients that may read it.
            trusts: tells trusted proxies by their address.
            registry: the metrics.
            callers: threads that look up tokens.
            threads: threads that collect the metrics.
        """
        self._readers = readers
        self._trusts = trusts
        self._registry = registry
        self._callers = callers
        self._threads = threads
        self._repeated = RepeatedFaults(log, settle_seconds=REMIND_AFTER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its body is ignored."""
        answer = await self._answer(asked(scope))
        await send_answer(send, replace(answer, headers=(*answer.headers, ("Cache-Control", "no-store"))))

    async def _answer(self, request: MetricsRequest) -> Answer:
        if request.method not in {"GET", "HEAD"}:
            return text_answer(405, "Use GET.", ("Allow", "GET, HEAD"))
        loop = asyncio.get_running_loop()
        try:
            refusal = self.refusal(request)
            if refusal is None and not self._is_free(request):
                refusal = await loop.run_in_executor(
                    self._callers, _refusal_of_token, request, self._address(request)
                )
            if refusal is not None:
                return refusal
            return await loop.run_in_executor(self._threads, self._metrics, request)
        except Unavailable as fault:
            self._repeated.report("tokens of readers of /metrics", "cannot be looked up", fault)
            return text_answer(503, "Tokens cannot be looked up now. Try again later.")
        except Exception:
            log.exception("/metrics failed")
            return text_answer(500, "Internal error. The log has the details.")

    def refusal(self, request: MetricsRequest) -> Answer | None:
        """Return the refusal of a client, as far as it needs no database."""
        if self._readers == MetricsReaders():
            return text_answer(404, "There is nothing at this address.")
        if self._is_free(request):
            return None
        if not self._readers.token:
            return text_answer(403, "PORTAL_METRICS_READERS does not name your address.")
        return None if bearer_secret(request.headers.get("authorization")) else _NO_TOKEN

    def _is_free(self, request: MetricsRequest) -> bool:
        """Return whether the client needs no token."""
        return (self._readers.local and self._is_local(request)) or self._is_named(request)

    def _is_local(self, request: MetricsRequest) -> bool:
        """Return whether a local program connects directly: no proxy, no web page by DNS rebinding."""
        host = request.headers.get("host", "").lower()
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        passed_on = self._trusts(request.peer) or not _PASSED_ON.isdisjoint(request.headers)
        return is_loopback(request.peer) and not passed_on and name in _LOCAL_HOSTS

    def _is_named(self, request: MetricsRequest) -> bool:
        """Return whether the client's address is in a listed network; False where a proxy hides it."""
        forwarded = request.headers.get("x-forwarded-for", "")
        if self._trusts(request.peer) and not forwarded and not _PASSED_ON.isdisjoint(request.headers):
            return False
        return self._readers.includes(self._address(request))

    def _address(self, request: MetricsRequest) -> str:
        return client_address(request.peer, [request.headers.get("x-forwarded-for", "")], self._trusts)

    def _metrics(self, request: MetricsRequest) -> Answer:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        body = encode(self._registry)
        headers: tuple[tuple[str, str], ...] = (("Content-Type", kind), ("Vary", "Accept, Accept-Encoding"))
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Answer(200, (*headers, ("Content-Encoding", "gzip")), gzip.compress(body, 4))
        return Answer(200, headers, body)


class BuildCollector(Collector):
    """Metric with the versions of the portal and Python."""

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            f"{NAMESPACE}_build_info", "Always 1; the labels say what runs.", labels=["version", "python"]
        )
        build.add_metric([version(), platform.python_version()], 1)
        yield build


def asked(scope: Scope) -> MetricsRequest:
    """Return the parts of a request that the page needs; repeated headers are joined."""
    client = scope.get("client")
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return MetricsRequest(scope["method"], client[0] if client else "", headers)


def _refusal_of_token(request: MetricsRequest, address: str) -> Answer | None:
    """Return the refusal of a token; None if it may read the metrics.

    Raises:
        Unavailable: it cannot be looked up.
    """
    with database():
        token = ApiToken.objects.presented(request.headers.get("authorization"), address)
        if token is None:
            return _NO_TOKEN
        if "read" not in token.scopes or not token.user.has_perms(PERMISSIONS):
            return text_answer(403, "This token or its user may not see feeds and counts.")
    return None
