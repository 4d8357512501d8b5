"""The part of the search that finds feeds, receipts and refusals.

Every question to the receipts is one step through an index, however many there are. Only a part of a DN is searched
in the latest ones alone.
"""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.urls import reverse

from feeds.admin.display import visible
from feeds.models import CertificateRule, Feed, Receipt, RefusalSample, labelled
from feeds.models.receipt import DN_INDEXED, DnStart
from feeds.rules.dn import BadDistinguishedName, DistinguishedName, parse_dn
from feeds.rules.facts import TOKEN_SUBJECT
from portal.admin_latest import LATEST, latest_rows
from portal.search import MOST_SHOWN, Finder, SearchHit


def find_feeds(text: str) -> Sequence[SearchHit]:
    """Return the feeds with a text in their name, owner, labels, or as their description says."""
    named = Q(name__caseless=text) | Q(owner__caseless=text) | Q(description__caseless=text)
    found = list(Feed.objects.filter(named).order_by("name")[: MOST_SHOWN + 1])
    found += list(labelled(Feed.objects.exclude(named), text).order_by("name")[: MOST_SHOWN + 1])
    found.sort(key=lambda feed: feed.name != text)
    return [
        SearchHit(feed.name, feed.get_absolute_url(), _about(feed), is_exact=feed.name == text)
        for feed in found[: MOST_SHOWN + 1]
    ]


def _about(feed: Feed) -> str:
    return " · ".join(filter(None, (feed.get_status_display(), feed.owner, ", ".join(map(str, feed.labels)))))


def find_rules(text: str) -> Sequence[SearchHit]:
    """Return the certificate rules that name a DN, in any of its forms, or a part of it."""
    rules = CertificateRule.objects.filter(_any_form("subject_dn", text) | Q(subject_dn__caseless=text))
    return [
        SearchHit(
            f"{rule.action} {visible(rule.subject_dn)}",
            rule.feed.get_absolute_url() if rule.feed else reverse("admin:feeds_certificaterule_changelist"),
            f"feed {rule.feed.name}" if rule.feed else "every feed",
        )
        for rule in rules.select_related("feed").order_by("feed__name", "pk")[: MOST_SHOWN + 1]
    ]


def _any_form(field: str, text: str) -> Q:
    """Return a filter for a DN as it was typed, and in our own form."""
    return Q(**{f"{field}__in": _forms(text)})


def _forms(text: str) -> list[str]:
    """Return a DN as it was typed, in our own form, and in that of openssl, which begins with the country."""
    try:
        name = parse_dn(text)
    except BadDistinguishedName:
        return [text]
    return list(dict.fromkeys([text, str(name), str(DistinguishedName(name.parts[::-1]))]))


def find_receipts(text: str) -> Sequence[SearchHit]:
    """Return the receipt with an id, or the latest of a request, sender's address or DN."""
    exact = Receipt.objects.filter(receipt_id=text).first()
    if exact is not None:
        return [_receipt(exact, is_exact=True)]
    for rows in _receipts_of(text):
        if found := list(rows.order_by("-pk")[: MOST_SHOWN + 1]):
            return [_receipt(receipt) for receipt in found]
    return []


def _receipts_of(text: str) -> list[QuerySet[Receipt]]:
    by_dn = Receipt.objects.alias(dn_start=DnStart("sender_dn"))
    parts = latest_rows(Receipt.objects.all()).filter(sender_dn__icontains=text)
    return [
        Receipt.objects.filter(request_id=text),
        Receipt.objects.filter(remote_address=text),
        Receipt.objects.filter(sender_token=text.removeprefix(TOKEN_SUBJECT)),
        *(by_dn.filter(**_is_dn(form)) for form in _forms(text)),
        parts,
    ]


def _is_dn(form: str) -> dict[str, str]:
    """Return the filter for a DN by its index. SQLite would take an equality as a reason to ignore the index."""
    rest = {"sender_dn__gte": form, "sender_dn__lte": form} if len(form) >= DN_INDEXED else {}
    return {"dn_start": form[:DN_INDEXED], **rest}


def _receipt(receipt: Receipt, *, is_exact: bool = False) -> SearchHit:
    return SearchHit(
        receipt.receipt_id,
        reverse("admin:feeds_receipt_change", args=[receipt.pk]),
        f"{receipt.feed}, {receipt.received_at:%Y-%m-%d %H:%M} UTC",
        is_exact,
    )


def find_refusals(text: str) -> Sequence[SearchHit]:
    """Return the refused deliveries with an id, or of a request, address or DN. Their number is bounded."""
    exact = Q(receipt_id=text)
    other = (
        Q(request_id=text)
        | Q(remote_address=text)
        | Q(sender_token=text.removeprefix(TOKEN_SUBJECT))
        | Q(sender_dn__icontains=text)
        | _any_form("sender_dn", text)
    )
    found = RefusalSample.objects.filter(exact | other).order_by("-pk")[: MOST_SHOWN + 1]
    return [
        SearchHit(
            sample.receipt_id,
            reverse("admin:feeds_refusalsample_change", args=[sample.pk]),
            f"{visible(sample.feed)}, HTTP {sample.http_status} · Stroom {sample.stroom_status}, "
            f"{sample.at:%Y-%m-%d %H:%M} UTC",
            is_exact=sample.receipt_id == text,
        )
        for sample in found
    ]


def _list(kind: str, text: str) -> str:
    return f"{reverse(f'admin:feeds_{kind}_changelist')}?{urlencode({'q': text})}"


FEEDS = Finder(
    "Feeds",
    "name, owner, description, labels",
    find_feeds,
    ("feeds.view_feed",),
    0,
    lambda text: _list("feed", text),
)
RULES = Finder("Certificate rules", "DN", find_rules, ("feeds.view_feed", "feeds.view_certificaterule"), 3)
RECEIPTS = Finder(
    "Receipts",
    f"receipt id, request id, sender’s address, DN (a part of a DN in the latest {LATEST:,})",
    find_receipts,
    ("feeds.view_receipt",),
    1,
    lambda text: _list("receipt", text),
)
REFUSALS = Finder(
    "Refused deliveries",
    "receipt id, request id, sender’s address, DN (the examples that are kept)",
    find_refusals,
    ("feeds.view_refusalsample",),
    2,
    lambda text: _list("refusalsample", text),
)
ALL = (FEEDS, RECEIPTS, REFUSALS, RULES)
