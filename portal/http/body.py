"""Reader of request bodies: complete or not at all, within time limits (receipt contract, section 4)."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Where the server puts its `Connection` among the scope's extensions.
EXTENSION = "portal.connection"
RATE_WINDOW_SECONDS = 60.0
MIN_BYTES_PER_SECOND = 1024
LINGER_SECONDS = 1.0


@dataclass
class Connection:
    """Connection of a request, as far as applications use it.

    `gone`: nothing can be written any more. `half_closed`: the client has sent its last byte, so a body that is
    not complete by now never will be, but an answer may still reach it. `spoiled`: behind the request came what is
    none, so the body was longer than announced, or the client does not know what it sends. `endless`: the request
    says nothing about where its body ends, so whatever follows it on the connection is discarded. `whole`: the body
    has arrived to its end, though the application may not have read it yet.
    """

    gone: bool = False
    half_closed: bool = False
    spoiled: bool = False
    endless: bool = False
    whole: bool = False


class Incomplete(Exception):  # names what the body is
    """Error for a body that stays incomplete: the client left, sent less than announced, or is too slow."""


def connection_of(scope: Scope) -> Connection:
    """Return the connection of a request; unknown under another server."""
    extensions = scope.get("extensions") or {}
    found = extensions.get(EXTENSION)
    return found if isinstance(found, Connection) else Connection()


def is_delimited(scope: Scope) -> bool:
    """Return whether a request declares where its body ends, even if wrongly."""
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the first value of a header, by lower-case name."""
    return next((value for key, value in scope["headers"] if key == name), None)


class Body:
    """Body of one request, read piece by piece."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        announced = header(scope, b"content-length")
        self.length = int(announced) if announced is not None else None
        self.expected = bool(self.length) or header(scope, b"transfer-encoding") is not None
        self.received = 0
        self.complete = False
        self.broken = False
        self._connection = connection_of(scope)
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._window_ends = self._loop.time() + RATE_WINDOW_SECONDS
        self._window_bytes = 0

    @property
    def has_arrived(self) -> bool:
        """Whether the whole body can be read without waiting, and nothing is wrong with its end."""
        return self._connection.whole and not self._connection.spoiled

    async def next(self) -> bytes:
        """Return the next piece; empty only at the end.

        Raises:
            Incomplete: there will be no end.
        """
        try:
            return await self._next()
        except Incomplete:
            self.broken = True
            raise

    async def _next(self) -> bytes:
        while not self.complete:
            if self.has_arrived:  # nothing is waited for
                piece = self._take(await self._receive())
                if piece:
                    return piece
                continue
            try:
                async with asyncio.timeout_at(self._window_ends):
                    message = await self._receive()
            except TimeoutError:
                self._judge_window()
                continue
            piece = self._take(message)
            if piece:
                return piece
        return b""

    def excuse(self, seconds: float) -> None:
        """Exclude the time of our own work from the sender's rate."""
        self._window_ends += seconds

    async def drain(self, most: int, seconds: float) -> None:
        """Read and discard the rest up to a limit: many clients read the answer only after they have written.

        At the limit the connection stays open for a moment without being read. Closed at once, with data unread,
        it would be reset, and the reset can overtake the answer: nginx then says 502.
        """
        if self.broken or not self.expected:
            return
        try:
            async with asyncio.timeout(seconds):
                start = self.received
                while not self.complete and self.received - start < most:
                    await self.next()
                if not self.complete:
                    await asyncio.sleep(LINGER_SECONDS)
        except (TimeoutError, Incomplete):
            return

    async def outlast(self) -> None:
        """Keep the connection open for a moment while the server discards what follows a request without a length.

        Closed at once, with data unread, it would be reset, and the reset can overtake the answer.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._connection.half_closed and (await self._receive())["type"] == "http.request":
                    pass

    def _take(self, message: Message) -> bytes:
        if message["type"] != "http.request":
            raise Incomplete("the client went away")
        piece: bytes = message.get("body", b"")
        self.received += len(piece)
        self._window_bytes += len(piece)
        if not message.get("more_body", False):
            self.complete = True
            if self.length is not None and self.received != self.length:
                raise Incomplete("the body does not have the announced length")
            if self._connection.spoiled:
                raise Incomplete("more than the body came")
        elif self._connection.half_closed:
            raise Incomplete("the client closed its side before the end")
        return piece

    def _judge_window(self) -> None:
        if self._window_bytes < RATE_WINDOW_SECONDS * MIN_BYTES_PER_SECOND:
            raise Incomplete("the sender is slower than 1 KB/s")
        self._window_ends = self._loop.time() + RATE_WINDOW_SECONDS
        self._window_bytes = 0
