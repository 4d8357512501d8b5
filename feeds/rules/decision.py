"""The one decision: may this request's data be received, and if not, why not.

Pure: no clock, no database, no request object. The three surfaces (deliveries, feed status, dry run) call it
and add no rules of their own (receipt contract, section 5).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from feeds.rules import stroom_status
from feeds.rules.facts import (
    NO_CERTIFICATE,
    NO_TOKEN,
    Certificate,
    CertificatePolicy,
    CertificateRuleSnapshot,
    FeedPolicy,
    FeedStatus,
    RuleAction,
    SenderToken,
)
from feeds.rules.senders import check_sender
from feeds.rules.stroom_status import StroomStatus
from feeds.rules.trace import Stop, Trace, TraceStep

__all__ = [
    "NO_CERTIFICATE",
    "NO_TOKEN",
    "Certificate",
    "CertificatePolicy",
    "CertificateRuleSnapshot",
    "Decision",
    "FeedPolicy",
    "FeedStatus",
    "RuleAction",
    "SenderToken",
    "TraceStep",
    "accept",
    "decide",
    "decide_feed",
    "is_encoding_supported",
    "normal_compression",
    "refuse",
]

COMPRESSIONS = frozenset({"ZIP", "GZIP", "NONE"})
CONTENT_ENCODINGS = frozenset({"gzip", "x-gzip", "identity"})
MAX_QUOTED = 100


@dataclass(frozen=True)
class Decision:
    """Action on a request, its Stroom status, and every step that led to it.

    `action` is Reject whenever `status` is not OK. `version` is that of the feed that decided, if any.
    `known` tells an unknown feed from a rejecting one; it must never reach an anonymous sender. `token` is the
    sender's as it was judged, None where the portal takes none.
    """

    action: FeedStatus
    status: StroomStatus
    trace: tuple[TraceStep, ...]
    feed: str = ""
    known: bool = True
    version: int | None = None
    hint: str = ""
    token: SenderToken | None = None

    @property
    def accepted(self) -> bool:
        return self.action is not FeedStatus.REJECT


def decide_feed(
    *,
    feed: str | None,
    certificate: Certificate,
    policy: FeedPolicy | None,
    now: datetime,
    token: SenderToken | None = None,
) -> Decision:
    """Evaluate steps 1 to 6: may this sender send to this feed.

    Args:
        feed: the feed's name as the request gave it, None or blank when it gave none.
        certificate: the sender's certificate.
        policy: the feed's policy, None when no feed has exactly this name.
        now: the instant to judge expiry by, in UTC.
        token: the sender's token; None where the portal takes none.
    """
    return _evaluate(feed=feed, certificate=certificate, token=token, policy=policy, now=now, encodings=None)


def decide(
    *,
    feed: str | None,
    certificate: Certificate,
    compression: str | None,
    content_encoding: str | None,
    policy: FeedPolicy | None,
    now: datetime,
    token: SenderToken | None = None,
) -> Decision:
    """Evaluate steps 1 to 7: everything that is known before the first byte of the body.

    `compression` and `content_encoding` are the raw argument values, None when absent.
    """
    return _evaluate(
        feed=feed,
        certificate=certificate,
        token=token,
        policy=policy,
        now=now,
        encodings=(compression, content_encoding),
    )


def accept(decision: Decision, explanation: str) -> Decision:
    """Complete an accepting decision with step 12, once the data is verified and safe."""
    return replace(decision, trace=(*decision.trace, TraceStep(12, "pass", explanation)))


def refuse(decision: Decision, step: int, status: StroomStatus, explanation: str, hint: str = "") -> Decision:
    """Turn an accepting decision into a refusal found in the body or on the way to the store (steps 8 to 11)."""
    return replace(
        decision,
        action=FeedStatus.REJECT,
        status=status,
        trace=(*decision.trace, TraceStep(step, "stop", explanation)),
        hint=hint,
    )


def _evaluate(
    *,
    feed: str | None,
    certificate: Certificate,
    token: SenderToken | None,
    policy: FeedPolicy | None,
    now: datetime,
    encodings: tuple[str | None, str | None] | None,
) -> Decision:
    trace = Trace()
    name = (feed or "").strip()
    try:
        known = _check_feed(trace, name, policy)
        check_sender(trace, known, certificate, token, now)
        if encodings is not None:
            _check_encodings(trace, *encodings)
    except Stop as stop:
        return Decision(
            FeedStatus.REJECT,
            stop.status,
            tuple(trace.steps),
            feed=name,
            known=stop.known,
            version=policy.version if policy else None,
            hint=stop.hint,
            token=token,
        )
    return Decision(
        known.status, stroom_status.OK, tuple(trace.steps), feed=name, version=known.version, token=token
    )


def _check_feed(trace: Trace, name: str, policy: FeedPolicy | None) -> FeedPolicy:
    """Steps 1 to 3."""
    if not name:
        raise trace.stop(1, stroom_status.FEED_MUST_BE_SPECIFIED, "No Feed argument, or a blank one.")
    trace.passed(1, f"The request names the feed {name}.")
    if policy is None:
        raise trace.stop(
            2,
            stroom_status.FEED_NOT_RECEIVING,
            f"No feed is called exactly {name}; upper and lower case count.",
            known=False,
        )
    if policy.name != name:
        # A mix-up here would let one feed's rules decide for another, so it is a fault and no answer.
        raise ValueError("the policy is that of another feed")
    trace.passed(2, f"The feed {name} exists.")
    if policy.status is FeedStatus.REJECT:
        raise trace.stop(3, stroom_status.FEED_NOT_RECEIVING, "The feed's status is Reject.")
    trace.passed(3, f"The feed's status is {policy.status}.")
    return policy


def _check_encodings(trace: Trace, compression: str | None, content_encoding: str | None) -> None:
    """Step 7."""
    encoding = (content_encoding or "").strip()[:MAX_QUOTED]
    if not is_encoding_supported(content_encoding):
        raise trace.stop(
            7,
            stroom_status.UNKNOWN_COMPRESSION,
            f"Content-Encoding {encoding} is not supported; gzip is.",
            hint=f"Content-Encoding {encoding} is not supported; use gzip or leave it out.",
        )
    if normal_compression(compression) not in COMPRESSIONS:
        raise trace.stop(
            7,
            stroom_status.UNKNOWN_COMPRESSION,
            f"Compression {normal_compression(compression)[:MAX_QUOTED]} is not one of ZIP, GZIP and NONE.",
        )
    trace.passed(7, f"Compression {normal_compression(compression)} is supported.")


def is_encoding_supported(content_encoding: str | None) -> bool:
    """Return whether a Content-Encoding can be undone; absent or blank it is none."""
    encoding = (content_encoding or "").strip().lower()
    return not encoding or encoding in CONTENT_ENCODINGS


def normal_compression(value: str | None) -> str:
    """Upper-case the argument; absent or blank means NONE (contract section 3)."""
    return (value or "").strip().upper() or "NONE"
