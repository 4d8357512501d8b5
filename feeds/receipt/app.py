"""The receiver: an ASGI application that turns one request into one answer (receipt contract).

A body that has not arrived yet is read only after the request's arguments are accepted (`streamed`). A body that is
whole on arrival takes one job in a thread, which decides once, after the last byte (`whole`). Either way the
committer (`recording`) makes the data durable, together with that of other deliveries.
"""

import asyncio
import logging
import time

from feeds.models import Outcome
from feeds.receipt import answers
from feeds.receipt.head import DeliveryHead, read_head
from feeds.receipt.jobs import Tickets
from feeds.receipt.pools import ReceiptPools
from feeds.receipt.recording import Commits
from feeds.receipt.refusals import METHODS, Refusals, refused, undecided
from feeds.receipt.results import DeliveryResult, failure
from feeds.receipt.service import ReceiptService
from feeds.receipt.streamed import StreamedBodies, next_batch
from feeds.receipt.whole import WholeBodies
from feeds.rules import stroom_status
from feeds.rules.metadata import RequestMetadata
from portal.database.threads import Unavailable, in_time
from portal.http.answer import Answer
from portal.http.body import Body, Scope, Send, header, is_delimited
from portal.http.body import Receive as ReceiveMessage

log = logging.getLogger(__name__)

#: Heads up to this size are read at once; few are larger.
SMALL_HEAD = 4 * 1024
DRAIN_BYTES = 1024 * 1024
DRAIN_SECONDS = 5.0


class Receiver:
    """Answers every request on a receive path."""

    def __init__(
        self,
        service: ReceiptService,
        *,
        committer: Commits,
        pools: ReceiptPools,
        most_running: int = 500,
        most_verifying: int = 8,
    ) -> None:
        """Make the receiver of one worker.

        Args:
            service: settings, store and counts of the worker.
            committer: makes deliveries durable.
            pools: threads, by kind of work.
            most_running: deliveries at once; further ones are answered 503.
            most_verifying: archives being verified or waiting for it; further ones are answered 503.
        """
        tickets = Tickets()
        self._service = service
        self._refusals = Refusals(service)
        self._whole = WholeBodies(service, pools, committer, tickets)
        self._streamed = StreamedBodies(service, pools, committer, tickets)
        self._most_running = most_running
        self._most_verifying = most_verifying
        self.pools = pools
        self.running = 0
        self.stopping = False

    @property
    def verifying(self) -> int:
        """Archives that are being verified or wait for it."""
        return self._streamed.verifying

    async def __call__(self, scope: Scope, receive: ReceiveMessage, send: Send) -> None:
        """Handle one request."""
        began = time.monotonic()
        # A large head takes milliseconds: others must not wait for it.
        is_large = _size_of_head(scope) > SMALL_HEAD
        head = await asyncio.to_thread(self._read_head, scope) if is_large else self._read_head(scope)
        body = Body(scope, receive)
        metrics = self._service.metrics
        self.running += 1
        metrics.running.inc()
        try:
            outcome = await self._outcome(head, body)
        except Exception as fault:  # noqa: BLE001  # step 11: never an acceptance, never silence
            outcome = DeliveryResult(failure(undecided(head), fault), Outcome.REFUSED, head.receipt_id)
        finally:
            self.running -= 1
            metrics.running.dec()
        self._count(head, outcome, time.monotonic() - began)
        await _respond(scope, body, send, self._answer(head, outcome))

    def _count(self, head: DeliveryHead, outcome: DeliveryResult, seconds: float) -> None:
        """Counting must never cost the sender its answer: what is stored is stored."""
        try:
            self._service.count(head.request, outcome, seconds)
        except Exception:
            log.exception("a delivery could not be counted")

    def _read_head(self, scope: Scope) -> DeliveryHead:
        settings = self._service.settings
        request = read_head(
            scope,
            trusts=settings.trusts,
            identity=settings.identity,
            require_verify=settings.require_verify,
            takes_tokens=settings.takes_tokens,
        )
        return DeliveryHead.of(scope, request, self._service.ids.next())

    async def _outcome(self, head: DeliveryHead, body: Body) -> DeliveryResult:
        early = self._refusals.by_head(head, is_stopping=self.stopping)
        if early is not None or head.request is None:
            return refused(head, early or stroom_status.UNKNOWN_ERROR)
        if body.has_arrived and not head.request.is_zip:
            batch = await next_batch(body)
            if body.complete:
                return await self._whole.take_in(head, head.request, batch, is_full=self._is_full)
            return await self._decide_early(head, head.request, body, batch)
        return await self._decide_early(head, head.request, body, [])

    async def _decide_early(
        self, head: DeliveryHead, request: RequestMetadata, body: Body, batch: list[bytes]
    ) -> DeliveryResult:
        """Decide before the body is read, and refuse what cannot be taken; `batch` has been read already."""
        try:
            decision, low = await in_time(self.pools.decisions, self._service.look, request)
        except Unavailable as fault:
            return self._refusals.no_decision(head, fault)
        is_full = request.is_zip and self.verifying >= self._most_verifying
        refusal = self._refusals.by_decision(head, decision, is_full=low or is_full or self._is_full)
        return refusal or await self._streamed.take_in(head, request, decision, body, batch)

    @property
    def _is_full(self) -> bool:
        return self.running > self._most_running

    def _answer(self, head: DeliveryHead, outcome: DeliveryResult) -> Answer:
        decision = outcome.decision
        return answers.answer_to(
            decision,
            request=head.request,
            feed=decision.feed or None,
            receipt_id=outcome.receipt_id,
            public_url=self._service.settings.public_url,
            allow=", ".join(METHODS) if decision.status is stroom_status.METHOD_NOT_ALLOWED else "",
        )


def _size_of_head(scope: Scope) -> int:
    fields = sum(len(name) + len(value) for name, value in scope["headers"])
    return fields + len(scope.get("query_string", b""))


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
