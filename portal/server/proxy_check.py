"""Test of a proxy: which forged identity headers reach the portal (`manage.py check_proxy`)."""

import http.client
import json
import secrets
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from portal.environment import Environment
from portal.server.proxy_probe import PROBE_HEADER

TIMEOUT_SECONDS = 20
#: Method and path of each place where a proxy may have a location of its own.
PLACES = (
    ("POST", "/datafeed"),
    ("POST", "/datafeed/"),
    ("POST", "/stroom/datafeed"),
    ("POST", "/stroom/noauth/datafeed"),
    ("POST", "/stroom/datafeeddirect"),
    ("POST", "//datafeed"),
    ("POST", "/api/feedStatus/v1/getFeedStatus"),
    ("POST", "/api/feedStatus/v2/getFeedStatus"),
    ("GET", "/api/v1/feeds/"),
    ("GET", "/admin/"),
    ("GET", "/admin/login/"),
    ("GET", "/"),
    ("GET", "/docs/"),
    ("GET", "/status"),
)
#: What says who sent something, whether or not it is configured.
USUAL = ("RemoteDN", "RemoteCertExpiry", "UploadUserId", "UploadUsername", "X-Forwarded-Proto", "X-Forwarded-For")
#: Headers to which each proxy appends what it saw itself.
_LISTS = frozenset({"x-forwarded-for", "x-forwarded-client-cert"})

Headers = list[tuple[str, str]]


class CannotCheck(Exception):  # becomes the message to the operator
    """Error for probes that did not reach the portal; the text gives reason and remedy."""


@dataclass(frozen=True)
class Address:
    """Public address to which probes are sent."""

    secure: bool
    host: str
    port: int
    tls: ssl.SSLContext
    connect: tuple[str, int]

    @classmethod
    def of(cls, url: str, *, tls: ssl.SSLContext, connect: str = "") -> "Address":
        """Parse an address.

        Raises:
            CannotCheck: it is none of a site.
        """
        parts = urlsplit(url if "://" in url else f"https://{url}")
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            other = urlsplit(f"//{connect}")
            reached = (other.hostname or parts.hostname or "", other.port or port)
        except ValueError as fault:
            raise CannotCheck(f"{url} is not an address: {fault}.") from fault
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
            raise CannotCheck(f"{url} is not the address of a site. Give one such as https://portal.example.org.")
        return cls(parts.scheme == "https", parts.hostname, port, tls, reached)

    def open(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        plain = socket.create_connection(self.connect, timeout=TIMEOUT_SECONDS)
        connection.sock = self.tls.wrap_socket(plain, server_hostname=self.host) if self.secure else plain
        return connection


@dataclass(frozen=True)
class Seen:
    """Report of the portal about one probe."""

    peer: str
    trusted: bool
    headers: list[tuple[str, str]]


@dataclass
class Report:
    """Report of headers that arrived, each with the places. `other` are spellings that the portal never reads."""

    peers: dict[str, bool] = field(default_factory=dict)
    arrived: dict[str, list[str]] = field(default_factory=dict)
    other: dict[str, list[str]] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)
    probes: int = 0


class ProxyCheck:
    """Run of the check: every forgery at every place, each compared with a request without it."""

    def __init__(self, environment: Environment, address: Address, key: str) -> None:
        self._address = address
        self._key = key
        self._names = _names(environment)
        self._verify = environment.identity_headers.verify
        self._marker = f"check-proxy-{secrets.token_hex(8)}"

    def run(self) -> Report:
        """Send all probes and return the report.

        Raises:
            CannotCheck: the portal was not reached, or is another one.
        """
        report = Report()
        for method, path in PLACES:
            honest, status = self._probe(method, path, [])
            if honest is None:
                report.unseen.append(f"{method} {path} ({status})")
                continue
            report.peers[honest.peer] = honest.trusted
            for forged in self._forgeries():
                seen, _ = self._probe(method, path, forged)
                report.probes += 1
                if seen is not None:
                    self._compare(f"{method} {path}", forged, honest, seen, report)
        if not report.probes:
            raise CannotCheck(
                f"No probe came to the portal of this data folder; the first answer: {report.unseen[0]}. Does the "
                "address lead to this portal, and does the command run with the settings of the portal?"
            )
        return report

    def _forgeries(self) -> Iterator[Headers]:
        """Each name alone, all of them in several spellings, doubled, and without a verification result."""
        every = [(name, self._value(name)) for name in self._names]
        yield from ([pair] for pair in every)
        yield every
        yield [(name.lower(), value) for name, value in every]
        yield [(name.replace("-", "_"), value) for name, value in every if "-" in name]
        yield [(name.replace("-", "_").upper(), value) for name, value in every if "-" in name]
        yield [(f"{name} ", value) for name, value in every]
        yield [*every, *every]
        yield [pair for pair in every if pair[0].lower() != self._verify]
        yield [("X-Other", f"a\r\n {name}: {value}") for name, value in every[:1]]
        yield [("Connection", ", ".join(["close", *self._names])), *every]

    def _value(self, name: str) -> str:
        """A value that only a probe has; but a verification result is taken for one only if it is SUCCESS."""
        if name.lower() == self._verify:
            return "SUCCESS"
        return f"CN={self._marker},O=forged" if "dn" in name.lower() else self._marker

    def _probe(self, method: str, path: str, headers: Headers) -> tuple[Seen | None, int | str]:
        """Return what the portal saw of a probe, if it arrived, and the answer."""
        try:
            connection = self._address.open()
        except OSError as fault:
            raise CannotCheck(f"{self._address.host} cannot be reached: {fault}.") from fault
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            if method == "POST":
                connection.putheader("Content-Length", "0")
            for name, value in [(PROBE_HEADER, self._key), *headers]:
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            data = answer.read(1_000_000)
        except (OSError, http.client.HTTPException) as fault:
            return None, str(fault) or type(fault).__name__
        finally:
            connection.close()
        if answer.status != 200 or answer.getheader(PROBE_HEADER) != "seen":
            return None, answer.status
        answered: dict[str, Any] = json.loads(data)
        headers = [(name, value) for name, value in answered["headers"]]
        return Seen(answered["peer"], answered["trusted"], headers), 200

    def _compare(self, place: str, forged: Headers, honest: Seen, seen: Seen, report: Report) -> None:
        values = {value.strip() for name, value in forged if name != "Connection"}
        for name, value in seen.headers:
            if (name, value) in honest.headers or not _holds(name, value, values):
                continue
            places = (report.other if "_" in name else report.arrived).setdefault(name, [])
            if place not in places:
                places.append(place)


def _holds(name: str, value: str, forged: set[str]) -> bool:
    """Whether the portal reads a forged value there: of a list of hops the last counts."""
    if name.replace("_", "-") in _LISTS:
        return value.rpartition(",")[2].strip() in forged
    return any(one in value for one in forged)


def _names(environment: Environment) -> Sequence[str]:
    """Each name once, as it is usually written; configured ones are known in lower case only."""
    identity = environment.identity_headers
    configured = [*identity.stated, identity.signin]
    written = {name.lower(): name for name in USUAL}
    names = [written.get(name, name.title()) for name in configured if name]
    return list(dict.fromkeys([*names, *USUAL]))
