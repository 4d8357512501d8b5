"""Request metadata: typed, trimmed, bounded arguments from header bytes and query string.

The one place that knows header names. Pure. Sections named below are those of the receipt contract.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from urllib.parse import unquote

from feeds.rules.decision import NO_CERTIFICATE, Certificate, normal_compression
from feeds.rules.dialects import identity_values, read_statement
from feeds.rules.dn import BadDistinguishedName, parse_dn
from portal.http.client import IdentityNames, client_address

MAX_NAMES = 200
MAX_NAME_LENGTH = 128
#: Names without a meaning here that are looked at: some turn out blank, protected or none.
MAX_OTHERS = 2 * MAX_NAMES
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
#: The last to be left out where there are too many names.
_MEANINGFUL = frozenset(_SPELLINGS) | {"content-encoding"}
#: Dropped where requests are read, so that nothing behind can store, log, echo or forward them.
_SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})
_NEVER_STORED = _SECRETS | {
    "accept",
    "connection",
    "content-length",
    "content-encoding",  # undone before anything is stored
    "transfer-encoding",
    "expect",
    "upgrade",
    "http2-settings",
    "compression",
}
_IDENTITY_NAMES = frozenset({"remotedn", "remotecertexpiry", "uploaduserid", "uploadusername"})
_IDENTITY_PREFIXES = ("x-ssl-", "x-forwarded-")
#: Never taken from the query; neither are identity names and secrets.
_PROTECTED_NAMES = frozenset({"remoteaddress", "remotehost", "host", "transfer-encoding"})
_PROTECTED_PREFIXES = ("content-", "stroom-")
#: Names that this hop sets by section 10, in addition to the size; an entry of an archive may not override these.
_SET_BY_THIS_HOP = frozenset(
    {"guid", "receiptid", "receiptidpath", "receivedtime", "receivedtimehistory", "receivedpath"}
)
#: Control characters, other line ends, and lone surrogates, which no encoding can carry.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
#: What RFC 9110 calls a token. A colon in a name would end the key early in a metadata file.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE_END = re.compile(r"\r\n|\r|\n")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NOTE = 300
#: Fault of a certificate whose description has two values for one name.
DOUBLED = "an identity header is given twice in the request"


@dataclass(frozen=True)
class RequestMetadata:
    """The arguments of one request, canonical spelling to value, and who sent it.

    `peer` is the host at the other end of our connection; `sender_address` is the sender's own as far as a
    trusted proxy gave it. `truncated` says that names or values were over the limits. `notes` are remarks for
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
        """Return the argument's value whatever the case of its name; None when absent."""
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
        return self.content_encoding is not None and self.content_encoding.lower() in {"gzip", "x-gzip"}

    def stored(self) -> dict[str, str]:
        """Return the arguments that are kept as metadata (section 3.5)."""
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
    grouped = _group(headers)
    grouped.pop(identity.signin, None)
    note = ""
    if trusts(peer):
        certificate = _certificate_of(grouped, identity, require_verify=require_verify, now=now)
        sender = _sender_address(peer, grouped.get("x-forwarded-for", []), trusts)
        grouped.pop(identity.certificate, None)  # read by now, and too long to be kept with the data
    else:
        ignored = sorted(name for name in grouped if is_identity_header(name, identity))
        for name in ignored:
            del grouped[name]
        note = _ignored(ignored, f"because the peer {peer or 'on the Unix socket'} is not a trusted proxy")
        certificate, sender = replace(NO_CERTIFICATE, fault=note), peer or ""
    arguments = [(name, ",".join(_text(value) for value in values)) for name, values in grouped.items()]
    asked, is_cut = _query_arguments(query)
    arguments += [(name, value) for name, value in asked if not _is_protected(name, identity)]
    return _collect(arguments, is_cut=is_cut).request(certificate, note, peer=peer, sender_address=sender)


