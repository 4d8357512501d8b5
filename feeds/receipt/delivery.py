"""The body of one delivery on its way into the store: spooled, verified, decided on, prepared for its record.

A delivery goes through three steps. While it is a `Delivery` its bytes arrive. `prepare` turns it into an
`Accepted` (frozen), which `feeds.receipt.recording` makes durable, or ends it with an `DeliveryResult`.
"""

import contextlib
import json
import time
from collections.abc import Iterable
from contextvars import Context, copy_context
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from feeds.models import Outcome
from feeds.queries import NewReceipt
from feeds.receipt import policies
from feeds.receipt.results import DeliveryResult
from feeds.rules.decision import Decision, FeedStatus, SenderToken, accept, decide_feed, normal_compression
from feeds.rules.metadata import RequestMetadata
from feeds.rules.stored_metadata import format_meta, stamp
from feeds.store import archive
from feeds.store.archive import MAX_LISTED_GROUPS, Contents
from feeds.store.compression import Gunzip, GzipCheck, TooLarge
from feeds.store.ids import data_folder, data_path, meta_path
from feeds.store.spool import PART_SUFFIX, Part
from portal.database.threads import Unavailable
from portal.http.request_ids import logged_request_id

if TYPE_CHECKING:
    from feeds.receipt.service import ReceiptService


@dataclass(frozen=True, eq=False)
class Accepted:
    """A delivery that is whole, verified and accepted, and not durable yet.

    `row` and `path` are None for data that is dropped: it is flushed like data that is kept, so that a sender
    cannot tell the difference by the time it takes. `context` holds the request id for log lines.
    """

    receipt_id: str
    request: RequestMetadata
    decision: Decision
    part: Part
    wire_bytes: int
    context: Context
    path: PurePosixPath | None = None
    row: NewReceipt | None = None

    @property
    def folder(self) -> PurePosixPath:
        """Folder of `path`."""
        return data_folder(self.receipt_id)

    def outcome(self, decision: Decision, kind: Outcome) -> DeliveryResult:
        """End the delivery with this decision."""
        return DeliveryResult(decision, kind, self.receipt_id, self.part.bytes, self.wire_bytes)


