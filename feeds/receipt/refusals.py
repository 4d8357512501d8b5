"""Refusals of the receiver that do not depend on the bytes of a body."""

from feeds.models import Outcome
from feeds.receipt.head import DeliveryHead
from feeds.receipt.results import DeliveryResult, failure
from feeds.receipt.service import ReceiptService
from feeds.receipt.token_limits import LATER, has_allowance
from feeds.rules import stroom_status
from feeds.rules.decision import Decision, FeedStatus, refuse
from feeds.rules.stroom_status import StroomStatus
from portal.database.threads import Unavailable
from portal.text import counted

METHODS = ("POST", "PUT")


class Refusals:
    """Refusals of one worker."""

    def __init__(self, service: ReceiptService) -> None:
        self._service = service

    def by_head(self, head: DeliveryHead, *, is_stopping: bool) -> StroomStatus | None:
        """Return the status of a head that is refused before any decision; None where it is not."""
        if head.method not in METHODS:
            return stroom_status.METHOD_NOT_ALLOWED
        if is_stopping:
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

    def by_decision(self, head: DeliveryHead, decision: Decision, *, is_full: bool) -> DeliveryResult | None:
        """Return the refusal of a delivery that was decided on; `is_full`: the worker or its disk is."""
        if not decision.accepted:
            return DeliveryResult(decision, Outcome.REFUSED, head.receipt_id)
        if is_full:
            return refused(head, stroom_status.UNAVAILABLE, decision)
        if decision.token is not None and not has_allowance(decision.token):
            rate = counted(decision.token.rate or 0, "delivery", "deliveries")
            text = f"The limit of your token, {rate} a minute, is reached. {LATER}"
            over = refuse(decision, 11, stroom_status.UNAVAILABLE, text, hint=text)
            return DeliveryResult(over, Outcome.REFUSED, head.receipt_id)
        limit = self._service.settings.limit
        if limit is not None and head.length is not None and head.length > limit:
            return refused(head, stroom_status.CONTENT_TOO_LARGE, decision, step=8)
        return None

    def no_decision(self, head: DeliveryHead, fault: Unavailable) -> DeliveryResult:
        """Report a database that gave no decision."""
        self._service.database_failed(fault)
        self._service.metrics.decision_failed("delivery")
        return DeliveryResult(failure(undecided(head), fault), Outcome.REFUSED, head.receipt_id)

    def not_recorded(self, head: DeliveryHead, decision: Decision, fault: Unavailable) -> DeliveryResult:
        """Report a database that did not record an accepted delivery."""
        self._service.database_failed(fault)
        return refused(head, stroom_status.UNAVAILABLE, decision)


def undecided(head: DeliveryHead) -> Decision:
    """Return the decision on a delivery of which only the head is known."""
    feed = (head.request.feed if head.request else None) or ""
    return Decision(FeedStatus.REJECT, stroom_status.UNKNOWN_ERROR, (), feed=feed, known=False)


def refused(
    head: DeliveryHead, status: StroomStatus, decision: Decision | None = None, step: int = 11
) -> DeliveryResult:
    """Return the refusal with this status; `step` is the one of the contract that it belongs to."""
    refusal = refuse(decision or undecided(head), step, status, status.explanation)
    return DeliveryResult(refusal, Outcome.REFUSED, head.receipt_id)
