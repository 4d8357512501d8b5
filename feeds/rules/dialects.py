"""Reads what a reverse proxy states about a client certificate, in the header formats of six proxies.

Pure. A dialect (`PORTAL_PROXY_DIALECT`) is the way in which one proxy writes the subject, the result of the
verification and the end of validity; its header names are in `portal.http.client`. The result is one statement in
the words of nginx, which `feeds.rules.certificate` judges. What cannot be read for certain is a fault, never a
guess.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import unquote, unquote_plus

from feeds.rules.dn import BadDistinguishedName, DistinguishedName, parse_dn
from feeds.rules.pasted import UnreadableCertificate, read_pasted
from portal.http.client import IdentityNames

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
#: What mod_ssl and mod_headers write for a variable without a value.
_APACHE_NOTHING = "(null)"
_XFCC_PAIR = re.compile(r'[ \t]*+([A-Za-z]+)=(?:"((?:[^"\\]++|\\.)*+)"|([^",;]*+))')
_TRAEFIK_FIELD = re.compile(r'([A-Za-z]+)="([^"]*)"')
#: Attribute types in the order in which Traefik writes them, least specific first; its SN is the serial number.
_TRAEFIK_TYPES = ("DC", "C", "ST", "L", "O", "OU", "SERIALNUMBER", "CN")
_TRAEFIK_REPEATABLE = frozenset({"DC", "OU"})
_VALIDITY = re.compile(r"NotBefore=[^;=]*;NotAfter=([^;=]*)")
_HAPROXY_TIME = re.compile(r"([0-9]{2}|[0-9]{4})([0-9]{10}Z)")
_SECONDS = re.compile(r"[0-9]{1,11}")


@dataclass(frozen=True)
class Statement:
    """Statement of the proxy: subject, result (`SUCCESS`, `NONE`, other words) and end of validity.

    `fault` says why nothing of it can be used, and is empty where it can.
    """

    dn: str = ""
    verify: str = ""
    expiry: str = ""
    fault: str = ""


def identity_values(identity: IdentityNames, text_of: Callable[[str], str]) -> dict[str, str]:
    """Return the text of each identity header, empty where it is the proxy's word for nothing."""
    nothing = _APACHE_NOTHING if identity.dialect == "apache" else ""
    return {name: "" if (text := text_of(name)) == nothing else text for name in identity.stated}


def read_statement(identity: IdentityNames, values: Mapping[str, str]) -> Statement:
    """Read the identity headers of one request.

    Args:
        identity: names and dialect.
        values: what `identity_values` found.
    """
    if values.get(identity.unverified):
        return Statement(
            fault=f"the header {identity.unverified} is the certificate of a balancer that verifies none"
        )
    raw = Statement(
        dn=next(filter(None, (values[name] for name in identity.dn)), ""),
        verify=values.get(identity.verify, ""),
        expiry=values.get(identity.expiry, ""),
    )
    stated = _DIALECTS[identity.dialect](raw)
    if not identity.verify:
        # These proxies end the handshake of a certificate that they cannot verify, and state no result.
        stated = replace(stated, verify="SUCCESS")
    whole = values.get(identity.certificate)
    return _agreed(stated, read_certificate_header(whole)) if whole else stated


@lru_cache(maxsize=128)  # the same senders come again and again
def read_certificate_header(text: str) -> Statement:
    """Read a whole certificate: PEM with URL escapes, with blanks for line ends, or bare base64.

    Of several the first counts, which is the client's own; the others are its issuers.
    """
    try:
        found = read_pasted(_armoured(text))
    except UnreadableCertificate as fault:
        return Statement(fault=f"the certificate in the header cannot be read: {fault}")
    return Statement(dn=found.subject, expiry=found.expires.isoformat() if found.expires else "")


def _agreed(stated: Statement, whole: Statement) -> Statement:
    """Return the certificate's own statement, if the other headers do not contradict it (S38)."""
    if fault := stated.fault or whole.fault:
        return replace(stated, fault=fault)
    if stated.dn and not _is_same_name(stated.dn, whole.dn):
        return replace(stated, fault="the certificate and the DN in the headers disagree")
    return replace(whole, verify=stated.verify)


def _is_same_name(one: str, other: str) -> bool:
    try:
        return parse_dn(one) == parse_dn(other)
    except BadDistinguishedName:
        return False


def _armoured(text: str) -> str:
    # Of plus signs only those between BEGIN and CERTIFICATE are certain to be blanks.
    plain = unquote_plus(text) if "BEGIN+CERTIFICATE" in text else unquote(text)
    plain = plain.strip(' "')
    body, ends = plain.partition(",")[0], True
    if plain.startswith(_BEGIN):
        body, found, _ = plain.removeprefix(_BEGIN).partition(_END)
        ends = bool(found)
    return f"{_BEGIN}\n{''.join(body.split())}\n{_END if ends else ''}"


def _nginx(raw: Statement) -> Statement:
    return raw


