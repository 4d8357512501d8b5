"""The uvicorn server of one worker: accepts connections while there is room, and stops gracefully."""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn

from portal.server.crowd import Crowd, Member
from portal.server.protocol import PortalProtocol, PortalState
from portal.server.supervisor import SUCCEEDED

log = logging.getLogger(__name__)

#: At a stop with the socket held open: the time that a new connection has to begin its first request, and the time
#: that connections being accepted need to appear.
LATE_SECONDS = 5.0
SETTLE_SECONDS = 0.2
ACCEPT_PAUSE_SECONDS = 0.1

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
#: Longest time that a replaced worker lets its requests run; no request at the lowest allowed speed needs it.
SUCCESSION_SECONDS = 6 * 3600.0


def make_config(app: Any, **others: Any) -> uvicorn.Config:
    """Return uvicorn's configuration for an application of the portal; none of it is a setting."""
    return uvicorn.Config(
        app,
        http=PortalProtocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        workers=1,  # by default uvicorn reads WEB_CONCURRENCY, and fails if it is not a number
        proxy_headers=False,
        server_header=False,
        access_log=False,
        **others,
    )


class PortalServer(uvicorn.Server):
    """uvicorn's server with a graceful stop: running deliveries finish, and new ones get 503.

    uvicorn closes its listening socket first. A sender would see a refused connection or, with several workers on
    one socket, wait for an answer that never comes.
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
            on_stop: called when the stop begins; new deliveries must be refused from then on.
            running: returns the number of running deliveries.
            grace_seconds: time that running deliveries have to finish.
            lifeline: descriptor that becomes readable when the parent process is gone.
            on_started: called once connections are accepted.
            held_open: the listening socket outlives this process; new connections wait for the next one.
            most_connections: limit of open connections. Further ones wait to be accepted, which leaves descriptors
                for files; their senders are served late instead of being refused.
            trusts: returns whether an address is a trusted proxy, whose connections are never closed for others.
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
        """Accept connections while there is room; asyncio's own server accepts without a limit."""
        await self.lifespan.startup()
        self.servers = []
        self._listeners = list(sockets or [])
        for listener in self._listeners:
            self._await_arrivals(listener)
        self.started = True
        # The parent has blocked these signals until there is a handler.
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
        """Accept one connection. Not a coroutine: a cancelled one would lose the connection just accepted."""
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
            return  # another worker accepted it
        except OSError as fault:
            # No descriptors left, or the client closed the connection while it waited.
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
        """Accept again after a connection has ended."""
        if self._is_full:
            self._is_full = False
            for listener in self._listeners:
                self._await_arrivals(listener)

    def _protocol(self, peer: tuple[str, int] | None) -> asyncio.Protocol:
        return PortalProtocol(
            peer=peer, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def _stop_accepting(self) -> None:
        """Stop accepting; wait for the connections that were already accepted."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        self._listeners = []
        await asyncio.gather(*self._arriving, return_exceptions=True)

    def _parent_is_gone(self, lifeline: int) -> None:
        asyncio.get_running_loop().remove_reader(lifeline)
        self._on_stop()
        self.should_exit = self._must_stop = True

    def _leave_to_successor(self, _: int, __: FrameType | None) -> None:
        """Start the stop of a worker that has been replaced: its successors already accept (signal handler)."""
        self.should_exit = self._has_successor = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Refuse new deliveries from the signal on; with the socket held open, `shutdown` does so later."""
        self._must_stop = True
        if not self._held_open and not self._has_successor:
            self._on_stop()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running deliveries finish before uvicorn closes sockets and connections."""
        if self._held_open or self._has_successor:
            await self._stop_accepting()
            await self._serve_new_connections()
            if self._has_successor:
                await self._finish_requests()
            self._on_stop()
        deadline = time.monotonic() + self._grace_seconds
        while self._running() and not self.force_exit and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await self._stop_accepting()
        await super().shutdown(sockets)

    async def _finish_requests(self) -> None:
        """Close each connection after its pending answer; a client that connects again reaches a successor.

        The successors already serve, so a slow upload may take as long as it needs.
        """
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline = time.monotonic() + SUCCESSION_SECONDS
        while self.server_state.connections and not self._must_stop and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    async def _serve_new_connections(self) -> None:
        """Give connections that were accepted last a moment to send their request, and serve it."""
        deadline = time.monotonic() + LATE_SECONDS
        await asyncio.sleep(SETTLE_SECONDS)
        while time.monotonic() < deadline and any(
            isinstance(connection, PortalProtocol) and connection.is_speaking
            for connection in self.server_state.connections
        ):
            await asyncio.sleep(0.05)
