"""From a refusal to its remedy: what today's rules say of the sender, the nearest rule, and links that change it.

Each link opens the page with the change filled in; nothing is written before the user saves it there. The link
carries the key of the recorded refusal, so that the page after the save offers to test it again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from feeds.changes.permissions import may_manage_certificates
from feeds.models import CertificateRule, Feed, RefusalSample, validate_feed_name
from feeds.rules.decision import (
    NO_CERTIFICATE,
    Certificate,
    CertificatePolicy,
    CertificateRuleSnapshot,
    Decision,
    FeedPolicy,
    FeedStatus,
    RuleAction,
    SenderToken,
    decide_feed,
)
from feeds.rules.dn import BadDistinguishedName, DistinguishedName, parse_dn
from feeds.rules.facts import TOKEN_SUBJECT
from feeds.rules.nearest import Nearness, NearRule, nearest_rule
from feeds.rules.senders import NOT_ALLOWED
from feeds.rules.stroom_status import (
    CERTIFICATE_NOT_AUTHORISED,
    CERTIFICATE_REQUIRED,
    FEED_NOT_RECEIVING,
    TOKEN_OR_CERTIFICATE_REQUIRED,
)

#: Parameter of a remedy's address: the key of the refusal that it is for.
REFUSAL = "refusal"
#: Refusals that the feed's settings decide; the others are for the sender to mend.
DECIDED_BY_FEED = frozenset(
    status.code
    for status in (
        FEED_NOT_RECEIVING,
        CERTIFICATE_REQUIRED,
        TOKEN_OR_CERTIFICATE_REQUIRED,
        CERTIFICATE_NOT_AUTHORISED,
    )
)

#: Step of a decision that looks at whether the certificate is verified and not expired.
STEP_VERIFIED = 5


@dataclass(frozen=True)
class Remedy:
    """A link to the page that changes what refuses the sender."""

    label: str
    address: str


@dataclass(frozen=True)
class Advice:
    """Advice on one refusal: words on the cause as of now, and the remedies that the user may apply."""

    words: str = ""
    remedies: Sequence[Remedy] = ()


@dataclass(frozen=True)
class RefusedRequest:
    """A refused request, as far as a feed decides on it. `sample` is the key of its example, where one is kept;
    `token` the name of a valid token.
    """

    feed: str
    stroom_status: int
    certificate: Certificate = NO_CERTIFICATE
    sample: int | None = None
    token: str = ""

    @classmethod
    def of(cls, sample: RefusalSample) -> "RefusedRequest":
        return cls(sample.feed, sample.stroom_status, certificate_of(sample), sample.pk, sample.sender_token)


def certificate_of(sample: RefusalSample) -> Certificate:
    """Return the certificate of a recorded refusal; its expiry is not recorded."""
    if not sample.sender_dn:
        return NO_CERTIFICATE
    dn = _read(sample.sender_dn)
    stopped = [step.get("step") for step in sample.trace if step.get("outcome") == "stop"]
    verified = dn is not None and STEP_VERIFIED not in stopped
    return Certificate(presented=True, verified=verified, text=sample.sender_dn, dn=dn)


def _read(text: str) -> DistinguishedName | None:
    try:
        return parse_dn(text)
    except BadDistinguishedName:
        return None


def policy_of(feed: Feed, everywhere: Iterable[CertificateRule]) -> FeedPolicy:
    """Return the policy of a feed whose rules are prefetched, with the rules that hold for every feed."""
    return FeedPolicy(
        feed.name,
        FeedStatus(feed.status),
        CertificatePolicy(feed.certificate_policy),
        tuple(snapshot(rule) for rule in (*feed.certificate_rules.all(), *everywhere)),
        version=feed.version,
    )


def snapshot(rule: CertificateRule) -> CertificateRuleSnapshot:
    """Return a rule as decisions take it."""
    return CertificateRuleSnapshot(RuleAction(rule.action), rule.subject_dn, rule.expires, rule.feed_id is None)


def advise(
    refused: RefusedRequest, feed: Feed | None, everywhere: Sequence[CertificateRule], user: Any, now: datetime
) -> Advice:
    """Decide by today's rules, and say what would let the sender in.

    Args:
        refused: the refused request.
        feed: the feed of its name with its rules prefetched; None where there is none.
        everywhere: the rules that hold for every feed.
        user: who would apply the remedy.
        now: the instant to judge expiry by.
    """
    if refused.stroom_status not in DECIDED_BY_FEED:
        return Advice()
    if feed is None:
        return Advice("No feed has this name.", _creation(refused, user))
    policy = policy_of(feed, everywhere)
    token = SenderToken(refused.token) if settings.ENVIRONMENT.sender_tokens else None
    decision = decide_feed(feed=feed.name, certificate=refused.certificate, policy=policy, now=now, token=token)
    if decision.accepted:
        return Advice("Today’s rules accept it.")
    if decision.status is FEED_NOT_RECEIVING:
        return Advice("The feed is set to Reject.", _opening(refused, feed, user))
    if decision.status in {CERTIFICATE_REQUIRED, TOKEN_OR_CERTIFICATE_REQUIRED}:
        shown = "No certificate was" if token is None else "Neither a certificate nor a token was"
        return Advice(f"{shown} presented.", _policy_change(refused, feed, user))
    if token is not None and token.name:
        return Advice(decision.trace[-1].explanation, _token_rule(refused, feed, decision, user))
    return _certificate_advice(refused, feed, policy, decision, user=user, now=now)


def _certificate_advice(
    refused: RefusedRequest, feed: Feed, policy: FeedPolicy, decision: Decision, *, user: Any, now: datetime
) -> Advice:
    if decision.trace[-1].step == STEP_VERIFIED or refused.certificate.dn is None:
        return Advice("No rule helps: the sender needs a certificate that is verified and not expired.")
    near = nearest_rule(policy, refused.certificate.dn, now)
    words = near.words if near else "No allow rule is near."
    return Advice(words, _rule_change(refused, feed, near, user))


def advise_on_samples(
    samples: Sequence[RefusalSample], everywhere: Sequence[CertificateRule], user: Any, now: datetime
) -> dict[int, Advice]:
    """Return the advice for each sample by its key, with two queries for all of them."""
    names = {sample.feed for sample in samples if sample.feed.isprintable()}
    found = Feed.objects.filter(name__in=names).prefetch_related("certificate_rules")
    feeds = {feed.name: feed for feed in found}
    return {
        sample.pk: advise(RefusedRequest.of(sample), feeds.get(sample.feed), everywhere, user, now)
        for sample in samples
    }


def _creation(refused: RefusedRequest, user: Any) -> list[Remedy]:
    try:
        validate_feed_name(refused.feed)
    except ValidationError:
        return []
    if not user.has_perm("feeds.add_feed"):
        return []
    return [Remedy("Create this feed…", _address("admin:feeds_feed_add", refused, name=refused.feed))]


def _opening(refused: RefusedRequest, feed: Feed, user: Any) -> list[Remedy]:
    if not user.has_perm("feeds.change_feed"):
        return []
    address = _address("admin:feeds_feed_set_status", refused, status=FeedStatus.RECEIVE.value, feeds=feed.pk)
    return [Remedy("Set to Receive…", address)]


def _policy_change(refused: RefusedRequest, feed: Feed, user: Any) -> list[Remedy]:
    if not may_manage_certificates(user) or not user.has_perm("feeds.change_feed"):
        return []
    return [Remedy("Change the certificate policy…", _form(feed, refused, focus="certificate_policy"))]


def _rule_change(refused: RefusedRequest, feed: Feed, near: NearRule | None, user: Any) -> list[Remedy]:
    if not may_manage_certificates(user) or not user.has_perm("feeds.change_feed"):
        return []
    if near is not None and near.nearness is Nearness.DENIED:
        if near.rule.everywhere:
            page = _address("admin:feeds_certificate", None, certificate=near.rule.subject_dn)
            return [Remedy("Open its denial for every feed…", page)]
        return [Remedy("Open the deny rule…", _form(feed, refused, rule=_key(feed, near.rule)))]
    allow = Remedy("Allow this certificate…", _form(feed, refused, allow=refused.certificate.text))
    if near is not None and near.nearness is Nearness.EXPIRED:
        return [Remedy("Extend the rule…", _form(feed, refused, rule=_key(feed, near.rule))), allow]
    return [allow]


def _token_rule(refused: RefusedRequest, feed: Feed, decision: Decision, user: Any) -> list[Remedy]:
    may_change = may_manage_certificates(user) and user.has_perm("feeds.change_feed")
    if not may_change or decision.trace[-1].explanation != NOT_ALLOWED:
        return []
    return [Remedy("Allow this token…", _form(feed, refused, allow=f"{TOKEN_SUBJECT}{refused.token}"))]


def _key(feed: Feed, wanted: CertificateRuleSnapshot) -> int:
    return next(rule.pk for rule in feed.certificate_rules.all() if snapshot(rule) == wanted)


def _form(feed: Feed, refused: RefusedRequest, **query: Any) -> str:
    return _address("admin:feeds_feed_change", refused, feed.pk, **query)


def _address(page: str, refused: RefusedRequest | None, *arguments: Any, **query: Any) -> str:
    if refused is not None and refused.sample is not None:
        query[REFUSAL] = refused.sample
    return f"{reverse(page, args=arguments)}?{urlencode(query)}"


def offer_new_test(request: HttpRequest) -> None:
    """After a remedy was saved, offer to test the refused request again."""
    key = request.GET.get(REFUSAL, "")
    if key.isascii() and key.isdigit() and len(key) < 19:
        address = f"{reverse('admin:feeds_feed_test')}?{urlencode({'sample': key})}"
        messages.info(request, format_html('The refused request: <a href="{}">Test again</a>', address))
