"""How long a sender may wait for the database, and a crowd of them after one has waited in vain (R13)."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from portal.database import threads
from portal.database.threads import Unavailable, in_time, promptly

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    # The test's own transaction would count as left in the middle of something.
    monkeypatch.setattr(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", lambda _: None)
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    # What the transaction of the test before had set is taken back with it.
    monkeypatch.delattr(threads._opened, "limits", raising=False)
    monkeypatch.setattr(threads, "_failed_at", {False: float("-inf"), True: float("-inf")})
    yield clock
    with promptly():
        pass  # the connection is the next test's too


def patience() -> float:
    """Seconds that this connection waits for a lock."""
    query = (
        "PRAGMA busy_timeout"
        if connection.vendor == "sqlite"
        else "SELECT setting FROM pg_settings WHERE name = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(query, [] if connection.vendor == "sqlite" else ["lock_timeout"])
        return float(cursor.fetchone()[0]) / 1000


def fail(clock: Clock, *, after: float, writing: bool = False) -> float:
    """Something fails so many seconds later; how long it was to wait for a lock."""
    waits: list[float] = []

    def use() -> None:
        with promptly(writing=writing):
            waits.append(patience())
            clock.now += after
            raise OperationalError("database is locked")

    with pytest.raises(Unavailable):
        use()
    return waits[0]


def succeed(*, writing: bool = False) -> float:
    with promptly(writing=writing):
        return patience()


def test_r13_who_waited_in_vain_spares_the_others_the_wait_until_the_database_answers(clock: Clock) -> None:
    assert succeed() == 5
    assert fail(clock, after=5) == 5
    assert fail(clock, after=0.25) == 0.25
    clock.now += threads.BREAKER_OPEN_SECONDS - 1
    assert succeed() == 0.25, "still, as the one before has failed too"
    assert succeed() == 5


def test_r13_a_fault_that_is_told_at_once_shortens_no_wait(clock: Clock) -> None:
    assert fail(clock, after=0.1) == 5
    assert fail(clock, after=0.1) == 5


def test_r13_what_waited_in_vain_is_forgotten_in_time(clock: Clock) -> None:
    assert fail(clock, after=5) == 5
    clock.now += threads.BREAKER_OPEN_SECONDS
    assert succeed() == 5


def test_r13_who_waits_to_write_does_not_hurry_who_reads(clock: Clock) -> None:
    assert fail(clock, after=5, writing=True) == 5
    assert succeed() == 5
    assert succeed(writing=True) == 0.25, "reading well says nothing of writing"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite cannot limit a statement")
def test_r13_a_statement_has_its_limit(clock: Clock) -> None:
    with promptly(), connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("10s",)


def ask(function: Callable[..., Any], pool: ThreadPoolExecutor) -> Any:
    async def run() -> Any:
        return await in_time(pool, function)

    return asyncio.run(run())


def test_r13_a_question_that_gets_no_answer_is_given_up_and_one_that_was_not_asked_never_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "DECISION_SECONDS", 0.2)
    answers = threading.Event()
    asked: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        pool.submit(answers.wait, 60)  # the only thread hangs
        with pytest.raises(Unavailable, match="in time"):
            ask(lambda: asked.append("late"), pool)
        answers.set()
    assert asked == []
    with ThreadPoolExecutor(1) as pool:
        assert ask(lambda: "an answer", pool) == "an answer"
