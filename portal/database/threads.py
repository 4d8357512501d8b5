"""Threads that use the database: each keeps its own connection, replaced when it breaks, closed at the end.

On the receive path every wait is limited: for a lock, and in PostgreSQL for the answer to a statement. After one
wait has timed out, a circuit breaker makes the other requests of this process fail fast until the database answers
again, so that many senders get 503 early instead of one after the other (R13).
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar, TypeVarTuple

from django.db import (
    DEFAULT_DB_ALIAS,
    DataError,
    Error,
    IntegrityError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper

from portal.database import timeouts

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
#: Device and inode.
FileIdentity = tuple[int, int]

#: Checks of a SQLite file that took the place of another; each raises DatabaseRefused where it is not ours (R30).
NEW_FILE_CHECKS: list[Callable[[], None]] = []

#: What SQLite says when the last page of a commit, the one that makes it valid, was certainly not written.
_NEVER_COMMITTED = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY})

#: Kinds of error that come again however often the same is asked.
_LASTING_KINDS = (IntegrityError, ProgrammingError, DataError, InternalError, NotSupportedError)
#: SQLite's own numbers decide where it gives one: a missing column is an OperationalError there, as a lock is.
_LASTING_CODES = frozenset(
    {
        sqlite3.SQLITE_ERROR,  # a missing table or column
        sqlite3.SQLITE_INTERNAL,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_NOTADB,
    }
)
_PRIMARY_CODE = 0xFF
#: A PostgreSQL that takes no writes for now, as a standby does until it is promoted (R13).
_READ_ONLY_STATE = "25006"

#: Statement timeout on the receive path; beyond it the database counts as unavailable.
STATEMENT_SECONDS = 10.0
#: Longest time until a decision, the wait for a free thread included.
DECISION_SECONDS = 15.0
#: Wait while the circuit breaker is open, the time after which a failed wait opens it, and how long it stays open.
SHORT_SECONDS = 0.25
BREAKER_SECONDS = 1.0
BREAKER_OPEN_SECONDS = 10.0
#: Pause between two attempts to get SQLite's write lock. SQLite's own busy handler sleeps up to 100 ms.
LOCK_RETRY_SECONDS = 0.0005

#: Which files each thread's connection has open, and how long it is set to wait.
_opened = threading.local()
#: The SQLite file that this process has known as its own.
_own_file: dict[str, FileIdentity] = {}
#: Time of the latest wait that failed, of reads and of writes: a writer does not keep others from reading.
_failed_at = {False: float("-inf"), True: float("-inf")}


class Unavailable(Exception):  # a passing fault, not a defect
    """The database cannot be read or written right now."""

    @property
    def never_committed(self) -> bool:
        """Whether a commit that failed with this is sure not to have happened."""
        fault: BaseException | None = self
        while fault is not None:
            if isinstance(fault, IntegrityError) or getattr(fault, "sqlite_errorcode", None) in _NEVER_COMMITTED:
                return True
            fault = fault.__cause__
        return False


class DatabaseRefused(Unavailable):
    """The database answers, and refuses for a reason that does not pass by itself (R31)."""


@contextmanager
def database() -> Iterator[None]:
    """Use this thread's connection.

    Raises:
        Unavailable: the database is locked, gone or slow.
        DatabaseRefused: it refuses for good: schema, permission, constraint, damage.
    """
    try:
        # Looked up once: the lazy `connection` resolves the thread's own for each attribute.
        own = connections[DEFAULT_DB_ALIAS]
        own.close_if_unusable_or_obsolete()
        _follow_file(own)
        yield
    except Error as fault:
        raise (DatabaseRefused if is_lasting(fault) else Unavailable)(str(fault)) from fault


def is_lasting(fault: Error) -> bool:
    """Whether the same statement will fail again until somebody mends the database."""
    cause = fault.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & _PRIMARY_CODE in _LASTING_CODES
    return isinstance(fault, _LASTING_KINDS) and getattr(cause, "sqlstate", None) != _READ_ONLY_STATE


@contextmanager
def promptly(*, writing: bool = False) -> Iterator[None]:
    """Use this thread's connection for a sender who waits.

    Raises:
        Unavailable: also when the database is too slow.
    """
    with _promptly(writing=writing):
        yield


@contextmanager
def prompt_transaction() -> Iterator[None]:
    """Write in one transaction for a sender who waits.

    Raises:
        Unavailable: also when the database is too slow.
    """
    with _promptly(writing=True, polling=True) as lock_seconds, ExitStack() as stack:
        _begin(stack, lock_seconds)
        yield


@contextmanager
def _promptly(*, writing: bool, polling: bool = False) -> Iterator[float]:
    """See `promptly`; gives the seconds that a lock is waited for. With `polling` SQLite itself does not wait."""
    began = time.monotonic()
    try:
        with database():
            yield _limit_waiting(short=began - _failed_at[writing] < BREAKER_OPEN_SECONDS, polling=polling)
    except DatabaseRefused:
        raise  # it answered without a wait
    except Unavailable:
        if time.monotonic() - began >= BREAKER_SECONDS or began - _failed_at[writing] < BREAKER_OPEN_SECONDS:
            _failed_at[writing] = time.monotonic()
        raise
    _failed_at[writing] = float("-inf")


def _begin(stack: ExitStack, lock_seconds: float) -> None:
    """Begin a transaction. SQLite's write lock is polled, so that the wait ends soon after it is free."""
    deadline = time.monotonic() + lock_seconds
    while True:
        try:
            stack.enter_context(transaction.atomic())
        except OperationalError as fault:
            if not _is_locked(fault) or time.monotonic() >= deadline:
                raise
            time.sleep(LOCK_RETRY_SECONDS)
        else:
            return


