"""Atom feed of the changes of the catalogue."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.syndication.views import Feed
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed

from codes.models import Release
from portal.rest.conditional import conditional

MOST_ENTRIES = 50


class ChangesFeed(Feed):  # type: ignore[type-arg]  # generic only in the stubs
    """One entry for each load that changed something."""

    feed_type = Atom1Feed
    title = "Changes of the status-code catalogue"
    subtitle = "What each load of the catalogue changed."

    def __call__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().__call__(request, *args, **kwargs)
        answer = conditional(request, response)
        return answer if isinstance(answer, HttpResponse) else response

    def link(self) -> str:
        return reverse("codes:data")

    def items(self) -> Iterable[Release]:
        return Release.objects.all()[:MOST_ENTRIES]

    def item_title(self, item: Any) -> str:
        return str(item.summary)

    def item_description(self, item: Any) -> str:
        codes = ", ".join(item.changes.get("codes", []))
        return f"{item.summary}. {codes}".strip()

    def item_pubdate(self, item: Any) -> datetime:
        loaded: datetime = item.loaded_at
        return loaded

    def item_updateddate(self, item: Any) -> datetime:
        return self.item_pubdate(item)

    def item_guid(self, item: Any) -> str:
        return f"urn:sha256:{item.digest}:{item.pk}"
