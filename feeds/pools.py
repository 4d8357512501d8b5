"""Threads that use the database: each keeps its own connection, mended when it broke, closed at the end."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import Error, connection, connections

P = ParamSpec("P")
T = TypeVar("T")

#: What SQLite says when the last page of a commit, the one that makes it valid, was certainly not written.
_NEVER_COMMITTED = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY})

#: Which file each thread's connection has open.
_opened = threading.local()


class Unavailable(Exception):  # a passing fault, not a defect
    """The database cannot be read or written right now."""

    @property
    def never_committed(self) -> bool:
        """Whether a commit that failed with this is sure not to have happened."""
        fault: BaseException | None = self
        while fault is not None:
            if getattr(fault, "sqlite_errorcode", None) in _NEVER_COMMITTED:
                return True
            fault = fault.__cause__
        return False


@contextmanager
def database() -> Iterator[None]:
    """Use this thread's connection; what fails there is a passing fault.

    Raises:
        Unavailable: the database is locked, gone, or not as it should be.
    """
    try:
        connection.close_if_unusable_or_obsolete()
        _follow_file()
        yield
    except Error as fault:
        raise Unavailable(str(fault)) from fault


def _follow_file() -> None:
    """Let go of a SQLite file that was replaced, say by a backup: what is written to it nobody finds again.

    Raises:
        Unavailable: the file is gone; to connect would make an empty one.
    """
    if connection.vendor != "sqlite":
        return
    try:
        found = os.stat(connection.settings_dict["NAME"])  # noqa: PTH116  # a text or a path
    except OSError as fault:
        raise Unavailable("the database's file is gone") from fault
    file = (found.st_dev, found.st_ino)
    if connection.connection is not None and getattr(_opened, "file", file) != file:
        connection.close()
    _opened.file = file


class DatabasePool(ThreadPoolExecutor):
    """A thread pool that leaves no open connection behind."""

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._threads_wanted = threads

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run it as part of what the caller is doing: its log lines bear the same request id."""
        return super().submit(partial(copy_context().run, fn, *args, **kwargs))

    def close(self) -> None:
        """Finish what was submitted, close every thread's connection, and end the threads."""
        everyone = threading.Barrier(self._threads_wanted)

        def leave() -> None:
            everyone.wait(timeout=60)
            connections.close_all()

        for _ in range(self._threads_wanted):
            self.submit(leave)
        self.shutdown(wait=True)
