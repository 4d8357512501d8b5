"""Batches: what waits for a thread is handled by one call, so that many requests share a hop and what they read.

A call takes what has come since the last one; nothing waits for companions.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
Rest = Callable[[], object]

#: Most items of one call: each is answered when the whole batch is.
MAX_BATCH = 64
#: A call that takes longer than this may hang: the next one does not wait for its end.
STUCK_SECONDS = 0.1


class Batches(Generic[T]):
    """Items that wait for a thread of a pool. Usually one call runs at a time; further ones where it hangs."""

    def __init__(self, pool: Executor, handle: Callable[[Sequence[T]], Rest | None], *, calls: int = 4) -> None:
        """Begin with none.

        Args:
            pool: the threads.
            handle: handles a batch, in a thread, and answers each of its items in any case. It may return the rest
                of its work, which runs in the same thread while the next batch is handled by another call.
            calls: most calls at a time.
        """
        self._pool = pool
        self._handle = handle
        self._calls = calls
        self._lock = threading.Lock()
        self._waiting: deque[T] = deque()
        self._running = 0
        self._began = float("-inf")

    def submit(self, item: T) -> None:
        """Have an item handled."""
        with self._lock:
            self._waiting.append(item)
            is_stuck = time.monotonic() - self._began > STUCK_SECONDS
            if self._running and not (is_stuck and self._running < self._calls):
                return
            self._begin()
        self._pool.submit(self._drain)

    def _drain(self) -> None:
        while batch := self._next():
            rest = _try(partial(self._handle, batch))
            if rest is not None:
                self._leave()
                _try(rest)
                return

    def _begin(self) -> None:
        self._running += 1
        self._began = time.monotonic()

    def _leave(self) -> None:
        """End this call for the others, and begin the next where items wait."""
        with self._lock:
            self._running -= 1
            if not self._waiting or self._running:
                return
            self._begin()
        self._pool.submit(self._drain)

    def _next(self) -> list[T]:
        """Take the next batch; empty at the end of this call."""
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            self._running -= not batch
            self._began = time.monotonic()
            return batch


def _try(function: Callable[[], T]) -> T | None:
    try:
        return function()
    except Exception:
        log.exception("a batch of requests could not be handled")
        return None
