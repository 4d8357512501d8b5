"""Audit record: append-only, each entry chained to the previous one by its digest (S23).

An entry that is edited, taken out or moved breaks the chain. A tail that is cut off does not, so the head of the
chain is also written to the log and to a file next to the data; `manage.py verify_audit` compares all three. The
database itself refuses to change or delete an entry (triggers, see the migrations).

A new database begins a chain of its own. Its first entry says so and names the head that was announced last, so the
heads of the chain before it are explained and not faults. A restored older database is explained in the same way by
`verify_audit --accept`.
"""

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Subquery
from django.utils.crypto import salted_hmac
from simple_history.models import HistoricalRecords

from portal.database.bulk import insert
from portal.models import AuditRecord

log = logging.getLogger("portal.audit")

GENESIS = "0" * 64
HEADS_FILE = "audit-heads"
#: Kind of the entries that begin a chain, or go on with one after older heads were given up.
CHAIN = "audit record"
_TAIL_BYTES = 64 * 1024
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
#: Whether the empty record is that of a new database. One that was emptied begins without an explanation.
_new_database: ContextVar[bool] = ContextVar("audit_new_database", default=False)


@dataclass(frozen=True)
class Head:
    """Number and digest of the last entry of the chain at some time."""

    number: int
    digest: str
    #: Which chain it belongs to; older releases did not announce it.
    chain: str = ""

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}{f' chain={self.chain}' if self.chain else ''}"


_heads: ContextVar[list[Head] | None] = ContextVar("audit_heads", default=None)


def digest_of(values: Mapping[str, Any]) -> str:
    """Return the digest of an entry, which covers the digest of its predecessor."""
    covered = [values[name] for name in COVERED]
    return hashlib.sha256(json.dumps(covered, separators=(",", ":")).encode()).hexdigest()


