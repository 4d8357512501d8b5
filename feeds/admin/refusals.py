"""The refusals page: what is being turned away now, by feed, code and sender, and names that no feed has."""

import difflib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern

from feeds.admin.page import refusal_lines
from feeds.models import Feed, RefusalSample, validate_feed_name
from feeds.monitoring.counts import OTHER_NAMES
from feeds.monitoring.figures import refusals
from feeds.monitoring.overview import RefusedFeed, refused_feeds

SAMPLES_READ = 500
SENDERS_LISTED = 50
#: Comparing names takes time for each feed; the most frequent unknown names are the ones worth it.
COMPARED = 20


@dataclass
class Sender:
    """Refusals by one address and certificate, as far as they were sampled."""

    address: str
    dn: str
    sampled: int = 0
    last: datetime | None = None
    statuses: set[tuple[int, int]] = field(default_factory=set)
    feeds: set[str] = field(default_factory=set)
    latest: int = 0


@dataclass(frozen=True)
class UnknownFeed:
    """A name that senders use and no feed has."""

    refused: RefusedFeed
    alike: list[str]
    fault: str
    create_url: str


def senders(now: datetime) -> list[Sender]:
    """Return the refused senders of 24 hours, from the samples, most frequent first."""
    found: dict[tuple[str, str], Sender] = {}
    samples = RefusalSample.objects.filter(at__gte=now - timedelta(hours=24)).only(
        "at", "feed", "http_status", "stroom_status", "remote_address", "sender_dn"
    )
    for sample in samples[:SAMPLES_READ]:
        key = (sample.remote_address, sample.sender_dn)
        sender = found.setdefault(key, Sender(*key, last=sample.at, latest=sample.pk))
        sender.sampled += 1
        sender.statuses.add((sample.http_status, sample.stroom_status))
        sender.feeds.add(sample.feed)
    return sorted(found.values(), key=_sampled, reverse=True)[:SENDERS_LISTED]


def _sampled(sender: Sender) -> int:
    return sender.sampled


def unknown_feeds(now: datetime, stroom_status: int | None) -> list[UnknownFeed]:
    """Names without a feed, with those feeds whose names are alike."""
    names = list(Feed.objects.order_by("name").values_list("name", flat=True))
    rows = refused_feeds(now, known=False, stroom_status=stroom_status)
    return [_unknown(row, names if place < COMPARED else []) for place, row in enumerate(rows)]


def _unknown(row: RefusedFeed, names: list[str]) -> UnknownFeed:
    fault = _fault(row.feed)
    query = urlencode({"name": row.feed})
    return UnknownFeed(
        row, alike(row.feed, names), fault, "" if fault else f"{reverse('admin:feeds_feed_add')}?{query}"
    )


def _fault(name: str) -> str:
    if not name:
        return "no Feed header was sent"
    if name == OTHER_NAMES:
        return "too many different names to count each"
    try:
        validate_feed_name(name)
    except ValidationError:
        return "invalid feed name"
    return ""


def alike(name: str, names: list[str], most: int = 2) -> list[str]:
    """Feeds that the sender may have meant: equal but for case and punctuation, else nearly equal."""
    plain = _plain(name)
    if not plain:
        return []
    same = [other for other in names if _plain(other) == plain]
    return same[:most] or difflib.get_close_matches(name.upper()[:255], names, n=most, cutoff=0.8)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


class RefusalsMixin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Adds the page to the admin of refusal samples."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.now_view)
        return [path("now/", view, name="feeds_refusalsample_now"), *super().get_urls()]

    def now_view(self, request: HttpRequest) -> HttpResponse:
        """Show everything refused in 24 hours, for all codes or one."""
        if not self.has_view_permission(request) or not request.user.has_perm("feeds.view_hourlycount"):
            raise PermissionDenied
        now = datetime.now(UTC)
        asked = request.GET.get("stroom_status", "")
        chosen = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else None
        context = {
            **self.admin_site.each_context(request),
            "title": "Refused now",
            "opts": self.opts,
            "codes": refusal_lines(refusals(now, hours=24)),
            "chosen": chosen,
            "known": refused_feeds(now, known=True, stroom_status=chosen),
            "unknown": unknown_feeds(now, chosen),
            "senders": senders(now) if chosen is None else [],
            "may_add": request.user.has_perm("feeds.add_feed"),
        }
        return TemplateResponse(request, "admin/feeds/refusals.html", context)
