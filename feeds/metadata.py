"""What a request says about itself: header bytes and query string become typed, trimmed, bounded arguments.

The one place that knows header names. Pure. Sections named below are those of the receipt contract.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import parse_qsl

from feeds.dn import BadDistinguishedName, parse_dn
from feeds.policy import NO_CERTIFICATE, Certificate, normal_compression

MAX_NAMES = 200
MAX_NAME_LENGTH = 128
MAX_VALUE_LENGTH = 8192

_SPELLINGS = {
    name.lower(): name
    for name in (
        "Feed System Environment Compression EffectiveTime Type Format ContextFormat Schema SchemaVersion "
        "Encoding ContextEncoding Classification AccountId AccountName Component RemoteFile GUID ReceiptId "
        "ReceiptIdPath ReceivedTime ReceivedTimeHistory ReceivedPath RemoteAddress RemoteHost RemoteDN "
        "RemoteCertExpiry UploadUserId UploadUsername StreamSize"
    ).split()
}
_NEVER_STORED = frozenset(
    {
        "accept",
        "connection",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "expect",
        "upgrade",
        "http2-settings",
        "compression",
        "authorization",
        "cookie",
        "proxy-authorization",
    }
)
_PROTECTED_NAMES = frozenset(
    {
        "remotedn",
        "remotecertexpiry",
        "remoteaddress",
        "remotehost",
        "authorization",
        "cookie",
        "uploaduserid",
        "uploadusername",
        "host",
        "transfer-encoding",
    }
)
_PROTECTED_PREFIXES = ("x-ssl-", "x-forwarded-", "content-", "stroom-")
_IDENTITY_NAMES = frozenset({"remotedn", "remotecertexpiry", "uploaduserid", "uploadusername"})
_IDENTITY_PREFIXES = ("x-ssl-", "x-forwarded-")
#: What this hop sets by section 10; an entry of an archive may not override these.
_SET_BY_THIS_HOP = frozenset(
    {
        "guid",
        "receiptid",
        "receiptidpath",
        "receivedtime",
        "receivedtimehistory",
        "receivedpath",
        "streamsize",
    }
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NGINX_TIME = "%b %d %H:%M:%S %Y %Z"


@dataclass(frozen=True)
class IdentityNames:
    """Lower-case names of the headers in which a trusted proxy describes the client certificate."""

    dn: tuple[str, ...] = ("x-ssl-client-s-dn", "remotedn")
    verify: str = "x-ssl-client-verify"
    expiry: str = "x-ssl-client-v-end"

    def includes(self, name: str) -> bool:
        return name in self.dn or name in {self.verify, self.expiry}


@dataclass(frozen=True)
class RequestMetadata:
    """The arguments of one request, canonical spelling to value, and who sent it.

    `peer` is the host at the other end of our connection; `sender_address` is the sender's own as far as a
    trusted proxy told it. `truncated` says that names or values were over the limits. `notes` are remarks for
    the trace, for example that identity headers of an untrusted peer were left out.
    """

    arguments: Mapping[str, str]
    certificate: Certificate = NO_CERTIFICATE
    peer: str | None = None
    sender_address: str = ""
    truncated: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def _by_lower(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.arguments.items()}

    def get(self, name: str) -> str | None:
        """The argument's value whatever the case of its name; None when absent."""
        return self._by_lower.get(name.lower())

    @property
    def feed(self) -> str | None:
        return self.get("Feed")

    @property
    def compression(self) -> str | None:
        """As sent; see `normal_compression`."""
        return self.get("Compression")

    @property
    def content_encoding(self) -> str | None:
        return self.get("Content-Encoding")

    @property
    def guid(self) -> str | None:
        return self.get("GUID")

    @property
    def is_gzip(self) -> bool:
        return normal_compression(self.compression) == "GZIP"

    @property
    def is_zip(self) -> bool:
        return normal_compression(self.compression) == "ZIP"

    @property
    def is_content_encoded(self) -> bool:
        """Whether a transport coding has to be undone before anything else."""
        return (self.content_encoding or "").lower() in {"gzip", "x-gzip"}

    def stored(self) -> dict[str, str]:
        """The arguments that are kept as metadata (section 3.5)."""
        return {name: value for name, value in self.arguments.items() if name.lower() not in _NEVER_STORED}


