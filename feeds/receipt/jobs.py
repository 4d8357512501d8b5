"""Jobs in threads that are begun in time or not at all."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")

#: How often a job is looked at, and how long it may wait for a thread.
LOOK_SECONDS = 1.0
THREAD_SECONDS = 30.0


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

    async def end(self) -> None:
        """Wait until no thread is working on it, whatever comes of it."""
        self._call.cancel()
        await asyncio.gather(self._future, return_exceptions=True)
