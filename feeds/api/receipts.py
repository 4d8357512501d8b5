"""Receipts (the list and one receipt), counts of refusals and of all deliveries."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

from django.db.models import F, Max, Min, QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from feeds.api.filters import WITHOUT_INDEX, DeliveryFilters, ReceiptFilters, RejectionFilters
from feeds.api.receipt_serializers import DeliverySerializer, ReceiptSerializer, RejectionSerializer
from feeds.commit_order import settled_key
from feeds.models import HourlyCount, Outcome, Receipt, ReceiptFeed, RefusalSample
from portal.rest.pagination import CursorPages, KeyRange, Pages
from portal.rest.private import ListMixin, PrivateMixin
from portal.rest.queries import StrictFilterBackend, StrictOrdering

SAMPLES_OF_A_COUNT = 3
MAX_SAMPLES_READ = 5000
NOWHERE = KeyRange(1, 0)


@extend_schema_view(
    list=extend_schema(
        description="Accepted deliveries, newest first. `feed` finds a receipt by any feed that it holds data of."
    )
)
class ReceiptViewSet(PrivateMixin, ListMixin, GenericViewSet[Receipt]):
    """Accepted deliveries, newest first."""

    queryset = Receipt.objects.annotate(key=F("pk")).prefetch_related("feed_links")
    serializer_class = ReceiptSerializer
    lookup_field = "receipt_id"
    filterset_class = ReceiptFilters
    pagination_class = CursorPages
    cursor_field = "received_at"
    csv_name = "receipts"
    schema_tags = ["receipts"]

    def key_range(self) -> KeyRange:
        """Return the first and last keys of the requested time; those of all rows where all must be read."""
        query = self.request.query_params
        times = {name: query[name] for name in ("since", "until") if name in query}
        if times:
            # Not the bare key: for that SQLite would walk along the table instead of the index of times.
            of_the_time = ReceiptFilters(times, Receipt.objects.all()).qs
            found = of_the_time.aggregate(low=Min(F("pk") + 0), high=Max(F("pk") + 0))
            return KeyRange(found["low"], found["high"]) if found["low"] is not None else NOWHERE
        if not self.looks_through():
            return KeyRange()
        links = ReceiptFeed.objects.filter(feed=query["feed"]) if "feed" in query else ReceiptFeed.objects.all()
        # Two questions: each is answered from one end of an index, both together by reading all of it.
        low = links.aggregate(key=Min("receipt_id"))["key"]
        return KeyRange(low, links.aggregate(key=Max("receipt_id"))["key"]) if low is not None else NOWHERE

    def looks_through(self) -> bool:
        return bool(WITHOUT_INDEX & set(self.request.query_params))

    def settled_key(self) -> int:
        return settled_key()

    def retrieve(self, request: Request, receipt_id: str) -> Response:
        """Return one receipt, by the id that its sender was given."""
        return Response(self.get_serializer(find_receipt(self.get_queryset(), receipt_id)).data)


def find_receipt(receipts: QuerySet[Receipt], receipt_id: str) -> Receipt:
    receipt = receipts.filter(receipt_id=receipt_id).first() if receipt_id.isprintable() else None
    if receipt is None:
        raise Http404(f"There is no receipt {receipt_id}.")
    return receipt


class RejectionPages(Pages):
    """Pagination without deep offsets, as skipped rows cost as much as rows that are read (S27)."""

    max_offset = 100_000


@extend_schema_view(
    list=extend_schema(
        description="Refused deliveries, counted by feed, code and hour, each with a few examples and their trace."
    )
)
class RejectionViewSet(PrivateMixin, ListMixin, GenericViewSet[HourlyCount]):
    """Refused deliveries by feed, code and hour, newest hour first, each with a few examples."""

    queryset = HourlyCount.objects.filter(outcome=Outcome.REFUSED)
    serializer_class = RejectionSerializer
    filterset_class = RejectionFilters
    filter_backends = [StrictFilterBackend, StrictOrdering]
    ordering_fields = ["hour", "feed", "http_status", "stroom_status", "count"]
    ordering = ["-hour", "feed", "stroom_status"]
    pagination_class = RejectionPages
    csv_name = "rejections"
    schema_tags = ["receipts"]

    def completed(self, items: list[HourlyCount]) -> list[HourlyCount]:
        """Add the examples, for users who may view them."""
        if items and self.request.user.has_perm("feeds.view_refusalsample"):
            _add_samples(items)
        return items


@extend_schema_view(
    list=extend_schema(description="Deliveries counted by feed, hour, outcome and answer, refused ones included.")
)
class DeliveryViewSet(PrivateMixin, ListMixin, GenericViewSet[HourlyCount]):
    """Counts of deliveries by feed, hour and outcome, newest hour first."""

    queryset = HourlyCount.objects.all()
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilters
    filter_backends = [StrictFilterBackend, StrictOrdering]
    ordering_fields = ["hour", "feed", "outcome", "count", "bytes"]
    ordering = ["-hour", "feed", "outcome", "stroom_status"]
    pagination_class = RejectionPages
    csv_name = "deliveries"
    schema_tags = ["receipts"]


def _add_samples(counts: list[HourlyCount]) -> None:
    """Give each count the latest samples of its feed, code and hour, with one query for the page."""
    hours = [count.hour for count in counts]
    samples = RefusalSample.objects.filter(
        feed__in={count.feed for count in counts}, at__gte=min(hours), at__lt=max(hours) + timedelta(hours=1)
    ).order_by("-at")[:MAX_SAMPLES_READ]
    found: dict[Any, list[RefusalSample]] = defaultdict(list)
    for sample in samples:
        hour = sample.at.replace(minute=0, second=0, microsecond=0)
        found[(hour, sample.feed, sample.http_status, sample.stroom_status)].append(sample)
    for count in counts:
        key = (count.hour, count.feed, count.http_status, count.stroom_status)
        count.samples = found[key][:SAMPLES_OF_A_COUNT]  # type: ignore[attr-defined]  # read by the serializer
