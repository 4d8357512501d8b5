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
from feeds.rules.receipt_rules import NO_VERDICT, NOTHING_SENT, Action, Facts, Match, RuleVerdict, Sent
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
    "Sent",
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
    sender's as it was judged, None where the portal takes none. `matches` are the receipt rules that matched.
    """

    action: FeedStatus
    status: StroomStatus
    trace: tuple[TraceStep, ...]
    feed: str = ""
    known: bool = True
    version: int | None = None
    hint: str = ""
    token: SenderToken | None = None
    matches: tuple[Match, ...] = ()

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
    sent: Sent = NOTHING_SENT,
) -> Decision:
    """Evaluate steps 1 to 6: may this sender send to this feed.

    Args:
        feed: the feed's name as the request gave it, None or blank when it gave none.
        certificate: the sender's certificate.
        policy: the feed's policy, None when no feed has exactly this name.
        now: the instant to judge expiry by, in UTC.
        token: the sender's token; None where the portal takes none.
        sent: what receipt rules may ask about.
    """
    return _evaluate(_Question(feed, certificate, token, sent), policy, now, None)


def decide(
    *,
    feed: str | None,
    certificate: Certificate,
    compression: str | None,
    content_encoding: str | None,
    policy: FeedPolicy | None,
    now: datetime,
    token: SenderToken | None = None,
    sent: Sent = NOTHING_SENT,
) -> Decision:
    """Evaluate steps 1 to 7: everything that is known before the first byte of the body.

    `compression` and `content_encoding` are the raw argument values, None when absent.
    """
    return _evaluate(_Question(feed, certificate, token, sent), policy, now, (compression, content_encoding))


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


@dataclass(frozen=True)
class _Question:
    feed: str | None
    certificate: Certificate
    token: SenderToken | None
    sent: Sent


def _evaluate(
    asked: _Question,
    policy: FeedPolicy | None,
    now: datetime,
    encodings: tuple[str | None, str | None] | None,
) -> Decision:
    trace = Trace()
    name, token = (asked.feed or "").strip(), asked.token
    verdict = NO_VERDICT
    try:
        known = _check_feed(trace, name, policy)
        if known.receipt_rules.rules:
            verdict = known.receipt_rules.verdict(_facts(asked, name, now), now)
            _apply(trace, verdict)
        check_sender(trace, known, asked.certificate, token, now)
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
            matches=verdict.matches,
        )
    drops = verdict.rule is not None and verdict.rule.action is Action.DROP
    return Decision(
        FeedStatus.DROP if drops else known.status,
        stroom_status.OK,
        tuple(trace.steps),
        feed=name,
        version=known.version,
        token=token,
        matches=verdict.matches,
    )


def _facts(asked: _Question, feed: str, now: datetime) -> Facts:
    certificate, token = asked.certificate, asked.token
    believed = certificate.verified and (certificate.expires is None or now < certificate.expires)
    return Facts(
        asked.sent.argument,
        asked.sent.address,
        certificate.dn if believed else None,
        certificate.text if believed else "",
        token.name if token is not None else "",
        feed,
    )


def _apply(trace: Trace, verdict: RuleVerdict) -> None:
    """Step 3, its second part: the receipt rules."""
    for rule in verdict.shadows:
        trace.passed(3, f"The receipt rule {rule.name} is in shadow; it would {rule.action.value.lower()} this.")
    if verdict.rule is None:
        trace.passed(3, "No receipt rule in force matches.")
        return
    if verdict.rule.action is Action.REJECT:
        text = f"The receipt rule {verdict.rule.name} rejects this."
        raise trace.stop(3, stroom_status.REJECTED_BY_RULES, text)
    if verdict.rule.action is Action.DROP:
        trace.passed(3, f"The receipt rule {verdict.rule.name} drops this.")
    else:
        trace.passed(3, f"The receipt rule {verdict.rule.name} leaves it to the feed.")


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
