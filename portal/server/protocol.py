"""Protocol of one HTTP connection: uvicorn's, with limits on request heads, offered upgrades and unclear ends.

uvicorn's defaults are wrong for a receiver of data (receipt contract, section 4): a request that offers an upgrade
(`curl --http2`, Java's HttpClient) reaches the application as complete and empty, request heads have no limit, and
the plain 400 carries no Stroom-Status.

Each override says why it exists. What it relies on inside uvicorn is listed in
`tests/portal/server/test_uvicorn_internals.py`; look there first when a new release of uvicorn breaks something.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from feeds.rules.stroom_status import BAD_REQUEST, HEADERS_TOO_LARGE, StroomStatus
from portal.http.body import EXTENSION, Connection, Scope, connection_of, is_delimited
from portal.server.cache import AtOnce
from portal.server.cache_key import CacheRequest
from portal.server.crowd import Waiting
from portal.server.heads import Heads
from portal.server.refusals import refusal

HEAD_LIMIT = 64 * 1024
HEAD_SECONDS = 30.0
#: Bytes of a body within which its sender counts as active.
MOVED_BYTES = 8 * 1024
#: Most bytes without body data while a body is read: chunk sizes, their extensions, trailers.
FRAMING_LIMIT = 64 * 1024

_REQUEST_LINE = re.compile(rb"[!-~]{1,40} (/[!-~]*) HTTP/1\.[01]\r?\n")


class _HeadTooLarge(Exception):  # ends the parser's run; never leaves the protocol
    """Error for a request head above the limit."""


class _Endless(Exception):  # ends the parser's run; never leaves the protocol
    """Error for a request that does not say where its body ends: the bytes after it are no further requests."""


class PortalState(ServerState):
    """State shared by the connections of one server. `on_room` is called when a connection has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.on_room: Callable[[], None] = lambda: None
        self.heads: Heads[tuple[CacheRequest, Any]] = Heads()


