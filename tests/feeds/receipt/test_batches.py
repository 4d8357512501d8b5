"""Batches: one flush and one transaction for all, one outcome for each (threat model, R34)."""

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from feeds.models import Outcome, Receipt, ReceiptFeed
from feeds.receipt import jobs
from feeds.receipt.delivery import Accepted
from feeds.receipt.jobs import Ticket
from feeds.receipt.recording import Committer
from feeds.receipt.results import DeliveryResult
from feeds.rules.metadata import RequestMetadata
from portal.database import threads
from tests.factories import make_feed
from tests.feeds.receipt.workshop import Workshop

pytestmark = pytest.mark.django_db(transaction=True)

SIZE = 12


def prepared(workshop: Workshop, body: bytes) -> Accepted:
    request = workshop.request("NONE")
    delivery = workshop.service.begin(request, workshop.service.decide(request), workshop.service.ids.next())
    result = delivery.prepare([body])
    assert isinstance(result, Accepted)
    return result


def batch_of(workshop: Workshop, size: int = SIZE) -> list[Accepted]:
    return [prepared(workshop, b"delivery %d" % number) for number in range(size)]


def statuses(results: list[DeliveryResult]) -> list[tuple[int, int]]:
    return [(result.decision.status.http, result.decision.status.code) for result in results]


def only_these_are_kept(workshop: Workshop, results: list[DeliveryResult]) -> None:
    """Rows and files are those of the deliveries that were acknowledged, and no place stays noted."""
    kept = {result.receipt_id for result in results if result.decision.accepted}
    assert set(Receipt.objects.values_list("receipt_id", flat=True)) == kept
    assert {path.stem for path in workshop.files()} == kept
    assert len(workshop.files()) == 2 * len(kept)
    assert ReceiptFeed.objects.count() == len(kept)
    assert workshop.service.slot.journal.settled


