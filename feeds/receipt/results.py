"""Results of deliveries, and the refusal that each kind of fault amounts to."""

import logging
from dataclasses import dataclass

from feeds.models import Outcome
from feeds.receipt.jobs import Busy
from feeds.rules import stroom_status
from feeds.rules.decision import Decision, refuse
from feeds.store.compression import StreamInvalid, TooLarge
from feeds.store.spool import NoSpace
from portal.database.threads import DatabaseRefused, Unavailable
from portal.http.body import Incomplete

log = logging.getLogger("feeds.receipt.service")

STREAM_ADVICE = "Check the data at its source and send it again."


@dataclass(frozen=True)
class DeliveryResult:
    """Result of a delivery. `decision` refuses or accepts; its feed is the one at fault."""

    decision: Decision
    kind: Outcome
    receipt_id: str
    bytes: int = 0
    wire_bytes: int = 0


class CommitUnknown(Exception):  # says what is known of the commit
    """The connection was lost while committing: the row may or may not exist."""


def failure(decision: Decision, fault: BaseException, *, compressed: bool = False) -> Decision:
    """Turn a fault into its refusal (steps 8, 9 and 11); `compressed` says that the body was declared so."""
    if isinstance(fault, TooLarge):
        return refuse(decision, 8, stroom_status.CONTENT_TOO_LARGE, "The data is over the configured limit.")
    if isinstance(fault, StreamInvalid):
        reason = f"{fault}."
        return refuse(decision, 9, stroom_status.STREAM_INVALID, reason, hint=f"{reason} {STREAM_ADVICE}")
    if isinstance(fault, Incomplete):
        return _incomplete(decision, fault, compressed=compressed)
    if isinstance(fault, DatabaseRefused):
        return refuse(decision, 11, stroom_status.UNKNOWN_ERROR, "The database refuses; the portal's log says why.")
    if isinstance(fault, NoSpace | Busy | Unavailable):
        return refuse(decision, 11, stroom_status.UNAVAILABLE, f"A passing fault: {type(fault).__name__}.")
    log.error("a delivery failed", exc_info=fault)
    return refuse(decision, 11, stroom_status.UNKNOWN_ERROR, f"An unexpected fault: {type(fault).__name__}.")


def _incomplete(decision: Decision, fault: Incomplete, *, compressed: bool) -> Decision:
    reason = f"The body did not arrive whole: {fault}."
    status = stroom_status.STREAM_INVALID if compressed else stroom_status.UNKNOWN_ERROR
    return refuse(decision, 9 if compressed else 11, status, reason, hint=f"{reason} Send it again.")
