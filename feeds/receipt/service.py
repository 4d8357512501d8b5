"""One delivery from its head to its row: decide, spool, verify, decide again, make durable, record.

Synchronous: the receiver calls it from threads, tests call it directly. The only module of this folder that knows
rows. A delivery is acknowledged after exactly this order: file flushed, renamed, directories flushed, row committed
(receipt contract, section 8.2).
"""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import PurePosixPath

from django.db import connection, transaction

from feeds.models import Feed, Receipt, ReceiptFeed
from feeds.models import Outcome as Counted
from feeds.monitoring.counts import DeliveryCounts, Sample, tally_of
from feeds.monitoring.metrics import Measures
from feeds.receipt.jobs import Busy
from feeds.rules import stroom_status
from feeds.rules.decision import (
    Decision,
    FeedPolicy,
    FeedStatus,
    accept,
    decide,
    decide_feed,
    normal_compression,
    refuse,
)
from feeds.rules.metadata import RequestMetadata, format_meta, stamp
from feeds.store.archive import MAX_LISTED_GROUPS, Contents, read_archive
from feeds.store.compression import Gunzip, GzipCheck, StreamInvalid, TooLarge
from feeds.store.ids import ReceiptIds, data_path, meta_path
from feeds.store.slots import Slot
from feeds.store.spool import PART_SUFFIX, NoSpace, Part, SpaceMark, Store, SyncFailed, write_beside
from portal.database.threads import VAIN_SECONDS, Refused, Unavailable, promptly
from portal.http.body import Incomplete
from portal.http.client import IdentityNames
from portal.http.request_ids import told_request_id
from portal.repeated import WELL, Recurring

log = logging.getLogger(__name__)
#: A line for each delivery.
deliveries = logging.getLogger("feeds.deliveries")

#: Most that the arguments of one refused delivery take as an example.
SAMPLE_BYTES = 8000
#: What a log line about the database begins with.
REFUSES = "the database refuses deliveries"
AWAY = "the database is away, locked or slow"
#: How long no delivery must meet a fault of the database before that is logged as over.
SETTLE_SECONDS = 10.0
STREAM_ADVICE = "Check the data at its source and send it again."


@dataclass(frozen=True)
class ReceiptSettings:
    """What the operator has chosen for receiving."""

    host: str
    trusts: Callable[[str | None], bool]
    identity: IdentityNames
    space: SpaceMark
    require_verify: bool = True
    public_url: str = ""
    limit: int | None = None
    log_deliveries: bool = True


@dataclass(frozen=True)
class Outcome:
    """What became of a delivery after its bytes. `decision` refuses or accepts; its feed is the one at fault."""

    decision: Decision
    kind: Counted
    receipt_id: str
    bytes: int = 0
    wire_bytes: int = 0