def from_mapping(
    arguments: Mapping[str, str | None], certificate: Certificate, identity: IdentityNames
) -> RequestMetadata:
    """Read a described request (dry run, section 12) as if its pairs had come as headers.

    Identity names among them are ignored: the certificate is described separately.
    """
    grouped: dict[str, list[str]] = {}
    ignored = []
    for given, value in arguments.items():
        name = given.strip()
        if is_identity_header(name.lower(), identity):
            ignored.append(name)
        elif value is not None and _is_header_name(name):
            # Names that differ in case alone are one header that is given twice.
            grouped.setdefault(name.lower(), []).append(str(value))
    collected = _collect([(name, ",".join(values)) for name, values in grouped.items()])
    return collected.request(certificate, _ignored(ignored, "because the certificate is described separately"))


def read_certificate(
    dn: str | None,
    *,
    verify: str | None,
    expiry: str | None,
    require_verify: bool,
    now: datetime,
    conflict: str = "",
) -> Certificate:
    """Judge a reported certificate (section 9).

    Args:
        dn: the subject as reported; None or blank when there is no certificate.
        verify: `SUCCESS`, `NONE`, `FAILED:reason`, or None when nothing was said.
        expiry: end of validity, as nginx or ISO 8601 writes it; None when nothing was said.
        require_verify: whether silence about verification counts as not verified.
        now: instant to judge expiry by, in UTC.
        conflict: why the identity headers cannot be read as one statement; empty where they can.
    """
    text = (dn or "").strip(" \t")
    result = (verify or "").strip(" \t")
    if not conflict and (not text or result == "NONE"):
        return NO_CERTIFICATE
    presented = Certificate(presented=True, text=_CONTROL.sub(" ", text))
    if conflict:
        return replace(presented, fault=conflict)
    if result and result != "SUCCESS":
        return replace(presented, fault=f"the proxy says {_CONTROL.sub(' ', result)[:200]}")
    if not result and require_verify:
        return replace(presented, fault="the proxy did not say whether it verified the certificate")
    try:
        parsed = parse_dn(text)
    except BadDistinguishedName as fault:
        return replace(presented, fault=f"the DN cannot be read: {fault}")
    ends, expires = (expiry or "").strip(), None
    if ends:
        expires = parse_time(ends)
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
        effective = _argument_time(supplied["effectivetime"])
        stored["EffectiveTime"] = format_time(effective) if effective else supplied["effectivetime"]
    # Where there are several data items, a size that the sender gave is true of none of them.
    stored["StreamSize"] = "" if size is None else str(size)
    return {name: value for name, value in stored.items() if value}


def merge_entry(stored: Mapping[str, str], entry: Mapping[str, str], *, size: int) -> dict[str, str]:
    """Metadata of one archive entry: its own values over the request's, but for what this hop sets.

    Args:
        stored: metadata of the whole request, as `stamp` made it.
        entry: the entry's own, as `parse_meta` read it. A key without a value overrides nothing.
        size: bytes of the entry's data.
    """
    merged = dict(stored)
    for given, value in entry.items():
        name = canonical_name(given)
        if name.lower() not in _SET_BY_THIS_HOP and (value or name not in stored):
            merged[name] = value
    merged["StreamSize"] = str(size)
    return {name: value for name, value in merged.items() if name.lower() not in _NEVER_STORED}


def format_meta(values: Mapping[str, str]) -> bytes:
    """Write metadata as section 7 reads it: `Key:Value` lines, sorted whatever the case, LF."""
    lines = (_CONTROL.sub(" ", f"{name}:{values[name]}") + "\n" for name in sorted(values, key=str.lower))
    return "".join(lines).encode()


def parse_meta(data: bytes) -> dict[str, str]:
    """Read a metadata entry. A line without a colon is a key without a value; the last of a key counts.

    The feed that is decided on must be the feed that Stroom will see, so whatever another reader of the same bytes
    could take for a line or a key is one here too: a lone CR ends a line, control characters around a key do not
    hide it, and two different feeds are joined with a comma, as in a repeated header, which names no feed at all.
    The limits of section 3.4 hold, but known names do not count: a feed cannot be hidden behind many others.
    """
    values: dict[str, str] = {}
    room = MAX_NAMES
    lines = _LINE_END.split(data.decode(errors="replace").replace("\ufeff", ""))
    for line in filter(None, lines):
        given, _, rest = line.partition(":")
        name, value = canonical_name(_clean(given)), _clean(rest)
        if not name or len(name) > MAX_NAME_LENGTH:
            continue
        if name == "Feed":
            value = ",".join(dict.fromkeys(filter(None, (values.get(name), value))))
        if name not in values and name.lower() not in _SPELLINGS:
            if not room:
                continue
            room -= 1
        values[name] = value[:MAX_VALUE_LENGTH]
    return values


