"""Lanes: small thread pools for expensive requests, which must not delay pages."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from portal.database.threads import DatabasePool

RETRY_SECONDS = 5
#: Threads in addition to those of pages.
SIDE_THREADS = 5


class LaneFull(Exception):  # becomes a 503
    """Error for a lane whose queue is full."""


class Lane:
    """Thread pool for one kind of request, with a limit on waiting requests."""

    def __init__(self, threads: Executor, *, most: int, most_of_one: int) -> None:
        """Create an empty lane.

        Args:
            threads: run the requests.
            most: requests that may run or wait.
            most_of_one: those of one network, so that others find a place.
        """
        self._threads = threads
        self._most = most
        self._most_of_one = most_of_one
        self._inside: Counter[str] = Counter()

    @contextmanager
    def place(self, network: str) -> Iterator[Executor]:
        """Take a place for one request.

        Raises:
            LaneFull: there is none.
        """
        if self._inside.total() >= self._most or self._inside[network] >= self._most_of_one:
            raise LaneFull
        self._inside[network] += 1
        try:
            yield self._threads
        finally:
            self._inside[network] -= 1
            if not self._inside[network]:
                del self._inside[network]


class PagePools:
    """Thread pools of everything except deliveries."""

    def __init__(self, threads: int, side: int = SIDE_THREADS) -> None:
        """Create the pools of one worker.

        Args:
            threads: those of pages.
            side: `SIDE_THREADS`; fewer share one for all that costs much, and one for what may not wait.
        """
        self.pages = DatabasePool(threads, "django")
        self.passwords = DatabasePool(1, "password")
        self.metrics = DatabasePool(1, "metrics")
        self.known_passwords = self.explain = self.passwords
        self.callers = self.metrics
        if side >= SIDE_THREADS:
            self.known_passwords = DatabasePool(1, "known-password")
            self.explain = DatabasePool(1, "explain")
            self.callers = DatabasePool(1, "caller")

    @property
    def all(self) -> tuple[DatabasePool, ...]:
        """Return each pool once."""
        pools = (self.pages, self.passwords, self.metrics, self.known_passwords, self.explain, self.callers)
        return tuple(dict.fromkeys(pools))
