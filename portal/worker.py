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
from prometheus_client import CollectorRegistry

from feeds.counting import CountWriter, DeliveryCounts
from feeds.health import HealthMonitor
from feeds.measures import FOLDER, Measures, of_all_workers, shared_measures
from feeds.pools import DatabasePool
from feeds.receipt.app import Receiver
from feeds.receipt.ids import ReceiptIds
from feeds.receipt.service import ReceiptService, ReceiptSettings
from feeds.receipt.slots import Slot, take_slot
from feeds.receipt.spool import SpaceMark, Store
from feeds.standing import StandingCollector
from feeds.wire import Caller, FeedStatusApp
from portal.asgi import Edge
from portal.bridge import DjangoBridge
from portal.environment import Environment
from portal.metrics import BuildCollector, MetricsPage
from portal.server import PortalProtocol, PortalServer
from portal.tokens import BearerOutcome, authenticate_bearer
from portal.tryit import TryIt, catalogue_names

log = logging.getLogger(__name__)

GRACE_SECONDS = 30.0
CLOSE_SECONDS = 5
DECISION_THREADS = 4
WORK_THREADS = 8
BACKLOG = 2048
RESERVED_DESCRIPTORS = 44
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
    measures: Measures
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
        self.measures.close()
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
    measures = _start_measuring(environment, slot)
    health = HealthMonitor(slot.folder, space, measures)
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
        on_database_fault=health.database_failed,
        measures=measures,
    )
    decisions = DatabasePool(DECISION_THREADS, "decision")
    work = DatabasePool(WORK_THREADS, "receipt")
    pages = DatabasePool(environment.threads, "django")
    receiver = Receiver(service, decisions=decisions, work=work, most_running=most_uploads())
    feed_status = FeedStatusApp(
        authenticate=_authenticate,
        identity=environment.identity_headers,
        decisions=decisions,
        measures=measures,
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
        metrics=MetricsPage(
            readers=environment.metrics_readers,
            trusts=trusts,
            registry=_collected(environment, measures, space),
            threads=pages,
        ),
        django=DjangoBridge(WSGIHandler(), pages),
        health=lambda: health.current,
        trusts=trusts,
        identity=environment.identity_headers,
        disk=work,
    )
    return Worker(edge, receiver, service, health, slot, measures, CountWriter(counts), (pages, decisions, work))


def _start_measuring(environment: Environment, slot: Slot) -> Measures:
    measures = shared_measures(environment.data_dir / FOLDER, slot.number)
    measures.starts.inc()
    measures.workers.set(1)
    return measures


def _collected(environment: Environment, measures: Measures, space: SpaceMark) -> CollectorRegistry:
    """Everything that is shown at /metrics, by whichever worker is asked."""
    folder = environment.data_dir / FOLDER
    registry = CollectorRegistry()
    registry.register(of_all_workers(folder, measures))
    registry.register(StandingCollector(folder, space, most_feeds=environment.metrics_feeds))
    registry.register(BuildCollector())
    return registry


def serve(
    environment: Environment, sockets: list[socket.socket], lifeline: int | None, *, held_open: bool = False
) -> None:
    """Run one worker until it is told to stop.

    Args:
        environment: the settings.
        sockets: what to listen on.
        lifeline: descriptor that becomes readable when the parent process is gone.
        held_open: the sockets outlive us (systemd, gunicorn).
    """
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
            held_open=held_open,
            most_connections=most_connections(),
        )
        server.run(sockets=sockets)


def most_uploads() -> int:
    """How many deliveries one worker takes at once: each needs a connection and up to two files."""
    return max(4, min(1000, _free_descriptors() // 3))


def most_connections() -> int:
    """How many connections one worker has at once, so that descriptors are left for the files of its deliveries."""
    return max(8, _free_descriptors() - most_uploads())


def _free_descriptors() -> int:
    """Descriptors that are not needed for databases, sockets and the like."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (1_000_000 if limit == resource.RLIM_INFINITY else limit) - RESERVED_DESCRIPTORS


def _authenticate(authorization: str | None) -> Caller:
    return _CALLERS[authenticate_bearer(authorization, "check")]