def canonical_name(name: str) -> str:
    """Spell a name as section 3.6 does: the case of header names is lost on the way.

    Only ASCII letters are capitalised: the long s, for one, would become an ordinary S and another name.
    """
    lower = name.lower()
    return _SPELLINGS.get(lower) or "-".join(
        part.capitalize() if part[:1].isascii() else part for part in lower.split("-")
    )


def parse_time(text: str) -> datetime | None:
    """Read ISO 8601, epoch milliseconds, or nginx's certificate time; None when it is none of them."""
    value = text.strip()
    if not value.endswith("GMT"):
        return _argument_time(value)
    try:
        return datetime.strptime(" ".join(value.split()), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    except ValueError:
        return None


def _argument_time(value: str) -> datetime | None:
    """ISO 8601 or epoch milliseconds (section 3); a time without a zone is UTC."""
    try:
        if re.fullmatch(r"[0-9]{1,15}", value):
            return _EPOCH + timedelta(milliseconds=int(value))
        if not re.fullmatch(r"[0-9WTZtz:., +-]+", value):
            return None  # fromisoformat takes any character between date and time
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def format_time(moment: datetime) -> str:
    """UTC with three decimals, as in 2026-02-24T18:10:27.192Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Arguments:
    """Collects arguments within the limits of section 3.4; later ones win."""

    def __init__(self, *, truncated: bool) -> None:
        self.values: dict[str, str] = {}
        self.truncated = truncated

    def put(self, name: str, value: str) -> None:
        key, clean = canonical_name(name), _clean(value)
        if not clean or key.lower() in _SECRETS:
            return
        if len(key) > MAX_NAME_LENGTH or (key not in self.values and len(self.values) >= MAX_NAMES):
            self.truncated = True
            return
        if len(clean) > MAX_VALUE_LENGTH:
            self.truncated = True
            clean = clean[:MAX_VALUE_LENGTH].strip()
        self.values[key] = clean

    def request(
        self, certificate: Certificate, note: str, *, peer: str | None = None, sender_address: str = ""
    ) -> RequestMetadata:
        return RequestMetadata(
            self.values,
            certificate,
            peer,
            sender_address,
            truncated=self.truncated,
            notes=(note,) if note else (),
        )


def _collect(arguments: Sequence[tuple[str, str]], *, is_cut: bool = False) -> _Arguments:
    """Collect the names that mean something first: no crowd of others may push out the feed or a coding."""
    collected = _Arguments(truncated=is_cut)
    others = []
    for name, value in arguments:
        if name.lower() in _MEANINGFUL:
            collected.put(name, value)
        else:
            others.append((name, value))
    for name, value in others[:MAX_OTHERS]:
        collected.put(name, value)
    collected.truncated |= len(others) > MAX_OTHERS
    return collected


def _group(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[bytes]]:
    """Values by lower-case name; what is not a header name for certain is left out."""
    grouped: dict[str, list[bytes]] = {}
    for raw_name, value in headers:
        name = raw_name.decode("latin-1")
        if _is_header_name(name):
            grouped.setdefault(name.lower(), []).append(value)
    return grouped


def _is_header_name(name: str) -> bool:
    """Return whether every proxy reads this name alike: some take an underscore for a dash, or trim blanks (S2)."""
    return "_" not in name and _NAME.fullmatch(name) is not None


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _ignored(names: list[str], reason: str) -> str:
    return f"{', '.join(names)[:_MAX_NOTE]}: ignored, {reason}" if names else ""


def is_identity_header(name: str, identity: IdentityNames) -> bool:
    """Return whether a lower-case name says who sent a request, and so counts from a trusted peer only."""
    configured = identity.includes(name) or name == identity.signin
    return configured or name in _IDENTITY_NAMES or name.startswith(_IDENTITY_PREFIXES)


def _is_protected(name: str, identity: IdentityNames) -> bool:
    """Return whether a name may not come from the query (section 3.3), in any spelling."""
    folded = name.lower().replace("_", "-")
    return (
        folded in _PROTECTED_NAMES or folded.startswith(_PROTECTED_PREFIXES) or is_identity_header(folded, identity)
    )


def _certificate_of(
    grouped: Mapping[str, list[bytes]], identity: IdentityNames, *, require_verify: bool, now: datetime
) -> Certificate:
    values = identity_values(identity, lambda name: _identity_text(grouped, name))
    conflict = _conflict(grouped, identity, values)
    stated = read_statement(identity, values)
    return read_certificate(
        stated.dn,
        verify=stated.verify,
        expiry=stated.expiry,
        require_verify=require_verify,
        now=now,
        conflict=conflict or stated.fault,
    )


def _conflict(grouped: Mapping[str, list[bytes]], identity: IdentityNames, values: Mapping[str, str]) -> str:
    """Return why the identity headers do not come from one source (S38); empty where they may."""
    if any(len(lines) > 1 for name, lines in grouped.items() if identity.includes(name)):
        return DOUBLED
    names = [*identity.dn, *filter(None, [identity.certificate])]
    if not any(values[name] for name in names):
        return ""
    if missing := [name for name in names if not values[name]]:
        setting = "PORTAL_DN_HEADERS" if missing[0] in identity.dn else "PORTAL_CERTIFICATE_HEADER"
        return f"the header {', '.join(missing)} is missing: the proxy must set each name of {setting}"
    if len({values[name] for name in identity.dn}) > 1:
        return f"the headers {', '.join(identity.dn)} disagree"
    return ""


def _identity_text(grouped: Mapping[str, list[bytes]], name: str) -> str:
    """Return the first value; bytes that are not UTF-8 become a character that no DN may hold."""
    return grouped.get(name, [b""])[0].decode(errors="surrogateescape").strip(" \t")


def _query_arguments(query: bytes) -> tuple[list[tuple[str, str]], bool]:
    """Return the last pair of each name that a header could have, trimmed, and whether some were left out.

    The limit comes before everything that costs more than a look: a query may have thirty thousand pairs.
    """
    pairs: dict[str, tuple[str, str]] = {}
    is_cut = False
    for pair in query.decode(errors="replace").replace("+", " ").split("&"):
        given, _, value = pair.partition("=")
        name = (unquote(given) if "%" in given else given).strip()
        if _is_blank(value):
            continue
        key = name.lower()
        if len(pairs) >= MAX_OTHERS and key not in pairs and key not in _MEANINGFUL:
            is_cut = True
        else:
            pairs[key] = (name, value)
    return [(name, unquote(value)) for name, value in pairs.values() if _NAME.fullmatch(name)], is_cut


def _is_blank(value: str) -> bool:
    """Return whether nothing is left of a quoted value when it has been cleaned."""
    return not _clean(unquote(value) if "%" in value else value)


def _sender_address(peer: str | None, forwarded: list[bytes], trusts: Callable[[str | None], bool]) -> str:
    return client_address(peer, [_clean(_text(value)) for value in forwarded], trusts)


def _stamp_certificate(stored: dict[str, str], certificate: Certificate) -> None:
    """Replace what the sender says of itself; empty values are left out later."""
    proven = certificate if certificate.verified else NO_CERTIFICATE
    stored["RemoteDN"] = proven.text
    stored["RemoteCertExpiry"] = format_time(proven.expires) if proven.expires else ""


def _comma_list(value: str | None) -> list[str]:
    return [part.strip() for part in (value or "").split(",") if part.strip()]


def _lengthen(path: str | None, last: str | None, ours: str) -> str:
    """Oldest first: the supplied path, the supplied last value where the path lacks it, then ours."""
    parts = _comma_list(path)
    if last and parts[-1:] != [last]:
        parts.append(last)
    return ",".join([*parts, ours])
