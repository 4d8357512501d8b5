"""Bodies that are whole on arrival: decided on, written and verified in one job, then recorded."""

from collections.abc import Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass

from feeds.models import Outcome
from feeds.receipt import policies
from feeds.receipt.batches import Batches, Rest
from feeds.receipt.delivery import Accepted
from feeds.receipt.head import DeliveryHead
from feeds.receipt.jobs import Ticket, Tickets
from feeds.receipt.pools import ReceiptPools, may_inflate
from feeds.receipt.recording import Commits
from feeds.receipt.refusals import Refusals, refused, undecided
from feeds.receipt.results import DeliveryResult, failure
from feeds.receipt.service import ReceiptService
from feeds.rules import stroom_status
from feeds.rules.metadata import RequestMetadata
from portal.database.threads import Unavailable


@dataclass(frozen=True, eq=False)
class _Arrived:
    """A request whose body is whole, and the answer that it waits for. `context` holds its request id."""

    ticket: Ticket[DeliveryResult]
    head: DeliveryHead
    request: RequestMetadata
    body: Sequence[bytes]
    context: Context
    is_full: bool


class WholeBodies:
    """Takes in deliveries that had arrived whole when they were first looked at, many in one job."""

    def __init__(self, service: ReceiptService, pools: ReceiptPools, committer: Commits, tickets: Tickets) -> None:
        self._service = service
        self._refusals = Refusals(service)
        self._pools = pools
        self._committer = committer
        self._tickets = tickets
        self._batches = Batches(pools.small, self._take_batch)

    async def take_in(
        self, head: DeliveryHead, request: RequestMetadata, batch: list[bytes], *, is_full: bool
    ) -> DeliveryResult:
        """Decide, write and verify in one job, and have it recorded."""
        ticket: Ticket[DeliveryResult] = Ticket(is_undecided=True)
        arrived = _Arrived(ticket, head, request, batch, copy_context(), is_full=is_full)
        if may_inflate(request, batch):
            ticket.call = self._pools.inflation.submit(self._take_packed, arrived)
        else:
            self._batches.submit(arrived)
        try:
            with self._tickets.waiting(ticket):
                return await ticket.future
        except Unavailable as fault:
            if ticket.is_undecided:
                return self._refusals.no_decision(head, fault)
            return self._refusals.not_recorded(head, undecided(head), fault)

    def _take_packed(self, arrived: _Arrived) -> None:
        """Take in a body that unpacks to much, in a thread."""
        rest = self._take_batch([arrived])
        if rest is not None:
            rest()

    def _take_batch(self, batch: Sequence[_Arrived]) -> Rest | None:
        """Decide, write and verify whole bodies, in a thread; each ticket gets its outcome in any case.

        Returns what is left to do to record them, if anything.
        """
        known = policies.KnownPolicies(policies.read_policy)
        accepted = []
        for arrived in batch:
            prepared = arrived.context.run(self._prepare_whole, arrived, known)
            if isinstance(prepared, Accepted):
                arrived.ticket.recording()
                accepted.append((prepared, arrived.ticket))
            else:
                arrived.ticket.resolve(prepared)
        return self._committer.begin(accepted) if accepted else None

    def _prepare_whole(self, arrived: _Arrived, known: policies.KnownPolicies) -> DeliveryResult | Accepted:
        try:
            return self._prepared(arrived, known)
        except Exception as fault:  # noqa: BLE001  # step 11
            return DeliveryResult(failure(undecided(arrived.head), fault), Outcome.REFUSED, arrived.head.receipt_id)

    def _prepared(self, arrived: _Arrived, known: policies.KnownPolicies) -> DeliveryResult | Accepted:
        head, request, ticket = arrived.head, arrived.request, arrived.ticket
        if ticket.is_abandoned:
            return refused(head, stroom_status.UNAVAILABLE)
        try:
            decision, is_low = self._service.look(request, known)
        except Unavailable as fault:
            return self._refusals.no_decision(head, fault)
        if ticket.is_abandoned:  # its sender was answered 503 and sends it again
            return refused(head, stroom_status.UNAVAILABLE, decision)
        ticket.decided()
        refusal = self._refusals.by_decision(head, decision, is_full=arrived.is_full or is_low)
        if refusal is not None:
            return refusal
        return self._service.begin(request, decision, head.receipt_id, is_final=True).prepare(arrived.body)
