"""From ASGI to Django's WSGI handler: the many times faster of Django's two, run in a few threads.

Answers are passed on as they come. A thread is held only while Django works, never while a client reads or writes
slowly, and every response is closed, so that Django's request_finished fires.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

from portal.http.body import Connection, Scope, Send, connection_of

log = logging.getLogger(__name__)

WsgiHandler = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
FILE_BLOCK = 256 * 1024
_BODILESS = frozenset({204, 304})


class FileBlocks:
    """Wrapper of file answers that reads large blocks instead of Django's small ones."""

    def __init__(self, file: BinaryIO, block_size: int = FILE_BLOCK) -> None:
        self._file = file
        self._block_size = max(block_size, FILE_BLOCK)

    def __iter__(self) -> Iterator[bytes]:
        while block := self._file.read(self._block_size):
            yield block

    def close(self) -> None:
        """Close the file, and by Django's arrangement the response with it."""
        self._file.close()


@dataclass
class _Started:
    """A response whose head is known. `parts` is None when `body` is all of it and it is closed already."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    parts: Iterator[bytes] | None = None
    close: Callable[[], None] = lambda: None


class DjangoBridge:
    """Runs one request through the WSGI handler."""

    def __init__(self, handler: WsgiHandler, threads: Executor) -> None:
        self._handler = handler
        self._threads = threads

    async def run(
        self,
        scope: Scope,
        body: BinaryIO,
        length: int,
        send: Send,
        *,
        threads: Executor | None = None,
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        """Answer a request whose body has been read.

        Args:
            scope: the request; its headers are taken as they are.
            body: the whole body, at its start.
            length: its length.
            send: takes the answer.
            threads: run this request instead of the usual ones.
            on_answer: called when Django has answered and needs the body no longer, before the client reads that.
        """
        loop = asyncio.get_running_loop()
        connection = connection_of(scope)
        environ = environ_of(scope, body, length)
        started = await loop.run_in_executor(threads or self._threads, self._start, environ, connection)
        on_answer()
        if started is None:
            return
        try:
            await send({"type": "http.response.start", "status": started.status, "headers": started.headers})
            if started.parts is not None:
                await self._stream(started.parts, connection, send)
            await send({"type": "http.response.body", "body": started.body, "more_body": False})
        finally:
            if started.parts is not None:
                self._threads.submit(_close, started.close)

    async def _stream(self, parts: Iterator[bytes], connection: Connection, send: Send) -> None:
        loop = asyncio.get_running_loop()
        while not connection.gone:
            part = await loop.run_in_executor(self._threads, next, parts, None)
            if part is None:
                return
            if part:
                await send({"type": "http.response.body", "body": part, "more_body": True})

    def _start(self, environ: dict[str, Any], connection: Connection) -> _Started | None:
        """Let Django answer; None when the client has disconnected."""
        if connection.gone:
            return None
        head: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:  # noqa: ARG001
            head[:] = [int(status.split(" ", 1)[0]), headers]

        response = self._handler(environ, start_response)
        status, headers = head
        fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        close = getattr(response, "close", lambda: None)
        if status in _BODILESS or environ["REQUEST_METHOD"] == "HEAD":
            close()
            return _Started(status, [field for field in fields if status not in _BODILESS or _allowed(field)])
        if getattr(response, "streaming", True):
            return _Started(status, fields, parts=iter(response), close=close)
        content = b"".join(response)
        close()
        return _Started(status, fields, body=content)


def environ_of(scope: Scope, body: BinaryIO, length: int) -> dict[str, Any]:
    """Describe a request as WSGI does (PEP 3333)."""
    client = scope.get("client") or ("", 0)
    server = scope.get("server") or ("localhost", 80)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": _path_info(scope),
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] if server[1] is not None else 80),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "CONTENT_LENGTH": str(length),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileBlocks,
    }
    for raw_name, raw_value in scope["headers"]:
        _add_header(environ, raw_name.decode("latin-1"), raw_value.decode("latin-1"))
    return environ


def _path_info(scope: Scope) -> str:
    raw = scope.get("raw_path")
    path = unquote_to_bytes(raw) if raw is not None else scope["path"].encode()
    return path.decode("latin-1")


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    if name in {"content-length", "transfer-encoding"}:
        return
    key = "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"
    if key in environ:
        environ[key] += ("; " if name == "cookie" else ",") + value
    else:
        environ[key] = value


def _allowed(field: tuple[bytes, bytes]) -> bool:
    """Whether a header may stand on an answer that has no body."""
    return field[0] not in {b"content-length", b"content-type", b"transfer-encoding"}


def _close(close: Callable[[], None]) -> None:
    try:
        close()
    except Exception:
        log.exception("a response could not be closed")
