"""Senders of every kind, with a good memory of what they were told."""

import contextlib
import gzip
import hashlib
import io
import random
import socket
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from tests.live import Response, chunks, parse
from tests.reliability.portal import OPEN, Portal

#: Every answer that the contract knows for a delivery that does nothing wrong.
DOCUMENTED = {(200, 0), (503, 999), (500, 999)}


@dataclass(frozen=True)
class Parcel:
    """One delivery before it is sent."""

    headers: dict[str, str]
    body: bytes
    chunked: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def request(self, *, keep: bool = False) -> bytes:
        lines = ["POST /datafeed HTTP/1.1", "Host: sender", f"Connection: {'keep-alive' if keep else 'close'}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append("Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {len(self.body)}")
        body = chunks(self.body, 50_000) if self.chunked else self.body
        return "\r\n".join([*lines, "", ""]).encode() + body


def parcel(chance: random.Random, largest: int = 300_000) -> Parcel:
    """Any kind of delivery; no two have the same content."""
    size = chance.choice([1, 40, 2000, 30_000, largest]) + chance.randrange(40)
    content = chance.randbytes(size)
    chunked = chance.random() < 0.5
    kind = chance.choice(["plain", "plain", "gzip", "zip"])
    if kind == "gzip":
        return Parcel({**OPEN, "Compression": "GZIP"}, gzip.compress(content, 1), chunked)
    if kind == "zip":
        packed = zipped(("1.meta", b"System: S\n"), ("1.dat", content))
        return Parcel({**OPEN, "Compression": "ZIP"}, packed, chunked)
    return Parcel(OPEN, content, chunked)


def zipped(*entries: tuple[str, bytes], stored: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


@dataclass
class Book:
    """What all senders of a load were told."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    outcomes: Counter[tuple[int, int | None]] = field(default_factory=Counter)
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, sent: Parcel, answer: Response | None) -> None:
        with self.lock:
            if answer is None:
                self.unanswered += 1
                return
            self.outcomes[answer.outcome] += 1
            if answer.outcome == (200, 0):
                self.acknowledged[answer.text.strip()] = sent.sha256
            elif answer.outcome not in DOCUMENTED:
                self.wrong.append(answer.text)

    @property
    def sent(self) -> int:
        return self.unanswered + sum(self.outcomes.values())


class Load:
    """Senders that deliver again and again until the block ends."""

    def __init__(
        self,
        portal: Portal,
        book: Book,
        *,
        senders: int = 4,
        seed: int = 0,
        largest: int = 300_000,
        patience: float = 30,
    ) -> None:
        """Make the senders.

        Args:
            portal: where they deliver to.
            book: where they write down what they are told.
            senders: how many.
            seed: of what they send.
            largest: bytes of their largest deliveries before packing.
            patience: seconds to wait for an answer.
        """
        self._portal = portal
        self._book = book
        self._patience = patience
        self._largest = largest
        self._stop = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed * 1000 + number),), daemon=True)
            for number in range(senders)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def hang_up(self) -> None:
        """Nobody will answer any more: read what has arrived and wait for nothing."""
        self._stop.set()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def _run(self, chance: random.Random) -> None:
        while not self._stop.is_set():
            sent = parcel(chance, self._largest)
            answer = deliver(self._portal, sent, self._patience, self._open)
            self._book.note(sent, answer)
            if answer is None:
                time.sleep(0.01)


def deliver(
    portal: Portal, sent: Parcel, seconds: float = 30, connections: set[socket.socket] | None = None
) -> Response | None:
    """Send one delivery on a connection of its own; None where no whole answer came.

    Args:
        portal: where to.
        sent: what.
        seconds: to wait for each step.
        connections: holds the connection as long as it is open.
    """
    held = set() if connections is None else connections
    try:
        with portal.connect(seconds) as connection:
            held.add(connection)
            try:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(sent.request())
                return whole_answer(b"".join(received(connection)))
            finally:
                held.discard(connection)
    except OSError:
        return None


def received(connection: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            yield piece


def whole_answer(data: bytes) -> Response | None:
    """An answer that arrived to its end: a sender that sees less must not take it for a success."""
    if b"\r\n\r\n" not in data:
        return None
    answer = parse(data)
    length = answer.header("content-length")
    return answer if length is not None and len(answer.body) == int(length) else None
