"""Reads the portal's settings from the environment and names every fault at once (interface section 2)."""

import difflib
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from portal.http.client import IdentityNames, Network, TrustedProxies, is_in
from portal.injected import is_injected

T = TypeVar("T")

BASE_DIR = Path(__file__).resolve().parent.parent
#: Ends the file of a generated secret key, without being part of it, until the first start has made the database.
NEW_KEY_MARK = "\n\n\n"
TRUE_WORDS = frozenset({"1", "on", "true", "yes"})
SECRET_SETTINGS = frozenset({"PORTAL_SECRET_KEY", "DATABASE_URL"})
FALSE_WORDS = frozenset({"0", "off", "false", "no"})
KNOWN_SECRETS = frozenset({"changeme", "change-me", "secret", "django-insecure", "password", "insecure", "example"})
_ALLOWED_HOST = re.compile(r"\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
#: No user, path, query or fragment: the portal cannot live below a path.
_PUBLIC_URL = re.compile(
    r"(?P<origin>https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?)/*",
    re.IGNORECASE | re.ASCII,
)


class BadEnvironment(Exception):
    """One or more settings cannot be used; the text has one line for each, with its remedy."""


@dataclass(frozen=True)
class MetricsReaders:
    """Who may read /metrics: callers on this machine, tokens, callers from networks. Without any of them nobody."""

    local: bool = False
    token: bool = False
    networks: tuple[Network, ...] = ()

    def includes(self, address: str) -> bool:
        """Whether the caller's address is in one of the networks."""
        return is_in(address, self.networks)


@dataclass(frozen=True)
class Environment:
    """Every setting of the portal after validation; sizes are in bytes."""

    host: str
    port: int
    data_dir: Path
    database_url: str
    admin_username: str
    admin_password: str
    secret_key: str
    allowed_hosts: tuple[str, ...]
    public_url: str
    trusted_proxies: TrustedProxies
    identity_headers: IdentityNames
    node_id: str
    workers: int
    threads: int
    max_receipt_bytes: int | None
    min_free_bytes: int | None
    feed_name_pattern: str
    try_endpoints: bool
    log_deliveries: bool
    require_verify_header: bool
    change_comment_required: bool = False
    second_approval: bool = False
    signin_header: str = ""
    anonymous_rate: int | None = None
    metrics_readers: MetricsReaders = MetricsReaders(local=True, token=True)
    metrics_feeds: int = 500
    keepalive_seconds: int = 75
    new_database: str = "off"
    debug: bool = False


def read_environment(environ: Mapping[str, str] | None = None, *, make_data_dir: bool = True) -> Environment:
    """Validate all settings.

    Args:
        environ: the variables; those of this process unless given.
        make_data_dir: the data folder may be made where it is missing.

    Raises:
        BadEnvironment: one or more values are unusable; its text names each with the remedy.
    """
    reader = _Reader(os.environ if environ is None else environ)
    cores = os.cpu_count() or 1
    signin_header = reader.parsed("PORTAL_SIGNIN_HEADER", "", _optional_header, "empty, or a header name")
    environment = Environment(
        host=reader.parsed("HOST", "127.0.0.1", _host, "an address, a host name, or unix:/path/of/a/socket"),
        port=reader.parsed("PORT", "8000", _port, "a port number from 1 to 65535"),
        data_dir=reader.parsed(
            "PORTAL_DATA_DIR",
            str(BASE_DIR / "var"),
            _directory if make_data_dir else _folder,
            "a folder that can be written",
        ),
        database_url=reader.parsed(
            "DATABASE_URL", "", _database_url, "empty for SQLite, or postgres://user:password@host/name"
        ),
        admin_username=reader.parsed("PORTAL_ADMIN_USERNAME", "admin", _username, "letters, digits and @.+-_"),
        admin_password=reader.raw("PORTAL_ADMIN_PASSWORD"),
        secret_key=reader.parsed(
            "PORTAL_SECRET_KEY", "", _secret_key, "empty (one is generated), or at least 50 random characters"
        ),
        allowed_hosts=reader.parsed(
            "PORTAL_ALLOWED_HOSTS",
            "localhost,127.0.0.1,[::1]",
            _hosts,
            "host names with commas between, without *",
        ),
        public_url=reader.parsed(
            "PORTAL_PUBLIC_URL", "", _public_url, "empty, or an address such as https://portal.example.org"
        ),
        trusted_proxies=reader.parsed(
            "PORTAL_TRUSTED_PROXIES",
            "",
            _proxies,
            "addresses, networks such as 10.0.0.0/8, or unix, with commas",
        ),
        identity_headers=IdentityNames(
            dn=reader.parsed("PORTAL_DN_HEADERS", "X-SSL-CLIENT-S-DN", _header_names, "header names"),
            verify=reader.parsed("PORTAL_VERIFY_HEADER", "X-SSL-Client-Verify", _header_name, "a header name"),
            expiry=reader.parsed("PORTAL_EXPIRY_HEADER", "X-SSL-Client-V-End", _header_name, "a header name"),
            signin=signin_header,
        ),
        node_id=reader.parsed("PORTAL_NODE_ID", _default_node_id(), _node_id, "letters, digits and - only"),
        workers=reader.parsed("PORTAL_WORKERS", str(min(cores, 4)), _count, "a whole number from 1 to 64"),
        threads=reader.parsed("PORTAL_THREADS", "4", _count, "a whole number from 1 to 64"),
        max_receipt_bytes=reader.parsed("PORTAL_MAX_RECEIPT_BYTES", "", _bytes, "empty, or a number of bytes"),
        min_free_bytes=reader.parsed("PORTAL_MIN_FREE_BYTES", "", _bytes_or_zero, "empty, or a number of bytes"),
        feed_name_pattern=reader.parsed(
            "PORTAL_FEED_NAME_PATTERN", "^[A-Z0-9_-]{3,}$", _pattern, "a regular expression"
        ),
        try_endpoints=reader.parsed("PORTAL_TRY_ENDPOINTS", "on", _switch, "on or off"),
        log_deliveries=reader.parsed("PORTAL_LOG_DELIVERIES", "on", _switch, "on or off"),
        require_verify_header=reader.parsed("PORTAL_REQUIRE_VERIFY_HEADER", "on", _switch, "on or off"),
        anonymous_rate=reader.parsed(
            "PORTAL_ANONYMOUS_RATE", "12000", _rate, "requests a minute, or 0 for no limit"
        ),
        change_comment_required=reader.parsed(
            "PORTAL_CHANGE_COMMENT", "optional", _comment_need, "optional or required"
        ),
        second_approval=reader.parsed("PORTAL_SECOND_APPROVAL", "off", _switch, "on or off"),
        metrics_readers=reader.parsed(
            "PORTAL_METRICS_READERS",
            "local,token",
            _metrics_readers,
            "off, or any of local, token, addresses and networks, with commas",
        ),
        metrics_feeds=reader.parsed("PORTAL_METRICS_FEEDS", "500", _feed_count, "a whole number from 0 to 10000"),
        keepalive_seconds=reader.parsed(
            "PORTAL_KEEPALIVE_SECONDS", "75", _keepalive, "a whole number of seconds from 1 to 3600"
        ),
        signin_header=signin_header,
        new_database=reader.parsed("PORTAL_NEW_DATABASE", "off", _new_database, "on, off or never"),
        debug=reader.parsed("PORTAL_DEBUG", "off", _switch, "on or off"),
    )
    if environment.signin_header and environment.trusted_proxies == TrustedProxies():
        reader.fault("PORTAL_SIGNIN_HEADER needs PORTAL_TRUSTED_PROXIES: nobody else's word is taken. Set both.")
    if environment.debug and environment.public_url:
        reader.fault("PORTAL_DEBUG shows the inside of the portal to everyone. Remove it, or PORTAL_PUBLIC_URL.")
    if environment.debug and not _is_local(environment.host):
        reader.fault("PORTAL_DEBUG shows the inside of the portal to everyone. Remove it, or HOST.")
    reader.refuse_unknown()
    reader.finish()
    return environment


class _Reader:
    """Collects faults instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._faults: list[str] = []
        self._known: set[str] = set()

    def raw(self, name: str) -> str:
        """A value in which blanks may be meant."""
        self._known.add(name)
        return self._environ.get(name, "")

    def parsed(self, name: str, default: str, parse: Callable[[str], T], remedy: str) -> T:
        value = self.raw(name).strip() or default
        try:
            return parse(value)
        except (ValueError, OSError, OverflowError, RuntimeError) as fault:
            self.fault(f"{name}{_shown(name, value, fault)}. Give {remedy}.")
            return None  # type: ignore[return-value]  # finish() raises before anyone sees it

    def fault(self, text: str) -> None:
        self._faults.append(f"  {text}")

    def refuse_unknown(self) -> None:
        """A misspelt setting would otherwise be a silent default."""
        for name in sorted(self._environ):
            if not name.upper().startswith("PORTAL_") or name in self._known:
                continue
            if not is_injected(name, self._environ[name]):
                near = difflib.get_close_matches(name.upper(), self._known, n=1, cutoff=0.8)
                remedy = f"Did you mean {near[0]}?" if near else "Correct its name or remove it."
                self.fault(f"{name} is not a setting of the portal. {remedy}")

    def finish(self) -> None:
        if self._faults:
            raise BadEnvironment("\n".join(self._faults))


def _shown(name: str, value: str, fault: Exception) -> str:
    """Value and reason, but not of a setting that holds a secret: what is printed at start ends up in logs."""
    if name in SECRET_SETTINGS:
        return " cannot be used (its value is not shown)"
    return f"={value!r} cannot be used ({fault})"


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%\w+)?|unix:/[^\0]{1,100}", value):
        raise ValueError("not an address")
    return value


def _number(value: str, least: int, most: int | None = None) -> int:
    if not re.fullmatch(r"-?[0-9]+", value):
        raise ValueError("not a whole number")
    number = int(value)
    if number < least or (most is not None and number > most):
        raise ValueError("out of range")
    return number


def _port(value: str) -> int:
    return _number(value, 1, 65535)


def _count(value: str) -> int:
    return _number(value, 1, 64)


def _feed_count(value: str) -> int:
    return _number(value, 0, 10_000)


def _keepalive(value: str) -> int:
    return _number(value, 1, 3600)


def _bytes(value: str) -> int | None:
    """Zero would refuse everything."""
    return _number(value, 1) if value else None


def _rate(value: str) -> int | None:
    number = int(value)
    if number < 0:
        raise ValueError("negative")
    return number or None


def _bytes_or_zero(value: str) -> int | None:
    return _number(value, 0) if value else None


def _switch(value: str) -> bool:
    word = value.lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("neither on nor off")


def _comment_need(value: str) -> bool:
    if value.lower() not in {"optional", "required"}:
        raise ValueError("neither optional nor required")
    return value.lower() == "required"


def _directory(value: str) -> Path:
    path = Path(value).expanduser().absolute()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _folder(value)


def _folder(value: str) -> Path:
    """Take a folder as it is; it may be missing."""
    path = Path(value).expanduser().absolute()
    if path.exists() and not (path.is_dir() and os.access(path, os.W_OK | os.X_OK)):
        raise OSError("not a folder, or not writable")
    return path


def _database_url(value: str) -> str:
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in {"postgres", "postgresql", "sqlite"} or not parts.path.strip("/"):
        raise ValueError("not the address of a database")
    if ":memory:" in value or "synchronous_commit" in value:
        raise ValueError("what is acknowledged has to be on disk")
    _ = parts.port  # raises where it is no number
    if parts.scheme == "sqlite" and (parts.query or parts.fragment):
        raise ValueError("a path goes on behind # and ? only when they are written %23 and %3F")
    return value


def _username(value: str) -> str:
    if not re.fullmatch(r"[\w.@+-]{1,150}", value):
        raise ValueError("not a user name")
    return value


def _is_local(host: str) -> bool:
    """Whether only this machine reaches that address."""
    return host.startswith(("localhost", "127.", "unix:")) or host == "::1"


def _secret_key(value: str) -> str:
    return usable_secret_key(value) if value else ""


def usable_secret_key(value: str) -> str:
    """The key itself.

    Raises:
        ValueError: it is empty, short, of few letters, or one that everybody knows.
    """
    if len(value) < 50 or len(set(value)) < 10 or any(word in value.lower() for word in KNOWN_SECRETS):
        raise ValueError("too short or well known")
    return value


def _hosts(value: str) -> tuple[str, ...]:
    hosts = tuple(part.strip() for part in value.split(",") if part.strip())
    if not hosts:
        raise ValueError("empty")
    for host in hosts:
        if not _ALLOWED_HOST.fullmatch(host):
            raise ValueError(f"{host} is not a host name")
    return hosts


def _public_url(value: str) -> str:
    if not value:
        return ""
    match = _PUBLIC_URL.fullmatch(value)
    if match is None or not 0 < int(match["port"] or 80) < 65536:
        raise ValueError("not an http or https address, or with a path")
    return match["origin"].lower()


def _proxies(value: str) -> TrustedProxies:
    words = [part.strip() for part in value.split(",") if part.strip()]
    networks = tuple(ipaddress.ip_network(word, strict=False) for word in words if word.lower() != "unix")
    return TrustedProxies(networks, unix=any(word.lower() == "unix" for word in words))


def _metrics_readers(value: str) -> MetricsReaders:
    words = [part.strip().lower() for part in value.split(",") if part.strip()]
    if "off" in words and words != ["off"]:
        raise ValueError("off stands alone")
    named = {"off", "local", "token"}
    networks = tuple(ipaddress.ip_network(word, strict=False) for word in words if word not in named)
    return MetricsReaders("local" in words, "token" in words, networks)


def _header_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise ValueError("not a header name; underscores are never let through")
    return value.lower()


def _optional_header(value: str) -> str:
    return _header_name(value) if value else ""


def _header_names(value: str) -> tuple[str, ...]:
    names = tuple(_header_name(part.strip()) for part in value.split(",") if part.strip())
    if not names:
        raise ValueError("empty")
    return names


def _default_node_id() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:60] or "portal"


def _node_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,60}", value):
        raise ValueError("not a node id")
    return value


def _new_database(value: str) -> str:
    return "never" if value.lower() == "never" else ("on" if _switch(value) else "off")


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as fault:
        raise ValueError(str(fault)) from fault
    return value