@dataclass
class ReceiptService:
    """Everything that the deliveries of one worker share."""

    settings: ReceiptSettings
    store: Store
    slot: Slot
    ids: ReceiptIds
    counts: DeliveryCounts
    on_store_fault: Callable[[], None] = field(default=lambda: None)
    on_database_fault: Callable[[], None] = field(default=lambda: None)
    measures: Measures = field(default_factory=Measures)
    faults: Recurring = field(default_factory=lambda: Recurring(log, settle_seconds=SETTLE_SECONDS))

    def database_failed(self, fault: Unavailable) -> None:
        """Log why the database kept a delivery out, once a minute. Readiness is for the health check to decide: one
        sender's odd delivery must not take the portal from all others.
        """
        cause = fault.__cause__ or fault
        if isinstance(fault, Refused):
            self.faults.tell(REFUSES, f"a delivery failed, {type(cause).__name__}", cause, logging.ERROR)
        else:
            self.faults.tell(AWAY, "deliveries are answered 503", cause)

    def database_answered(self) -> None:
        """Note that a delivery was recorded."""
        self.faults.tell(REFUSES, WELL)
        self.faults.tell(AWAY, WELL)

    def decide(self, request: RequestMetadata) -> Decision:
        """Evaluate steps 1 to 7 against the database as it is now.

        Raises:
            Unavailable: the rules cannot be read. Asked also for a request without a feed: this comes first.
        """
        return decide(
            feed=request.feed,
            certificate=request.certificate,
            compression=request.compression,
            content_encoding=request.content_encoding,
            policy=read_policy(request.feed),
            now=datetime.now(UTC),
        )

    def begin(self, request: RequestMetadata, decision: Decision, receipt_id: str) -> "Delivery":
        """Open the part of an accepted request.

        Raises:
            OSError: the store cannot be written.
        """
        return Delivery(self, request, decision, receipt_id)

    def count(self, request: RequestMetadata | None, outcome: Outcome, seconds: float) -> None:
        """Count what became of a delivery and how long it took, with an example of a refused one.

        What is counted with an example, or is no refusal, has a line in the log: refusals may come in floods (R26).
        """
        decision = outcome.decision
        self.measures.delivered(
            outcome.kind,
            decision.status,
            wire=outcome.wire_bytes,
            stored=outcome.bytes if outcome.kind is Counted.RECEIVED else 0,
            seconds=seconds,
        )
        now = datetime.now(UTC)
        tally = tally_of(
            now,
            decision.feed,
            outcome.kind,
            http_status=decision.status.http,
            stroom_status=decision.status.code,
            known=decision.known and bool(decision.feed),
        )
        if outcome.kind is not Counted.REFUSED or request is None:
            self.counts.add(tally, outcome.bytes)
            is_told = request is not None
        else:
            is_told = self.counts.add(tally, 0, lambda: _sample(now, request, decision, outcome.receipt_id))
        if is_told and request is not None and self.settings.log_deliveries:
            deliveries.info(
                "%s %d/%d feed=%.200r bytes=%d receipt=%s %.0fms address=%s",
                outcome.kind.value,
                decision.status.http,
                decision.status.code,
                decision.feed,
                outcome.bytes,
                outcome.receipt_id,
                seconds * 1000,
                request.sender_address or "unix",
            )


def read_policy(feed: str | None) -> FeedPolicy | None:
    """Read a feed's policy from the database.

    Raises:
        Unavailable: it cannot be read right now.
        Refused: it cannot be read before somebody mends the database.
    """
    name = (feed or "").strip()
    began = time.monotonic()
    try:
        return _policy_now(name)
    except Refused:
        raise  # a new connection changes nothing
    except Unavailable:
        if time.monotonic() - began >= VAIN_SECONDS:
            raise
        # A database server that was restarted leaves every thread with a dead connection: a new one may do.
        connection.close()
    return _policy_now(name)


def _policy_now(name: str) -> FeedPolicy | None:
    try:
        with promptly():
            policy = Feed.objects.policy_for(name)
            if policy is None and Feed.objects.are_lost():
                raise Unavailable("there are receipts and never was a feed: the feeds have to be restored")
            return policy
    except ValueError as fault:  # a value that no version of ours has written
        raise Unavailable("the rules of a feed cannot be read") from fault


