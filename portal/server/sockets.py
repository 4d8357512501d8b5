"""The socket that the portal listens on: handed over by a service manager, a Unix socket, or an address and a port.

A handed-over socket outlives the portal: while it restarts, senders wait in the socket's queue instead of being
refused.
"""

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

UNIX = "unix:"
#: Handed-over descriptors begin behind the three standard ones.
FIRST_DESCRIPTOR = 3
SOCKET_MODE = 0o660


class CannotListen(Exception):  # its text is shown to the operator
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
    """Address of the socket in messages."""
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
    """Bind to the first address that the name has here, of IPv4 before IPv6."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as fault:
        raise CannotListen(_not_ours(host)) from fault
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as fault:
        listener.close()
        if fault.errno == errno.EADDRNOTAVAIL:
            raise CannotListen(_not_ours(host)) from fault
        raise CannotListen(f"Cannot listen on {host}:{port}: {fault.strerror}. Set HOST or PORT.") from fault
    return listener


def _not_ours(host: str) -> str:
    return (
        f"HOST={host} is not an address of this machine. Some shells (csh) and tools (conda) set HOST by "
        "themselves: set HOST=127.0.0.1, or the address to listen on."
    )


def host_warning(host: str, listener: socket.socket) -> str:
    """Warn where HOST is the machine's own name, as csh sets it, and opens the portal to the network."""
    if listener.family == socket.AF_UNIX or host.lower() not in _own_names():
        return ""
    address = listener.getsockname()[0]
    if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return ""
    return (
        f"HOST={host} is this machine's name: other machines reach the portal at {describe(listener)}. "
        "If that is not meant (csh sets HOST by itself), set HOST=127.0.0.1."
    )


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, name.partition(".")[0]}


def _open_unix(path: Path) -> socket.socket:
    """Bind, in the place of a socket that a dead portal left behind."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _answers(path):
            raise CannotListen(f"Another process listens on {UNIX}{path}. Stop it, or set HOST.")
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)  # no client can connect before `listen`
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