class Delivery:
    """One accepted request's body on its way into the store. Used by one thread at a time."""

    def __init__(
        self,
        service: "ReceiptService",
        request: RequestMetadata,
        decision: Decision,
        receipt_id: str,
        *,
        is_final: bool = False,
    ) -> None:
        """Open the part.

        Args:
            service: what the deliveries of this worker share.
            request: the head.
            decision: accepts the head.
            receipt_id: the id that the request was given.
            is_final: the decision was made after the last byte of the body had arrived.

        Raises:
            OSError: the store cannot be written.
        """
        limit = service.settings.limit
        self.receipt_id = receipt_id
        self.wire_bytes = 0
        #: Since when it waits for an answer of the database.
        self.asking_since: float | None = None
        self._service = service
        self._request = request
        self._decision = decision
        self._is_final = is_final
        self._feeds: dict[str, Decision] = {}
        self._token = decision.token
        self._part = Part(
            service.slot.folder / f"{receipt_id}{PART_SUFFIX}", space=service.settings.space, limit=limit
        )
        self._decoder = Gunzip() if request.is_content_encoded else None
        self._check = GzipCheck(limit) if request.is_gzip else None
        self._contents: Contents | None = None
        self._is_verified = False

    @property
    def request(self) -> RequestMetadata:
        return self._request

    def write(self, batch: Iterable[bytes]) -> None:
        """Take the next pieces of the body.

        Raises:
            StreamInvalid, TooLarge, NoSpace, OSError: the delivery has failed; `fail` gives the outcome.
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

    def verify(self) -> None:
        """Read what was written to its end; nothing may be written afterwards.

        Raises:
            StreamInvalid, TooLarge, OSError: the delivery has failed; `fail` gives the outcome.
        """
        self._contents = self._verify()
        self._is_verified = True

    def prepare(self, batch: Iterable[bytes]) -> DeliveryResult | Accepted:
        """Take the last pieces, verify if need be, and decide again. Never raises."""
        try:
            self.write(batch)
            return self._prepare()
        except Exception as fault:  # noqa: BLE001  # every fault has its outcome
            return self.fail(fault)

    def finish(self, batch: Iterable[bytes]) -> DeliveryResult:
        """Prepare, and make the data durable in a batch of its own. Never raises."""
        prepared = self.prepare(batch)
        return prepared if isinstance(prepared, DeliveryResult) else self._service.recorder.record([prepared])[0]

    def fail(self, fault: BaseException) -> DeliveryResult:
        """Give the part up and return the refusal."""
        self._part.discard()
        return self._outcome(self._service.refusal(self._request, self._decision, fault), Outcome.REFUSED)

    def _outcome(self, decision: Decision, kind: Outcome) -> DeliveryResult:
        return DeliveryResult(decision, kind, self.receipt_id, self._part.bytes, self.wire_bytes)

    def _store(self, data: bytes) -> None:
        if self._check is not None:
            self._check.feed(data)
        self._part.write(data)

    def _prepare(self) -> DeliveryResult | Accepted:
        if not self._is_verified:
            self.verify()
        contents = self._contents
        decision = self._decide_again(contents)
        if not decision.accepted:
            self._part.discard()
            return self._outcome(decision, Outcome.REFUSED)
        if self._is_empty(contents):
            self._part.discard()
            return self._outcome(accept(decision, "The data is empty; nothing is stored."), Outcome.EMPTY)
        dropped = self._dropped_of(contents, decision)
        if all(dropped.values()):
            return self._accepted(decision)
        return self._keep(contents, decision, dropped)

    def _accepted(
        self, decision: Decision, path: PurePosixPath | None = None, row: NewReceipt | None = None
    ) -> Accepted:
        return Accepted(
            self.receipt_id, self._request, decision, self._part, self.wire_bytes, copy_context(), path, row
        )

    # Verification
    def _verify(self) -> Contents | None:
        if self._decoder is not None and self.wire_bytes:
            self._decoder.finish()
        if not self._part.bytes:
            return None
        if self._check is not None:
            self._check.finish()
        if self._request.is_zip:
            return archive.read_archive(self._part.path, self._service.settings.limit)
        return None

    def _is_empty(self, contents: Contents | None) -> bool:
        if not self._part.bytes or (self._check is not None and not self._check.inflated):
            return True
        return contents is not None and not contents.entries

    # The decision, once more, as it is in force now
    def _decide_again(self, contents: Contents | None) -> Decision:
        """Evaluate steps 2 to 6 for the request's feed, then step 10 for every other feed in the archive."""
        try:
            return self._decide_all(contents)
        finally:
            self.asking_since = None

    def _decide_all(self, contents: Contents | None) -> Decision:
        if not self._is_final:
            self._token = self._token_now()
        own = self._decision if self._is_final else self._decide_feed(self._request.feed)
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
        return replace(own, trace=self._decision.trace)

    def _token_now(self) -> SenderToken | None:
        """Look the token up again: one that was revoked meanwhile sends nothing."""
        self.asking_since = time.monotonic()
        try:
            return self._service.token_of(self._request)
        except Unavailable:
            self._service.metrics.decision_failed("delivery")
            raise

    def _decide_feed(self, feed: str | None) -> Decision:
        self.asking_since = time.monotonic()
        try:
            policy = policies.read_policy(feed)
        except Unavailable:
            self._service.metrics.decision_failed("delivery")
            raise
        now = datetime.now(UTC)
        return decide_feed(
            feed=feed,
            certificate=self._request.certificate,
            policy=policy,
            now=now,
            token=self._token,
            sent=self._request.sent,
        )

    def _dropped_of(self, contents: Contents | None, decision: Decision) -> dict[str, bool]:
        """Return the feeds of the data items, and for each whether it is dropped."""
        feeds = list(contents.groups.feeds) if contents else []
        if not contents or not contents.groups or not contents.groups.each_names_a_feed:
            feeds.append(decision.feed)
        return {feed: self._feeds[feed].action is FeedStatus.DROP for feed in feeds}

    # Getting ready for the record
    def _keep(self, contents: Contents | None, decision: Decision, dropped: dict[str, bool]) -> Accepted:
        """Write the metadata next to where the data is going to be, after that place was noted."""
        store, journal = self._service.store, self._service.slot.journal
        path = self._free_path()
        folder = data_folder(self.receipt_id)
        metadata = self._stamped(contents)
        row = self._row(metadata, contents, decision, dropped, path)
        journal.enter(folder)
        try:
            store.make_folder(folder)
            store.write_new(meta_path(path), format_meta(metadata))
        except BaseException:
            with contextlib.suppress(OSError):
                store.remove(meta_path(path))
                journal.leave(folder)
            raise
        return self._accepted(decision, path, row)

    def _free_path(self) -> PurePosixPath:
        """Return the path of the data; an id that is taken is replaced."""
        path = data_path(self.receipt_id)
        while self._service.store.holds(path) or self._service.store.holds(meta_path(path)):
            self.receipt_id = self._service.ids.next()  # an id made before the clock was set back
            path = data_path(self.receipt_id)
        return path

    def _stamped(self, contents: Contents | None) -> dict[str, str]:
        size = self._check.inflated if self._check is not None else self._part.bytes
        return stamp(
            self._request,
            receipt_id=self.receipt_id,
            now=datetime.now(UTC),
            host=self._service.settings.host,
            size=None if contents else size,
            token=self._token,
        )

    def _row(
        self,
        metadata: dict[str, str],
        contents: Contents | None,
        decision: Decision,
        dropped: dict[str, bool],
        path: PurePosixPath,
    ) -> NewReceipt:
        request = self._request
        groups = contents.groups if contents else ()
        listed = [(group.name, group.feed or decision.feed) for group in islice(groups, MAX_LISTED_GROUPS)]
        notes = [*request.notes, *(contents.notes if contents else ())]
        if len(groups) > MAX_LISTED_GROUPS:
            notes.append(f"only the first {MAX_LISTED_GROUPS} of {len(groups)} data items are listed")
        own = {decision.feed: self._feeds[decision.feed].action is FeedStatus.DROP}
        return NewReceipt(
            receipt_id=self.receipt_id,
            feed=decision.feed,
            received_at=datetime.now(UTC),
            bytes=self._part.bytes,
            wire_bytes=self.wire_bytes,
            sha256=self._part.sha256,
            compression=normal_compression(request.compression),
            path=str(path),
            sender_dn=request.certificate.verified_dn,
            sender_token=(self._token.name if self._token else "") or None,
            remote_address=request.peer or "unix",
            headers=json.dumps(metadata),
            groups=json.dumps([{"name": name, "feed": feed, "dropped": dropped[feed]} for name, feed in listed]),
            notes=json.dumps(notes),
            feed_version=decision.version,
            guid=metadata.get("GUID", "")[:200],
            request_id=logged_request_id(),
            truncated=request.truncated,
            feeds=tuple({**own, **dropped}.items()),
            has_own_guid=bool(request.guid),
        )
