"""Worker process: composes receiver, feed status, Django and health checks, serves and stops them."""

import logging
import signal
import socket
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.handlers.wsgi import WSGIHandler
from prometheus_client import CollectorRegistry

from codes.pages.warm import Warmer
from codes.release import content_version
from feeds.maintenance.takeover import Takeover
from feeds.monitoring.counts import CountWriter, DeliveryCounts
from feeds.monitoring.health import HealthMonitor
from feeds.monitoring.maintenance_runs import MaintenanceCollector
from feeds.monitoring.metrics import FOLDER, Metrics, of_all_workers, shared_metrics
from feeds.monitoring.snapshot import SnapshotCollector, SnapshotKeeper
from feeds.receipt.app import Receiver
from feeds.receipt.feed_status import FeedStatusApp
from feeds.receipt.pools import ReceiptPools
from feeds.receipt.recording import Committer
from feeds.receipt.service import ReceiptService, ReceiptSettings
from feeds.store.ids import ReceiptIds
from feeds.store.slots import Slot, take_slot
from feeds.store.spool import SpaceMark, StoreFolder
from portal.access.sign_in import is_known, is_signed_in
from portal.access.tokens import BearerOutcome, authenticate_bearer
from portal.database.threads import DatabasePool, database
from portal.environment import Environment
from portal.http.client import client_address
from portal.http.counters import shared_table
from portal.http.limits import COUNTER
from portal.rest.throttling import ReadyThrottle
from portal.server.bridge import DjangoBridge
from portal.server.cache import ResponseCache
from portal.server.edge import Edge
from portal.server.gate import Gate, Rules
from portal.server.lanes import Lane, PagePools
from portal.server.long_polls import LongPolls
from portal.server.metrics_page import BuildCollector, MetricsPage
from portal.server.proxy_probe import PROBE_HEADER, ProxyProbe
from portal.server.routes import Kind, route_of
from portal.server.server import PortalServer, make_config
from portal.server.try_it import TryIt, catalogue_names
from portal.server.worker_limits import WorkerLimits, descriptor_limit, limits_of

log = logging.getLogger(__name__)
_warmer = Warmer()

GRACE_SECONDS = 30.0
CLOSE_SECONDS = 5
#: Archives that wait for each thread that verifies.
WAITING_ARCHIVES = 3
BACKLOG = 2048


@dataclass
class Worker:
    """Parts of one worker process. As a context manager it starts and ends its threads."""

    edge: Edge
    receiver: Receiver
    service: ReceiptService
    health: HealthMonitor
    slot: Slot
    metrics: Metrics
    limits: WorkerLimits
    committer: Committer
    _counts: CountWriter
    _succession: Takeover
    _standing: SnapshotKeeper
    _pools: tuple[DatabasePool, ...]

    def __enter__(self) -> Self:
        self.committer.start()
        self._counts.start()
        self.health.start()
        self._succession.start()
        self._standing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools:
            pool.close()
        self.committer.close()  # records what the pools have prepared
        self.health.stop()
        self._succession.stop()
        self._standing.stop()
        self._counts.stop()
        self.metrics.close()
        self.slot.release()

    def read_catalogue(self) -> None:
        """Begin to read the catalogue into memory, so that the first page does not wait for it."""
        _warmer.is_started = True
        self.receiver.pools.decisions.submit(_catalogue_version)

    def stop_taking(self) -> None:
        """Refuse new deliveries with 503 from now on."""
        self.receiver.stopping = True


def make_worker(environment: Environment) -> Worker:
    """Take a worker's number and create its parts."""
    core = _take_core(environment)
    limits = limits_of(descriptor_limit(), environment.threads)
    pools = _receipt_pools(limits)
    pages = PagePools(environment.threads, limits.side)
    COUNTER.table = shared_table(environment.data_dir)
    service = _receipt_service(environment, core)
    committer = Committer(service.recorder)
    receiver = Receiver(
        service,
        committer=committer,
        pools=pools,
        most_running=limits.uploads,
        most_verifying=limits.verification * (1 + WAITING_ARCHIVES),
    )
    return Worker(
        edge=_edge(environment, core, receiver, pages),
        receiver=receiver,
        service=service,
        health=core.health,
        slot=core.slot,
        metrics=core.metrics,
        limits=limits,
        committer=committer,
        _counts=CountWriter(core.counts),
        _succession=Takeover(core.store.root, core.slot),
        _standing=SnapshotKeeper(environment.data_dir / FOLDER, most_feeds=environment.metrics_feeds),
        _pools=(*pages.all, *pools.all),
    )


