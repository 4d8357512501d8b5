"""Client certificates as identity headers describe them (section 9 of the receipt contract)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from feeds.rules.arguments import CONTROL, format_time, parse_time
from feeds.rules.decision import NO_CERTIFICATE, Certificate
from feeds.rules.dialects import identity_values, read_statement
from feeds.rules.dn import BadDistinguishedName, parse_dn
from portal.http.client import IdentityNames

_IDENTITY_NAMES = frozenset({"remotedn", "remotecertexpiry", "uploaduserid", "uploadusername"})
_IDENTITY_PREFIXES = ("x-ssl-", "x-forwarded-")
#: Fault of a certificate whose description has two values for one name.
DOUBLED = "an identity header is given twice in the request"


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
    presented = Certificate(presented=True, text=CONTROL.sub(" ", text))
    if conflict:
        return replace(presented, fault=conflict)
    if result and result != "SUCCESS":
        return replace(presented, fault=f"the proxy says {CONTROL.sub(' ', result)[:200]}")
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


def is_identity_header(name: str, identity: IdentityNames) -> bool:
    """Return whether a lower-case name says who sent a request, and so counts from a trusted peer only."""
    configured = identity.includes(name) or name == identity.signin
    return configured or name in _IDENTITY_NAMES or name.startswith(_IDENTITY_PREFIXES)


def certificate_of(
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
