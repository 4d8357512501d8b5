"""Thread hops of whole bodies: what waits is handled by one call, and one that hangs does not hold the others."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from feeds.receipt import batches
from feeds.receipt.batches import Batches
from feeds.receipt.jobs import ANSWER_SECONDS, Ticket
from feeds.receipt.policies import KnownPolicies
from portal.database.threads import Unavailable


def test_what_came_during_a_call_is_handled_by_the_next_all_at_once() -> None:
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    seen: list[list[int]] = []

    def handle(batch: Sequence[int]) -> None:
        seen.append(list(batch))
        began.set()
        assert go_on.wait(30)
        if 9 in batch:
            ended.set()

    with ThreadPoolExecutor(4) as pool:
        waiting: Batches[int] = Batches(pool, handle, calls=1)
        waiting.submit(0)
        assert began.wait(30)
        for number in range(1, 10):
            waiting.submit(number)
        go_on.set()
        assert ended.wait(30)
    assert seen == [[0], [1, 2, 3, 4, 5, 6, 7, 8, 9]]


def test_a_batch_is_limited() -> None:
    seen: list[int] = []
    begin = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(begin.wait, 30)
        waiting: Batches[int] = Batches(pool, lambda batch: seen.append(len(batch)))
        for number in range(batches.MAX_BATCH + 1):
            waiting.submit(number)
        begin.set()
    assert seen == [batches.MAX_BATCH, 1]


def test_r13_a_call_that_hangs_does_not_hold_those_that_come_later() -> None:
    hanging, later = threading.Event(), threading.Event()

    def handle(batch: Sequence[str]) -> None:
        if "first" in batch:
            hanging.wait(30)
        else:
            later.set()

    with ThreadPoolExecutor(2) as pool:
        waiting: Batches[str] = Batches(pool, handle)
        waiting.submit("first")
        waiting._began = float("-inf")  # as after a long time
        waiting.submit("second")
        assert later.wait(30)
        hanging.set()


def test_the_next_batch_is_handled_during_the_rest_of_one_even_if_that_fails() -> None:
    begun, later, after = threading.Event(), threading.Event(), threading.Event()

    def rest() -> None:
        begun.set()
        assert later.wait(30)
        raise ValueError

    def handle(batch: Sequence[str]) -> Callable[[], None] | None:
        if "first" in batch:
            return rest
        (later if "second" in batch else after).set()
        return None

    with ThreadPoolExecutor(2) as pool:
        waiting: Batches[str] = Batches(pool, handle, calls=1)
        waiting.submit("first")
        assert begun.wait(30)
        waiting.submit("second")
        assert later.wait(30)
        waiting.submit("third")
        assert after.wait(30)
    assert waiting._running == 0


def test_after_a_batch_that_failed_the_next_is_handled() -> None:
    seen: list[str] = []

    def handle(batch: Sequence[str]) -> None:
        seen.extend(batch)
        if "bad" in batch:
            raise ValueError

    with ThreadPoolExecutor(1) as pool:
        waiting: Batches[str] = Batches(pool, handle)
        waiting.submit("bad")
    with ThreadPoolExecutor(1) as pool:
        waiting._pool = pool
        waiting.submit("good")
    assert seen == ["bad", "good"]


def test_requests_of_one_batch_read_each_feed_once() -> None:
    asked: list[str | None] = []
    known = KnownPolicies(asked.append)
    for feed in ("A", "B", "A", None, None):
        known.read(feed)
    assert asked == ["A", "B", None]


def test_r13_a_decided_delivery_does_not_wait_for_ever_for_others_of_its_batch() -> None:
    """Its wait is limited again from the moment on which it waits to be recorded."""

    async def waited(*, notes: bool) -> bool:
        ticket: Ticket[int] = Ticket(is_undecided=True)
        ticket.decided()
        if notes:
            ticket.recording()
        ticket.look(time.monotonic() + ANSWER_SECONDS + 1)
        if ticket.future.done():
            assert isinstance(ticket.future.exception(), Unavailable)
        return ticket.is_abandoned

    assert not asyncio.run(waited(notes=False))
    assert asyncio.run(waited(notes=True))