class Delivery:
    """One accepted request's body on its way into the store. Used by one thread at a time."""

    def __init__(
        self, service: ReceiptService, request: RequestMetadata, decision: Decision, receipt_id: str
    ) -> None:
        limit = service.settings.limit
        self.receipt_id = receipt_id
        self.wire_bytes = 0
        #: Since when it waits for an answer of the database.
        self.asking_since: float | None = None
        self._service = service
        self._request = request
        self._decision = decision
        self._part = Part(
            service.slot.folder / f"{receipt_id}{PART_SUFFIX}", space=service.settings.space, limit=limit
        )
        self._decoder = Gunzip() if request.is_content_encoded else None
        self._check = GzipCheck(limit) if request.is_gzip else None
        self._contents: Contents | None = None
        self._is_verified = False

    def write(self, batch: Iterable[bytes]) -> None:
        """Take the next pieces of the body.

        Raises:
            StreamInvalid, TooLarge, NoSpace, OSError: the delivery has failed; `fail` tells the outcome.
        """
        for piece in batch:
            self.wire_bytes += len(piece)
            if self._service.settings.limit is not None and self.wire_bytes > self._service.settings.limit:
                raise TooLarge
            if self._decoder is None:
                self._store(piece)
                continue
            for decoded in self._decoder.feed(piece):
                self._store(decoded)

    @property
    def request(self) -> RequestMetadata:
        return self._request

    def verify(self) -> None:
        """Read what was written to its end; nothing may be written afterwards.

        Raises:
            StreamInvalid, TooLarge, OSError: the delivery has failed; `fail` tells the outcome.
        """
        self._contents = self._verify()
        self._is_verified = True

    def finish(self, batch: Iterable[bytes]) -> Outcome:
        """Take the last pieces, verify if need be, decide again, and make the data durable. Never raises."""
        try:
            self.write(batch)
            return self._finish()
        except Exception as fault:  # noqa: BLE001  # every fault has its outcome
            return self.fail(fault)

    def fail(self, fault: BaseException) -> Outcome:
        """Give the part up and say what the sender is to be told."""
        self._part.discard()
        compressed = self._request.is_gzip or self._request.is_zip
        if isinstance(fault, SyncFailed):
            self._service.measures.flush_failures.inc()
            self._service.on_store_fault()
        if isinstance(fault, Unavailable):
            self._service.database_failed(fault)
        return self._outcome(failure(self._decision, fault, compressed=compressed), Counted.REFUSED)

    def discard(self) -> None:
        """Give the part up."""
        self._part.discard()

    def _outcome(self, decision: Decision, kind: Counted) -> Outcome:
        return Outcome(decision, kind, self.receipt_id, self._part.bytes, self.wire_bytes)

    def _store(self, data: bytes) -> None:
        if self._check is not None:
            self._check.feed(data)
        self._part.write(data)

    def _finish(self) -> Outcome:
        if not self._is_verified:
            self.verify()
        contents = self._contents
        decision = self._decide_again(contents)
        if not decision.accepted:
            self._part.discard()
            return self._outcome(decision, Counted.REFUSED)
        if self._is_empty(contents):
            self._part.discard()
            return self._outcome(accept(decision, "The data is empty; nothing is stored."), Counted.EMPTY)
        dropped = self._dropped_of(contents, decision)
        if all(dropped.values()):
            # Flushed like data that is kept, so that a sender cannot tell the difference by the time it takes.
            self._part.sync()
            self._part.discard()
            return self._outcome(accept(decision, "Verified and dropped."), Counted.DROPPED)
        self._keep(contents, decision, dropped)
        return self._outcome(accept(decision, "The data is stored."), Counted.RECEIVED)

    # Verification
    def _verify(self) -> Contents | None:
        if self._decoder is not None and self.wire_bytes:
            self._decoder.finish()
        if not self._part.bytes:
            return None
        if self._check is not None:
            self._check.finish()
        if self._request.is_zip:
            return read_archive(self._part.path, self._service.settings.limit)
        return None

    def _is_empty(self, contents: Contents | None) -> bool:
        if not self._part.bytes or (self._check is not None and not self._check.inflated):
            return True
        return contents is not None and not contents.entries

    # The decision, once more, as it is in force now
    def _decide_again(self, contents: Contents | None) -> Decision:
        """Steps 2 to 6 for the request's feed, then step 10 for every other feed that the archive names."""
        try:
            return self._decide_all(contents)
        finally:
            self.asking_since = None

    def _decide_all(self, contents: Contents | None) -> Decision:
        own = self._decide_feed(self._request.feed)
        if not own.accepted:
            return own
        self._feeds = {self._decision.feed: own}
        others = set(contents.groups.feeds) if contents else set()
        refusals = []
        for feed in sorted(others - {self._decision.feed}):
            self._feeds[feed] = decision = self._decide_feed(feed)
            if not decision.accepted:
                refusals.append(decision)
            if not decision.known:
                break  # step 2 comes first of all: an archive may name fifty thousand feeds that do not exist
        if refusals:
            return min(refusals, key=lambda decision: (decision.trace[-1].step, decision.feed))
        return Decision(
            own.action, own.status, self._decision.trace, own.feed, known=own.known, version=own.version
        )

    def _decide_feed(self, feed: str | None) -> Decision:
        self.asking_since = time.monotonic()
        try:
            policy = read_policy(feed)
        except Unavailable:
            self._service.measures.decision_failed("delivery")
            raise
        now = datetime.now(UTC)
        return decide_feed(feed=feed, certificate=self._request.certificate, policy=policy, now=now)

    def _dropped_of(self, contents: Contents | None, decision: Decision) -> dict[str, bool]:
        """The feeds of the data items, and of each whether it is dropped."""
        feeds = list(contents.groups.feeds) if contents else []
        if not contents or not contents.groups or not contents.groups.each_names_a_feed:
            feeds.append(decision.feed)
        return {feed: self._feeds[feed].action is FeedStatus.DROP for feed in feeds}

    # Making it durable
    def _keep(self, contents: Contents | None, decision: Decision, dropped: dict[str, bool]) -> None:
        store = self._service.store
        while store.holds(data_path(self.receipt_id)):
            self.receipt_id = self._service.ids.next()  # an id made before the clock was set back
        path = data_path(self.receipt_id)
        size = self._check.inflated if self._check is not None else self._part.bytes
        metadata = stamp(
            self._request,
            receipt_id=self.receipt_id,
            now=datetime.now(UTC),
            host=self._service.settings.host,
            size=None if contents else size,
        )
        receipt = self._row(metadata, contents, decision, dropped, path)
        places = self._service.slot.places
        places.enter(path.parent)
        try:
            store.make_folder((store.root / path).parent)
            write_beside(store.root / meta_path(path), format_meta(metadata))
            with self._service.measures.commit_seconds.time():
                store.place(self._part, path)
                self._commit(receipt, dropped)
        except CommitUnknown as fault:
            # The row may exist: removing its file could lose what is recorded as received. The place stays noted,
            # so that the next start looks there.
            raise Unavailable(str(fault)) from fault
        except BaseException:
            with contextlib.suppress(OSError):
                store.remove(path)
                store.remove(meta_path(path))
                places.leave(path.parent)
            raise
        places.leave(path.parent)

    def _row(
        self,
        metadata: dict[str, str],
        contents: Contents | None,
        decision: Decision,
        dropped: dict[str, bool],
        path: PurePosixPath,
    ) -> Receipt:
        request = self._request
        groups = contents.groups if contents else ()
        listed = [(group.name, group.feed or decision.feed) for group in islice(groups, MAX_LISTED_GROUPS)]
        notes = [*request.notes, *(contents.notes if contents else ())]
        if len(groups) > MAX_LISTED_GROUPS:
            notes.append(f"only the first {MAX_LISTED_GROUPS} of {len(groups)} data items are listed")
        return Receipt(
            receipt_id=self.receipt_id,
            feed=decision.feed,
            received_at=datetime.now(UTC),
            bytes=self._part.bytes,
            wire_bytes=self.wire_bytes,
            sha256=self._part.sha256,
            compression=normal_compression(request.compression),
            path=str(path),
            sender_dn=request.certificate.verified_dn,
            remote_address=request.peer or "unix",
            headers=metadata,
            groups=[{"name": name, "feed": feed, "dropped": dropped[feed]} for name, feed in listed],
            notes=notes,
            feed_version=decision.version,
            guid=metadata.get("GUID", "")[:200],
            request_id=told_request_id(),
            truncated=request.truncated,
        )

    def _commit(self, receipt: Receipt, dropped_of: dict[str, bool]) -> None:
        """Record the receipt.

        Raises:
            Unavailable: nothing was recorded.
            CommitUnknown: the database was lost in the very commit.
        """
        dropped = {receipt.feed: self._feeds[receipt.feed].action is FeedStatus.DROP, **dropped_of}
        self.asking_since = time.monotonic()
        committing = False
        try:
            with promptly():
                # Before the transaction: its lock is what all workers wait for.
                receipt.duplicate_of = _earlier_duplicate(receipt, self._request.guid)
            with promptly(writing=True), transaction.atomic():
                receipt.save(force_insert=True)
                ReceiptFeed.objects.bulk_create(
                    ReceiptFeed(receipt=receipt, feed=feed, dropped=is_dropped)
                    for feed, is_dropped in dropped.items()
                )
                committing = True
        except Unavailable as fault:
            if not committing:
                raise
            self._service.on_database_fault()
            if fault.never_committed:
                raise
            if not _is_recorded(self.receipt_id):
                raise CommitUnknown(str(fault)) from fault
        self._service.database_answered()