def instant_words(moment: datetime) -> str:
    """Return a time in a form that every database returns unchanged."""
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
    """Append an entry; user, address and request id default to those of the current request.

    Args:
        action: created, changed, deleted, or another word for what was done.
        kind: what it was done to: feed, certificate rule, user, role, token, settings.
        old: values before, by field; only those that matter.
        new: values after.
    """
    request = getattr(HistoricalRecords.context, "request", None)
    user = getattr(request, "user", None)
    values: dict[str, Any] = {
        "at": instant_words(datetime.now(UTC)),
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
    """Append the entries of many changes together at the end of the block: the chain is read once.

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
        last = _last_with_chain()
        if last is None and _new_database.get():
            entries = [_beginning("A new database."), *entries]
        number, digest, chain = last or (0, GENESIS, "")
        rows = []
        for values in entries:
            number += 1
            chained = {**values, "number": number, "previous": digest}
            digest = digest_of(chained)
            rows.append(AuditRecord(digest=digest, **chained))
        insert(AuditRecord, rows)
    for row in rows:
        chain = row.key if row.kind == CHAIN else chain or row.digest[:16]
    heads = [Head(row.number, row.digest, chain) for row in rows if row.kind == CHAIN or row is rows[-1]]
    transaction.on_commit(lambda: announce(*heads))


def expect_new_database() -> None:
    """Let the next entry begin a chain: the database has no tables yet, and was meant to be new."""
    _new_database.set(True)


def accept_heads(reason: str) -> None:
    """Accept this database although heads of another or a newer one were announced."""
    _append([_beginning(reason)])


def _beginning(comment: str) -> dict[str, Any]:
    """Return the entry that begins a chain: heads announced before it may belong to another chain."""
    after = last_announced()
    return {
        "at": instant_words(datetime.now(UTC)),
        "actor": "",
        "remote_address": "",
        "request_id": "",
        "action": "began",
        "kind": CHAIN,
        "key": secrets.token_hex(8),
        "name": "chain of the audit record",
        "old": plain(None),
        "new": plain({"after": str(after) if after else ""}),
        "comment": comment,
    }


def _last_with_chain() -> tuple[int, str, str] | None:
    """Number and digest of the last entry, and its chain's identity: the key of the entry that began the chain,
    or the digest of an older release's first entry.
    """
    began = AuditRecord.objects.filter(kind=CHAIN).order_by("-number").values("key")[:1]
    first = AuditRecord.objects.filter(number=1).values("digest")
    last = AuditRecord.objects.order_by("-number").annotate(began=Subquery(began), first=Subquery(first))
    found = last.values_list("number", "digest", "began", "first").first()
    return (found[0], found[1], found[2] or (found[3] or "")[:16]) if found else None


def origin() -> str:
    """Return the digest of the first entry, which identifies this database; empty for an empty record."""
    return AuditRecord.objects.filter(number=1).values_list("digest", flat=True).first() or ""


def latest_head() -> Head | None:
    """Return the last entry; None for an empty record."""
    last = AuditRecord.objects.order_by("-number").values_list("number", "digest").first()
    return Head(*last) if last else None


def plain(values: Mapping[str, Any] | None) -> str:
    """Return values as JSON text: exactly the stored text is hashed."""
    return json.dumps(dict(values or {}), default=str, ensure_ascii=False, sort_keys=True)


def _hold_chain() -> None:
    """Serialise writers of the chain. In SQLite a writing transaction is exclusive anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


@contextmanager
def one_head_announced() -> Iterator[None]:
    """Log only the last of many heads, at the end of the block; the file has all of them."""
    heads: list[Head] = []
    token = _heads.set(heads)
    try:
        yield
    finally:
        _heads.reset(token)
        if heads:
            log.info("audit chain head %s", heads[-1])


def announce(*heads: Head) -> None:
    """Write heads to the log and the file, where rewriting the table cannot change them."""
    gathered = _heads.get()
    if gathered is None:
        log.info("audit chain head %s", heads[-1])
    else:
        gathered.extend(heads)
    path = Path(settings.DATA_DIR) / HEADS_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("".join(f"{head}\n" for head in heads))
    except OSError as fault:
        log.warning("the audit chain's head cannot be written to %s: %s", path.name, fault)


def last_announced() -> Head | None:
    """Return the head that was last written to the portal's own file."""
    try:
        with (Path(settings.DATA_DIR) / HEADS_FILE).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            heads = read_heads(file.read().decode(errors="replace").splitlines())
    except OSError:
        return None
    return heads[-1] if heads else None


def holds(head: Head) -> bool:
    """Return whether the database has an announced entry."""
    return AuditRecord.objects.filter(number=head.number, digest=head.digest).exists()


# --- settings ---


def record_settings(values: Mapping[str, str]) -> bool:
    """Append an entry if the settings differ from those of the last start; return whether they do.

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


def reported_settings(environment: Any) -> dict[str, str]:
    """Return the settings as text; secrets as a short keyed fingerprint, which only shows a change."""
    reported = {}
    for name, value in sorted(vars(environment).items()):
        if name in {"secret_key", "admin_password", "database_url"}:
            reported[name] = salted_hmac("portal.audit.settings", str(value)).hexdigest()[:16] if value else ""
        else:
            reported[name] = str(value)
    return reported


# --- verifying ---


def verify(entries: Iterable[Mapping[str, Any]], *files: Iterable[Head]) -> list[str]:
    """Check a whole chain, oldest entry first, against its own links and heads known from elsewhere.

    Args:
        entries: the chain.
        files: the heads of each file or log, in the order in which they were announced.

    Returns a line for each fault; none means that nothing was edited, removed, moved, or cut off after any head.
    """
    faults: list[str] = []
    digests: dict[int, str] = {}
    began: set[int] = set()
    previous, expected = GENESIS, 1
    for entry in entries:
        number = entry["number"]
        faults += _link_faults(entry, previous, expected)
        digests[number] = entry["digest"]
        if entry["kind"] == CHAIN:
            began.add(number)
        # SQLite keeps text in a column of numbers, if somebody writes it there.
        previous, expected = entry["digest"], (number if isinstance(number, int) else expected) + 1
    for heads in files:
        faults += _head_faults(digests, began, heads)
    return faults


def _link_faults(entry: Mapping[str, Any], previous: str, expected: int) -> Iterator[str]:
    number = entry["number"]
    if number != expected:
        yield f"entry {expected} is missing or out of order; entry {number} stands in its place"
    if entry["previous"] != previous:
        yield f"entry {number} does not follow the entry before it"
    if digest_of(entry) != entry["digest"]:
        yield f"entry {number} is not as it was written"


def _head_faults(digests: Mapping[int, str], began: set[int], heads: Iterable[Head]) -> list[str]:
    """Return announced heads that are missing in the chain, except those explained by a later entry."""
    faults: list[str] = []
    for head in heads:
        found = digests.get(head.number)
        if found is None:
            faults.append(f"entry {head.number} was announced and is gone")
        elif found != head.digest:
            faults.append(f"entry {head.number} is another one than was announced")
        elif head.number in began:
            faults.clear()
    return faults


def stored_entries() -> Iterator[Mapping[str, Any]]:
    """Yield all entries, oldest first."""
    yield from AuditRecord.objects.order_by("number").values(*COVERED, "digest").iterator()


def read_heads(lines: Iterable[str]) -> list[Head]:
    """Yield heads as `announce` writes them, from its file or a log; other text of a line is ignored."""
    heads = []
    for line in lines:
        words = line.split()
        for word, following in zip(words, [*words, ""][1:], strict=True):
            number, _, digest = word.partition(":")
            if number.isascii() and number.isdigit() and len(digest) == 64:
                heads.append(Head(int(number), digest, following.partition("chain=")[2]))
    return heads