def read_request(
    headers: Iterable[tuple[bytes, bytes]],
    query: bytes,
    *,
    peer: str | None,
    trusts: Callable[[str | None], bool],
    identity: IdentityNames,
    require_verify: bool,
    now: datetime,
) -> RequestMetadata:
    """Read the head of a request (sections 3 and 9).

    Args:
        headers: raw names and values, one pair for each header line.
        query: the raw query string.
        peer: address of the host at the other end of the connection; None or empty for a Unix socket.
        trusts: says of an address whether its identity headers are believed.
        identity: names of the headers that describe the certificate.
        require_verify: whether a DN without the proxy's verification result counts as not verified.
        now: the instant to judge certificate expiry by, in UTC.
    """
    trusted = trusts(peer)
    grouped = _group(headers)
    notes: list[str] = []
    certificate = NO_CERTIFICATE
    if trusted:
        certificate = _certificate_of(grouped, identity, require_verify=require_verify, now=now)
    else:
        ignored = sorted(name for name in grouped if _is_identity(name, identity))
        for name in ignored:
            del grouped[name]
        if ignored:
            notes.append(
                f"{', '.join(ignored)}: ignored, because the peer {peer or 'on the Unix socket'} "
                "is not a trusted proxy"
            )
    limited = _Arguments()
    for name, values in grouped.items():
        limited.put(name, ",".join(values))
    for name, value in _query_arguments(query):
        limited.put(name, value)
    sender = _sender_address(peer, grouped.get("x-forwarded-for", []), trusts) if trusted else (peer or "")
    return RequestMetadata(
        limited.values, certificate, peer, sender, truncated=limited.truncated, notes=tuple(notes)
    )


def from_mapping(
    arguments: Mapping[str, str], certificate: Certificate, identity: IdentityNames
) -> RequestMetadata:
    """Read a described request (dry run, section 12); identity names among its headers are ignored."""
    limited = _Arguments()
    ignored = []
    for name, value in arguments.items():
        lower = name.strip().lower()
        if _is_identity(lower, identity):
            ignored.append(name)
            continue
        limited.put(lower, str(value))
    notes = (f"{', '.join(ignored)}: ignored, give the certificate instead",) if ignored else ()
    return RequestMetadata(limited.values, certificate, truncated=limited.truncated, notes=notes)


def read_certificate(
    dn: str | None,
    *,
    verify: str | None,
    expiry: str | None = None,
    require_verify: bool,
    now: datetime,
    doubled: bool = False,
) -> Certificate:
    """Judge a reported certificate (section 9).

    Args:
        dn: the subject as reported; None or blank when there is no certificate.
        verify: `SUCCESS`, `NONE`, `FAILED:reason`, or None when nothing was said.
        expiry: end of validity, as nginx or ISO 8601 writes it; None when nothing was said.
        require_verify: whether silence about verification counts as not verified.
        now: instant to judge expiry by, in UTC.
        doubled: an identity header stood more than once in the request.
    """
    text = (dn or "").strip()
    result = (verify or "").strip()
    if not doubled and (not text or result == "NONE"):
        return NO_CERTIFICATE
    presented = Certificate(presented=True, text=_CONTROL.sub(" ", text))
    if doubled:
        return replace(presented, fault="an identity header stands twice in the request")
    if result and result != "SUCCESS":
        return replace(presented, fault=f"the proxy says {_CONTROL.sub(' ', result)[:200]}")
    if not result and require_verify:
        return replace(presented, fault="the proxy did not say whether it verified the certificate")
    try:
        parsed = parse_dn(dn or "")
    except BadDistinguishedName as fault:
        return replace(presented, fault=f"the DN cannot be read: {fault}")
    expires = None
    if (expiry or "").strip():
        expires = parse_time(expiry or "")
        if expires is None:
            return replace(presented, fault="its expiry cannot be read")
        if expires <= now:
            return replace(presented, fault=f"it expired at {format_time(expires)}", expires=expires)
    return replace(presented, verified=True, dn=parsed, expires=expires)