class CommitUnknown(Exception):  # says what is known of the commit
    """The connection was lost while committing: the row may or may not exist."""


def failure(decision: Decision, fault: BaseException, *, compressed: bool = False) -> Decision:
    """The refusal that a fault amounts to (steps 8, 9 and 11); `compressed` says that the body was to be."""
    if isinstance(fault, TooLarge):
        return refuse(decision, 8, stroom_status.CONTENT_TOO_LARGE, "The data is over the configured limit.")
    if isinstance(fault, StreamInvalid):
        reason = f"{fault}."
        return refuse(decision, 9, stroom_status.STREAM_INVALID, reason, hint=f"{reason} {STREAM_ADVICE}")
    if isinstance(fault, Incomplete):
        return _incomplete(decision, fault, compressed=compressed)
    if isinstance(fault, Refused):
        return refuse(decision, 11, stroom_status.UNKNOWN_ERROR, "The database refuses; the portal's log says why.")
    if isinstance(fault, NoSpace | Busy | Unavailable):
        return refuse(decision, 11, stroom_status.UNAVAILABLE, f"A passing fault: {type(fault).__name__}.")
    log.error("a delivery failed", exc_info=fault)
    return refuse(decision, 11, stroom_status.UNKNOWN_ERROR, f"An unexpected fault: {type(fault).__name__}.")


