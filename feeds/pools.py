"""Threads that use the database: each keeps its own connection, mended when it broke, closed at the end."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import Error, connection, connections


class Unavailable(Exception):  # a passing fault, not a defect
    """The database cannot be read or written right now."""


@contextmanager
def database() -> Iterator[None]:
    """Use this thread's connection; what fails there is a passing fault.

    Raises:
        Unavailable: the database is locked, gone, or not as it should be.
    """
    try:
        connection.close_if_unusable_or_obsolete()
        yield
    except Error as fault:
        raise Unavailable(str(fault)) from fault


class DatabasePool(ThreadPoolExecutor):
    """A thread pool that leaves no open connection behind."""

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._threads_wanted = threads

    def close(self) -> None:
        """Finish what was submitted, close every thread's connection, and end the threads."""
        everyone = threading.Barrier(self._threads_wanted)

        def leave() -> None:
            everyone.wait(timeout=60)
            connections.close_all()

        for _ in range(self._threads_wanted):
            self.submit(leave)
        self.shutdown(wait=True)
