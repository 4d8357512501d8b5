"""Group commit: deliveries that are whole are made durable together and recorded in one transaction.

For every delivery this order holds (receipt contract, section 8.2): its file is flushed and renamed, the directory
is flushed, its row is committed; only then is it answered. One that fails does not fail the others of its batch.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from django.db import connections

from feeds import queries
from feeds.models import Outcome
from feeds.queries import NewReceipt
from feeds.receipt.batches import Rest
from feeds.receipt.delivery import Accepted
from feeds.receipt.jobs import Busy, Ticket, resolve_all
from feeds.receipt.results import CommitUnknown, DeliveryResult
from feeds.rules.decision import accept
from feeds.store.ids import meta_path
from feeds.store.spool import sync_folder
from portal.database.threads import DatabaseRefused, Unavailable, on_live_connection, prompt_transaction, promptly

if TYPE_CHECKING:
    from feeds.receipt.service import ReceiptService

log = logging.getLogger(__name__)

#: No more deliveries are taken into a transaction that has so many.
MAX_BATCH = 256
#: Files that are flushed at the same time. The file system writes its journal once for flushes that meet.
FLUSH_THREADS = 8


@dataclass(eq=False)
class _Entry:
    """One delivery of a batch, and the fault that ended it."""

    accepted: Accepted
    fault: BaseException | None = None

    @property
    def is_kept(self) -> bool:
        return self.fault is None and self.accepted.row is not None


class Recorder:
    """Makes batches of deliveries durable. Used by one thread at a time."""

    def __init__(self, service: "ReceiptService") -> None:
        self._service = service
        self._flushing = ThreadPoolExecutor(FLUSH_THREADS - 1, "flush")

    def close(self) -> None:
        """End the threads."""
        self._flushing.shutdown()

    def record(self, batch: Sequence[Accepted]) -> list[DeliveryResult]:
        """Make a batch durable; the outcomes are in its order. Never raises."""
        entries = [_Entry(accepted) for accepted in batch]
        began = time.monotonic()
        self._place_all(entries)
        self._flush_folders([entry for entry in entries if entry.is_kept])
        self._commit([entry for entry in entries if entry.is_kept])
        seconds = time.monotonic() - began
        return [entry.accepted.context.run(self._end, entry, seconds) for entry in entries]

    # Files
    def _place_all(self, entries: Sequence[_Entry]) -> None:
        """Flush and rename every part, several at the same time."""
        shares = [entries[first::FLUSH_THREADS] for first in range(min(FLUSH_THREADS, len(entries)))]
        running = [self._flushing.submit(self._place_some, share) for share in shares[1:]]
        self._place_some(shares[0])
        for share in running:
            share.result()

    def _place_some(self, entries: Sequence[_Entry]) -> None:
        for entry in entries:
            try:
                entry.accepted.part.sync()
                if entry.accepted.path is not None:
                    self._service.store.place(entry.accepted.part, entry.accepted.path)
            except Exception as fault:  # noqa: BLE001  # it is this delivery's outcome
                entry.fault = fault

    def _flush_folders(self, entries: Sequence[_Entry]) -> None:
        """Flush each folder that a file was renamed into once."""
        by_folder: dict[PurePosixPath, list[_Entry]] = {}
        for entry in entries:
            if entry.accepted.path is not None:
                by_folder.setdefault(entry.accepted.folder, []).append(entry)
        for folder, inside in by_folder.items():
            try:
                sync_folder(self._service.store.root / folder)
            except Exception as fault:  # noqa: BLE001  # it is the outcome of all in the folder
                self._fail_all(inside, fault)

    # Rows
    def _commit(self, entries: Sequence[_Entry]) -> None:
        """Record the deliveries in one transaction, or one by one where a row is refused."""
        if not entries:
            return
        try:
            self._insert([entry.accepted.row for entry in entries if entry.accepted.row is not None])
        except (Unavailable, CommitUnknown) as fault:
            if not isinstance(fault, DatabaseRefused) or len(entries) == 1:
                self._fail_all(entries, fault)
                return
        except Exception as fault:  # noqa: BLE001  # it is the outcome of the row that caused it
            if len(entries) == 1:
                self._fail_all(entries, fault)
                return
        else:
            return
        for entry in entries:
            self._commit([entry])

    def _fail_all(self, entries: Sequence[_Entry], fault: Exception) -> None:
        for entry in entries:
            entry.fault = fault

    def _insert(self, rows: Sequence[NewReceipt]) -> None:
        """Record receipts.

        Raises:
            Unavailable: nothing was recorded.
            CommitUnknown: the database was lost during the commit.
        """
        committing = False
        try:
            # Before the transaction: all workers wait for its lock.
            duplicate_of = on_live_connection(lambda: _earlier(rows))
            with prompt_transaction():
                queries.insert_receipts(rows, duplicate_of)
                committing = True
        except Unavailable as fault:
            if not committing:
                raise
            self._service.on_database_fault()
            if fault.never_committed:
                raise
            if not _are_recorded(rows):
                raise CommitUnknown(str(fault)) from fault
        self._service.database_answered()

    # Ends
    def _end(self, entry: _Entry, seconds: float) -> DeliveryResult:
        """Answer a delivery, and remove the files of one that failed."""
        accepted, fault = entry.accepted, entry.fault
        service, path = self._service, entry.accepted.path
        if fault is None and path is not None:
            service.metrics.commit_seconds.observe(seconds)
            service.slot.journal.leave(accepted.folder)
            return accepted.outcome(accept(accepted.decision, "The data is stored."), Outcome.RECEIVED)
        accepted.part.discard()
        if fault is None:
            return accepted.outcome(accept(accepted.decision, "Verified and dropped."), Outcome.DROPPED)
        if isinstance(fault, CommitUnknown):
            # The row may exist: removing its file could lose what is recorded as received. The place stays noted,
            # so that the next start looks there.
            unknown = Unavailable(str(fault))
            unknown.__cause__ = fault
            fault = unknown
        else:
            self.forget(accepted)
        return accepted.outcome(service.refusal(accepted.request, accepted.decision, fault), Outcome.REFUSED)

    def forget(self, accepted: Accepted) -> None:
        """Remove the files of a delivery that is not recorded."""
        accepted.part.discard()
        if accepted.path is None:
            return
        with contextlib.suppress(OSError):
            self._service.store.remove(accepted.path)
            self._service.store.remove(meta_path(accepted.path))
            self._service.slot.journal.leave(accepted.folder)


#: Deliveries that are written and wait for their rows.
_Prepared = Sequence[tuple[Accepted, Ticket[DeliveryResult]]]


class Commits(Protocol):
    """Makes deliveries durable in a thread of its own."""

    def submit(self, accepted: Accepted, ticket: Ticket[DeliveryResult]) -> None:
        """Record a delivery and resolve its ticket afterwards."""

    def begin(self, prepared: _Prepared) -> Rest | None:
        """Have deliveries recorded together; the caller calls what is returned, if anything."""


class Committer(threading.Thread):
    """Records the deliveries of one worker. A batch is what has come while the one before was recorded.

    One thread records at a time: this one, or one that has prepared deliveries and finds no others being recorded.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(name="committer", daemon=True)
        self._recorder = recorder
        self._recording = threading.Lock()
        self._waiting: queue.SimpleQueue[_Prepared | None] = queue.SimpleQueue()

    def submit(self, accepted: Accepted, ticket: Ticket[DeliveryResult]) -> None:
        """Record a delivery and resolve its ticket afterwards."""
        ticket.recording()
        self._waiting.put([(accepted, ticket)])

    def begin(self, prepared: _Prepared) -> Rest | None:
        """Have deliveries recorded together; return what records them where no others are being recorded.

        The thread that has prepared them then records them itself, which saves a lone sender the wait for another
        thread.
        """
        for _, ticket in prepared:
            ticket.recording()
        if not self._recording.acquire(blocking=False):
            self._waiting.put(prepared)
            return None
        return partial(self._record_and_release, prepared)

    def _record_and_release(self, prepared: _Prepared) -> None:
        try:
            self._record(prepared)
        finally:
            self._recording.release()

    def close(self) -> None:
        """Record what was submitted, and end."""
        self._waiting.put(None)
        self.join()
        self._recorder.close()

    def run(self) -> None:
        is_closing = False
        while not is_closing:
            first = self._waiting.get()
            with self._recording:  # what comes while this waits belongs to the batch
                batch, is_closing = self._gather(first)
                self._record(batch)
        connections.close_all()

    def _gather(self, item: _Prepared | None) -> tuple[_Prepared, bool]:
        """Return the deliveries that are waiting, and whether the recorder is closing."""
        batch: list[tuple[Accepted, Ticket[DeliveryResult]]] = []
        while item is not None:
            batch.extend(item)
            if len(batch) >= MAX_BATCH or self._waiting.empty():
                break
            item = self._waiting.get()
        return batch, item is None

    def _record(self, batch: _Prepared) -> None:
        """Leave out whose sender was answered meanwhile, and record the others."""
        for accepted, ticket in batch:
            if ticket.is_abandoned:
                self._recorder.forget(accepted)
        wanted = [(accepted, ticket) for accepted, ticket in batch if not ticket.is_abandoned]
        if not wanted:
            return
        tickets = [ticket for _, ticket in wanted]
        try:
            resolve_all(tickets, self._recorder.record([accepted for accepted, _ in wanted]))
        except BaseException as fault:  # the thread must live on
            log.exception("a batch of deliveries could not be recorded")
            for ticket in tickets:
                ticket.reject(Busy(f"the batch failed: {type(fault).__name__}"))


def _earlier(rows: Sequence[NewReceipt]) -> dict[str, str]:
    with promptly():
        return queries.earlier_receipts(rows)


def _are_recorded(rows: Sequence[NewReceipt]) -> bool:
    """Whether the transaction with these rows was committed: one of them speaks for all."""
    try:
        with promptly():
            return bool(queries.recorded_of([rows[0].receipt_id]))
    except Unavailable:
        return False
