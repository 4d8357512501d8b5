"""The socket that the portal listens on: handed over by a service manager, a Unix socket, or an address and a port.

A handed-over socket outlives the portal: while it restarts, senders wait in the socket's queue instead of being
refused.
"""

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

UNIX = "unix:"
#: Handed-over descriptors begin behind the three standard ones.
FIRST_DESCRIPTOR = 3
SOCKET_MODE = 0o660


class CannotListen(Exception):  # named after what the operator is told
    """There is no socket to be had; the text says why, and what to set."""


def open_listener(host: str, port: int, backlog: int, environ: Mapping[str, str] | None = None) -> socket.socket:
    """Find or open the listening socket, non-blocking.

    Args:
        host: a name or address, or `unix:` and the path of a socket.
        port: used with a name or address.
        backlog: connections that may wait.
        environ: where the service manager says what it handed over.

    Raises:
        CannotListen: the address is taken, not ours, or the handed-over descriptor is no listening socket.
    """
    listener = _handed_over(os.environ if environ is None else environ)
    if listener is None:
        listener = _open_unix(Path(host.removeprefix(UNIX))) if host.startswith(UNIX) else _open_tcp(host, port)
        listener.listen(backlog)
    listener.settimeout(0)
    return listener


def is_held_open(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the socket is somebody else's and stays open when we end."""
    found = os.environ if environ is None else environ
    return found.get("LISTEN_PID") == str(os.getpid()) and found.get("LISTEN_FDS", "").isdecimal()


def describe(listener: socket.socket) -> str:
    """Where the socket is, for people."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{name}"
    host, port = name[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


def _handed_over(environ: Mapping[str, str]) -> socket.socket | None:
    """The first socket that systemd passed to this very process (sd_listen_fds)."""
    if not is_held_open(environ):
        return None
    try:
        listener = socket.socket(fileno=FIRST_DESCRIPTOR)
        if listener.type == socket.SOCK_STREAM and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return listener
    except OSError as fault:
        raise CannotListen(f"The socket that was handed over cannot be used: {fault.strerror}.") from fault
    raise CannotListen("What was handed over is not a listening stream socket: ListenStream= is needed.")


def _open_tcp(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as fault:
        listener.close()
        raise CannotListen(f"Cannot listen on {host}:{port}: {fault.strerror}. Set HOST or PORT.") from fault
    return listener


def _open_unix(path: Path) -> socket.socket:
    """Bind, in the place of a socket that a dead portal left behind."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _answers(path):
            raise CannotListen(f"Another process listens on {UNIX}{path}. Stop it, or set HOST.")
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)  # nobody can connect before `listen`
    except OSError as fault:
        listener.close()
        raise CannotListen(f"Cannot listen on {UNIX}{path}: {fault.strerror or fault}. Set HOST.") from fault
    except CannotListen:
        listener.close()
        raise
    return listener


def _answers(path: Path) -> bool:
    """Whether somebody listens there. A file that is no socket is an obstacle that we do not remove."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise CannotListen(f"{path} is a file and not a socket. Set HOST.")
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True
