"""The one decision: may this request's data be received, and if not, why not.

Pure: no clock, no database, no request object. The three surfaces (deliveries, feed status, dry run) call it
and add no rules of their own (receipt contract, section 5).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from feeds.rules import stroom_status
from feeds.rules.dn import DistinguishedName, rule_matches
from feeds.rules.stroom_status import StroomStatus

COMPRESSIONS = frozenset({"ZIP", "GZIP", "NONE"})
CONTENT_ENCODINGS = frozenset({"gzip", "x-gzip", "identity"})
MAX_QUOTED = 100


class FeedStatus(StrEnum):
    """Action of a feed on data that passes every check. The spelling is Stroom's, on the wire too."""

    RECEIVE = "Receive"
    REJECT = "Reject"
    DROP = "Drop"


class CertificatePolicy(StrEnum):
    """Treatment of client certificates by a feed."""

    NONE = "none"
    REQUIRED = "required"
    RESTRICTED = "restricted"


class RuleAction(StrEnum):
    """Action of a certificate rule on the certificates that it matches. Deny beats allow."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True)
class CertificateRuleSnapshot:
    """One certificate rule as it stood when the policy was read. `expires` is an instant in UTC, or None.

    A rule with `everywhere` belongs to no feed: it is a deny rule that holds for every feed, whatever its policy.
    """

    action: RuleAction
    subject_dn: str
    expires: datetime | None = None
    everywhere: bool = False

    def in_force(self, now: datetime) -> bool:
        """Return whether the rule has expired; it has from its instant on."""
        return self.expires is None or now < self.expires


@dataclass(frozen=True)
class FeedPolicy:
    """Everything of a feed that a decision needs. `version` is the row version that decided."""

    name: str
    status: FeedStatus = FeedStatus.RECEIVE
    certificate_policy: CertificatePolicy = CertificatePolicy.NONE
    rules: tuple[CertificateRuleSnapshot, ...] = ()
    version: int = 0


@dataclass(frozen=True)
class Certificate:
    """The sender's client certificate, as far as it is known.

    `fault` says in plain words why a presented certificate is not verified, or why a reported one does not even
    count as presented; it is empty for a verified one.
    `text` is the DN as received.
    """

    presented: bool = False
    verified: bool = False
    text: str = ""
    dn: DistinguishedName | None = None
    expires: datetime | None = None
    fault: str = ""

    @property
    def verified_dn(self) -> str | None:
        """The DN as received, or None where it must not be believed."""
        return self.text if self.verified else None


NO_CERTIFICATE = Certificate()


@dataclass(frozen=True)
class TraceStep:
    """One evaluated step: its number in the contract, `pass` or `stop`, and the reason in words."""

    step: int
    outcome: str
    explanation: str


@dataclass(frozen=True)
class Decision:
    """Action on a request, its Stroom status, and every step that led to it.

    `action` is Reject whenever `status` is not OK. `version` is that of the feed that decided, if any.
    `known` tells an unknown feed from a rejecting one; it must never reach an anonymous sender.
    """

    action: FeedStatus
    status: StroomStatus
    trace: tuple[TraceStep, ...]
    feed: str = ""
    known: bool = True
    version: int | None = None
    hint: str = ""

    @property
    def accepted(self) -> bool:
        return self.action is not FeedStatus.REJECT


class _Stop(Exception):
    """Ends the evaluation; never leaves this module."""

    def __init__(self, status: StroomStatus, *, known: bool, hint: str) -> None:
        self.status = status
        self.known = known
        self.hint = hint


@dataclass
class _Trace:
    steps: list[TraceStep] = field(default_factory=list)

    def passed(self, step: int, explanation: str) -> None:
        self.steps.append(TraceStep(step, "pass", explanation))

    def stop(
        self, step: int, status: StroomStatus, explanation: str, *, known: bool = True, hint: str = ""
    ) -> _Stop:
        self.steps.append(TraceStep(step, "stop", explanation))
        return _Stop(status, known=known, hint=hint)


def decide_feed(
    *, feed: str | None, certificate: Certificate, policy: FeedPolicy | None, now: datetime
) -> Decision:
    """Evaluate steps 1 to 6: may this sender send to this feed.

    Args:
        feed: the feed's name as the request gave it, None or blank when it gave none.
        certificate: the sender's certificate.
        policy: the feed's policy, None when no feed has exactly this name.
        now: the instant to judge expiry by, in UTC.
    """
    return _evaluate(feed=feed, certificate=certificate, policy=policy, now=now, encodings=None)


def decide(
    *,
    feed: str | None,
    certificate: Certificate,
    compression: str | None,
    content_encoding: str | None,
    policy: FeedPolicy | None,
    now: datetime,
) -> Decision:
    """Evaluate steps 1 to 7: everything that is known before the first byte of the body.

    `compression` and `content_encoding` are the raw argument values, None when absent.
    """
    return _evaluate(
        feed=feed, certificate=certificate, policy=policy, now=now, encodings=(compression, content_encoding)
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
    policy: FeedPolicy | None,
    now: datetime,
    encodings: tuple[str | None, str | None] | None,
) -> Decision:
    trace = _Trace()
    name = (feed or "").strip()
    try:
        known = _check_feed(trace, name, policy)
        _check_certificate(trace, known, certificate, now)
        if encodings is not None:
            _check_encodings(trace, *encodings)
    except _Stop as stop:
        return Decision(
            FeedStatus.REJECT,
            stop.status,
            tuple(trace.steps),
            feed=name,
            known=stop.known,
            version=policy.version if policy else None,
            hint=stop.hint,
        )
    return Decision(known.status, stroom_status.OK, tuple(trace.steps), feed=name, version=known.version)


def _check_feed(trace: _Trace, name: str, policy: FeedPolicy | None) -> FeedPolicy:
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


def _check_certificate(trace: _Trace, policy: FeedPolicy, certificate: Certificate, now: datetime) -> None:
    """Steps 4 to 6."""
    if policy.certificate_policy is CertificatePolicy.NONE:
        for step in (4, 5, 6):
            if step == 6:
                _check_everywhere(trace, policy, certificate, now)
            trace.passed(
                step,
                "The feed's certificate policy is none, so certificates are not looked at"
                f"{_in_brackets(certificate.fault)}.",
            )
        return
    if not certificate.presented:
        raise trace.stop(
            4,
            stroom_status.CERTIFICATE_REQUIRED,
            f"The certificate policy is {policy.certificate_policy} and no certificate was presented"
            f"{_in_brackets(certificate.fault)}.",
        )
    trace.passed(4, f"A certificate was presented: {certificate.text}.")
    if not certificate.verified or certificate.dn is None:
        raise trace.stop(5, stroom_status.CERTIFICATE_NOT_AUTHORISED, _unverified(certificate))
    if certificate.expires is not None and certificate.expires <= now:
        raise trace.stop(5, stroom_status.CERTIFICATE_NOT_AUTHORISED, "The certificate has expired.")
    trace.passed(5, "The certificate is verified and not expired.")
    _check_rules(trace, policy, certificate.dn, now)


def _check_everywhere(trace: _Trace, policy: FeedPolicy, certificate: Certificate, now: datetime) -> None:
    """Step 6 of a feed that looks at no certificates: one that is denied for every feed is refused all the same."""
    if not certificate.verified or certificate.dn is None:
        return
    for rule in _matching(policy, RuleAction.DENY, certificate.dn, now):
        if rule.everywhere:
            raise _denied(trace, rule)


def _denied(trace: _Trace, rule: CertificateRuleSnapshot) -> _Stop:
    where = ", which holds for every feed," if rule.everywhere else ""
    return trace.stop(
        6, stroom_status.CERTIFICATE_NOT_AUTHORISED, f"The deny rule {rule.subject_dn}{where} matches."
    )


def _in_brackets(remark: str) -> str:
    return f" ({remark})" if remark else ""


def _unverified(certificate: Certificate) -> str:
    return f"The certificate was presented but is not verified: {certificate.fault or 'no reason given'}."


def _check_rules(trace: _Trace, policy: FeedPolicy, dn: DistinguishedName, now: datetime) -> None:
    """Step 6: deny beats allow; restricted needs an allow."""
    for rule in _matching(policy, RuleAction.DENY, dn, now):
        raise _denied(trace, rule)
    if policy.certificate_policy is CertificatePolicy.REQUIRED:
        trace.passed(6, "No deny rule matches, and any verified certificate may send.")
        return
    for rule in _matching(policy, RuleAction.ALLOW, dn, now):
        trace.passed(6, f"The allow rule {rule.subject_dn} matches and no deny rule does.")
        return
    raise trace.stop(6, stroom_status.CERTIFICATE_NOT_AUTHORISED, "No unexpired allow rule matches.")


def _matching(
    policy: FeedPolicy, action: RuleAction, dn: DistinguishedName, now: datetime
) -> Iterator[CertificateRuleSnapshot]:
    return (
        rule
        for rule in policy.rules
        if rule.action is action and rule.in_force(now) and rule_matches(rule.subject_dn, dn)
    )


def _check_encodings(trace: _Trace, compression: str | None, content_encoding: str | None) -> None:
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
