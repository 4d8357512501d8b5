"""Waits at start for temporary faults to end: an unreachable database, a full disk.

Meanwhile requests are answered at once: deliveries get 503 with Retry-After (
Stroom-Status 999 and Retry-After), and `/livez` says that the process lives.
"""

import asyncio
import errno
import logging
import re
import socket
import threading
import time
from collections.abc import Callable

from django.db import OperationalError, connections

from feeds.receipt.answers import framing_answer
from feeds.rules.stroom_status import UNAVAILABLE
from portal.command_line import explain
from portal.repeated import RepeatedFaults

log = logging.getLogger("portal.start")

PAUSE_SECONDS = 2.0
HEAD_SECONDS = 10.0
HEAD_LIMIT = 64 * 1024
#: Read behind the answer, so that a sender that still writes sees it instead of a reset connection.
LINGER_SECONDS = 2.0
LINGER_BYTES = 1024 * 1024
_LIVEZ = re.compile(rb"(?:GET|HEAD) /livez[ ?]")
#: A database that is there and refuses: waiting would not help, its settings have to be mended.
_REFUSALS = re.compile(r"authentication failed|does not exist|no pg_hba\.conf entry|permission denied|no password")
#: What passes in SQLite. Everything else of it is a fault of the file or of its place.
_PASSING_IN_SQLITE = ("is locked", "is full", "disk I/O error")


def wait_until_done(work: Callable[[], None], listener: socket.socket | None = None) -> None:
    """Run `work`, and repeat it while it fails for a temporary reason; log the reason once a minute.

    Args:
        work: may be done again after it has failed half-way.
        listener: callers that come here meanwhile are answered.
    """
    repeated = RepeatedFaults(log)
    room = StartingAnswers(listener)
    try:
        while True:
            try:
                work()
            except (OperationalError, OSError) as fault:
                if not passes(fault):
                    raise
                repeated.report("start", f"waiting, because {explain(fault) or 'it fails'}", fault)
                room.open()
            else:
                return
            connections.close_all()
            time.sleep(PAUSE_SECONDS)
    finally:
        room.close()


def passes(fault: Exception) -> bool:
    """Return whether the fault may end without a change on this side."""
    if isinstance(fault, OSError):
        return fault.errno in {errno.ENOSPC, errno.EDQUOT}
    text = str(fault)
    if connections["default"].vendor == "sqlite":
        return any(part in text for part in _PASSING_IN_SQLITE)
    return bool(explain(fault)) and not _REFUSALS.search(text)


class StartingAnswers:
    """Thread that answers every request with 503 until the portal has started."""

    def __init__(self, listener: socket.socket | None) -> None:
        self._listener = listener
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start to answer, unless it has started already."""
        if self._listener is None or self._thread is not None:
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._listener.dup(),), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread. The listening socket stays open, and new connections wait for the portal."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._thread = None

    def _run(self, listener: socket.socket) -> None:
        listener.setblocking(False)  # noqa: FBT003  # its only argument
        try:
            self._loop.create_task(asyncio.start_server(_answer, sock=listener, limit=HEAD_LIMIT))
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(_end_all())
            self._loop.close()
            listener.close()


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
        writer.write(_response(head))
        writer.write_eof()
        await asyncio.wait_for(_read_away(reader), LINGER_SECONDS)
    except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError):
        pass
    finally:
        writer.close()


def _response(head: bytes) -> bytes:
    if _LIVEZ.match(head):
        status, body = b"200 OK", b'{"status": "UP"}\n'
        fields = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    else:
        status = b"503 Service Unavailable"
        fields, body = framing_answer(UNAVAILABLE)
    lines = b"".join(b"%s: %s\r\n" % field for field in [*fields, (b"connection", b"close")])
    return b"HTTP/1.1 %s\r\n%s\r\n%s" % (status, lines, b"" if head.startswith(b"HEAD ") else body)


async def _read_away(reader: asyncio.StreamReader) -> None:
    left = LINGER_BYTES
    while left > 0 and (data := await reader.read(HEAD_LIMIT)):
        left -= len(data)