@dataclass(frozen=True)
class _Core:
    """Store, worker number and measurements, on which everything else of a worker is built."""

    store: StoreFolder
    slot: Slot
    space: SpaceMark
    metrics: Metrics
    health: HealthMonitor
    counts: DeliveryCounts


def _take_core(environment: Environment) -> _Core:
    """Take a worker's number in the store."""
    store = StoreFolder(environment.data_dir / "store")
    slot = take_slot(store.root)
    space = SpaceMark(store.root, environment.min_free_bytes)
    metrics = _start_measuring(environment, slot)
    health = HealthMonitor(slot.folder, space, metrics, worker=_node(environment, slot))
    return _Core(store, slot, space, metrics, health, DeliveryCounts())


def _node(environment: Environment, slot: Slot) -> str:
    return f"{environment.node_id}-{slot.number}"


def _receipt_pools(limits: WorkerLimits) -> ReceiptPools:
    return ReceiptPools(
        decisions=DatabasePool(limits.decisions, "decision"),
        small=DatabasePool(limits.small, "small"),
        work=DatabasePool(limits.work, "receipt"),
        inflation=DatabasePool(limits.inflation, "inflation"),
        verification=DatabasePool(limits.verification, "verification"),
    )


def _receipt_service(environment: Environment, core: _Core) -> ReceiptService:
    return ReceiptService(
        ReceiptSettings(
            host=environment.node_id,
            trusts=environment.trusted_proxies.trusts,
            identity=environment.identity_headers,
            space=core.space,
            require_verify=environment.require_verify_header,
            public_url=environment.public_url,
            limit=environment.max_receipt_bytes,
            log_deliveries=environment.log_deliveries,
            takes_tokens=environment.sender_tokens,
        ),
        core.store,
        core.slot,
        ReceiptIds(_node(environment, core.slot), since=core.slot.since),
        core.counts,
        on_store_fault=core.health.store_failed,
        on_database_fault=core.health.database_failed,
        metrics=core.metrics,
    )


def _edge(environment: Environment, core: _Core, receiver: Receiver, pages: PagePools) -> Edge:
    """Create the applications of the worker and the edge that chooses among them."""
    decisions = receiver.pools.decisions
    health = core.health
    return Edge(
        receiver=receiver,
        feed_status=FeedStatusApp(
            authenticate=_proxy_check(environment.trusted_proxies.trusts),
            identity=environment.identity_headers,
            decisions=decisions,
            metrics=core.metrics,
            takes_tokens=environment.sender_tokens,
        ),
        try_it=_try_it(environment, decisions),
        metrics=MetricsPage(
            readers=environment.metrics_readers,
            trusts=environment.trusted_proxies.trusts,
            registry=_collected(environment, core),
            callers=pages.callers,
            threads=pages.metrics,
        ),
        ready=_response_cache(environment, decisions, core.metrics),
        gate=Gate(
            DjangoBridge(WSGIHandler(), pages.pages),
            _rules(pages, receiver.pools.work),
            LongPolls(stopping=lambda: receiver.stopping),
        ),
        health=lambda: health.current,
        trusts=environment.trusted_proxies.trusts,
        identity=environment.identity_headers,
        probe=ProxyProbe(environment),
    )


def _try_it(environment: Environment, threads: Executor) -> TryIt:
    return TryIt(
        enabled=environment.try_endpoints,
        names=catalogue_names,
        threads=threads,
        trusts=environment.trusted_proxies.trusts,
        identity=environment.identity_headers,
        require_verify=environment.require_verify_header,
        public_url=environment.public_url,
    )


