"""The refusals page: what is being turned away now, by feed, code and sender, and names that no feed has."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.urls.resolvers import URLPattern

from feeds.admin.page import message_of, refusal_lines
from feeds.admin.remedies import Advice, RefusedRequest, advise
from feeds.changes.denials import denials
from feeds.models import Feed, RefusalSample, validate_feed_name
from feeds.monitoring.counts import MAX_SAMPLES, OTHER_NAMES
from feeds.monitoring.figures import refusals
from feeds.monitoring.overview import RefusedFeed, refused_feeds

#: Rows of a table until all of it is asked for, and then.
ROWS, ALL_ROWS = 10, 500
MAX_TEXT = 200
#: Comparing names takes time for each feed; the most frequent unknown names are the ones worth it.
COMPARED = 20
SECTIONS = ("unknown", "known", "senders")


@dataclass
class Sender:
    """Refusals by one address, certificate and token, as far as they were sampled."""

    address: str
    dn: str
    token: str
    sampled: int = 0
    last: datetime | None = None
    statuses: set[tuple[int, int]] = field(default_factory=set)
    feeds: set[str] = field(default_factory=set)
    latest: int = 0


@dataclass(frozen=True)
class RefusedRow:
    """Refusals of one feed, or of a name that no feed has, with the latest example and what helps."""

    refused: RefusedFeed
    sample: RefusalSample | None
    advice: Advice
    pk: int | None = None
    alike: Sequence[str] = ()
    fault: str = ""

    @property
    def message(self) -> str:
        return message_of(self.refused.stroom_status)


@dataclass(frozen=True)
class Section:
    """A table of the page: its first rows, or all of them where they were asked for."""

    rows: Sequence[Any]
    has_more: bool


def light_samples(now: datetime) -> list[RefusalSample]:
    """Return the examples of 24 hours, latest first, without what is long in them. Their number is bounded."""
    samples = RefusalSample.objects.filter(at__gte=now - timedelta(hours=24)).defer("headers", "trace")
    return list(samples[:MAX_SAMPLES])


def senders(samples: Iterable[RefusalSample]) -> list[Sender]:
    """Return the senders of these examples, most frequent first."""
    found: dict[tuple[str, str, str], Sender] = {}
    for sample in samples:
        key = (sample.remote_address, sample.sender_dn, sample.sender_token)
        sender = found.setdefault(key, Sender(*key, last=sample.at, latest=sample.pk))
        sender.sampled += 1
        sender.statuses.add((sample.http_status, sample.stroom_status))
        sender.feeds.add(sample.feed)
    return sorted(found.values(), key=_sampled, reverse=True)


def _sampled(sender: Sender) -> int:
    return sender.sampled


def mentions(sample: RefusalSample, text: str) -> bool:
    """Return whether the feed, address or certificate of an example has the text in it."""
    folded = text.casefold()
    return any(folded in value.casefold() for value in (sample.feed, sample.remote_address, sample.sender_dn))


class _Page:
    """The tables of one request. Everything is read with the same number of queries, however much there is."""

    def __init__(self, now: datetime, user: Any, text: str, stroom_status: int | None, every: str) -> None:
        self.now, self.user, self.every = now, user, every
        self._text, self._status = text, stroom_status
        self._samples = [
            sample
            for sample in light_samples(now)
            if (not text or mentions(sample, text)) and stroom_status in {None, sample.stroom_status}
        ]
        self._latest: dict[tuple[str, int], RefusalSample] = {}
        for sample in self._samples:
            self._latest.setdefault((sample.feed, sample.stroom_status), sample)

    def sections(self) -> dict[str, Section]:
        """Return the tables by name."""
        return {"unknown": self._unknown(), "known": self._known(), "senders": self._senders()}

    def _limit(self, section: str) -> int:
        return ALL_ROWS if self.every == section else ROWS

    def _groups(self, section: str) -> tuple[list[RefusedFeed], bool]:
        limit = self._limit(section)
        rows = refused_feeds(
            self.now,
            known=section == "known",
            stroom_status=self._status,
            limit=limit + 1,
            text=self._text,
            names={sample.feed for sample in self._samples},
        )
        return rows[:limit], len(rows) > limit

    def _senders(self) -> Section:
        found, limit = senders(self._samples), self._limit("senders")
        return Section(found[:limit], len(found) > limit)

    def _unknown(self) -> Section:
        groups, has_more = self._groups("unknown")
        names = list(Feed.objects.order_by("name").values_list("name", flat=True)) if groups else []
        rows = []
        for place, row in enumerate(groups):
            advice = advise(
                RefusedRequest(row.feed, row.stroom_status, sample=self._key(row)), None, (), self.user, self.now
            )
            near = alike(row.feed, names) if place < COMPARED else []
            rows.append(RefusedRow(row, self._sample(row), advice, alike=near, fault=_fault(row.feed)))
        return Section(rows, has_more)

    def _known(self) -> Section:
        groups, has_more = self._groups("known")
        found = Feed.objects.filter(name__in={row.feed for row in groups}).prefetch_related("certificate_rules")
        feeds = {feed.name: feed for feed in found}
        keys = [key for row in groups if (key := self._key(row))]
        traced = RefusalSample.objects.defer("headers").in_bulk(keys)
        everywhere = list(denials()) if groups else []
        rows = []
        for row in groups:
            sample = traced.get(self._key(row) or 0)
            refused = (
                replace(RefusedRequest.of(sample), feed=row.feed)
                if sample
                else RefusedRequest(row.feed, row.stroom_status)
            )
            feed = feeds.get(row.feed)
            advice = advise(refused, feed, everywhere, self.user, self.now)
            rows.append(RefusedRow(row, sample, advice, feed.pk if feed else None))
        return Section(rows, has_more)

    def _sample(self, row: RefusedFeed) -> RefusalSample | None:
        return self._latest.get((row.feed, row.stroom_status))

    def _key(self, row: RefusedFeed) -> int | None:
        sample = self._sample(row)
        return sample.pk if sample else None


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
        """Show everything refused in 24 hours, for all codes or one, and for all senders or those of a search."""
        if not self.has_view_permission(request) or not request.user.has_perm("feeds.view_hourlycount"):
            raise PermissionDenied
        now = datetime.now(UTC)
        asked = request.GET.get("stroom_status", "")
        chosen = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else None
        text = request.GET.get("q", "").strip()[:MAX_TEXT]
        every = request.GET.get("all", "")
        shown = _Page(now, request.user, text if text.isprintable() else "", chosen, every)
        context = {
            **self.admin_site.each_context(request),
            "title": "RefusedRequest now",
            "opts": self.opts,
            "codes": refusal_lines(refusals(now, hours=24)),
            "chosen": chosen,
            "query": text,
            "every": every if every in SECTIONS else "",
            **shown.sections(),
        }
        return TemplateResponse(request, "admin/feeds/refusals.html", context)
