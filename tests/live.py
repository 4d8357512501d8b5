"""The real server on a real socket, in a thread of the test process, with the test database behind it."""

import contextlib
import dataclasses
import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections

from feeds.models import (
    CertificateRule,
    Feed,
    HourlyCount,
    Receipt,
    ReceiptRule,
    ReceiptRuleStamp,
    RefusalSample,
)
from portal.http.client import TrustedProxies
from portal.models import ApiToken, LoginTry
from portal.server.server import PortalServer, make_config
from portal.server.worker import Worker, make_worker

#: The peer that the server under test believes; everybody else connects from 127.0.0.1.
PROXY = "127.0.0.2"
Headers = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Response:
    """One answer as it came over the wire; header names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    @property
    def stroom_status(self) -> int | None:
        value = self.header("stroom-status")
        return None if value is None else int(value)

    @property
    def outcome(self) -> tuple[int, int | None]:
        return self.status, self.stroom_status

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


class Live:
    """A running server and a small HTTP client that sends exactly what it is told to."""

    def __init__(self, worker: Worker, port: int, server: PortalServer) -> None:
        self.worker = worker
        self.port = port
        self.server = server
        self.store = worker.service.store.root

    def connect(self, peer: str = "127.0.0.1", timeout: float = 20) -> socket.socket:
        """A connection from this address."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout, source_address=(peer, 0))

    def send(
        self,
        path: str = "/datafeed",
        headers: Headers = (),
        body: bytes = b"",
        *,
        method: str = "POST",
        chunked: bool = False,
        peer: str = "127.0.0.1",
    ) -> Response:
        """One request over one connection."""
        return self.exchange(request(path, headers, body, method=method, chunked=chunked), peer=peer)

    def exchange(self, data: bytes, *, peer: str = "127.0.0.1", half_close: bool = False) -> Response:
        """Send these bytes and read the answer to the end of the connection."""
        return parse(self.exchange_all(data, peer=peer, half_close=half_close))

    def exchange_all(self, data: bytes, *, peer: str = "127.0.0.1", half_close: bool = False) -> bytes:
        """Send these bytes and read all that comes back, which may be several answers."""
        with self.connect(peer) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def receipts(self) -> list[Receipt]:
        return list(Receipt.objects.order_by("pk"))

    def files(self) -> list[Path]:
        """What lies in the store: data and metadata, and parts."""
        return sorted(
            path for path in self.store.rglob("*") if path.is_file() and path.name not in {"lock", "health.probe"}
        )

    def data(self, receipt: Receipt) -> bytes:
        return (self.store / receipt.path).read_bytes()

    def stored(self, receipt_id: str) -> bytes:
        """The data that was acknowledged with this id."""
        return self.data(Receipt.objects.get(receipt_id=receipt_id.strip()))

    def counts(self) -> dict[tuple[str, str, int, int], int]:
        """Counts by feed, outcome, HTTP status and Stroom status, after a flush."""
        self.worker.service.counts.flush()
        return {
            (row.feed, row.outcome, row.http_status, row.stroom_status): row.count
            for row in HourlyCount.objects.all()
        }

    def clear(self) -> None:
        """Forget what was received and counted."""
        counts = self.worker.service.counts
        counts.flush()
        counts._hour = datetime.min.replace(tzinfo=UTC)
        Receipt.objects.all().delete()
        HourlyCount.objects.all().delete()
        RefusalSample.objects.all().delete()
        for path in self.files():
            path.unlink()


def request(
    path: str, headers: Headers = (), body: bytes = b"", *, method: str = "POST", chunked: bool = False
) -> bytes:
    """The bytes of a request that ends its connection."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    lines = [f"{method} {path} HTTP/1.1", "Host: somewhere.example.org", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in pairs]
    lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head + (chunks(body) if chunked else body)


def chunks(body: bytes, size: int = 1000) -> bytes:
    """A body in chunks, with its end."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes; a reset ends it too."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            data += piece
    return bytes(data)


def parse(data: bytes) -> Response:
    """Read one answer; interim ones are skipped."""
    while data.startswith(b"HTTP/1.1 1"):
        data = data.partition(b"\r\n\r\n")[2]
    head, separator, body = data.partition(b"\r\n\r\n")
    assert separator, f"no answer, only {data!r}"
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    if ("transfer-encoding", "chunked") in headers:
        body = _joined(body)
    return Response(int(first.split()[1]), headers, body)


def _joined(data: bytes) -> bytes:
    body = bytearray()
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body += data[:length]
        data = data[length + 2 :]
        if not length:
            break
    return bytes(body)


@contextlib.contextmanager
def running(data_dir: Path, **changes: Any) -> Iterator[Live]:
    """Serve from this folder with these settings changed, until the block ends."""
    defaults: dict[str, Any] = {
        "data_dir": data_dir,
        "node_id": "test",
        "min_free_bytes": 0,
        "public_url": "",
        "trusted_proxies": trusted(PROXY),
    }
    environment = dataclasses.replace(settings.ENVIRONMENT, **{**defaults, **changes})
    (data_dir / "store").mkdir(parents=True, exist_ok=True)
    with make_worker(environment) as worker:
        worker.health.check()
        with serving(
            worker.edge,
            worker.stop_taking,
            lambda: worker.receiver.running,
            keepalive_seconds=environment.keepalive_seconds,
        ) as (port, server):
            yield Live(worker, port, server)
        connections.close_all()


@contextlib.contextmanager
def serving(
    app: Any,
    on_stop: Callable[[], None] = lambda: None,
    running: Callable[[], int] = lambda: 0,
    keepalive_seconds: int = 75,
    most_connections: int = sys.maxsize,
) -> Iterator[tuple[int, PortalServer]]:
    """Any ASGI application behind our protocol, on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    listener.settimeout(0)
    server = make_server(app, on_stop, running, keepalive_seconds, most_connections)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    with listener:
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield listener.getsockname()[1], server
        finally:
            server.should_exit = True
            thread.join(timeout=30)


def make_server(
    app: Any,
    on_stop: Callable[[], None],
    running: Callable[[], int],
    keepalive_seconds: int = 75,
    most_connections: int = sys.maxsize,
) -> PortalServer:
    config = make_config(app, log_config=None, timeout_keep_alive=keepalive_seconds, timeout_graceful_shutdown=2)
    return PortalServer(
        config, on_stop=on_stop, running=running, grace_seconds=5, most_connections=most_connections
    )


def trusted(*addresses: str) -> TrustedProxies:
    """The list of trusted proxies as the settings would hold it."""
    return TrustedProxies(tuple(ipaddress.ip_network(address) for address in addresses))


def forget_everything() -> None:
    """Empty the tables that the tests of the wire fill, for the next module."""
    for model in (
        Receipt,
        CertificateRule,
        ReceiptRule,
        ReceiptRuleStamp,
        Feed,
        HourlyCount,
        RefusalSample,
        ApiToken,
        LoginTry,
        User,
    ):
        model.objects.all().delete()
    Feed.history.model.objects.all().delete()
    CertificateRule.history.model.objects.all().delete()
    ReceiptRule.history.model.objects.all().delete()
