"""Work in threads for a request on the event loop: begun in time or not at all, waited for with a limit."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Generic, TypeVar

from portal.database import threads
from portal.database.threads import Unavailable

T = TypeVar("T")

#: How often a job is looked at, and how long it may wait for a thread.
LOOK_SECONDS = 1.0
THREAD_SECONDS = 30.0
#: How long a sender waits for the database to answer at the end of its delivery.
ANSWER_SECONDS = 30.0


class Busy(Exception):  # a passing fault, not a defect
    """No thread has become free in time."""


class Job(Generic[T]):
    """A call in a thread of a pool. Once begun it cannot be interrupted."""

    def __init__(self, pool: Executor, function: Callable[..., T], *args: object) -> None:
        self._since = time.monotonic()
        self._call = pool.submit(function, *args)
        self._future = asyncio.wrap_future(self._call)

    async def has_ended(self) -> bool:
        """Wait a little, and say whether it has ended.

        Raises:
            Busy: it has not begun in time, and is not going to.
        """
        done, _ = await asyncio.wait({self._future}, timeout=LOOK_SECONDS)
        if not done and time.monotonic() - self._since > THREAD_SECONDS and self._call.cancel():
            raise Busy("no thread is free")
        return bool(done)

    async def result(self) -> T:
        """Wait for the end.

        Raises:
            Busy: it has not begun in time, and is not going to.
        """
        while not await self.has_ended():
            pass
        return self._future.result()

    def then(self, function: Callable[[T], object]) -> None:
        """Call a function with the result, in the thread that made it."""
        self._call.add_done_callback(lambda call: call.cancelled() or function(call.result()))

    async def end(self) -> None:
        """Wait until no thread is working on it, whatever comes of it."""
        self._call.cancel()
        await asyncio.gather(self._future, return_exceptions=True)


class Ticket(Generic[T]):
    """An answer that a thread is going to give to the event loop.

    `asking_since` is the moment from which an answer of the database is awaited: for a record, or, while
    `is_undecided`, for a decision. `is_abandoned` says that its request was answered without it.
    """

    def __init__(self, *, is_undecided: bool = False) -> None:
        self.asking_since: float | None = time.monotonic() if is_undecided else None
        self.is_undecided = is_undecided
        self.is_abandoned = False
        #: The job that decides, which is not begun any more once the ticket is abandoned.
        self.call: Future[Any] | None = None
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()

    def decided(self) -> None:
        """Note that the database has answered."""
        self.asking_since, self.is_undecided = None, False

    def recording(self) -> None:
        """Note that a record is awaited, which begins when the others of the same batch are prepared."""
        self.asking_since = time.monotonic()

    def resolve(self, value: T) -> None:
        """Give the answer; from any thread."""
        resolve_all([self], [value])

    def reject(self, fault: BaseException) -> None:
        """Give up; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self.give_up, fault)

    def give_up(self, fault: BaseException) -> None:
        """End the wait with a fault; on the event loop."""
        if not self.future.done():
            self.future.set_exception(fault)

    def look(self, now: float) -> None:
        """Abandon an answer that has not come in time."""
        limit = threads.DECISION_SECONDS if self.is_undecided else ANSWER_SECONDS
        since = self.asking_since  # once: another thread may end the wait meanwhile
        if since is None or now - since <= limit:
            return
        self.is_abandoned = True
        if self.call is not None:
            self.call.cancel()
        self.give_up(Unavailable("the database does not answer in time"))


class Tickets:
    """The tickets that are waited for, looked at by one timer."""

    def __init__(self) -> None:
        self._open: set[Ticket[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def waiting(self, ticket: Ticket[T]) -> Iterator[Ticket[T]]:
        """Look at the ticket from time to time while it is waited for."""
        self._open.add(ticket)
        if self._timer is None:
            self._timer = ticket.loop.call_later(LOOK_SECONDS, self._look, ticket.loop)
        try:
            yield ticket
        finally:
            self._open.discard(ticket)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        for ticket in list(self._open):
            ticket.look(now)
        self._timer = loop.call_later(LOOK_SECONDS, self._look, loop) if self._open else None


def resolve_all(tickets: Sequence[Ticket[T]], values: Iterable[T]) -> None:
    """Give the answers of a batch, with one call into each event loop."""
    answers: dict[asyncio.AbstractEventLoop, list[tuple[Ticket[T], T]]] = {}
    for ticket, value in zip(tickets, values, strict=True):
        answers.setdefault(ticket.loop, []).append((ticket, value))
    for loop, pairs in answers.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_set_all, pairs)


def _set_all(pairs: Iterable[tuple[Ticket[T], T]]) -> None:
    for ticket, value in pairs:
        if not ticket.future.done():
            ticket.future.set_result(value)
