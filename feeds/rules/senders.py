"""Steps 4 to 6 of the decision: which sender may send to a feed, by certificate or by token.

Where the portal takes sender tokens, a valid token is an identity like a verified certificate, and a sender may
show both. Where it takes none, `token` is None and nothing here asks for one.
"""

from collections.abc import Iterator
from datetime import datetime

from feeds.rules import stroom_status
from feeds.rules.facts import (
    Certificate,
    CertificatePolicy,
    CertificateRuleSnapshot,
    FeedPolicy,
    RuleAction,
    SenderToken,
)
from feeds.rules.trace import Stop, Trace

#: Why a restricted feed refuses who is verified and not denied.
NOT_ALLOWED = "No unexpired allow rule matches."
#: Said to a sender whose token is valid, instead of what is said of certificates.
TOKEN_NOT_ALLOWED = "Your token may not send to this feed. Keep the data and ask the Stroom administrators."  # noqa: S105


def check_sender(
    trace: Trace, policy: FeedPolicy, certificate: Certificate, token: SenderToken | None, now: datetime
) -> None:
    """Evaluate steps 4 to 6.

    Raises:
        Stop: the sender may not send to this feed.
    """
    if policy.certificate_policy is CertificatePolicy.NONE:
        _check_open(trace, policy, certificate, token, now)
        return
    _check_presented(trace, policy, certificate, token)
    is_verified = certificate.verified and certificate.dn is not None and not _has_expired(certificate, now)
    if token is None or not token.presented:
        _check_certificate(trace, certificate, is_verified=is_verified, now=now)
    elif token.name:
        trace.passed(5, f"The token {token.name} is valid{_remark_on(certificate, is_verified=is_verified)}.")
    elif is_verified:
        trace.passed(5, f"The certificate is verified and not expired (a token was presented too; {token.fault}).")
    else:
        raise trace.stop(5, stroom_status.TOKEN_NOT_VALID, f"A token was presented; {token.fault}.")
    _check_rules(trace, policy, certificate if is_verified else None, token, now)


def _check_open(
    trace: Trace, policy: FeedPolicy, certificate: Certificate, token: SenderToken | None, now: datetime
) -> None:
    """A feed that looks at no identity: one that is denied for every feed is refused all the same."""
    kinds = "certificates" if token is None else "certificates and tokens"
    remark = _in_brackets(_faults(certificate, token))
    text = f"The feed's certificate policy is none, so {kinds} are not looked at{remark}."
    trace.passed(4, text)
    trace.passed(5, text)
    believed = certificate if certificate.verified else None
    for rule in _matching(policy, RuleAction.DENY, believed, token, now):
        if rule.everywhere:
            raise _denied(trace, rule, token)
    trace.passed(6, text)


def _check_presented(trace: Trace, policy: FeedPolicy, certificate: Certificate, token: SenderToken | None) -> None:
    """Step 4."""
    about = f"The certificate policy is {policy.certificate_policy} and no certificate"
    if token is not None and token.presented:
        shown = f" and a certificate: {certificate.text}" if certificate.presented else ""
        trace.passed(4, f"A token was presented{shown}.")
    elif certificate.presented:
        trace.passed(4, f"A certificate was presented: {certificate.text}.")
    elif token is None:
        text = f"{about} was presented{_in_brackets(certificate.fault)}."
        raise trace.stop(4, stroom_status.CERTIFICATE_REQUIRED, text)
    else:
        text = f"{about} or token was presented{_in_brackets(certificate.fault)}."
        raise trace.stop(4, stroom_status.TOKEN_OR_CERTIFICATE_REQUIRED, text)


def _check_certificate(trace: Trace, certificate: Certificate, *, is_verified: bool, now: datetime) -> None:
    """Step 5 for a sender that shows nothing but a certificate."""
    if is_verified:
        trace.passed(5, "The certificate is verified and not expired.")
        return
    expired = certificate.verified and certificate.dn is not None and _has_expired(certificate, now)
    text = "The certificate has expired." if expired else f"{_unverified(certificate)}."
    raise trace.stop(5, stroom_status.CERTIFICATE_NOT_AUTHORISED, text)


def _check_rules(
    trace: Trace, policy: FeedPolicy, certificate: Certificate | None, token: SenderToken | None, now: datetime
) -> None:
    """Step 6: deny beats allow; restricted needs an allow. `certificate` is a verified one, or None."""
    for rule in _matching(policy, RuleAction.DENY, certificate, token, now):
        raise _denied(trace, rule, token)
    if policy.certificate_policy is CertificatePolicy.REQUIRED:
        kinds = "certificate" if token is None else "certificate or valid token"
        trace.passed(6, f"No deny rule matches, and any verified {kinds} may send.")
        return
    for rule in _matching(policy, RuleAction.ALLOW, certificate, token, now):
        trace.passed(6, f"The allow rule {rule.subject_dn} matches and no deny rule does.")
        return
    if token is not None and token.fault:
        # The sender meant its token to count: a new one may help, another certificate need not be looked for.
        text = f"No unexpired allow rule matches the certificate, and {token.fault}."
        raise trace.stop(6, stroom_status.TOKEN_NOT_VALID, text)
    raise trace.stop(6, stroom_status.CERTIFICATE_NOT_AUTHORISED, NOT_ALLOWED, hint=_hint(token))


def _denied(trace: Trace, rule: CertificateRuleSnapshot, token: SenderToken | None) -> Stop:
    where = ", which holds for every feed," if rule.everywhere else ""
    text = f"The deny rule {rule.subject_dn}{where} matches."
    return trace.stop(6, stroom_status.CERTIFICATE_NOT_AUTHORISED, text, hint=_hint(token))


def _hint(token: SenderToken | None) -> str:
    return TOKEN_NOT_ALLOWED if token is not None and token.name else ""


def _matching(
    policy: FeedPolicy,
    action: RuleAction,
    certificate: Certificate | None,
    token: SenderToken | None,
    now: datetime,
) -> Iterator[CertificateRuleSnapshot]:
    dn = certificate.dn if certificate is not None else None
    name = token.name if token is not None else ""
    return (
        rule for rule in policy.rules if rule.action is action and rule.in_force(now) and rule.matches(dn, name)
    )


def _has_expired(certificate: Certificate, now: datetime) -> bool:
    return certificate.expires is not None and certificate.expires <= now


def _unverified(certificate: Certificate) -> str:
    return f"The certificate was presented but is not verified: {certificate.fault or 'no reason given'}"


def _remark_on(certificate: Certificate, *, is_verified: bool) -> str:
    """Return the remark about a certificate that was presented with a valid token."""
    if is_verified:
        return ", and the certificate is verified and not expired"
    return (
        f" (the certificate does not count: {certificate.fault or 'it has expired'})"
        if certificate.presented
        else ""
    )


def _faults(certificate: Certificate, token: SenderToken | None) -> str:
    return "; ".join(filter(None, [certificate.fault, token.fault if token is not None else ""]))


def _in_brackets(remark: str) -> str:
    return f" ({remark})" if remark else ""
