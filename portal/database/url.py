"""Reads DATABASE_URL into Django's form: postgres://user:password@host:port/name?option=value, or sqlite:///path."""

import ast
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, unquote_plus, urlsplit

POSTGRESQL = "django.db.backends.postgresql"
SQLITE = "django.db.backends.sqlite3"
#: Query parameters that Django reads next to ENGINE; every other one is an option of the connection.
_DJANGO_KEYS = frozenset(
    {"CONN_MAX_AGE", "ATOMIC_REQUESTS", "AUTOCOMMIT", "DISABLE_SERVER_SIDE_CURSORS", "CONN_HEALTH_CHECKS"}
)


def read_database_url(url: str) -> dict[str, Any]:
    """Return the entry of Django's DATABASES for the URL of a PostgreSQL or SQLite database.

    Raises:
        ValueError: the port is not a number, or an IPv6 address has no closing bracket.
    """
    parts = urlsplit(url)
    database: dict[str, Any] = {
        "ENGINE": SQLITE if parts.scheme == "sqlite" else POSTGRESQL,
        "NAME": unquote_plus(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
    }
    database["HOST"], database["PORT"] = _address(parts)
    if database["ENGINE"] == POSTGRESQL and database["NAME"].startswith("/"):
        # The folder of a Unix socket: postgres:////run/postgresql/name
        database["HOST"], database["NAME"] = database["NAME"].rsplit("/", 1)
    if parts.query:
        database["OPTIONS"] = {}
    for name, (value, *_) in parse_qs(parts.query).items():
        if name.upper() in _DJANGO_KEYS:
            database[name.upper()] = _literal(value)
        else:
            database["OPTIONS"][name] = int(value) if value.isdigit() else value
    return database


def _address(parts: SplitResult) -> tuple[str, int | str]:
    """Return host and port; several servers, separated by commas, as libpq expects them."""
    address = unquote(parts.netloc.rpartition("@")[2])
    if "," not in address or parts.scheme == "sqlite":
        return parts.hostname or "", parts.port or ""
    pairs = [_host_and_port(server) for server in address.split(",")]
    return ",".join(host for host, _ in pairs), ",".join(port for _, port in pairs if port)


def _host_and_port(server: str) -> tuple[str, str]:
    host, colon, port = server.rpartition(":")
    return (host, port) if colon and port.isdigit() and not host.endswith(":") else (server, "")


def _literal(value: str) -> Any:
    """Return a number or True, False, None where the text is one."""
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