def named(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        names.append(named(descriptor))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return names


def test_r34_a_batch_flushes_each_file_and_its_folder_once_and_commits_once(
    workshop: Workshop, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(workshop)
    begun: list[int] = []
    real = transaction.atomic

    def atomic(*args: Any) -> Any:
        begun.append(1)
        return real(*args)

    monkeypatch.setattr(transaction, "atomic", atomic)
    flushed.clear()
    results = workshop.service.recorder.record(batch)
    assert statuses(results) == [(200, 0)] * SIZE
    assert sorted(name for name in flushed if name.endswith(".part")) == sorted(str(one.part.path) for one in batch)
    assert len(flushed) == SIZE + 1, "and the folder"
    assert begun == [1]
    only_these_are_kept(workshop, results)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_r34_a_file_that_fails_refuses_its_own_delivery_only(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    batch = batch_of(workshop)
    victim = str(batch[5].part.path)
    real: Any = getattr(os, call)

    def failing(first: Any, *others: Any) -> None:
        if (named(first) if call == "fsync" else str(first)) == victim:
            raise OSError(number, os.strerror(number))
        real(first, *others)

    monkeypatch.setattr(os, call, failing)
    results = workshop.service.recorder.record(batch)
    assert statuses(results) == [(200, 0)] * 5 + [(500, 999)] + [(200, 0)] * (SIZE - 6)
    assert workshop.store_faults == (call == "fsync")
    only_these_are_kept(workshop, results)


def test_r34_a_folder_that_cannot_be_flushed_refuses_all_in_it(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(workshop)
    real = os.fsync

    def failing(descriptor: int) -> None:
        if "/received/" in named(descriptor):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    results = workshop.service.recorder.record(batch)
    assert statuses(results) == [(500, 999)] * SIZE
    only_these_are_kept(workshop, results)


@pytest.fixture
def refusing_row() -> Iterator[None]:
    """A constraint that the eighth row of a batch breaks."""
    refused = sha256(b"delivery 7").hexdigest()
    before, after = (
        (
            f"CREATE TRIGGER refuse BEFORE INSERT ON feeds_receipt WHEN NEW.sha256 = '{refused}' "
            "BEGIN SELECT raise(ABORT, 'refused'); END",
            "DROP TRIGGER refuse",
        )
        if connection.vendor == "sqlite"
        else (
            f"ALTER TABLE feeds_receipt ADD CONSTRAINT refuse CHECK (sha256 <> '{refused}') NOT VALID",
            "ALTER TABLE feeds_receipt DROP CONSTRAINT refuse",
        )
    )
    with connection.cursor() as cursor:
        cursor.execute(before)
    yield
    with connection.cursor() as cursor:
        cursor.execute(after)


def test_r34_a_row_that_breaks_a_constraint_refuses_its_own_delivery_only(
    workshop: Workshop, refusing_row: None
) -> None:
    results = workshop.service.recorder.record(batch_of(workshop))
    assert statuses(results) == [(200, 0)] * 7 + [(500, 999)] + [(200, 0)] * (SIZE - 8)
    only_these_are_kept(workshop, results)


def test_r34_a_database_that_is_away_refuses_the_batch_and_keeps_nothing(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(workshop)
    with monkeypatch.context() as patch:
        patch.setattr(CursorWrapper, "executemany", raising(OperationalError("database is locked")))
        results = workshop.service.recorder.record(batch)
    assert statuses(results) == [(503, 999)] * SIZE
    only_these_are_kept(workshop, results)
    assert workshop.receive().decision.accepted


def raising(fault: Exception) -> Any:
    def raise_it(*_: object) -> None:
        raise fault

    return raise_it


@pytest.mark.parametrize("happens", [False, True])
def test_r34_a_commit_that_is_lost_is_looked_up_for_the_whole_batch(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, happens: bool
) -> None:
    batch = batch_of(workshop)
    real = transaction.atomic
    lost = OperationalError("server closed the connection unexpectedly")

    class Lost:
        def __enter__(self) -> None:
            self.block: Any = real()
            self.block.__enter__()

        def __exit__(self, *exc: object) -> None:
            self.block.__exit__(*((None, None, None) if happens else (OperationalError, lost, None)))
            raise lost

    with monkeypatch.context() as patch:
        patch.setattr(transaction, "atomic", Lost)
        results = workshop.service.recorder.record(batch)
    assert statuses(results) == [(200, 0) if happens else (503, 999)] * SIZE
    assert Receipt.objects.count() == (SIZE if happens else 0)
    assert len(workshop.files()) == 2 * SIZE, "a row may still come to light"
    assert workshop.service.slot.journal.settled == happens


def test_r34_what_is_dropped_is_flushed_with_the_others_and_not_kept(
    workshop: Workshop, flushed: list[str]
) -> None:
    kept = batch_of(workshop, 3)
    make_feed("DROP-FEED", status="Drop")
    request = RequestMetadata({"Feed": "DROP-FEED"})
    delivery = workshop.service.begin(request, workshop.service.decide(request), workshop.service.ids.next())
    dropped = delivery.prepare([b"dropped"])
    assert isinstance(dropped, Accepted)
    results = workshop.service.recorder.record([*kept, dropped])
    assert [result.kind for result in results] == [Outcome.RECEIVED] * 3 + [Outcome.DROPPED]
    assert str(dropped.part.path) in flushed
    only_these_are_kept(workshop, results[:3])


def test_r34_the_committer_takes_what_is_there_and_leaves_out_what_was_given_up(workshop: Workshop) -> None:
    """Four wait while one is recorded; one of them is not waited for any more."""
    entered, released, sizes = threading.Event(), threading.Event(), []
    recorder = workshop.service.recorder
    record = recorder.record

    def recording(batch: Any) -> list[DeliveryResult]:
        sizes.append(len(batch))
        entered.set()
        released.wait(30)
        return record(batch)

    recorder.record = recording  # type: ignore[method-assign]
    batch = batch_of(workshop, 5)

    async def run() -> list[DeliveryResult]:
        committer = Committer(recorder)
        committer.start()
        tickets: list[Ticket[DeliveryResult]] = [Ticket() for _ in batch]
        committer.submit(batch[0], tickets[0])
        await asyncio.to_thread(entered.wait, 30)
        for accepted, ticket in zip(batch[1:], tickets[1:], strict=True):
            committer.submit(accepted, ticket)
        tickets[2].look(float("inf"))
        released.set()
        results = await asyncio.gather(*(ticket.future for ticket in tickets), return_exceptions=True)
        await asyncio.to_thread(committer.close)
        assert isinstance(results.pop(2), threads.Unavailable)
        return [result for result in results if isinstance(result, DeliveryResult)]

    results = asyncio.run(run())
    assert sizes == [1, 3]
    assert statuses(results) == [(200, 0)] * 4
    only_these_are_kept(workshop, results)


def test_a_lone_delivery_is_recorded_by_the_thread_that_prepared_it(workshop: Workshop) -> None:
    """While others are recorded it waits for the committer instead, and is recorded all the same."""
    recorder = workshop.service.recorder
    record, by = recorder.record, []

    def recording(batch: Any) -> list[DeliveryResult]:
        by.append(threading.current_thread().name)
        return record(batch)

    recorder.record = recording  # type: ignore[method-assign]
    batch = batch_of(workshop, 2)

    async def run() -> list[DeliveryResult]:
        committer = Committer(recorder)
        committer.start()
        first, second = tickets = [Ticket[DeliveryResult](), Ticket[DeliveryResult]()]
        rest = committer.begin([(batch[0], first)])
        assert committer.begin([(batch[1], second)]) is None
        assert rest is not None
        await asyncio.to_thread(rest)
        results = await asyncio.gather(*(ticket.future for ticket in tickets))
        await asyncio.to_thread(committer.close)
        return results

    results = asyncio.run(run())
    assert [name == "committer" for name in by] == [False, True]
    assert statuses(results) == [(200, 0)] * 2
    only_these_are_kept(workshop, results)


def test_r34_a_fault_nobody_thought_of_ends_no_committer(workshop: Workshop) -> None:
    recorder = workshop.service.recorder
    record, faults = recorder.record, [RuntimeError("unforeseen")]

    def recording(batch: Any) -> list[DeliveryResult]:
        if faults:
            raise faults.pop()
        return record(batch)

    recorder.record = recording  # type: ignore[method-assign]
    first, second = batch_of(workshop, 2)

    async def run() -> None:
        committer = Committer(recorder)
        committer.start()
        ticket: Ticket[DeliveryResult] = Ticket()
        committer.submit(first, ticket)
        with pytest.raises(jobs.Busy):
            await ticket.future
        ticket = Ticket()
        committer.submit(second, ticket)
        assert (await ticket.future).decision.accepted
        await asyncio.to_thread(committer.close)

    asyncio.run(run())
