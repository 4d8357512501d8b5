"""A database that refuses for good is a fault of ours, and the health check finds it before a sender (R31)."""

import threading

import pytest
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
)
from django.db.models import Max

from feeds.models import HourlyCount, Outcome, Receipt, ReceiptFeed
from feeds.monitoring import counts as counting
from feeds.monitoring.health import HealthMonitor
from feeds.store.spool import SpaceMark
from portal.database.threads import DatabaseRefused, Unavailable, database
from tests.factories import NOW, make_feed, make_receipt
from tests.feeds.receipt.workshop import DATA, Workshop

pytestmark = pytest.mark.django_db(transaction=True)

#: Statements that break what a delivery needs, whatever the database, and those that mend it.
LASTING = {
    "column": (
        "ALTER TABLE feeds_receipt RENAME COLUMN request_id TO away",
        "ALTER TABLE feeds_receipt RENAME COLUMN away TO request_id",
    ),
    "rules": (
        "ALTER TABLE feeds_certificaterule RENAME TO away",
        "ALTER TABLE away RENAME TO feeds_certificaterule",
    ),
    "links": (
        "ALTER TABLE feeds_receiptfeed RENAME TO away",
        "ALTER TABLE away RENAME TO feeds_receiptfeed",
    ),
    "constraint": (
        "CREATE UNIQUE INDEX once ON feeds_receipt (stroom_status) WHERE bytes >= 0",
        "DROP INDEX once",
    ),
}


@pytest.mark.parametrize("kind", LASTING)
def test_r31_a_database_that_refuses_for_good_is_no_passing_fault(
    workshop: Workshop, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """500/999, logged once with its cause, and found by the health check too."""
    request = workshop.request("NONE")
    decision = workshop.service.decide(request)
    make_receipt("OPEN-FEED")
    health = HealthMonitor(workshop.service.slot.folder, SpaceMark(workshop.root, 0))
    break_it, mend_it = LASTING[kind]
    with connection.cursor() as cursor:
        cursor.execute(break_it)
    try:
        for _ in range(20):
            delivery = workshop.service.begin(request, decision, workshop.service.ids.next())
            outcome = delivery.finish([DATA])
            assert (outcome.decision.status.http, outcome.decision.status.code) == (500, 999)
        health.check()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(mend_it)
    assert health.current.checks["database"] == "refuses deliveries, the log says why"
    [line] = [record for record in caplog.records if "refuses deliveries: " in record.getMessage()]
    assert line.levelname == "ERROR"
    assert any(word in line.getMessage() for word in ("request_id", "feeds_", "once", "stroom_status"))
    health.check()
    assert health.current.ready
    assert workshop.files() == []
    assert workshop.receive().decision.accepted


def test_r31_the_health_check_leaves_nothing(workshop: Workshop) -> None:
    before = Receipt.objects.aggregate(Max("pk"))
    health = HealthMonitor(workshop.service.slot.folder, SpaceMark(workshop.root, 0))
    for _ in range(3):
        health.check()
        assert health.current.ready
    assert not Receipt.objects.exists()
    assert not ReceiptFeed.objects.exists()
    assert not HourlyCount.objects.exists()
    assert Receipt.objects.aggregate(Max("pk")) == before


@pytest.mark.parametrize(
    ("fault", "lasting"),
    [
        (IntegrityError("a trigger says no"), True),
        (ProgrammingError("permission denied for table feeds_receipt"), True),
        (DataError("value too long"), True),
        (InternalError("index is damaged"), True),
        (OperationalError("database is locked"), False),
        (InterfaceError("connection already closed"), False),
        (DatabaseError("?"), False),
    ],
)
def test_r31_which_faults_last(fault: Exception, lasting: bool) -> None:
    with pytest.raises(Unavailable) as raised, database():
        raise fault
    assert isinstance(raised.value, DatabaseRefused) == lasting


def test_r31_one_feed_that_cannot_be_read_does_not_end_readiness(workshop: Workshop) -> None:
    """Its own deliveries are answered 503; where it is the only one, nothing can be received at all."""
    health = HealthMonitor(workshop.service.slot.folder, SpaceMark(workshop.root, 0))
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
        else:
            cursor.execute("ALTER TABLE feeds_feed DROP CONSTRAINT feed_status_known")
        cursor.execute("UPDATE feeds_feed SET status = 'Perhaps'")
    try:
        health.check()
        assert not health.current.ready
        make_feed("ANOTHER-FEED")
        for _ in range(4):
            health.check()
            assert health.current.ready, health.current
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE feeds_feed SET status = 'Receive'")
            if connection.vendor == "sqlite":
                cursor.execute("PRAGMA ignore_check_constraints = OFF")
            else:
                cursor.execute(
                    "ALTER TABLE feeds_feed ADD CONSTRAINT feed_status_known"
                    " CHECK (status IN ('Receive', 'Reject', 'Drop'))"
                )


def test_a10_two_workers_write_their_counts_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that two transactions lock crosswise are a deadlock in PostgreSQL."""
    written: list[list[str]] = []
    monkeypatch.setattr(counting, "_add_to_row", lambda tally, *_: written[-1].append(tally.feed))
    for names in (["A", "B", "C"], ["C", "A", "B"]):
        counts = counting.DeliveryCounts()
        for name in names:
            counts.add(
                counting.tally_of(NOW, name, Outcome.REFUSED, http_status=406, stroom_status=110, known=True)
            )
        written.append([])
        counts.flush()
    assert written[0] == written[1]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_a10_two_workers_that_count_the_same_feeds_never_deadlock() -> None:
    faults: list[BaseException] = []

    def count(names: list[str]) -> None:
        counts = counting.DeliveryCounts()
        try:
            for _ in range(50):
                for name in names:
                    counts.add(
                        counting.tally_of(
                            NOW, name, Outcome.REFUSED, http_status=406, stroom_status=110, known=True
                        )
                    )
                counts.flush()
        except BaseException as fault:  # noqa: BLE001  # handed on
            faults.append(fault)
        finally:
            connections.close_all()

    names = [f"FEED-{number}" for number in range(20)]
    threads = [threading.Thread(target=count, args=(order,)) for order in (names, names[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert sum(HourlyCount.objects.values_list("count", flat=True)) == 2 * 50 * 20