def _response_cache(environment: Environment, threads: Executor, metrics: Metrics) -> ResponseCache:
    return ResponseCache(
        version=_catalogue_version,
        threads=threads,
        private=[PROBE_HEADER, *filter(None, [environment.signin_header])],
        private_cookies=[settings.SESSION_COOKIE_NAME, CookieStorage.cookie_name],
        metrics=metrics,
        count=ReadyThrottle(trusts=environment.trusted_proxies.trusts, caller=environment.trusted_proxies.caller),
    )


def _rules(pools: PagePools, disk: Executor) -> Rules:
    """Return the rules of the gate, with the threads that answer.

    Passwords of networks without a sign-in so far are checked one at a time, so that strangers neither take
    the processor nor keep waiting those who have.
    """
    lanes = {
        Kind.EXPLAIN: Lane(pools.explain, most=16, most_of_one=8),
        Kind.PASSWORD: Lane(pools.passwords, most=48, most_of_one=2),
    }
    known = Lane(pools.known_passwords, most=48, most_of_one=8)

    def lane(kind: Kind, network: str) -> Lane | None:
        return known if kind is Kind.PASSWORD and is_known(network) else lanes.get(kind)

    return Rules(route=route_of, is_signed_in=is_signed_in, callers=pools.callers, disk=disk, lane=lane)


def _start_measuring(environment: Environment, slot: Slot) -> Metrics:
    metrics = shared_metrics(environment.data_dir / FOLDER, slot.number)
    metrics.starts.inc()
    metrics.workers.set(1)
    return metrics


def _collected(environment: Environment, core: _Core) -> CollectorRegistry:
    """Return the registry of /metrics, which covers all workers."""
    folder = environment.data_dir / FOLDER
    registry = CollectorRegistry()
    registry.register(of_all_workers(folder, core.metrics))
    registry.register(SnapshotCollector(folder, core.space, most_feeds=environment.metrics_feeds))
    registry.register(MaintenanceCollector(environment.data_dir))
    registry.register(BuildCollector())
    return registry


def _ignore_stop_signals() -> None:
    """Ignore the signal that stopped uvicorn, which uvicorn raises once more when it is done."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def serve(
    environment: Environment,
    sockets: list[socket.socket],
    lifeline: int | None,
    *,
    on_started: Callable[[], None] = lambda: None,
    held_open: bool = False,
) -> None:
    """Run one worker until it is stopped.

    Args:
        environment: the settings.
        sockets: listening sockets.
        lifeline: descriptor that becomes readable when the parent process is gone.
        on_started: called once connections are accepted.
        held_open: the sockets outlive the worker (systemd, gunicorn).
    """
    _ignore_stop_signals()

    def started() -> None:
        on_started()
        worker.read_catalogue()

    with make_worker(environment) as worker:
        config = make_config(
            worker.edge,
            log_level="warning",
            backlog=BACKLOG,
            timeout_keep_alive=environment.keepalive_seconds,
            timeout_graceful_shutdown=CLOSE_SECONDS,
        )
        server = PortalServer(
            config,
            on_stop=worker.stop_taking,
            running=lambda: worker.receiver.running,
            grace_seconds=GRACE_SECONDS,
            lifeline=lifeline,
            on_started=started,
            held_open=held_open,
            most_connections=worker.limits.connections,
            trusts=environment.trusted_proxies.trusts,
        )
        server.run(sockets=sockets)


def _catalogue_version() -> Hashable:
    with database():
        version = content_version()
    _warmer.follow(version.load)
    return version


def _proxy_check(trusts: Callable[[str | None], bool]) -> Callable[[str | None, str, str], BearerOutcome]:
    """Return the check of a stroom-proxy's key: its header, our peer, and X-Forwarded-For."""

    def check(authorization: str | None, peer: str, forwarded: str) -> BearerOutcome:
        return authenticate_bearer(authorization, "check", client_address(peer, [forwarded], trusts))

    return check
