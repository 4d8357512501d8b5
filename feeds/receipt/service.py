"""Service that the deliveries of one worker share: settings, store, decisions, counts, and the log of faults.

Synchronous: the receiver calls it from threads, tests call it directly. A delivery is acknowledged after exactly
this order: file flushed, renamed, directories flushed, row committed (receipt contract, section 8.2).
`delivery` and `recording` keep it.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from feeds.models import Outcome
from feeds.monitoring.counts import DeliveryCounts, Sample, tally_of
from feeds.monitoring.metrics import Metrics
from feeds.receipt import policies
from feeds.receipt.delivery import Accepted, Delivery
from feeds.receipt.policies import KnownPolicies
from feeds.receipt.recording import Recorder
from feeds.receipt.results import DeliveryResult, failure
from feeds.rules.decision import Decision, SenderToken, decide
from feeds.rules.metadata import RequestMetadata
from feeds.store.ids import ReceiptIds
from feeds.store.slots import Slot
from feeds.store.spool import SpaceMark, StoreFolder, SyncFailed
from portal.database.threads import DatabaseRefused, Unavailable
from portal.http.client import IdentityNames
from portal.http.request_ids import logged_request_id
from portal.repeated import WELL, RepeatedFaults

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


@dataclass(frozen=True)
class ReceiptSettings:
    """Settings of the operator for receiving."""

    host: str
    trusts: Callable[[str | None], bool]
    identity: IdentityNames
    space: SpaceMark
    require_verify: bool = True
    public_url: str = ""
    limit: int | None = None
    log_deliveries: bool = True
    takes_tokens: bool = False


@dataclass
class ReceiptService:
    """Everything that the deliveries of one worker share."""

    settings: ReceiptSettings
    store: StoreFolder
    slot: Slot
    ids: ReceiptIds
    counts: DeliveryCounts
    on_store_fault: Callable[[], None] = field(default=lambda: None)
    on_database_fault: Callable[[], None] = field(default=lambda: None)
    metrics: Metrics = field(default_factory=Metrics)
    faults: RepeatedFaults = field(default_factory=lambda: RepeatedFaults(log, settle_seconds=SETTLE_SECONDS))
    recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.recorder = Recorder(self)

    def database_failed(self, fault: Unavailable) -> None:
        """Log why the database kept a delivery out, once a minute. Readiness is for the health check to decide: one
        sender's odd delivery must not take the portal from all others.
        """
        cause = fault.__cause__ or fault
        if isinstance(fault, DatabaseRefused):
            self.faults.report(REFUSES, f"a delivery failed, {type(cause).__name__}", cause, logging.ERROR)
        else:
            self.faults.report(AWAY, "deliveries are answered 503", cause)

    def database_answered(self) -> None:
        """Note that a delivery was recorded."""
        self.faults.report(REFUSES, WELL)
        self.faults.report(AWAY, WELL)

    def decide(self, request: RequestMetadata, known: KnownPolicies | None = None) -> Decision:
        """Evaluate steps 1 to 7 against the database as it is now; `known` is what other requests have read of it.

        Raises:
            Unavailable: the rules cannot be read. Asked also for a request without a feed: this comes first.
        """
        token = self.token_of(request, known)
        return decide(
            feed=request.feed,
            certificate=request.certificate,
            compression=request.compression,
            content_encoding=request.content_encoding,
            policy=(known.read if known else policies.read_policy)(request.feed),
            now=datetime.now(UTC),
            token=token,
            sent=request.sent,
        )

    def look(self, request: RequestMetadata, known: KnownPolicies | None = None) -> tuple[Decision, bool]:
        """Return the decision, see `decide`, and whether the disk is too full for a body."""
        decision = self.decide(request, known)
        return decision, decision.accepted and self.settings.space.is_low()

    def token_of(self, request: RequestMetadata, known: KnownPolicies | None = None) -> SenderToken | None:
        """Look up the sender's token; None where the portal takes none.

        Raises:
            Unavailable: it cannot be looked up.
        """
        if not self.settings.takes_tokens:
            return None
        return (known.token if known else policies.read_token)(request.bearer)

    def begin(
        self, request: RequestMetadata, decision: Decision, receipt_id: str, *, is_final: bool = False
    ) -> Delivery:
        """Open the part of an accepted request; `is_final`: the decision was made after the last byte.

        Raises:
            OSError: the store cannot be written.
        """
        return Delivery(self, request, decision, receipt_id, is_final=is_final)

    def refusal(self, request: RequestMetadata, decision: Decision, fault: BaseException) -> Decision:
        """Report a fault that ends a delivery, and turn it into its refusal."""
        if isinstance(fault, SyncFailed):
            self.metrics.flush_failures.inc()
            self.on_store_fault()
        if isinstance(fault, Unavailable):
            self.database_failed(fault)
        return failure(decision, fault, compressed=request.is_gzip or request.is_zip)

    def give_up(self, prepared: DeliveryResult | Accepted) -> None:
        """Remove what was prepared for a sender that was answered meanwhile."""
        if isinstance(prepared, Accepted):
            self.recorder.forget(prepared)

    def count(self, request: RequestMetadata | None, outcome: DeliveryResult, seconds: float) -> None:
        """Count what became of a delivery and how long it took, with an example of a refused one.

        What is counted with an example, or is no refusal, has a line in the log: refusals may come in floods (R26).
        """
        decision = outcome.decision
        self.metrics.delivered(
            outcome.kind,
            decision.status,
            wire=outcome.wire_bytes,
            stored=outcome.bytes if outcome.kind is Outcome.RECEIVED else 0,
            seconds=seconds,
        )
        if decision.token is not None and request is not None:
            self.metrics.identified(_identity(request, decision.token), outcome.kind)
        now = datetime.now(UTC)
        tally = tally_of(
            now,
            decision.feed,
            outcome.kind,
            http_status=decision.status.http,
            stroom_status=decision.status.code,
            known=decision.known and bool(decision.feed),
        )
        if decision.matches and request is not None:
            self._count_matches(now, request, decision)
        if outcome.kind is not Outcome.REFUSED or request is None:
            self.counts.add(tally, outcome.bytes)
            is_logged = request is not None
        else:
            is_logged = self.counts.add(tally, 0, lambda: _sample(now, request, decision, outcome.receipt_id))
        if is_logged and request is not None and self.settings.log_deliveries:
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

    def _count_matches(self, now: datetime, request: RequestMetadata, decision: Decision) -> None:
        """Count the receipt rules that matched, those in shadow too, and who sent what they matched."""
        self.counts.matched(
            now,
            decision.feed,
            _sender(request, decision.token),
            [(match.key, match.applied) for match in decision.matches],
        )
        for match in decision.matches:
            self.metrics.rule_matched(match.action.value, applied=match.applied)


def _sender(request: RequestMetadata, token: SenderToken | None) -> str:
    """Return who sent a request, as the counts of receipt rules name them."""
    named = token.subject if token is not None and token.name else request.certificate.verified_dn
    return named or request.sender_address or "unix"


def _identity(request: RequestMetadata, token: SenderToken) -> str:
    """Return what identified the sender, one of `metrics.IDENTITIES`."""
    if token.presented:
        return "token" if token.name else "token_refused"
    return "certificate" if request.certificate.verified else "none"


def _sample(now: datetime, request: RequestMetadata, decision: Decision, receipt_id: str) -> Sample:
    return Sample(
        at=now,
        feed=decision.feed[:255],
        http_status=decision.status.http,
        stroom_status=decision.status.code,
        receipt_id=receipt_id,
        remote_address=request.peer or "unix",
        sender_dn=request.certificate.text[:1000],
        sender_token=decision.token.name if decision.token else "",
        # Also what is not stored with data, such as Compression: it may be the very reason.
        headers=_few(request.arguments),
        trace=[
            {"step": step.step, "outcome": step.outcome, "explanation": step.explanation[:500]}
            for step in decision.trace
        ],
        request_id=logged_request_id(),
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
