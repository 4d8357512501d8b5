"""Bodies that arrive piece by piece: one batch is written while the next is received."""

import asyncio
import time

from feeds.models import Outcome
from feeds.receipt import jobs
from feeds.receipt.delivery import Accepted, Delivery
from feeds.receipt.head import DeliveryHead
from feeds.receipt.jobs import Busy, Job, Ticket, Tickets
from feeds.receipt.pools import ReceiptPools
from feeds.receipt.recording import Commits
from feeds.receipt.refusals import Refusals
from feeds.receipt.results import DeliveryResult, failure
from feeds.receipt.service import ReceiptService
from feeds.rules.decision import Decision
from feeds.rules.metadata import RequestMetadata
from portal.database.threads import Unavailable
from portal.http.body import Body, Incomplete

#: Bytes gathered before they are written. Each batch costs two changes of threads, so a few bodies at a time are
#: gathered in larger ones; a crowd of slow senders must not fill the memory.
BATCH = 256 * 1024
LARGE_BATCH = 1024 * 1024
FEW_BODIES = 16


class StreamedBodies:
    """Takes in deliveries whose head was accepted before their body is read.

    `verifying` is the number of archives that are being verified or wait for it.
    """

    def __init__(self, service: ReceiptService, pools: ReceiptPools, committer: Commits, tickets: Tickets) -> None:
        self._service = service
        self._refusals = Refusals(service)
        self._pools = pools
        self._committer = committer
        self._tickets = tickets
        self._receiving = 0
        self.verifying = 0

    async def take_in(
        self, head: DeliveryHead, request: RequestMetadata, decision: Decision, body: Body, batch: list[bytes]
    ) -> DeliveryResult:
        """Receive the body into the store, one batch being written while the next is received."""
        self._receiving += 1
        try:
            return await self._begin(head, request, decision, body, batch)
        finally:
            self._receiving -= 1

    @property
    def _batch_size(self) -> int:
        return LARGE_BATCH if self._receiving <= FEW_BODIES else BATCH

    async def _begin(
        self, head: DeliveryHead, request: RequestMetadata, decision: Decision, body: Body, batch: list[bytes]
    ) -> DeliveryResult:
        try:
            batch = batch + await next_batch(body, self._batch_size)
        except Incomplete as fault:
            refusal = failure(decision, fault, compressed=request.is_gzip or request.is_zip)
            return DeliveryResult(refusal, Outcome.REFUSED, head.receipt_id)
        try:
            delivery = await Job(self._pools.work, self._service.begin, request, decision, head.receipt_id).result()
        except Busy as fault:
            return DeliveryResult(failure(decision, fault), Outcome.REFUSED, head.receipt_id)
        return await self._receive(body, batch, delivery, head, decision)

    async def _receive(
        self, body: Body, batch: list[bytes], delivery: Delivery, head: DeliveryHead, decision: Decision
    ) -> DeliveryResult:
        """Write what has come and what still comes, and verify it."""
        request = delivery.request
        running: Job[None] | None = None
        try:
            while not body.complete:
                if running is not None:
                    await _wait(running, body)
                running = Job(self._pools.for_batch(request, batch), delivery.write, batch)
                batch = await next_batch(body, self._batch_size)
            if running is not None:
                await _wait(running, body)
            if request.is_zip:
                running = Job(self._pools.for_batch(request, batch), delivery.write, batch)
                await running.result()
                running, batch = Job(self._pools.verification, delivery.verify), []
                await self._verified(running)
            finishing = Job(self._pools.for_batch(request, batch), delivery.prepare, batch)
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
            return self._refusals.not_recorded(head, decision, fault)
        return await self._recorded(prepared, head, decision)

    async def _prepared_in_time(
        self, job: Job[DeliveryResult | Accepted], delivery: Delivery
    ) -> DeliveryResult | Accepted:
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

    async def _recorded(
        self, prepared: DeliveryResult | Accepted, head: DeliveryHead, decision: Decision
    ) -> DeliveryResult:
        """Have an accepted delivery recorded. A database that does not answer is not waited for without limit.

        What is recorded afterwards all the same is a delivery that the sender repeats.
        """
        if isinstance(prepared, DeliveryResult):
            return prepared
        ticket: Ticket[DeliveryResult] = Ticket()
        self._committer.submit(prepared, ticket)
        try:
            with self._tickets.waiting(ticket):
                return await ticket.future
        except Unavailable as fault:
            return self._refusals.not_recorded(head, decision, fault)


async def _fail(delivery: Delivery, fault: BaseException) -> DeliveryResult:
    """Give a delivery up, in a thread of neither pool: there may be none."""
    return await asyncio.to_thread(delivery.fail, fault)


async def _wait(job: Job[None], body: Body) -> None:
    """Wait for our own work without holding it against the sender."""
    started = asyncio.get_running_loop().time()
    await job.result()
    body.excuse(asyncio.get_running_loop().time() - started)


async def next_batch(body: Body, least: int = BATCH) -> list[bytes]:
    """Return pieces of at least so many bytes together, fewer only at the end."""
    batch: list[bytes] = []
    size = 0
    while size < least and not body.complete:
        piece = await body.next()
        batch.append(piece)
        size += len(piece)
    return batch