def _incomplete(decision: Decision, fault: Incomplete, *, compressed: bool) -> Decision:
    reason = f"The body did not arrive whole: {fault}."
    status = stroom_status.STREAM_INVALID if compressed else stroom_status.UNKNOWN_ERROR
    return refuse(decision, 9 if compressed else 11, status, reason, hint=f"{reason} Send it again.")


def _earlier_duplicate(receipt: Receipt, senders_guid: str | None) -> str:
    """An earlier receipt that this one may repeat: the sender's own GUID, or the same content for the same feed."""
    same_content = Receipt.objects.filter(sha256=receipt.sha256, bytes=receipt.bytes, feed=receipt.feed)
    same_guid = [Receipt.objects.filter(guid=receipt.guid)] if senders_guid else []
    for query in (*same_guid, same_content):
        found = query.order_by("pk").values_list("receipt_id", flat=True).first()
        if found:
            return found
    return ""


def _is_recorded(receipt_id: str) -> bool:
    try:
        with promptly():
            return Receipt.objects.filter(receipt_id=receipt_id).exists()
    except Unavailable:
        return False


def _sample(now: datetime, request: RequestMetadata, decision: Decision, receipt_id: str) -> Sample:
    return Sample(
        at=now,
        feed=decision.feed[:255],
        http_status=decision.status.http,
        stroom_status=decision.status.code,
        receipt_id=receipt_id,
        remote_address=request.peer or "unix",
        sender_dn=request.certificate.text[:1000],
        # Also what is not stored with data, such as Compression: it may be the very reason.
        headers=_few(request.arguments),
        trace=[
            {"step": step.step, "outcome": step.outcome, "explanation": step.explanation[:500]}
            for step in decision.trace
        ],
        request_id=told_request_id(),
    )


def _few(arguments: Mapping[str, str]) -> dict[str, str]:
    """As much as an example may hold, counted as it is stored: how many and how long is the sender's choice."""
    few: dict[str, str] = {}
    left = SAMPLE_BYTES
    for name, value in arguments.items():
        size = len(json.dumps({name: value[:500]}))
        if size <= left and len(few) < 50:
            few[name] = value[:500]
            left -= size
    return few
