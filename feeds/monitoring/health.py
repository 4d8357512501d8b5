"""Health checks of this process, run in the background so that health requests are quick (threat model, R27)."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import connections

from feeds.monitoring.metrics import Metrics
from feeds.monitoring.rehearsal import Rehearsal
from feeds.store.spool import NoSpace, SpaceMark, sync_folder
from portal.database.threads import DatabaseRefused
from portal.repeated import WELL, RepeatedFaults

log = logging.getLogger(__name__)

INTERVAL = 1.5
#: An older result is not used: the checks themselves hang. A fault is reported within 5 s (R27).
STALE_AFTER = 4.0
_PROBE = "health.probe"


@dataclass(frozen=True)
class Health:
    """The latest result: a word for each check, `ok` or what is wrong."""

    checks: dict[str, str]

    @property
    def ready(self) -> bool:
        return all(word == "ok" for word in self.checks.values())


class HealthMonitor(threading.Thread):
    """Checks the store, the database and free space again and again; `current` is the latest result."""

    def __init__(
        self, folder: Path, space: SpaceMark, metrics: Metrics | None = None, *, worker: str = "portal"
    ) -> None:
        """Make the monitor of one worker.

        Args:
            folder: the worker's own folder in the store.
            space: the free-space mark.
            metrics: shows the results.
            worker: a name that no other worker of the database has.
        """
        super().__init__(name="health", daemon=True)
        self._folder = folder
        self._space = space
        self._metrics = metrics or Metrics()
        self._rehearsal = Rehearsal(worker)
        self._lock = threading.Lock()
        self._checking = threading.Lock()
        self._checks = {"store": "not checked yet", "database": "not checked yet", "space": "not checked yet"}
        self._checked_at = time.monotonic()
        self._failures = 0
        self._repeated = RepeatedFaults(log)
        self._wake = threading.Event()
        self._stopping = False

    @property
    def current(self) -> Health:
        with self._lock:
            if time.monotonic() - self._checked_at > STALE_AFTER:
                return Health({**self._checks, "checks": "hanging"})
            return Health(dict(self._checks))

    def store_failed(self) -> None:
        """Report that a flush of the store failed: not ready until a fresh write and flush succeed (R5)."""
        self._failed("store")

    def database_failed(self) -> None:
        """Report that a commit was not written or flushed: not ready until a fresh one succeeds (R5)."""
        self._failed("database")

    def _failed(self, what: str) -> None:
        with self._lock:
            self._failures += 1
            self._checks = {**self._checks, what: "a flush to disk failed"}
        self._metrics.checked({what: False}, time.time())
        self._wake.set()

    def check(self) -> None:
        """Do all checks now."""
        with self._checking:
            failures = self._failures
            checks = {
                "store": self._word("store", self._write_probe),
                "database": self._word("database", self._rehearsal.run),
                "space": self._word("space", self._space.demand),
            }
            with self._lock:
                self._checked_at = time.monotonic()
                if failures != self._failures:
                    return  # what failed meanwhile may have failed after its check; `run` checks again at once
                self._checks = checks
        self._metrics.checked({name: word == "ok" for name, word in checks.items()}, time.time())

    def run(self) -> None:
        while not self._stopping:
            self.check()
            self._wake.wait(INTERVAL)
            self._wake.clear()
        connections.close_all()

    def stop(self) -> None:
        """End after the check that is running."""
        self._stopping = True
        self._wake.set()
        self.join(timeout=STALE_AFTER)

    def _word(self, name: str, check: Callable[[], None]) -> str:
        """`ok`, or the kind of fault; its text may name paths and stays in the log (S25)."""
        word, found = WELL, None
        try:
            check()
        except Exception as fault:  # noqa: BLE001  # whatever it is, it is the finding
            word, found = _word_for(fault), fault
        self._repeated.report(f"health check of {name}", word, found)
        return word

    def _write_probe(self) -> None:
        path = self._folder / _PROBE
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, b"portal\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.unlink()
        sync_folder(self._folder)


def _word_for(fault: Exception) -> str:
    if isinstance(fault, NoSpace):
        return "below the free-space mark"
    return "refuses deliveries, the log says why" if isinstance(fault, DatabaseRefused) else "cannot be written"
