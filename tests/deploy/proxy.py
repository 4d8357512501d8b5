"""Starts the real nginx with the shipped file, on ports and folders of its own."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from tests.deploy.authority import Pair

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
SHIPPED = Path(__file__).parents[2] / "deploy/nginx/portal.conf"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Issued(Protocol):
    """Files that a proxy needs: an authority, and its own certificate."""

    @property
    def ca(self) -> Path: ...

    @property
    def server(self) -> Pair: ...


class Nginx:
    """One running instance. What is replaced in the shipped file is addresses and paths, nothing else."""

    def __init__(
        self, folder: Path, certificates: Issued, upstream: str, replace: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.https, self.http = free_port(), free_port()
        self.folder, self.certificates = folder, certificates
        text = SHIPPED.read_text()
        changes = (
            (r"server unix:/run/stroom-portal-http\.sock ", f"server {upstream} "),
            (r"listen 443 ", f"listen 127.0.0.1:{self.https} "),
            (r"listen 80 ", f"listen 127.0.0.1:{self.http} "),
            (r"listen \[::\]:\d+ [^;]*;", ""),
            (r"/etc/nginx/tls/portal\.crt", str(certificates.server.certificate)),
            (r"/etc/nginx/tls/portal\.key", str(certificates.server.key)),
            (r"/etc/nginx/tls/senders-ca\.crt", str(certificates.ca)),
            (r"/var/log/nginx/portal\.log", str(folder / "access.log")),
            *replace,
        )
        for pattern, replacement in changes:
            text, count = re.subn(pattern, replacement, text)
            assert count, f"{pattern} is not in the shipped file"
        (folder / "portal.conf").write_text(text)
        temporary = "\n".join(
            f"    {kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.getuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"{user}\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log info;\n"
            f"events {{ worker_connections 512; }}\nhttp {{\n{temporary}\n    include {folder}/portal.conf;\n}}\n"
        )

    def __enter__(self) -> Self:
        command = [
            NGINX,
            "-p",
            str(self.folder),
            "-c",
            str(self.folder / "nginx.conf"),
            "-e",
            str(self.folder / "error.log"),
        ]
        self._process = subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.PIPE)  # type: ignore[list-item]
        wait_for(self.https, self._process)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=10)

    def connect(self, pair: Pair | None = None) -> ssl.SSLSocket:
        """A TLS connection, with this client certificate if one is given."""
        return connect(self.https, self.certificates.ca, pair)

    def plain(self, port: int | None = None) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port or self.http), timeout=20)


def connect(port: int, ca: Path, pair: Pair | None = None) -> ssl.SSLSocket:
    """A TLS connection to a proxy on this machine, with this client certificate if one is given."""
    context = ssl.create_default_context(cafile=str(ca))
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    return context.wrap_socket(plain, server_hostname="localhost")


@dataclass(frozen=True)
class Answer:
    """One response as it came over the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def stroom_status(self) -> str | None:
        return self.headers.get("stroom-status")


def talk(connection: socket.socket, request: bytes, *, half_close: bool = False) -> list[Answer]:
    """Send these bytes and read until the other side closes; every response that came."""
    with connection:
        try:
            connection.sendall(request)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused while we were sending: the answer is there all the same
        return read_answers(connection)


def read_answers(connection: socket.socket) -> list[Answer]:
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except (ConnectionResetError, ssl.SSLError):
        pass
    answers = []
    while data:
        answer, data = _split(data)
        if answer.status >= 200:
            answers.append(answer)
    return answers


def _split(data: bytes) -> tuple[Answer, bytes]:
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0].split()[1])
    if status < 200:
        return Answer(status, headers, b""), rest
    if headers.get("transfer-encoding") == "chunked":
        body, rest = _chunks(rest)
        return Answer(status, headers, body), rest
    length = int(headers.get("content-length", len(rest)))
    return Answer(status, headers, rest[:length]), rest[length:]


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        count = int(size, 16)
        body, rest = body + rest[:count], rest[count + 2 :]
        if count == 0:
            break
    return body, rest


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            _, fault = process.communicate()
            raise AssertionError(f"it ended with {process.returncode}: {fault.decode()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nothing listens on {port}")


@dataclass
class Echo:
    """An upstream that keeps every request as it came and answers 200: what nginx lets through, byte by byte."""

    requests: list[bytes] = field(default_factory=list)
    open: set[socket.socket] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def headers(self) -> list[tuple[str, str]]:
        """Header lines of the newest request, names as nginx wrote them."""
        head = self.requests[-1].partition(b"\r\n\r\n")[0].decode("latin-1")
        pairs = (line.partition(":") for line in head.split("\r\n")[1:])
        return [(name, value.strip()) for name, _, value in pairs]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            data = b""
            self.open.add(connection)
            try:
                while not is_whole(data) and (piece := connection.recv(65536)):
                    data += piece
            except OSError:
                pass  # a request that does not end, or that is taken back
            self.open.discard(connection)
            if is_whole(data):
                self.requests.append(data)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nStroom-Status: 0\r\n\r\nok\n")


def is_whole(data: bytes) -> bool:
    """Whether these bytes are a request to its end."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if length:
        return len(body) >= int(length[1])
    return b"chunked" not in head.lower() or body.endswith(b"0\r\n\r\n")