class PortalProtocol(HttpToolsProtocol):
    """One connection, with request heads limited in size and time; an offered upgrade is ignored.

    `peer` is the address that was accepted, None on a Unix socket. uvicorn reads it from the socket later, when a
    connection that was reset has none, which would look like a peer on a Unix socket.
    """

    def __init__(self, *args: Any, peer: tuple[str, int] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._peer = peer
        _refuse_trailing_data(self.parser)
        self._connection = Connection()
        self._replaying = False
        #: Whether the parser is between complete requests and has seen no byte of the next.
        self._is_between = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._begin_counts()
        self._bind_application()

    def _begin_counts(self) -> None:
        self._in_head = True
        self._head_seen = self._body_seen = False
        self._packet_bytes = self._field_bytes = self._framing_bytes = 0
        self._moved = self._received = 0
        self._waiting_since = self._paused_since = self._body_since = time.monotonic()

    def _bind_application(self) -> None:
        """Look up what the application answers without a task; a plain ASGI application has none of it."""
        self._demands_length: Callable[[Any], bool] = getattr(self.app, "demands_length", lambda _: False)
        self._at_once: Callable[[Any], AtOnce | None] = getattr(self.app, "at_once", lambda _: None)
        self._again: Callable[[CacheRequest, Any], AtOnce | None] = getattr(self.app, "again", lambda _, __: None)
        self._heads = self.server_state.heads if isinstance(self.server_state, PortalState) else Heads()
        self._answered: list[CacheRequest | None] = []
        self._has_answered = False

    @property
    def is_speaking(self) -> bool:
        """Whether a request is expected: none was seen yet, or the head of the next has begun."""
        is_new = self.cycle is None and not self._has_answered
        return is_new or (self._in_head and self._packet_bytes > 0)

    # Interface for `portal.server.crowd`, which closes connections when there are too many
    @property
    def peer(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def waiting(self) -> tuple[Waiting, float] | None:
        """The wait for the client, and its begin; None while the portal is working."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if self.flow.write_paused:
            return Waiting.READER, self._paused_since
        if self.transport.is_closing():
            return None
        if self._in_head:
            return None if busy else (Waiting.REQUEST, self._waiting_since)
        if self.flow.read_paused:
            return None
        return Waiting.DELIVERY if self._demands_length(self.scope) else Waiting.BODY, self._waiting_since

    @property
    def body(self) -> tuple[int, float] | None:
        """Bytes of the body received, and since when; None while no body is being received."""
        ours = self._in_head or self.flow.read_paused or self.transport.is_closing()
        return None if ours else (self._received, self._body_since)

    def give_way(self) -> None:
        self.transport.abort()

    def _note_body(self, received: int) -> None:
        """Restart the wait for the client when enough of the body has arrived."""
        self._received += received
        self._moved += received
        if self._moved >= MOVED_BYTES:
            self._moved, self._waiting_since = 0, time.monotonic()

    def pause_writing(self) -> None:
        """Note when the client stopped reading; `waiting` reports it, uvicorn keeps no time."""
        self._paused_since = time.monotonic()
        super().pause_writing()

    def on_response_complete(self) -> None:
        """Begin the wait for the next request; `waiting` reports it, uvicorn keeps no time."""
        self._waiting_since = time.monotonic()
        super().on_response_complete()

    # Connection
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Replace the address that uvicorn read from the socket, and limit the time of the first head."""
        super().connection_made(transport)
        self.client = self._peer
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss to the reader of the body, and the free place to the server."""
        self._connection.gone = True
        self._stop_head_timer()
        super().connection_lost(exc)
        if isinstance(self.server_state, PortalState):
            self.server_state.on_room()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn always closes
        """Support half-closed connections: keep the write side open while a response is pending.

        uvicorn returns None, on which asyncio closes the connection.
        """
        if self.cycle is None or self.cycle.response_complete:
            return False
        self._connection.half_closed = True
        self.cycle.keep_alive = False
        self.cycle.message_event.set()
        return True

    def data_received(self, data: bytes) -> None:
        """Replace uvicorn's parsing: it has no limits and drops the body behind an offered upgrade."""
        if self.transport.is_closing() or self._connection.endless:
            return
        self._unset_keepalive_if_required()
        is_idle = self._is_idle
        if is_idle and self._answer_again(data):
            return
        was_in_head = self._in_head
        if was_in_head:
            self._start_head_timer()
        self._head_seen = self._body_seen = False
        self._answered.clear()
        self._feed(data)
        if self.transport.is_closing():
            return
        if is_idle and len(self._answered) == 1 and self._is_idle and (asked := self._answered[0]):
            self._heads.keep(data, self.peer, (asked, self.scope))
        if not self._in_head:
            self._watch_body(len(data))
        elif was_in_head and not self._head_seen:
            self._packet_bytes += len(data)
            if self._packet_bytes > HEAD_LIMIT:
                self._refuse(HEADERS_TOO_LARGE)

    @property
    def _is_idle(self) -> bool:
        """Whether the next byte begins a request that can be answered immediately."""
        busy = self.cycle is not None and not self.cycle.response_complete
        return self._is_between and not (busy or self.pipeline or self.flow.write_paused)

    def _answer_again(self, data: bytes) -> bool:
        """Answer a head that was received before without parsing it, if the response cache has the answer."""
        kept = self._heads.get(data, self.peer)
        answer = self._again(*kept) if kept else None
        if answer is None:
            return False
        self._stop_head_timer()
        self._write_at_once(answer)
        return True

    def _feed(self, data: bytes) -> None:
        """Parse; continue after an offered upgrade as if it were absent.

        The parser stops after such a head and treats the body as another protocol. A new parser gets the same
        framing without the offer, and continues with the body and the requests after it.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.scope["method"] == "CONNECT":
                    self._refuse(BAD_REQUEST)
                    return
                data = self._framing_alone() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                _refuse_trailing_data(self.parser)
                self._replaying = True
            except httptools.HttpParserError:
                if not self.url and (line := _REQUEST_LINE.match(data)):
                    self.url = line[1]  # the parser stops at a method that it does not know
                self._refuse(HEADERS_TOO_LARGE if self._field_bytes > HEAD_LIMIT else BAD_REQUEST)
                return
            else:
                return

    def _framing_alone(self) -> bytes:
        """Return the current request's head with only the fields that say where its body ends."""
        fields = (
            b"%s: %s\r\n" % (name, value)
            for name, value in self.headers
            if name in {b"content-length", b"transfer-encoding"}
        )
        return b"%s / HTTP/1.1\r\n%s\r\n" % (self.scope["method"].encode(), b"".join(fields))

    def _watch_body(self, received: int) -> None:
        """Close the connection on data that no application reads: a body after its answer, or endless trailers."""
        if self.cycle.response_complete:
            self.transport.close()
            return
        self._framing_bytes = 0 if self._body_seen else self._framing_bytes + received
        self._note_body(received)
        if self._framing_bytes > FRAMING_LIMIT:
            self._refuse(BAD_REQUEST)

    # Callbacks of the parser. `_replaying` is set while a new parser repeats the head of `_framing_alone`.
    def on_message_begin(self) -> None:
        """Give the request a `Connection`, from which the reader of its body learns how the connection ended."""
        if self._replaying:
            return
        super().on_message_begin()
        self._is_between = False
        self._field_bytes = 0
        self._connection = Connection()
        extensions: dict[str, Any] = {EXTENSION: self._connection}
        self.scope["extensions"] = extensions

    def on_url(self, url: bytes) -> None:
        """Count the address towards the limit of the head; uvicorn has none."""
        if self._replaying:
            return
        super().on_url(url)
        self._count_field(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the field towards the limit, and drop trailers, which uvicorn appends to the headers."""
        if self._replaying:
            return
        self._count_field(len(name) + len(value) + 4)
        # The decision was made on the head; a trailer must not change its arguments.
        if self._in_head:
            super().on_header(name, value)

    def _count_field(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > HEAD_LIMIT:
            raise _HeadTooLarge

    def on_headers_complete(self) -> None:
        """Start the counts of the body, and note a delivery whose length is not given."""
        if self._replaying:
            self._replaying = False
            return
        self._in_head, self._head_seen = False, True
        self._packet_bytes = self._framing_bytes = self._moved = self._received = 0
        self._waiting_since = self._body_since = time.monotonic()
        self._stop_head_timer()
        super().on_headers_complete()
        self._connection.endless = self._demands_length(self.scope) and not is_delimited(cast("Scope", self.scope))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Answer from the response cache without a task and messages, which cost more than the answer itself."""
        # An immediate answer to an earlier request in the same packet has started the keep-alive timer.
        self._unset_keepalive_if_required()
        simple = cycle.keep_alive and not (self.pipeline or self.flow.write_paused or self.parser.should_upgrade())
        answer = self._at_once(self.scope) if simple else None
        if answer is None:
            super()._start_asgi_task(cycle, app)
            return
        cycle.response_started = cycle.response_complete = True
        self._answered.append(answer.asked)
        self._write_at_once(answer)

    def _write_at_once(self, answer: AtOnce) -> None:
        head = [b"%s: %s\r\n" % field for field in self.server_state.default_headers]
        self.transport.writelines([STATUS_LINE[answer.status], *head, answer.lines, b"\r\n", answer.body])
        self._has_answered = True
        self.on_response_complete()

    def on_body(self, body: bytes) -> None:
        """Note that the packet held body data, for `_watch_body`."""
        self._body_seen = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Mark the body as complete, and stop after one whose end is unclear."""
        if self.parser.should_upgrade():
            return  # only the head is complete: `_feed` continues with the body
        self._in_head = self._is_between = True
        self._connection.whole = True
        super().on_message_complete()
        if self._connection.endless:
            raise _Endless

    # Timeout of the request head
    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_took_too_long)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_took_too_long(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._start_head_timer()  # the answer to the request before this head is still pending
        elif not self.transport.is_closing():
            self.transport.close()

    # Answers without the application
    def send_400_response(self, msg: str) -> None:
        """Answer with a Stroom-Status or a problem of the REST API; uvicorn's plain text has neither."""
        self._refuse(BAD_REQUEST)

    def _refuse(self, status: StroomStatus) -> None:
        """Close the connection, with an answer unless it would be read as part of another one."""
        self._stop_head_timer()
        if self.transport.is_closing() or self._connection.endless:
            return  # the application answers
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy:
            connection_of(cast("Scope", self.cycle.scope)).spoiled = True
        if not (busy and self.cycle.response_started):
            self.transport.write(refusal(status, self.url))
        self.transport.close()


def _refuse_trailing_data(parser: httptools.HttpRequestParser) -> None:
    """Treat data after the last request of a connection as an error, which uvicorn allows.

    The sender meant it as something: as part of a body whose length it did not give, or gave too small. An
    acknowledgement would lose that part (R7). Line ends remain allowed.
    """
    parser.set_dangerous_leniencies(lenient_data_after_close=False)
