"""One server process: receiver, feed status, Django and health checks put together, served, and stopped."""

import logging
import resource
import signal
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import uvicorn
from django.core.handlers.wsgi import WSGIHandler

from feeds.counting import CountWriter, DeliveryCounts
from feeds.health import HealthMonitor
from feeds.pools import DatabasePool
from feeds.receipt.app import Receiver
from feeds.receipt.ids import ReceiptIds
from feeds.receipt.service import ReceiptService, ReceiptSettings
from feeds.receipt.slots import Slot, take_slot
from feeds.receipt.spool import SpaceMark, Store
from feeds.wire import Caller, FeedStatusApp
from portal.asgi import Edge
from portal.bridge import DjangoBridge
from portal.environment import Environment
from portal.server import PortalProtocol, PortalServer
from portal.tokens import BearerOutcome, authenticate_bearer
from portal.tryit import TryIt, catalogue_names

log = logging.getLogger(__name__)

GRACE_SECONDS = 30.0
CLOSE_SECONDS = 5
DECISION_THREADS = 4
WORK_THREADS = 8
BACKLOG = 2048
_CALLERS = {
    BearerOutcome.ALLOWED: Caller.ALLOWED,
    BearerOutcome.UNKNOWN: Caller.UNKNOWN,
    BearerOutcome.MISSING_SCOPE: Caller.MISSING_SCOPE,
}


@dataclass
class Worker:
    """Everything that one process runs. As a context manager it starts and ends its threads."""

    edge: Edge
    receiver: Receiver
    service: ReceiptService
    health: HealthMonitor
    slot: Slot
    _counts: CountWriter
    _pools: tuple[DatabasePool, ...]

    def __enter__(self) -> Self:
        self._counts.start()
        self.health.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools:
            pool.close()
        self.health.stop()
        self._counts.stop()
        self.slot.release()

    def stop_taking(self) -> None:
        """From now on new deliveries are told to come back later."""
        self.receiver.stopping = True


def make_worker(environment: Environment) -> Worker:
    """Take a worker's number and put its parts together."""
    store = Store(environment.data_dir / "store")
    slot = take_slot(store.root)
    node = f"{environment.node_id}-{slot.number}"
    space = SpaceMark(store.root, environment.min_free_bytes)
    health = HealthMonitor(slot.folder, space)
    counts = DeliveryCounts()
    trusts = environment.trusted_proxies.trusts
    service = ReceiptService(
        ReceiptSettings(
            host=environment.node_id,
            trusts=trusts,
            identity=environment.identity_headers,
            space=space,
            require_verify=environment.require_verify_header,
            public_url=environment.public_url,
            limit=environment.max_receipt_bytes,
        ),
        store,
        slot,
        ReceiptIds(node),
        counts,
        on_store_fault=health.store_failed,
    )
    decisions = DatabasePool(DECISION_THREADS, "decision")
    work = DatabasePool(WORK_THREADS, "receipt")
    pages = DatabasePool(environment.threads, "django")
    receiver = Receiver(service, decisions=decisions, work=work, most_running=most_uploads())
    feed_status = FeedStatusApp(
        authenticate=_authenticate, identity=environment.identity_headers, decisions=decisions
    )
    edge = Edge(
        receiver=receiver,
        feed_status=feed_status,
        try_it=TryIt(
            enabled=environment.try_endpoints,
            names=catalogue_names,
            threads=decisions,
            trusts=trusts,
            identity=environment.identity_headers,
            require_verify=environment.require_verify_header,
            public_url=environment.public_url,
        ),
        django=DjangoBridge(WSGIHandler(), pages),
        health=lambda: health.current,
        trusts=trusts,
        identity=environment.identity_headers,
        disk=work,
    )
    return Worker(edge, receiver, service, health, slot, CountWriter(counts), (pages, decisions, work))


def serve(environment: Environment, sockets: list[socket.socket], lifeline: int | None) -> None:
    """Run one worker until it is told to stop."""
    # uvicorn raises the signal that stopped it once more when it is done: there is no one left to be told.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    with make_worker(environment) as worker:
        config = uvicorn.Config(
            worker.edge,
            http=PortalProtocol,
            loop="uvloop",
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_level="warning",
            backlog=BACKLOG,
            timeout_graceful_shutdown=CLOSE_SECONDS,
        )
        server = PortalServer(
            config,
            on_stop=worker.stop_taking,
            running=lambda: worker.receiver.running,
            grace_seconds=GRACE_SECONDS,
            lifeline=lifeline,
        )
        server.run(sockets=sockets)


def most_uploads() -> int:
    """How many deliveries one worker takes at once: each needs a connection and up to two files."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = 40
    if limit == resource.RLIM_INFINITY:
        return 1000
    return max(4, min(1000, (limit - spare) // 3))


def _authenticate(authorization: str | None) -> Caller:
    return _CALLERS[authenticate_bearer(authorization, "check")]
