"""What this portal needs of uvicorn beyond its defaults: one connection's protocol, and a graceful stop.

Three things are wrong by default for a receiver of data (receipt contract, section 4): a request that offers an
upgrade (`curl --http2`, Java's HttpClient) reaches the application as complete and empty, request heads have no
limit, and the bare 400 carries no Stroom-Status.
"""

import asyncio
import json
import logging
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection
from functools import partial
from types import FrameType
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from feeds.receipt.answers import framing_answer
from feeds.rules.stroom_status import BAD_REQUEST, HEADERS_TOO_LARGE, StroomStatus
from portal.http.body import EXTENSION, Connection, Scope, connection_of, is_delimited
from portal.http.request_ids import request_id
from portal.rest.problems import API_PREFIX, PROBLEM_TYPE, problem_body
from portal.server.cache import Asked, AtOnce
from portal.server.crowd import Crowd, Member, Waiting
from portal.server.heads import Heads
from portal.server.supervisor import SUCCEEDED

log = logging.getLogger(__name__)

HEAD_LIMIT = 64 * 1024
HEAD_SECONDS = 30.0
#: With the socket held open: how long a connection may take to begin its first request when we stop, and how long
#: connections that are just being let in take to show up.
LATE_SECONDS = 5.0
SETTLE_SECONDS = 0.2
ACCEPT_PAUSE_SECONDS = 0.1
#: Bytes of a body that show that its sender is at work.
MOVED_BYTES = 8 * 1024
#: Bytes between two pieces of body that are neither: chunk sizes, their extensions, trailers.
FRAMING_LIMIT = 64 * 1024

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
#: Longest time that a worker with successors lets its requests go on; none that is fast enough to be kept needs it.
SUCCESSION_SECONDS = 6 * 3600.0

_API = API_PREFIX.encode() + b"v1/"
_REQUEST_LINE = re.compile(rb"[!-~]{1,40} (/[!-~]*) HTTP/1\.[01]\r?\n")
_STATUS_LINES = {
    400: b"HTTP/1.1 400 Bad Request\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
}


class _HeadTooLarge(Exception):  # ends the parser's run; never leaves the protocol
    """The request's head is over the limit."""


class _Endless(Exception):  # ends the parser's run; never leaves the protocol
    """The request does not say where its body ends: what follows is none of the requests behind it."""


