"""Metadata stored with the data: fields this hop adds, and the format of `.meta` entries (sections 7 and 10)."""

import re
import uuid
from collections.abc import Mapping
from datetime import datetime

from feeds.rules.arguments import (
    CONTROL,
    MAX_NAME_LENGTH,
    MAX_NAMES,
    MAX_VALUE_LENGTH,
    NEVER_STORED,
    SPELLINGS,
    argument_time,
    canonical_name,
    clean,
    format_time,
)
from feeds.rules.decision import NO_CERTIFICATE, NO_TOKEN, Certificate, SenderToken
from feeds.rules.facts import TOKEN_SUBJECT
from feeds.rules.metadata import RequestMetadata

#: Names that this hop sets by section 10, in addition to the size; an entry of an archive may not override these.
_SET_BY_THIS_HOP = frozenset(
    {"guid", "receiptid", "receiptidpath", "receivedtime", "receivedtimehistory", "receivedpath"}
)
_LINE_END = re.compile(r"\r\n|\r|\n")


def stamp(
    metadata: RequestMetadata,
    *,
    receipt_id: str,
    now: datetime,
    host: str,
    size: int | None,
    token: SenderToken | None = None,
) -> dict[str, str]:
    """Add what section 10 asks of this hop and return the metadata to store with the data.

    Args:
        receipt_id: the new receipt's id.
        now: time of receipt, UTC.
        host: our host name, for ReceivedPath.
        size: bytes of the data item, None where the receipt holds several.
        token: the sender's token; None where the portal takes none.
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
    _stamp_token(stored, token or NO_TOKEN)
    if "effectivetime" in supplied:
        effective = argument_time(supplied["effectivetime"])
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
    return {name: value for name, value in merged.items() if name.lower() not in NEVER_STORED}


def format_meta(values: Mapping[str, str]) -> bytes:
    """Write metadata as section 7 reads it: `Key:Value` lines, sorted whatever the case, LF."""
    lines = (CONTROL.sub(" ", f"{name}:{values[name]}") + "\n" for name in sorted(values, key=str.lower))
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
        name, value = canonical_name(clean(given)), clean(rest)
        if not name or len(name) > MAX_NAME_LENGTH:
            continue
        if name == "Feed":
            value = ",".join(dict.fromkeys(filter(None, (values.get(name), value))))
        if name not in values and name.lower() not in SPELLINGS:
            if not room:
                continue
            room -= 1
        values[name] = value[:MAX_VALUE_LENGTH]
    return values


def _stamp_certificate(stored: dict[str, str], certificate: Certificate) -> None:
    """Replace what the sender says of itself; empty values are left out later."""
    proven = certificate if certificate.verified else NO_CERTIFICATE
    stored["RemoteDN"] = proven.text
    stored["RemoteCertExpiry"] = format_time(proven.expires) if proven.expires else ""


def _stamp_token(stored: dict[str, str], token: SenderToken) -> None:
    """Say which token sent it, as Stroom does of its own tokens, and leave out what only claims to be one."""
    if token.name:
        stored["UploadUserId"], stored["UploadUsername"] = token.subject, token.name
    elif stored.get("UploadUserId", "").startswith(TOKEN_SUBJECT):
        stored["UploadUserId"] = stored["UploadUsername"] = ""


def _comma_list(value: str | None) -> list[str]:
    return [part.strip() for part in (value or "").split(",") if part.strip()]


def _lengthen(path: str | None, last: str | None, ours: str) -> str:
    """Oldest first: the supplied path, the supplied last value where the path lacks it, then ours."""
    parts = _comma_list(path)
    if last and parts[-1:] != [last]:
        parts.append(last)
    return ",".join([*parts, ours])
