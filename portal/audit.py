"""The record of who changed what: appended only, each entry chained to the one before by its digest (S23).

An entry that is edited, taken out or moved breaks the chain. A tail that is cut off does not, so the head of the
chain is also written to the log and to a file beside the data; `manage.py verify_audit` compares all three. The
database itself refuses to change or delete an entry (triggers, see the migrations).
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils.crypto import salted_hmac
from simple_history.models import HistoricalRecords

from portal.bulk import insert
from portal.models import AuditRecord

log = logging.getLogger("portal.audit")

GENESIS = "0" * 64
HEADS_FILE = "audit-heads"
#: What the digest covers, in this order; `previous` chains it.
COVERED = (
    "number",
    "at",
    "actor",
    "remote_address",
    "request_id",
    "action",
    "kind",
    "key",
    "name",
    "old",
    "new",
    "comment",
    "previous",
)
#: Any number will do, as long as it is always the same: it names the lock in PostgreSQL.
_LOCK = 7_340_117
_waiting: ContextVar[list[dict[str, Any]] | None] = ContextVar("audit_entries", default=None)


@dataclass(frozen=True)
class Head:
    """The last entry of the chain at some time."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"


def digest_of(values: Mapping[str, Any]) -> str:
    """The fingerprint of one entry, its predecessor's included."""
    told = [values[name] for name in COVERED]
    return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()


def told_at(moment: datetime) -> str:
    """An instant in the one spelling that every database gives back alike."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def record(
    action: str,
    *,
    kind: str,
    key: Any,
    name: str,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    comment: str = "",
    actor: str = "",
) -> None:
    """Append an entry; who, from where and by which request are the present request's unless given.

    Args:
        action: created, changed, deleted, or another word for what was done.
        kind: what it was done to: feed, certificate rule, user, role, token, settings.
        old: values before, by field; only those that matter.
        new: values after.
    """
    request = getattr(HistoricalRecords.context, "request", None)
    user = getattr(request, "user", None)
    values: dict[str, Any] = {
        "at": told_at(datetime.now(UTC)),
        "actor": actor or (user.get_username() if user is not None and user.is_authenticated else ""),
        "remote_address": getattr(request, "client_address", ""),
        "request_id": getattr(request, "request_id", ""),
        "action": action,
        "kind": kind,
        "key": str(key),
        "name": name[:300],
        "old": plain(old),
        "new": plain(new),
        "comment": comment,
    }
    waiting = _waiting.get()
    if waiting is not None:
        waiting.append(values)
    else:
        _append([values])


@contextmanager
def together() -> Iterator[None]:
    """Append the entries of many changes at once, at the end: the chain is read once instead of for each.

    Use it inside the transaction that makes the changes; if that fails, nothing is appended.
    """
    waiting: list[dict[str, Any]] = []
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
    if waiting:
        _append(waiting)


def _append(entries: Sequence[dict[str, Any]]) -> None:
    with transaction.atomic(savepoint=False):
        _hold_chain()
        last = AuditRecord.objects.order_by("-number").values_list("number", "digest").first()
        number, digest = last or (0, GENESIS)
        rows = []
        for values in entries:
            number += 1
            chained = {**values, "number": number, "previous": digest}
            digest = digest_of(chained)
            rows.append(AuditRecord(digest=digest, **chained))
        insert(AuditRecord, rows)
    head = Head(number, digest)
    transaction.on_commit(lambda: announce(head))


def plain(values: Mapping[str, Any] | None) -> str:
    """Values as JSON text: what is hashed is what is stored, letter by letter."""
    return json.dumps(dict(values or {}), default=str, ensure_ascii=False, sort_keys=True)


def _hold_chain() -> None:
    """Let one writer at a time read the head and append. In SQLite a transaction that writes is alone anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def announce(head: Head) -> None:
    """Tell the head where somebody who rewrites the table cannot take it back."""
    log.info("audit chain head %s", head)
    path = Path(settings.DATA_DIR) / HEADS_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{head}\n")
    except OSError as fault:
        log.warning("the audit chain's head cannot be written to %s: %s", path.name, fault)


# --- settings ---


def record_settings(values: Mapping[str, str]) -> bool:
    """Append an entry where the portal starts with other settings than the last time; tell whether it did.

    `values` must hold no secret: give its fingerprint instead.
    """
    last = AuditRecord.objects.filter(kind="settings").order_by("-number").first()
    before: dict[str, str] = json.loads(last.new) if last else {}
    changed = [name for name in sorted({*before, *values}) if before.get(name) != values.get(name)]
    if not changed:
        return False
    record(
        "changed" if last else "created",
        kind="settings",
        key="",
        name="settings of the portal",
        old={name: before[name] for name in changed if name in before},
        new=values,  # all of them: the next start compares with these
        comment=f"changed: {', '.join(changed)}" if last else "",
    )
    return True


def told_settings(environment: Any) -> dict[str, str]:
    """The settings in words; of secrets a short keyed fingerprint, which shows a change and nothing else."""
    told = {}
    for name, value in sorted(vars(environment).items()):
        if name in {"secret_key", "admin_password", "database_url"}:
            told[name] = salted_hmac("portal.audit.settings", str(value)).hexdigest()[:16] if value else ""
        else:
            told[name] = str(value)
    return told


# --- verifying ---


def verify(entries: Iterable[Mapping[str, Any]], heads: Iterable[Head] = ()) -> list[str]:
    """Check a whole chain, oldest entry first, against its own links and heads known from elsewhere.

    Returns a line for each fault; none means that nothing was edited, removed, moved, or cut off after any head.
    """
    faults: list[str] = []
    digests: dict[int, str] = {}
    previous, expected = GENESIS, 1
    for entry in entries:
        number = entry["number"]
        faults += _link_faults(entry, previous, expected)
        digests[number] = entry["digest"]
        # SQLite keeps text in a column of numbers, if somebody writes it there.
        previous, expected = entry["digest"], (number if isinstance(number, int) else expected) + 1
    return faults + list(_head_faults(digests, heads))


def _link_faults(entry: Mapping[str, Any], previous: str, expected: int) -> Iterator[str]:
    number = entry["number"]
    if number != expected:
        yield f"entry {expected} is missing or out of order; entry {number} stands in its place"
    if entry["previous"] != previous:
        yield f"entry {number} does not follow the entry before it"
    if digest_of(entry) != entry["digest"]:
        yield f"entry {number} is not as it was written"


def _head_faults(digests: Mapping[int, str], heads: Iterable[Head]) -> Iterator[str]:
    for head in heads:
        found = digests.get(head.number)
        if found is None:
            yield f"entry {head.number} was announced and is gone"
        elif found != head.digest:
            yield f"entry {head.number} is another one than was announced"


def stored_entries() -> Iterator[Mapping[str, Any]]:
    """All entries, oldest first, without holding them all in memory."""
    yield from AuditRecord.objects.order_by("number").values(*COVERED, "digest").iterator()


def read_heads(lines: Iterable[str]) -> list[Head]:
    """Heads as `announce` writes them, also from a log: whatever else stands in a line is passed over."""
    heads = []
    for line in lines:
        for word in line.split():
            number, _, digest = word.partition(":")
            if number.isascii() and number.isdigit() and len(digest) == 64:
                heads.append(Head(int(number), digest))
    return heads
