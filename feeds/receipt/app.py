"""The receiver: a small ASGI application that turns one request into one answer (receipt contract).

A body that has not arrived yet is read only after the request's arguments are accepted; while one batch is written
the next is received. A body that is whole on arrival takes one job in a thread, which decides once, after the last
byte. Either way the committer makes the data durable, together with that of other deliveries.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Protocol

from feeds.models import Outcome as Counted
from feeds.receipt import answers, jobs, policies
from feeds.receipt.batches import Batches
from feeds.receipt.delivery import Accepted, Delivery
from feeds.receipt.head import read_head
from feeds.receipt.jobs import Busy, Job, Ticket, Tickets
from feeds.receipt.outcomes import Outcome, failure
from feeds.receipt.service import ReceiptService
from feeds.rules import stroom_status
from feeds.rules.decision import Decision, FeedPolicy, FeedStatus, refuse
from feeds.rules.metadata import RequestMetadata
from feeds.rules.stroom_status import StroomStatus
from portal.database.threads import Unavailable, in_time
from portal.http.answer import Answer
from portal.http.body import Body, Incomplete, Scope, Send, header, is_delimited
from portal.http.body import Receive as ReceiveMessage

log = logging.getLogger(__name__)

METHODS = ("POST", "PUT")
BATCH = 256 * 1024
MAX_BATCH = 512 * 1024
#: Packed data up to this size is unpacked where it is written: a thousand times as much takes 10 ms.
SMALL_PACKED = 16 * 1024
#: Heads up to this size are read at once; few are larger.
SMALL_HEAD = 4 * 1024
DRAIN_BYTES = 1024 * 1024
DRAIN_SECONDS = 5.0


@dataclass(frozen=True)
class _Head:
    """What the request line and the headers say; `request` is None where they could not be read."""

    receipt_id: str
    method: str
    request: RequestMetadata | None
    length: int | None
    codings: tuple[str, ...]
    is_delimited: bool
    is_version_1_0: bool


@dataclass(frozen=True, eq=False)
class _Arrived:
    """A request whose body is whole, and the answer that it waits for. `context` holds its request id."""

    ticket: Ticket[Outcome]
    head: _Head
    request: RequestMetadata
    body: Sequence[bytes]
    context: Context
    is_full: bool


class Commits(Protocol):
    """Makes deliveries durable in a thread of its own."""

    def submit(self, accepted: Accepted, ticket: Ticket[Outcome]) -> None:
        """Record a delivery and resolve its ticket afterwards."""

    def submit_all(self, prepared: Sequence[tuple[Accepted, Ticket[Outcome]]]) -> None:
        """Record deliveries together."""


class Receiver:
    """Answers every request on a receive path."""

    def __init__(
        self,
        service: ReceiptService,
        *,
        committer: Commits,
        decisions: Executor,
        small: Executor,
        work: Executor,
        inflation: Executor,
        verification: Executor,
        most_running: int = 500,
        most_verifying: int = 8,
    ) -> None:
        """Make the receiver of one worker.

        Args:
            service: does the work, in threads.
            committer: makes deliveries durable.
            decisions: threads for the quick look at the database before a body is read.
            small: threads for deliveries that are whole on arrival.
            work: threads for writing the others.
            inflation: threads for writing data that has to be unpacked for it.
            verification: threads for reading archives to their end, fewer than those for writing.
            most_running: deliveries at once, beyond which new ones are told to come back later.
            most_verifying: archives being verified or waiting for it, beyond which new ones are told so.
        """
        self._service = service
        self._committer = committer
        self._tickets = Tickets()
        self._decisions = decisions
        self._small = small
        self._whole_bodies = Batches(small, self._take_batch)
        self._work = work
        self._inflation = inflation
        self._verification = verification
        self._most_running = most_running
        self._most_verifying = most_verifying
        self.verifying = 0
        self.running = 0
        self.stopping = False

    async def __call__(self, scope: Scope, receive: ReceiveMessage, send: Send) -> None:
        """Handle one request."""
        began = time.monotonic()
        # A large head takes milliseconds: others must not wait for it.
        is_large = _size_of_head(scope) > SMALL_HEAD
        head = await asyncio.to_thread(self._read_head, scope) if is_large else self._read_head(scope)
        body = Body(scope, receive)
        measures = self._service.measures
        self.running += 1
        measures.running.inc()
        try:
            outcome = await self._outcome(head, body)
        except Exception as fault:  # noqa: BLE001  # step 11: never an acceptance, never silence
            outcome = Outcome(failure(_undecided(head), fault), Counted.REFUSED, head.receipt_id)
        finally:
            self.running -= 1
            measures.running.dec()
        self._count(head, outcome, time.monotonic() - began)
        await _respond(scope, body, send, self._answer(head, outcome))

    def _count(self, head: _Head, outcome: Outcome, seconds: float) -> None:
        """Counting must never cost the sender its answer: what is stored is stored."""
        try:
            self._service.count(head.request, outcome, seconds)
        except Exception:
            log.exception("a delivery could not be counted")

    def _read_head(self, scope: Scope) -> _Head:
        settings = self._service.settings
        length = header(scope, b"content-length")
        codings = [value for name, value in scope["headers"] if name == b"transfer-encoding"]
        request = read_head(
            scope,
            trusts=settings.trusts,
            identity=settings.identity,
            require_verify=settings.require_verify,
        )
        return _Head(
            self._service.ids.next(),
            scope["method"],
            request,
            int(length) if length is not None else None,
            tuple(part.strip().lower() for part in b",".join(codings).decode("latin-1").split(",") if part.strip()),
            is_delimited(scope),
            scope.get("http_version") == "1.0",
        )

    async def _outcome(self, head: _Head, body: Body) -> Outcome:
        early = self._refusal_by_head(head)
        if early is not None or head.request is None:
            return _refused(head, early or stroom_status.UNKNOWN_ERROR)
        if body.has_arrived and not head.request.is_zip:
            batch = await _next_batch(body)
            if body.complete:
                return await self._take_in_whole(head, head.request, batch)
            return await self._decide_early(head, head.request, body, batch)
        return await self._decide_early(head, head.request, body, [])

    async def _decide_early(self, head: _Head, request: RequestMetadata, body: Body, batch: list[bytes]) -> Outcome:
        """Decide before the body is read, and refuse what cannot be taken; `batch` has been read already."""
        try:
            decision, low = await in_time(self._decisions, self._look, request)
        except Unavailable as fault:
            return self._cannot_decide(head, fault)
        is_full = request.is_zip and self.verifying >= self._most_verifying
        refused = self._refusal_by_decision(
            head, decision, is_full=low or is_full or self.running > self._most_running
        )
        return refused or await self._take_in(head, request, decision, body, batch)

    def _cannot_decide(self, head: _Head, fault: Unavailable) -> Outcome:
        self._service.database_failed(fault)
        self._service.measures.decision_failed("delivery")
        return Outcome(failure(_undecided(head), fault), Counted.REFUSED, head.receipt_id)

    def _refusal_by_decision(self, head: _Head, decision: Decision, *, is_full: bool) -> Outcome | None:
        if not decision.accepted:
            return Outcome(decision, Counted.REFUSED, head.receipt_id)
        if is_full:
            return _refused(head, stroom_status.UNAVAILABLE, decision)
        limit = self._service.settings.limit
        if limit is not None and head.length is not None and head.length > limit:
            return _refused(head, stroom_status.CONTENT_TOO_LARGE, decision, step=8)
        return None

    # A body that is whole on arrival
    async def _take_in_whole(self, head: _Head, request: RequestMetadata, batch: list[bytes]) -> Outcome:
        """Decide, write and verify in one job, and have it recorded."""
        ticket: Ticket[Outcome] = Ticket(is_undecided=True)
        is_full = self.running > self._most_running
        arrived = _Arrived(ticket, head, request, batch, copy_context(), is_full=is_full)
        if self._is_much(request, batch):
            ticket.call = self._inflation.submit(self._take_batch, [arrived])
        else:
            self._whole_bodies.submit(arrived)
        try:
            with self._tickets.waiting(ticket):
                return await ticket.future
        except Unavailable as fault:
            if ticket.is_undecided:
                return self._cannot_decide(head, fault)
            return self._not_recorded(head, _undecided(head), fault)

    def _take_batch(self, batch: Sequence[_Arrived]) -> None:
        """Decide, write and verify whole bodies, in a thread; each ticket gets its outcome in any case."""
        known = policies.KnownPolicies(policies.read_policy)
        accepted = []
        for arrived in batch:
            prepared = arrived.context.run(self._prepare_whole, arrived, known)
            if isinstance(prepared, Accepted):
                arrived.ticket.recording()
                accepted.append((prepared, arrived.ticket))
            else:
                arrived.ticket.resolve(prepared)
        if accepted:
            self._committer.submit_all(accepted)

    def _prepare_whole(self, arrived: _Arrived, known: policies.KnownPolicies) -> Outcome | Accepted:
        try:
            return self._prepared(arrived, known)
        except Exception as fault:  # noqa: BLE001  # step 11
            return Outcome(failure(_undecided(arrived.head), fault), Counted.REFUSED, arrived.head.receipt_id)

    def _prepared(self, arrived: _Arrived, known: policies.KnownPolicies) -> Outcome | Accepted:
        head, request, ticket = arrived.head, arrived.request, arrived.ticket
        if ticket.is_abandoned:
            return _refused(head, stroom_status.UNAVAILABLE)
        try:
            decision, is_low = self._look(request, known.read)
        except Unavailable as fault:
            return self._cannot_decide(head, fault)
        if ticket.is_abandoned:  # its sender was answered 503 and sends it again
            return _refused(head, stroom_status.UNAVAILABLE, decision)
        ticket.decided()
        refused = self._refusal_by_decision(head, decision, is_full=arrived.is_full or is_low)
        if refused is not None:
            return refused
        return self._service.begin(request, decision, head.receipt_id, is_final=True).prepare(arrived.body)

    # The record
    async def _recorded(self, prepared: Outcome | Accepted, head: _Head, decision: Decision) -> Outcome:
        """Have an accepted delivery recorded. A database that does not answer is not waited for without limit.

        What is recorded afterwards all the same is a delivery that the sender repeats.
        """
        if isinstance(prepared, Outcome):
            return prepared
        ticket: Ticket[Outcome] = Ticket()
        self._committer.submit(prepared, ticket)
        try:
            with self._tickets.waiting(ticket):
                return await ticket.future
        except Unavailable as fault:
            return self._not_recorded(head, decision, fault)

    def _not_recorded(self, head: _Head, decision: Decision, fault: Unavailable) -> Outcome:
        self._service.database_failed(fault)
        return _refused(head, stroom_status.UNAVAILABLE, decision)

    def _refusal_by_head(self, head: _Head) -> StroomStatus | None:
        if head.method not in METHODS:
            return stroom_status.METHOD_NOT_ALLOWED
        if self.stopping:
            return stroom_status.UNAVAILABLE
        # HTTP has no body here, but the sender may mean what follows for one, or end it by closing: an
        # acknowledgement would lose that data.
        if not head.is_delimited:
            return stroom_status.LENGTH_REQUIRED
        if head.length is None and head.is_version_1_0:
            return stroom_status.BAD_REQUEST  # HTTP/1.0 knows no transfer codings
        if head.codings not in {(), ("chunked",)}:
            return stroom_status.CODING_NOT_SUPPORTED
        return None

    def _look(
        self, request: RequestMetadata, read: Callable[[str | None], FeedPolicy | None] | None = None
    ) -> tuple[Decision, bool]:
        """The decision, and whether the disk is too full for a body."""
        decision = self._service.decide(request, read)
        return decision, decision.accepted and self._service.settings.space.is_low()

    # A body that arrives bit by bit
    async def _take_in(
        self, head: _Head, request: RequestMetadata, decision: Decision, body: Body, batch: list[bytes]
    ) -> Outcome:
        """Receive the body into the store, one batch being written while the next is received."""
        try:
            batch = batch + await _next_batch(body)
        except Incomplete as fault:
            refusal = failure(decision, fault, compressed=request.is_gzip or request.is_zip)
            return Outcome(refusal, Counted.REFUSED, head.receipt_id)
        try:
            delivery = await Job(self._work, self._service.begin, request, decision, head.receipt_id).result()
        except Busy as fault:
            return Outcome(failure(decision, fault), Counted.REFUSED, head.receipt_id)
        return await self._receive(body, batch, delivery, head, decision)

    async def _receive(
        self, body: Body, batch: list[bytes], delivery: Delivery, head: _Head, decision: Decision
    ) -> Outcome:
        """Write what has come and what still comes, and verify it."""
        request = delivery.request
        running: Job[None] | None = None
        try:
            while not body.complete:
                if running is not None:
                    await _wait(running, body)
                running = Job(self._pool_for(request, batch), delivery.write, batch)
                batch = await _next_batch(body)
            if running is not None:
                await _wait(running, body)
            if request.is_zip:
                running = Job(self._pool_for(request, batch), delivery.write, batch)
                await running.result()
                running, batch = Job(self._verification, delivery.verify), []
                await self._verified(running)
            finishing = Job(self._pool_for(request, batch), delivery.prepare, batch)
        except BaseException as fault:
            if running is not None:
                # The thread cannot be interrupted, and the part belongs to one thread at a time.
                await running.end()
            outcome = await _fail(delivery, fault)
            if isinstance(fault, Exception):
                return outcome
            raise
        try:
            prepared = await self._prepared_in_time(finishing, delivery)
        except Busy as fault:
            return await _fail(delivery, fault)
        except Unavailable as fault:
            return self._not_recorded(head, decision, fault)
        return await self._recorded(prepared, head, decision)

    async def _prepared_in_time(self, job: Job[Outcome | Accepted], delivery: Delivery) -> Outcome | Accepted:
        """Wait for the last job of a body, but not without limit for a database that does not answer.

        The job cannot be interrupted; what it has prepared then is given up.

        Raises:
            Busy: it has not begun in time.
            Unavailable: the database has not answered in time.
        """
        while not await job.has_ended():
            since = delivery.asking_since
            if since is not None and time.monotonic() - since > jobs.ANSWER_SECONDS:
                job.then(self._service.give_up)
                raise Unavailable(f"delivery {delivery.receipt_id} is not decided in time")
        return await job.result()

    async def _verified(self, job: Job[None]) -> None:
        """Wait until an archive was read to its end: few threads do that, as it may take minutes."""
        self.verifying += 1
        try:
            await job.result()
        finally:
            self.verifying -= 1

    def _pool_for(self, request: RequestMetadata, batch: Sequence[bytes]) -> Executor:
        """Where a batch is written: little packed data may unpack to much, and must not hold all threads."""
        return self._inflation if self._is_much(request, batch) else self._work

    def _is_much(self, request: RequestMetadata, batch: Sequence[bytes]) -> bool:
        """Return whether data is packed and may unpack to much."""
        return (request.is_gzip or request.is_content_encoded) and sum(map(len, batch)) > SMALL_PACKED

    def _answer(self, head: _Head, outcome: Outcome) -> Answer:
        decision = outcome.decision
        return answers.answer_to(
            decision,
            request=head.request,
            feed=decision.feed or None,
            receipt_id=outcome.receipt_id,
            public_url=self._service.settings.public_url,
            allow=", ".join(METHODS) if decision.status is stroom_status.METHOD_NOT_ALLOWED else "",
        )


async def _fail(delivery: Delivery, fault: BaseException) -> Outcome:
    """Give a delivery up, in a thread of neither pool: there may be none."""
    return await asyncio.to_thread(delivery.fail, fault)


async def _wait(job: Job[None], body: Body) -> None:
    """Wait for our own work without holding it against the sender."""
    started = asyncio.get_running_loop().time()
    await job.result()
    body.excuse(asyncio.get_running_loop().time() - started)


async def _next_batch(body: Body) -> list[bytes]:
    """Pieces of 256 KB or a little more together, fewer only at the end."""
    batch: list[bytes] = []
    size = 0
    while size < BATCH and not body.complete:
        piece = await body.next()
        batch.append(piece)
        size += len(piece)
    return batch


def _size_of_head(scope: Scope) -> int:
    fields = sum(len(name) + len(value) for name, value in scope["headers"])
    return fields + len(scope.get("query_string", b""))


def _undecided(head: _Head) -> Decision:
    feed = (head.request.feed if head.request else None) or ""
    return Decision(FeedStatus.REJECT, stroom_status.UNKNOWN_ERROR, (), feed=feed, known=False)


def _refused(head: _Head, status: StroomStatus, decision: Decision | None = None, step: int = 11) -> Outcome:
    refusal = refuse(decision or _undecided(head), step, status, status.explanation)
    return Outcome(refusal, Counted.REFUSED, head.receipt_id)


async def _respond(scope: Scope, body: Body, send: Send, answer: Answer) -> None:
    """Send the answer; a body that was not read is read on a little, so that the client comes to see it."""
    fields = answer.fields()
    unread = body.expected and not body.complete
    endless = scope["method"] in METHODS and not is_delimited(scope)
    if unread or endless:
        fields.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.http, "headers": fields})
    if not (unread or endless):
        await send({"type": "http.response.body", "body": answer.body})
        return
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    if unread and header(scope, b"expect") is None:
        await body.drain(DRAIN_BYTES, DRAIN_SECONDS)
    elif endless:
        await body.outlast()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
