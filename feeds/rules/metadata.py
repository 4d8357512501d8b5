"""Request metadata: typed, trimmed, bounded arguments from the headers and the query string of a request.

Pure. Sections named below are those of the receipt contract. Names and values are in `arguments`, the client
certificate is in `certificate`, and what is stored with the data is in `stored_metadata`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from urllib.parse import unquote

from feeds.rules.arguments import (
    MAX_NAME_LENGTH,
    MAX_NAMES,
    MAX_OTHERS,
    MAX_VALUE_LENGTH,
    MEANINGFUL,
    NEVER_STORED,
    SECRETS,
    canonical_name,
    clean,
)
from feeds.rules.certificate import certificate_of, is_identity_header
from feeds.rules.decision import NO_CERTIFICATE, Certificate, Sent, normal_compression
from portal.http.bearer import bearer_secret
from portal.http.client import IdentityNames, client_address

#: Never taken from the query; neither are identity names and secrets.
_PROTECTED_NAMES = frozenset({"remoteaddress", "remotehost", "host", "transfer-encoding"})
_PROTECTED_PREFIXES = ("content-", "stroom-")
#: What RFC 9110 calls a token. A colon in a name would end the key early in a metadata file.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_NOTE = 300


@dataclass(frozen=True)
class Bearer:
    """A token as a request presents it: the secret to look up, or the fault for which it cannot count.

    `address` is the address of the caller, as far as a trusted proxy gave it.
    """

    secret: str = field(default="", repr=False)
    fault: str = ""
    address: str = ""


@dataclass(frozen=True)
class RequestMetadata:
    """The arguments of one request, canonical spelling to value, and who sent it.

    `peer` is the host at the other end of our connection; `sender_address` is the sender's own as far as a
    trusted proxy gave it. `truncated` says that names or values were over the limits. `notes` are remarks for
    the trace, for example that identity headers of an untrusted peer were left out. `bearer` is the sender's token
    where the portal takes tokens; it is no argument.
    """

    arguments: Mapping[str, str]
    certificate: Certificate = NO_CERTIFICATE
    peer: str | None = None
    sender_address: str = ""
    truncated: bool = False
    notes: tuple[str, ...] = ()
    bearer: Bearer | None = None

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

    @property
    def sent(self) -> Sent:
        """What receipt rules may ask about."""
        return Sent(self.get, self.sender_address)

    def stored(self) -> dict[str, str]:
        """Return the arguments that are kept as metadata (section 3.5)."""
        return {name: value for name, value in self.arguments.items() if name.lower() not in NEVER_STORED}


def read_request(
    headers: Iterable[tuple[bytes, bytes]],
    query: bytes,
    *,
    peer: str | None,
    trusts: Callable[[str | None], bool],
    identity: IdentityNames,
    require_verify: bool,
    now: datetime,
    takes_tokens: bool = False,
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
        takes_tokens: whether `Authorization: Bearer` identifies a sender here.
    """
    grouped = _group(headers)
    bearer = _bearer_of(grouped) if takes_tokens else None
    grouped.pop(identity.signin, None)
    note = ""
    if trusts(peer):
        certificate = certificate_of(grouped, identity, require_verify=require_verify, now=now)
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
    collected = _collect(arguments, is_cut=is_cut)
    if bearer is not None:
        bearer = replace(bearer, address=sender)
    return collected.request(certificate, note, peer=peer, sender_address=sender, bearer=bearer)


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


class _Arguments:
    """Collects arguments within the limits of section 3.4; later ones win."""

    def __init__(self, *, truncated: bool) -> None:
        self.values: dict[str, str] = {}
        self.truncated = truncated

    def put(self, name: str, value: str) -> None:
        key, text = canonical_name(name), clean(value)
        if not text or key.lower() in SECRETS:
            return
        if len(key) > MAX_NAME_LENGTH or (key not in self.values and len(self.values) >= MAX_NAMES):
            self.truncated = True
            return
        if len(text) > MAX_VALUE_LENGTH:
            self.truncated = True
            text = text[:MAX_VALUE_LENGTH].strip()
        self.values[key] = text

    def request(
        self,
        certificate: Certificate,
        note: str,
        *,
        peer: str | None = None,
        sender_address: str = "",
        bearer: Bearer | None = None,
    ) -> RequestMetadata:
        return RequestMetadata(
            self.values,
            certificate,
            peer,
            sender_address,
            truncated=self.truncated,
            notes=(note,) if note else (),
            bearer=bearer,
        )


def _collect(arguments: Sequence[tuple[str, str]], *, is_cut: bool = False) -> _Arguments:
    """Collect the names that mean something first: no crowd of others may push out the feed or a coding."""
    collected = _Arguments(truncated=is_cut)
    others = []
    for name, value in arguments:
        if name.lower() in MEANINGFUL:
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


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _ignored(names: list[str], reason: str) -> str:
    return f"{', '.join(names)[:_MAX_NOTE]}: ignored, {reason}" if names else ""


def _is_protected(name: str, identity: IdentityNames) -> bool:
    """Return whether a name may not come from the query (section 3.3), in any spelling."""
    folded = name.lower().replace("_", "-")
    return (
        folded in _PROTECTED_NAMES or folded.startswith(_PROTECTED_PREFIXES) or is_identity_header(folded, identity)
    )


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
        if len(pairs) >= MAX_OTHERS and key not in pairs and key not in MEANINGFUL:
            is_cut = True
        else:
            pairs[key] = (name, value)
    return [(name, unquote(value)) for name, value in pairs.values() if _NAME.fullmatch(name)], is_cut


def _is_blank(value: str) -> bool:
    """Return whether nothing is left of a quoted value when it has been cleaned."""
    return not clean(unquote(value) if "%" in value else value)


def _bearer_of(grouped: Mapping[str, list[bytes]]) -> Bearer | None:
    """Read Authorization; None where it is absent or of another scheme."""
    values = [value.decode("latin-1") for value in grouped.get("authorization", [])]
    secrets = [secret for value in values if (secret := bearer_secret(value))]
    if len(values) > 1 and secrets:
        return Bearer(fault="the request has several Authorization headers")
    return Bearer(secrets[0]) if secrets else None


def _sender_address(peer: str | None, forwarded: list[bytes], trusts: Callable[[str | None], bool]) -> str:
    return client_address(peer, [clean(_text(value)) for value in forwarded], trusts)
