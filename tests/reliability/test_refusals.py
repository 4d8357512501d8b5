"""The worst that refusals can do to the database (R26): every feed known, every head as long as a head may be."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.db import connection

from feeds.models import Outcome, RefusalSample
from feeds.monitoring.counts import MAX_SAMPLES, DeliveryCounts
from feeds.monitoring.metrics import Metrics
from feeds.receipt.results import DeliveryResult
from feeds.receipt.service import ReceiptService
from feeds.rules.decision import Decision, FeedStatus
from feeds.rules.metadata import read_request
from feeds.rules.stroom_status import CERTIFICATE_REQUIRED
from portal.http.client import IdentityNames
from tests.helpers.tiers import some

pytestmark = pytest.mark.django_db(transaction=True)

MEBIBYTE = 1024 * 1024
FEEDS = 200
#: In UTF-8 four bytes each, in JSON twelve.
WIDE = "\U0001f600".encode()
HEADS = {
    "long": [(b"x-%d" % n, b"x" * 1000) for n in range(60)],
    "wide": [(b"x-%d" % n, WIDE * 250) for n in range(60)],
    "many": [(b"x-%d" % n, b"y" * 300) for n in range(199)],
}


@pytest.mark.parametrize("head", some(HEADS, quick=1))
def test_r26_the_most_samples_of_the_longest_heads_take_less_than_50_mebibytes(head: str) -> None:
    request = read_request(
        [(b"feed", b"A"), *HEADS[head]],
        b"",
        peer="192.0.2.1",
        trusts=lambda _: False,
        identity=IdentityNames(),
        require_verify=True,
        now=datetime.now(UTC),
    )
    before = used_bytes()
    counts = DeliveryCounts()
    counting = ReceiptService.count
    shared = FakeService(counts)
    for number in range(FEEDS):
        decision = Decision(FeedStatus.REJECT, CERTIFICATE_REQUIRED, (), feed=f"FEED-{number}", known=True)
        for _ in range(10):
            counting(shared, request, DeliveryResult(decision, Outcome.REFUSED, "id"), 0.1)
        if number % 40 == 39:
            counts.flush()
    counts.flush()
    assert RefusalSample.objects.count() > FEEDS
    grown = (used_bytes() - before) * MAX_SAMPLES / RefusalSample.objects.count()
    assert grown < 50 * MEBIBYTE
    (sample, *_) = RefusalSample.objects.all()
    assert sample.headers["Feed"] == "A", "what matters is in it"
    assert len(sample.headers) > 1


class FakeService:
    """As much of the service as counting needs."""

    def __init__(self, counts: DeliveryCounts) -> None:
        self.counts = counts
        self.metrics = Metrics()
        self.settings = SimpleNamespace(log_deliveries=True)


def used_bytes() -> int:
    with connection.cursor() as cursor:
        figures = []
        for pragma in ("page_count", "freelist_count", "page_size"):
            cursor.execute(f"PRAGMA {pragma}")
            figures.append(cursor.fetchone()[0])
    pages, free, size = figures
    return int((pages - free) * size)