def _is_locked(fault: Error) -> bool:
    code = getattr(fault.__cause__, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY_CODE == sqlite3.SQLITE_BUSY


def on_live_connection(read: Callable[[], T]) -> T:
    """Read, and once more on a new connection where the first attempt fails at once.

    A database server that was restarted leaves every thread with a dead connection.

    Raises:
        Unavailable: both attempts failed, or the first one took long.
        DatabaseRefused: the database refuses, which a new connection does not change.
    """
    began = time.monotonic()
    try:
        return read()
    except DatabaseRefused:
        raise
    except Unavailable:
        if time.monotonic() - began >= BREAKER_SECONDS:
            raise
        connection.close()
    return read()


def _limit_waiting(*, short: bool, polling: bool = False) -> float:
    """Set how long this thread's connection waits, if it is not set so; returns the seconds for a lock."""
    own = connections[DEFAULT_DB_ALIAS]
    own.ensure_connection()
    is_postgresql = own.vendor == "postgresql"
    usual = timeouts.LOCK_SECONDS if is_postgresql else own.settings_dict["OPTIONS"]["timeout"]
    lock: float = SHORT_SECONDS if short else usual
    wanted = (own.connection, short, polling)
    if getattr(_opened, "limits", (None, False, False)) == wanted:
        return lock
    if is_postgresql:
        limits = [
            f"SET lock_timeout = {lock * 1000:.0f}",
            f"SET statement_timeout = {STATEMENT_SECONDS * 1000:.0f}",
        ]
    else:
        limits = [f"PRAGMA busy_timeout = {0 if polling else lock * 1000:.0f}"]
    with own.cursor() as cursor:
        for limit in limits:
            cursor.execute(limit)
    _opened.limits = wanted
    return lock


def _follow_file(own: BaseDatabaseWrapper) -> None:
    """Let go of a SQLite file that was replaced, say by a backup: what is written to it is lost.

    The same holds for its write-ahead log, which carries the commits. One that came back after this thread had
    made its own in between would leave the thread with the tables, or without them, of another moment.

    Raises:
        Unavailable: the file is gone; to connect would make an empty one.
        DatabaseRefused: the new file is the database of another store: its feeds and rules are not ours (R30).
    """
    if own.vendor != "sqlite":
        return
    name = str(own.settings_dict["NAME"])
    file = _identity(name)
    if file is None:
        raise Unavailable("the database's file is gone")
    log = f"{name}-wal"
    if own.connection is not None and not own.in_atomic_block and _opened_files() != (file, _identity(log)):
        own.close()
    if _own_file.setdefault("file", file) != file:
        _look_at_new_file()
        _own_file["file"] = file
    if own.connection is None:
        own.ensure_connection()
        with own.cursor() as cursor:
            cursor.execute("PRAGMA schema_version")  # opens the write-ahead log
        _opened.files = (file, _identity(log))


def _opened_files() -> tuple[FileIdentity | None, FileIdentity | None]:
    """Return the database file and the write-ahead log that this thread's connection holds."""
    return getattr(_opened, "files", (None, None))


def _identity(path: str) -> FileIdentity | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # on every request: a path object costs as much again
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _look_at_new_file() -> None:
    try:
        for look in NEW_FILE_CHECKS:
            look()
    except DatabaseRefused:
        connection.close()
        raise


async def in_time(pool: Executor, function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Run a database call in a thread for a waiting sender, which is answered in time even where all threads hang.

    Raises:
        Unavailable: there is no answer in time. A question that was not asked yet is not asked any more.
    """
    try:
        async with asyncio.timeout(DECISION_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(pool, function, *args)
    except TimeoutError as fault:
        raise Unavailable("the database does not answer in time") from fault


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