def stamp(
    metadata: RequestMetadata, *, receipt_id: str, now: datetime, host: str, size: int | None
) -> dict[str, str]:
    """Add what section 10 asks of this hop and return the metadata to store with the data.

    Args:
        receipt_id: the new receipt's id.
        now: time of receipt, UTC.
        host: our host name, for ReceivedPath.
        size: bytes of the data item, None where the receipt holds several.
    """
    stored = metadata.stored()
    supplied = {name.lower(): value for name, value in stored.items()}
    moment = format_time(now)
    stored["GUID"] = supplied.get("guid") or str(uuid.uuid4())
    stored["ReceiptId"] = receipt_id
    stored["ReceiptIdPath"] = _lengthen(supplied.get("receiptidpath"), supplied.get("receiptid"), receipt_id)
    stored["ReceivedTime"] = moment
    stored["ReceivedTimeHistory"] = _lengthen(
        supplied.get("receivedtimehistory"), supplied.get("receivedtime"), moment
    )
    path = _comma_list(supplied.get("receivedpath"))
    stored["ReceivedPath"] = ",".join(path if path[-1:] == [host] else [*path, host])
    if "guid" not in supplied:
        stored["RemoteAddress"] = stored["RemoteHost"] = metadata.sender_address
    _stamp_certificate(stored, metadata.certificate)
    if "effectivetime" in supplied:
        effective = parse_time(supplied["effectivetime"])
        stored["EffectiveTime"] = format_time(effective) if effective else supplied["effectivetime"]
    if size is not None:
        stored["StreamSize"] = str(size)
    return {name: value for name, value in stored.items() if value}


def merge_entry(stored: Mapping[str, str], entry: Mapping[str, str], *, size: int) -> dict[str, str]:
    """Metadata of one archive entry: its own values over the request's, but for what this hop sets."""
    own = {canonical_name(name): value for name, value in entry.items() if name.lower() not in _SET_BY_THIS_HOP}
    merged = {**stored, **own, "StreamSize": str(size)}
    return {name: value for name, value in merged.items() if name.lower() not in _NEVER_STORED}


def format_meta(values: Mapping[str, str]) -> bytes:
    """Write metadata as section 7 reads it: `Key:Value` lines, sorted whatever the case, LF."""
    lines = (f"{name}:{_CONTROL.sub(' ', values[name])}\n" for name in sorted(values, key=str.lower))
    return "".join(lines).encode()


def parse_meta(data: bytes) -> dict[str, str]:
    """Read a metadata entry. A line without a colon is a key without a value; the last of a key counts."""
    values: dict[str, str] = {}
    for line in data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").split("\n"):
        key, _, value = line.partition(":")
        if key.strip():
            values[canonical_name(_CONTROL.sub(" ", key.strip()))] = _CONTROL.sub(" ", value).strip()
    return values


def canonical_name(name: str) -> str:
    """Spell a name as section 3.6 does: the case of header names is lost on the way."""
    known = _SPELLINGS.get(name.lower())
    if known:
        return known
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