def _haproxy(raw: Statement) -> Statement:
    """Read `ssl_c_verify` (0, or an error number), `ssl_c_notafter`, and values that are quoted by `%{+Q}`."""
    dn, verify, expiry = _unquoted(raw.dn), _unquoted(raw.verify), _unquoted(raw.expiry)
    if verify.isdecimal():
        verify = "SUCCESS" if verify == "0" else f"error {verify}"
    return Statement(dn, verify, _haproxy_time(expiry))


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _haproxy_time(text: str) -> str:
    """Read YYMMDDhhmmssZ as RFC 5280 means it (50 to 99 are of the last century), or with a whole year."""
    match = _HAPROXY_TIME.fullmatch(text)
    if match is None:
        return text
    century = "" if len(match[1]) == 4 else ("19" if match[1] >= "50" else "20")
    try:
        return datetime.strptime(f"{century}{text}", "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).isoformat()
    except ValueError:
        return text


def _aws_alb(raw: Statement) -> Statement:
    match = _VALIDITY.fullmatch(raw.expiry)
    return replace(raw, expiry=match[1].strip() or raw.expiry) if match else raw


def _envoy(raw: Statement) -> Statement:
    """Read x-forwarded-client-cert. Its last element counts: the one that the trusted proxy itself has written."""
    if not raw.dn:
        return raw
    element = _last_element(raw.dn)
    subjects, certificates = element.get("subject", []), element.get("cert", [])
    if not element or len(subjects) > 1 or len(certificates) > 1:
        return replace(raw, fault="the header x-forwarded-client-cert cannot be read")
    if not any(subjects + certificates):
        return replace(raw, fault="x-forwarded-client-cert has no Subject: Envoy must be set to add it")
    stated = replace(raw, dn="".join(subjects))
    return _agreed(stated, read_certificate_header(certificates[0])) if any(certificates) else stated


def _last_element(text: str) -> dict[str, list[str]]:
    """Return the values of each key of the last element, keys in lower case; empty where the text is malformed.

    Envoy puts the subject between quotes as RFC 2253 writes it, with that rule's backslashes, so the pair of a
    backslash and a quote does not end the value and is left for the reader of names.
    """
    element: dict[str, list[str]] = {}
    position = 0
    while match := _XFCC_PAIR.match(text, position):
        element.setdefault(match[1].lower(), []).append(match[3] if match[2] is None else match[2])
        position = match.end()
        if position == len(text):
            return element
        if text[position] == ",":
            element = {}
        elif text[position] != ";":
            return {}
        position += 1
    return {}


def _traefik(raw: Statement) -> Statement:
    """Read what passTLSClientCert writes: the first element is the client's certificate, the others its issuers.

    Traefik escapes nothing inside of the quotes. Doubled fields and attributes, and attributes that are not in its
    order, are refused; a name that was made to look like two others in order cannot be recognised.
    """
    if not raw.dn:
        return raw
    # An escaped text has no quotes.
    text = raw.dn if '"' in raw.dn else unquote_plus(raw.dn, errors="surrogateescape")
    fields = _first_element(text)
    subject = _traefik_name(fields.get("Subject", ""))
    if subject is None:
        return replace(raw, fault="the certificate information of Traefik has no Subject that can be read")
    ends = fields.get("NA", "")
    expiry = datetime.fromtimestamp(int(ends), UTC).isoformat() if _SECONDS.fullmatch(ends) else ends
    return replace(raw, dn=str(subject), expiry=expiry or raw.expiry)


def _first_element(text: str) -> dict[str, str]:
    """Return the fields of the first element; empty where a field is malformed or comes twice."""
    fields: dict[str, str] = {}
    position = 0
    while match := _TRAEFIK_FIELD.match(text, position):
        if match[1] in fields:
            return {}
        fields[match[1]] = match[2]
        position = match.end()
        following = text[position : position + 1]
        if following in {"", ","}:
            return fields
        if following != ";":
            return {}
        position += 1
    return {}


def _traefik_name(subject: str) -> DistinguishedName | None:
    """Return the name, most specific part first; None where it is not certainly one."""
    written = re.sub(r"(^|,)SN=", r"\1serialNumber=", subject)
    try:
        parts = parse_dn(written).parts if written else ()
    except BadDistinguishedName:
        return None
    kinds = [kind for part in parts for kind, _ in part]
    known = all(len(part) == 1 for part in parts) and set(kinds) <= set(_TRAEFIK_TYPES)
    if not kinds or not known or "\\" in subject or '"' in subject:
        return None
    if any(count > 1 and kind not in _TRAEFIK_REPEATABLE for kind, count in Counter(kinds).items()):
        return None
    return DistinguishedName(parts[::-1]) if kinds == sorted(kinds, key=_TRAEFIK_TYPES.index) else None


_DIALECTS: Mapping[str, Callable[[Statement], Statement]] = {
    "nginx": _nginx,
    "apache": _nginx,
    "haproxy": _haproxy,
    "envoy": _envoy,
    "traefik": _traefik,
    "aws-alb": _aws_alb,
}
