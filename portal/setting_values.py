"""Parsers of setting values. Each returns the typed value or raises ValueError or OSError with the reason."""

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from portal.http.client import DIALECTS, IdentityNames, Network, TrustedProxies, is_in

TRUE_WORDS = frozenset({"1", "on", "true", "yes"})
FALSE_WORDS = frozenset({"0", "off", "false", "no"})
KNOWN_SECRETS = frozenset({"changeme", "change-me", "secret", "django-insecure", "password", "insecure", "example"})
_ALLOWED_HOST = re.compile(r"\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
#: No user, path, query or fragment: the portal cannot be served below a path.
_PUBLIC_URL = re.compile(
    r"(?P<origin>https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?)/*",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class MetricsReaders:
    """Clients that may read /metrics: local callers, token holders, networks. All fields empty: no client may."""

    local: bool = False
    token: bool = False
    networks: tuple[Network, ...] = ()

    def includes(self, address: str) -> bool:
        """Return whether the caller's address is in one of the networks."""
        return is_in(address, self.networks)


def host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%\w+)?|unix:/[^\0]{1,100}", value):
        raise ValueError("not an address")
    return value


_ORIGIN = re.compile(r"https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)


def origins(value: str) -> tuple[str, ...]:
    """Parse origins as browsers send them: lower case, no path, no usual port."""
    found = tuple(part.strip() for part in value.split(",") if part.strip())
    for origin in found:
        if not _ORIGIN.fullmatch(origin) or origin.endswith((":80", ":443")[origin.startswith("https")]):
            raise ValueError(f"{origin} is not an origin")
    return found


def number(value: str, least: int, most: int | None = None) -> int:
    if not re.fullmatch(r"-?[0-9]+", value):
        raise ValueError("not a whole number")
    number = int(value)
    if number < least or (most is not None and number > most):
        raise ValueError("out of range")
    return number


def port(value: str) -> int:
    return number(value, 1, 65535)


def count(value: str) -> int:
    return number(value, 1, 64)


def feed_count(value: str) -> int:
    return number(value, 0, 10_000)


def keepalive(value: str) -> int:
    return number(value, 1, 3600)


def positive_bytes(value: str) -> int | None:
    """Zero would refuse every delivery."""
    return number(value, 1) if value else None


def rate(value: str) -> int | None:
    number = int(value)
    if number < 0:
        raise ValueError("negative")
    return number or None


def bytes_or_zero(value: str) -> int | None:
    return number(value, 0) if value else None


def switch(value: str) -> bool:
    word = value.lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("neither on nor off")


def comment_required(value: str) -> bool:
    if value.lower() not in {"optional", "required"}:
        raise ValueError("neither optional nor required")
    return value.lower() == "required"


def make_folder(value: str) -> None:
    """Create the data folder for our user alone, unless it exists."""
    Path(value).expanduser().absolute().mkdir(mode=0o700, parents=True, exist_ok=True)


def existing_folder(value: str) -> Path:
    """Accept a writable folder, or a path that does not exist yet."""
    path = Path(value).expanduser().absolute()
    if path.exists() and not (path.is_dir() and os.access(path, os.W_OK | os.X_OK)):
        raise OSError("not a folder, or not writable")
    return path


def database_url(value: str) -> str:
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in {"postgres", "postgresql", "sqlite"} or not parts.path.strip("/"):
        raise ValueError("not the address of a database")
    if ":memory:" in value or "synchronous_commit" in value:
        raise ValueError("acknowledged deliveries must be on disk")
    _ = parts.port  # raises ValueError where it is not a number
    if parts.scheme == "sqlite" and (parts.query or parts.fragment):
        raise ValueError("write # and ? in a path as %23 and %3F")
    return value


def username(value: str) -> str:
    if not re.fullmatch(r"[\w.@+-]{1,150}", value):
        raise ValueError("not a user name")
    return value


def is_local(host: str) -> bool:
    """Return whether only this machine can connect to that address."""
    return host.startswith(("localhost", "127.", "unix:")) or host == "::1"


def secret_key(value: str) -> str:
    return usable_secret_key(value) if value else ""


def usable_secret_key(value: str) -> str:
    """Return the key unchanged.

    Raises:
        ValueError: it is empty, short, of few distinct characters, or well known.
    """
    if len(value) < 50 or len(set(value)) < 10 or any(word in value.lower() for word in KNOWN_SECRETS):
        raise ValueError("too short or well known")
    return value


def hosts(value: str) -> tuple[str, ...]:
    hosts = tuple(part.strip() for part in value.split(",") if part.strip())
    if not hosts:
        raise ValueError("empty")
    for host in hosts:
        if not _ALLOWED_HOST.fullmatch(host):
            raise ValueError(f"{host} is not a host name")
    return hosts


def public_url(value: str) -> str:
    if not value:
        return ""
    match = _PUBLIC_URL.fullmatch(value)
    if match is None or not 0 < int(match["port"] or 80) < 65536:
        raise ValueError("not an http or https address, or with a path")
    return match["origin"].lower()


def proxies(value: str) -> TrustedProxies:
    words = [part.strip() for part in value.split(",") if part.strip()]
    networks = tuple(ipaddress.ip_network(word, strict=False) for word in words if word.lower() != "unix")
    return TrustedProxies(networks, unix=any(word.lower() == "unix" for word in words))


def metrics_readers(value: str) -> MetricsReaders:
    words = [part.strip().lower() for part in value.split(",") if part.strip()]
    if "off" in words and words != ["off"]:
        raise ValueError("off cannot be combined")
    named = {"off", "local", "token"}
    networks = tuple(ipaddress.ip_network(word, strict=False) for word in words if word not in named)
    return MetricsReaders("local" in words, "token" in words, networks)


def header_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise ValueError("not a header name; underscores are not allowed")
    return value.lower()


def optional_header(value: str) -> str:
    return header_name(value) if value else ""


def header_names(value: str) -> tuple[str, ...]:
    names = tuple(header_name(part.strip()) for part in value.split(",") if part.strip())
    if not names:
        raise ValueError("empty")
    return names


def optional_headers(value: str) -> tuple[str, ...]:
    return header_names(value) if value else ()


def dialect(value: str) -> IdentityNames:
    try:
        return DIALECTS[value.lower()]
    except KeyError as fault:
        raise ValueError("not a dialect") from fault


def default_data_dir() -> str:
    return str(Path(__file__).resolve().parent.parent / "var")


def default_node_id() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:60] or "portal"


def node_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,60}", value):
        raise ValueError("not a node id")
    return value


def new_database(value: str) -> str:
    return "never" if value.lower() == "never" else ("on" if switch(value) else "off")


def pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as fault:
        raise ValueError(str(fault)) from fault
    return value
