"""Dry run: the decision, the exact answer and the trace for a request that is only described.

One function for the REST dry run and the admin's "Test a request"; the rules are `decision`'s, the text is
the receiver's own (receipt contract, section 12).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings

from feeds.models import Feed
from feeds.receipt.answers import answer_to
from feeds.rules.certificate import read_certificate
from feeds.rules.decision import (
    NO_CERTIFICATE,
    NO_TOKEN,
    Certificate,
    Decision,
    FeedPolicy,
    FeedStatus,
    SenderToken,
    Sent,
    decide,
    refuse,
)
from feeds.rules.metadata import RequestMetadata, from_mapping
from feeds.rules.stroom_status import UNAVAILABLE, UNKNOWN_ERROR
from portal.http.answer import Answer

RECEIPT_ID = "<receipt id>"
#: Answer to every delivery while the feeds are lost (R30).
_UNAVAILABLE = refuse(
    Decision(FeedStatus.REJECT, UNKNOWN_ERROR, (), feed="", known=False),
    11,
    UNAVAILABLE,
    "The database has receipts and never had a feed: the feeds have to be restored.",
)


@dataclass(frozen=True)
class DescribedCertificate:
    """A client certificate as somebody describes it; no `dn` means that none is presented.

    `expires` is as a proxy or ISO 8601 writes it; empty when nothing is said.
    """

    dn: str = ""
    verified: bool = True
    expires: str = ""


@dataclass(frozen=True)
class DescribedToken:
    """A sender's token as somebody describes it; no `name` means that none is presented."""

    name: str = ""
    valid: bool = True


@dataclass(frozen=True)
class DryRun:
    """The outcome of steps 1 to 7. `stores` says whether whole and valid data would be kept."""

    request: RequestMetadata
    decision: Decision
    answer: Answer
    policy: FeedPolicy | None
    stores: bool


def dry_run(
    headers: Mapping[str, str],
    certificate: DescribedCertificate | None = None,
    token: DescribedToken | None = None,
    *,
    remote_address: str = "",
    now: datetime | None = None,
) -> DryRun:
    """Answer as `/datafeed` would for these headers, this certificate and this token, without a body.

    Identity names among the headers are ignored: certificate and token are given separately.
    """
    moment = now or datetime.now(UTC)
    environment = settings.ENVIRONMENT
    shown = _certificate(certificate, moment)
    request = from_mapping(headers, shown, environment.identity_headers)
    feed = (request.feed or "").strip()
    policy = Feed.objects.policy_for(feed) if feed else None
    decision = (
        _UNAVAILABLE
        if feed and policy is None and Feed.objects.are_lost()
        else decide(
            feed=feed,
            certificate=shown,
            compression=request.compression,
            content_encoding=request.content_encoding,
            policy=policy,
            now=moment,
            token=_token(token) if environment.sender_tokens else None,
            sent=Sent(request.get, remote_address),
        )
    )
    answer = answer_to(decision, request=request, receipt_id=RECEIPT_ID, public_url=environment.public_url)
    return DryRun(request, decision, answer, policy, stores=decision.action is FeedStatus.RECEIVE)


def _token(described: DescribedToken | None) -> SenderToken:
    if described is None or not described.name.strip():
        return NO_TOKEN
    return SenderToken(described.name.strip()) if described.valid else SenderToken(fault="described as not valid")


def _certificate(described: DescribedCertificate | None, now: datetime) -> Certificate:
    if described is None or not described.dn.strip():
        return NO_CERTIFICATE
    return read_certificate(
        described.dn,
        verify="SUCCESS" if described.verified else "FAILED:described as not verified",
        expiry=described.expires,
        require_verify=True,
        now=now,
    )