class PortalProtocol(HttpToolsProtocol):
    """One connection: heads are limited in size and time, an offered upgrade is as if it were absent.

    `peer` is the address that came with the connection, None on a Unix socket. uvicorn asks the socket for it
    later, and a connection that is reset by then has none: it would pass for a peer on a Unix socket.
    """

    def __init__(self, *args: Any, peer: tuple[str, int] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._peer = peer
        _demand_order(self.parser)
        self._connection = Connection()
        self._in_head = True
        self._replaying = False
        self._packet_bytes = 0
        self._field_bytes = 0
        self._framing_bytes = 0
        self._body_seen = False
        self._head_seen = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._waiting_since = self._paused_since = time.monotonic()
        self._moved = self._received = 0
        self._body_since = self._waiting_since
        self._demands_length: Callable[[Any], bool] = getattr(self.app, "demands_length", lambda _: False)
        self._at_once: Callable[[Any], AtOnce | None] = getattr(self.app, "at_once", lambda _: None)
        self._again: Callable[[Asked, Any], AtOnce | None] = getattr(self.app, "again", lambda _, __: None)
        self._heads = self.server_state.heads if isinstance(self.server_state, PortalState) else Heads()
        self._answered: list[Asked | None] = []
        self._has_answered = False
        #: Whether the parser has seen a whole request, or none, and not a byte of the next.
        self._is_between = True

    @property
    def is_speaking(self) -> bool:
        """Whether a request is to be expected: none was seen yet, or the head of the next has begun."""
        is_new = self.cycle is None and not self._has_answered
        return is_new or (self._in_head and self._packet_bytes > 0)

    # What the crowd asks
    @property
    def peer(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def waiting(self) -> tuple[Waiting, float] | None:
        """What is waited for, and since when; None while it is our turn."""
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
        """Bytes of the body that have come, and since when; None while none is on its way."""
        ours = self._in_head or self.flow.read_paused or self.transport.is_closing()
        return None if ours else (self._received, self._body_since)

    def give_way(self) -> None:
        self.transport.abort()

    def _note_body(self, received: int) -> None:
        """A body that moves fast enough is not waited for."""
        self._received += received
        self._moved += received
        if self._moved >= MOVED_BYTES:
            self._moved, self._waiting_since = 0, time.monotonic()

    def pause_writing(self) -> None:
        self._paused_since = time.monotonic()
        super().pause_writing()

    def on_response_complete(self) -> None:
        self._waiting_since = time.monotonic()
        super().on_response_complete()

    # Connection
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self.client = self._peer
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.gone = True
        self._stop_head_timer()
        super().connection_lost(exc)
        if isinstance(self.server_state, PortalState):
            self.server_state.on_room()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn always closes
        """Keep the way back open where an answer is owed; asyncio closes the connection on False."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        self._connection.half_closed = True
        self.cycle.keep_alive = False
        self.cycle.message_event.set()
        return True

    def data_received(self, data: bytes) -> None:
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
        """Whether the next byte begins a request, and nothing is in the way of its answer."""
        busy = self.cycle is not None and not self.cycle.response_complete
        return self._is_between and not (busy or self.pipeline or self.flow.write_paused)

    def _answer_again(self, data: bytes) -> bool:
        """Answer a head that came before without parsing it, where its answer is in the response cache."""
        kept = self._heads.get(data, self.peer)
        answer = self._again(*kept) if kept else None
        if answer is None:
            return False
        self._stop_head_timer()
        self._write_at_once(answer)
        return True

    def _feed(self, data: bytes) -> None:
        """Parse, reading on behind an offered upgrade as if it had not been made.

        There the parser stops after the head and would take the body for another protocol. A new one is given the
        same framing without the offer, so that it goes on with the body and with the requests behind it.
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
                _demand_order(self.parser)
                self._replaying = True
            except httptools.HttpParserError:
                if not self.url and (line := _REQUEST_LINE.match(data)):
                    self.url = line[1]  # the parser stops at a method that it does not know
                self._refuse(HEADERS_TOO_LARGE if self._field_bytes > HEAD_LIMIT else BAD_REQUEST)
                return
            else:
                return

    def _framing_alone(self) -> bytes:
        """The current request's head with nothing but what says where its body ends."""
        fields = (
            b"%s: %s\r\n" % (name, value)
            for name, value in self.headers
            if name in {b"content-length", b"transfer-encoding"}
        )
        return b"%s / HTTP/1.1\r\n%s\r\n" % (self.scope["method"].encode(), b"".join(fields))

    def _watch_body(self, received: int) -> None:
        """Close on what no application will read: a body behind its answer, or endless trailers."""
        if self.cycle.response_complete:
            self.transport.close()
            return
        self._framing_bytes = 0 if self._body_seen else self._framing_bytes + received
        self._note_body(received)
        if self._framing_bytes > FRAMING_LIMIT:
            self._refuse(BAD_REQUEST)

    # What the parser found
    def on_message_begin(self) -> None:
        if self._replaying:
            return
        super().on_message_begin()
        self._is_between = False
        self._field_bytes = 0
        self._connection = Connection()
        extensions: dict[str, Any] = {EXTENSION: self._connection}
        self.scope["extensions"] = extensions

    def on_url(self, url: bytes) -> None:
        if self._replaying:
            return
        super().on_url(url)
        self._count_field(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._replaying:
            return
        self._count_field(len(name) + len(value) + 4)
        # A trailer is not an argument: the decision was made on the head.
        if self._in_head:
            super().on_header(name, value)

    def _count_field(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > HEAD_LIMIT:
            raise _HeadTooLarge

    def on_headers_complete(self) -> None:
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
        """Answer here and now where the application has the answer ready: no task, no messages."""
        self._unset_keepalive_if_required()  # armed by an answer at once to a request before this in its packet
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
        self._body_seen = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # only the head is complete: `_ignore_upgrade` reads the body
        self._in_head = self._is_between = True
        self._connection.whole = True
        super().on_message_complete()
        if self._connection.endless:
            raise _Endless

    # Heads that take too long
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
            self._start_head_timer()  # an answer is still owed to the request before this head
        elif not self.transport.is_closing():
            self.transport.close()

    # Answers that no application gives
    def send_400_response(self, msg: str) -> None:  # uvicorn's own wording is not for senders
        self._refuse(BAD_REQUEST)

    def _refuse(self, status: StroomStatus) -> None:
        """Say why, where the answer cannot be taken for part of another one, and close."""
        self._stop_head_timer()
        if self.transport.is_closing() or self._connection.endless:
            return  # the application is about to say what is wrong
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy:
            connection_of(cast("Scope", self.cycle.scope)).spoiled = True
        if not (busy and self.cycle.response_started):
            headers, body = api_answer(status) if self.url.startswith(_API) else framing_answer(status)
            fields = b"".join(b"%s: %s\r\n" % field for field in headers)
            self.transport.write(b"%s%sconnection: close\r\n\r\n%s" % (_STATUS_LINES[status.http], fields, body))
        self.transport.close()


def _demand_order(parser: httptools.HttpRequestParser) -> None:
    """Take nothing for good that follows the last request of a connection.

    uvicorn overlooks it. But the sender meant it for something: for a part of a body of which it told no length, or
    too small a one, and an acknowledgement would lose that (R7). Line ends are overlooked all the same.
    """
    parser.set_dangerous_leniencies(lenient_data_after_close=False)


def api_answer(status: StroomStatus) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """What is no request, or has too large a head, in the shape of the REST API for who asked that."""
    reason = status.explanation.replace(" Nothing was stored.", "")
    given = request_id(b"")
    body = json.dumps(problem_body(status.http, reason, path="", request_id=given.decode())).encode()
    length = str(len(body)).encode()
    fields = [(b"content-type", PROBLEM_TYPE.encode()), (b"content-length", length), (b"x-request-id", given)]
    return fields, body


def make_config(app: Any, **others: Any) -> uvicorn.Config:
    """How uvicorn runs an application of ours; nothing of this is anybody's choice."""
    return uvicorn.Config(
        app,
        http=PortalProtocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        workers=1,  # otherwise uvicorn reads WEB_CONCURRENCY, and fails where that is no number
        proxy_headers=False,
        server_header=False,
        access_log=False,
        **others,
    )


class PortalState(ServerState):
    """What the connections of one server share. `on_room` is called when one of them has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.on_room: Callable[[], None] = lambda: None
        self.heads: Heads[tuple[Asked, Any]] = Heads()


class PortalServer(uvicorn.Server):
    """Stops gracefully: deliveries that are running finish, and those that begin meanwhile are told 503.

    uvicorn by itself closes its listening socket first, so that a sender would see a refused connection, or,
    with several workers on one socket, wait for an answer that never comes.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_stop: Callable[[], None],
        running: Callable[[], int],
        grace_seconds: float,
        lifeline: int | None = None,
        on_started: Callable[[], None] = lambda: None,
        held_open: bool = False,
        most_connections: int = sys.maxsize,
        trusts: Callable[[str | None], bool] = lambda _: False,
    ) -> None:
        """Make the server of one worker.

        Args:
            on_stop: called once when the stop begins; from then on new deliveries must be refused.
            running: how many deliveries are running.
            grace_seconds: how long they may go on.
            lifeline: descriptor that becomes readable when the parent process is gone.
            on_started: called once connections are accepted.
            held_open: the listening socket outlives us, so that who comes while we stop waits for our successor.
            most_connections: how many at once; those beyond wait to be let in, so that descriptors are left for
                files, and senders are served late instead of being refused.
            trusts: says of an address whether it is a trusted proxy, whose connections never give way.
        """
        super().__init__(config)
        self._state = PortalState()
        self.server_state = self._state
        self._crowd = Crowd(most_connections, trusts=trusts, now=time.monotonic)
        self._listeners: list[socket.socket] = []
        self._arriving: set[asyncio.Task[Any]] = set()
        self._is_full = False
        self._state.on_room = self._make_room
        self._held_open = held_open
        self._has_successor = self._must_stop = False
        self._on_started = on_started
        self._on_stop = on_stop
        self._running = running
        self._grace_seconds = grace_seconds
        self._lifeline = lifeline

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the given sockets; unlike uvicorn's own way, only as fast as there is room."""
        await self.lifespan.startup()
        self.servers = []
        self._listeners = list(sockets or [])
        for listener in self._listeners:
            self._await_arrivals(listener)
        self.started = True
        # The parent holds them back until there is someone to handle them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        if self._lifeline is not None:
            asyncio.get_running_loop().add_reader(self._lifeline, self._parent_is_gone, self._lifeline)
            signal.signal(SUCCEEDED, self._leave_to_successor)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {SUCCEEDED})
        self._on_started()

    def _await_arrivals(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Let one connection in. Not a coroutine: cancelled it would lose who was just let in."""
        loop = asyncio.get_running_loop()
        count = len(self._state.connections) + len(self._arriving)
        if self._crowd.is_dense(count):
            self._crowd.thin(cast("Collection[Member]", self._state.connections), count)
        if count >= self._crowd.most:
            self._is_full = True
            loop.remove_reader(listener.fileno())
            loop.call_later(ACCEPT_PAUSE_SECONDS, self._make_room)
            return
        try:
            connection, address = listener.accept()
        except BlockingIOError:
            return  # another worker was faster
        except OSError as fault:
            # Out of descriptors, or the client left while it waited.
            log.warning("a connection could not be accepted: %s", fault)
            loop.remove_reader(listener.fileno())
            loop.call_later(ACCEPT_PAUSE_SECONDS, self._await_arrivals, listener)
            return
        connection.setblocking(False)  # noqa: FBT003  # its only argument
        peer = None if listener.family == socket.AF_UNIX else (str(address[0]), int(address[1]))
        arriving = loop.create_task(loop.connect_accepted_socket(partial(self._protocol, peer), connection))
        self._arriving.add(arriving)
        arriving.add_done_callback(self._arriving.discard)

    def _make_room(self) -> None:
        """A connection has ended: the next may come."""
        if self._is_full:
            self._is_full = False
            for listener in self._listeners:
                self._await_arrivals(listener)

    def _protocol(self, peer: tuple[str, int] | None) -> asyncio.Protocol:
        return PortalProtocol(
            peer=peer, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def _stop_accepting(self) -> None:
        """Let nobody in any more; who is just coming in still arrives."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        self._listeners = []
        await asyncio.gather(*self._arriving, return_exceptions=True)

    def _parent_is_gone(self, lifeline: int) -> None:
        asyncio.get_running_loop().remove_reader(lifeline)
        self._on_stop()
        self.should_exit = self._must_stop = True

    def _leave_to_successor(self, _: int, __: FrameType | None) -> None:
        """Begin the stop of a worker whose successors accept connections already (signal handler)."""
        self.should_exit = self._has_successor = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._must_stop = True
        if not self._held_open and not self._has_successor:
            self._on_stop()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._held_open or self._has_successor:
            await self._stop_accepting()
            await self._hear_newcomers()
            if self._has_successor:
                await self._finish_requests()
            self._on_stop()
        deadline = time.monotonic() + self._grace_seconds
        while self._running() and not self.force_exit and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await self._stop_accepting()
        await super().shutdown(sockets)

    async def _finish_requests(self) -> None:
        """Close each connection after the answer that is due: whoever comes again meets a successor.

        Nobody waits for this worker's end, so a slow upload may take its time.
        """
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline = time.monotonic() + SUCCESSION_SECONDS
        while self.server_state.connections and not self._must_stop and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    async def _hear_newcomers(self) -> None:
        """Who was let in before the door closed has a moment to say what for, and is served."""
        deadline = time.monotonic() + LATE_SECONDS
        await asyncio.sleep(SETTLE_SECONDS)
        while time.monotonic() < deadline and any(
            isinstance(connection, PortalProtocol) and connection.is_speaking
            for connection in self.server_state.connections
        ):
            await asyncio.sleep(0.05)