def parse_time(text: str) -> datetime | None:
    """Read ISO 8601, epoch milliseconds, or nginx's certificate time; None when it is none of them."""
    value = text.strip()
    try:
        if re.fullmatch(r"\d{1,15}", value):
            return datetime.fromtimestamp(int(value) / 1000, UTC)
        if re.fullmatch(r"[A-Z][a-z]{2} .*GMT", value):
            return datetime.strptime(" ".join(value.split()), _NGINX_TIME).replace(tzinfo=UTC)
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def format_time(moment: datetime) -> str:
    """UTC with three decimals, as in 2026-02-24T18:10:27.192Z."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


class _Arguments:
    """Collects arguments within the limits of section 3.4; later ones win."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.truncated = False

    def put(self, name: str, value: str) -> None:
        clean = _CONTROL.sub(" ", value).strip()
        key = canonical_name(_CONTROL.sub(" ", name).strip())
        if not clean or not key:
            return
        if len(key) > MAX_NAME_LENGTH or (key not in self.values and len(self.values) >= MAX_NAMES):
            self.truncated = True
            return
        if len(clean) > MAX_VALUE_LENGTH:
            self.truncated = True
            clean = clean[:MAX_VALUE_LENGTH].strip()
        self.values[key] = clean


def _group(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    """Values by lower-case name. Names with an underscore are dropped: some proxies take _ for - (S2)."""
    grouped: dict[str, list[str]] = {}
    for raw_name, raw_value in headers:
        if b"_" in raw_name:
            continue
        grouped.setdefault(raw_name.decode("latin-1").strip().lower(), []).append(_text(raw_value))
    return grouped


def _text(raw: bytes) -> str:
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip()


def _is_identity(name: str, identity: IdentityNames) -> bool:
    return name in _IDENTITY_NAMES or name.startswith(_IDENTITY_PREFIXES) or identity.includes(name)


def _is_protected(name: str) -> bool:
    return name in _PROTECTED_NAMES or name.startswith(_PROTECTED_PREFIXES)


def _certificate_of(
    grouped: Mapping[str, list[str]], identity: IdentityNames, *, require_verify: bool, now: datetime
) -> Certificate:
    doubled = any(len(values) > 1 for name, values in grouped.items() if identity.includes(name))
    dn = next((value for name in identity.dn for value in grouped.get(name, []) if value), None)
    return read_certificate(
        dn,
        verify=_first(grouped, identity.verify),
        expiry=_first(grouped, identity.expiry),
        require_verify=require_verify,
        now=now,
        doubled=doubled,
    )


def _first(grouped: Mapping[str, list[str]], name: str) -> str | None:
    return next(iter(grouped.get(name, [])), None)


def _query_arguments(query: bytes) -> Iterable[tuple[str, str]]:
    text = query.decode("latin-1")
    for name, value in parse_qsl(text, keep_blank_values=False, encoding="utf-8", errors="replace"):
        if not _is_protected(name.strip().lower()):
            yield name, value


def _sender_address(peer: str | None, forwarded: list[str], trusts: Callable[[str | None], bool]) -> str:
    """First hop from the right that is not one of our proxies."""
    hops = [hop.strip() for value in forwarded for hop in value.split(",") if hop.strip()]
    for hop in reversed(hops):
        if not trusts(hop):
            return _CONTROL.sub(" ", hop)[:MAX_NAME_LENGTH]
    return hops[0][:MAX_NAME_LENGTH] if hops else (peer or "")


def _stamp_certificate(stored: dict[str, str], certificate: Certificate) -> None:
    for name in ("RemoteDN", "RemoteCertExpiry"):
        stored.pop(name, None)
    if certificate.verified:
        stored["RemoteDN"] = certificate.text
        if certificate.expires is not None:
            stored["RemoteCertExpiry"] = format_time(certificate.expires)


def _comma_list(value: str | None) -> list[str]:
    return [part.strip() for part in (value or "").split(",") if part.strip()]


def _lengthen(path: str | None, last: str | None, ours: str) -> str:
    """Oldest first: the supplied path, the supplied last value where the path lacks it, then ours."""
    parts = _comma_list(path)
    if last and parts[-1:] != [last]:
        parts.append(last)
    return ",".join([*parts, ours])
