"""The parent process: starts the workers, replaces those that die, and stops them all together."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

#: A worker that gives up this soon has failed to start; so many in a row and the parent gives up too.
STARTED_AFTER_SECONDS = 3.0
MOST_FAILURES = 3
#: Before the place of a worker is filled that lived no longer than this.
PAUSE_SECONDS = 0.2
_WATCHED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM})


class Supervisor:
    """Runs a function in several forked processes until it is told to stop."""

    def __init__(self, run: Callable[[int], None], *, workers: int, patience_seconds: int) -> None:
        """Prepare; nothing is started yet.

        Args:
            run: what each worker does; its argument is a descriptor that becomes readable when the parent is gone.
            workers: how many.
            patience_seconds: how long workers may take to stop before they are killed.
        """
        self._run = run
        self._wanted = workers
        self._patience_seconds = patience_seconds
        self._started: dict[int, float] = {}
        self._failures = 0
        self._stopping = False
        self._failed = False

    def run(self) -> int:
        """Start, watch and stop the workers; the result is the exit code."""
        # Blocked, so that they wait for `sigwait` instead of interrupting; workers let them through when ready.
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        self._lifeline, self._our_end = os.pipe()
        for _ in range(self._wanted):
            self._start_one()
        while self._started:
            number = signal.sigwait(_WATCHED)
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGALRM:
                self._signal_all(signal.SIGKILL)
            else:
                self._stop(number)
        return 1 if self._failed else 0

    def _start_one(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_worker()
        self._started[pid] = time.monotonic()

    def _be_worker(self) -> None:
        """The child's whole life."""
        code = 1
        try:
            os.close(self._our_end)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, signal.SIGALRM})
            self._run(self._lifeline)
            code = 0
        except Exception:
            log.exception("a worker failed")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Take note of every child that ended; replace it unless we are stopping."""
        while self._started:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            age = time.monotonic() - self._started.pop(pid)
            if not self._stopping:
                self._replace(pid, status, age)

    def _replace(self, pid: int, status: int, age: float) -> None:
        code = os.waitstatus_to_exitcode(status)
        log.error("worker %s ended by itself (%s)", pid, code)
        # One that was killed has not failed, however young: it is replaced as often as it takes.
        self._failures = self._failures + 1 if code > 0 and age < STARTED_AFTER_SECONDS else 0
        if self._failures >= MOST_FAILURES:
            log.error("the workers do not start; giving up")
            self._failed = True
            self._stop(signal.SIGTERM)
            return
        if age < PAUSE_SECONDS:
            time.sleep(PAUSE_SECONDS)
        self._start_one()

    def _stop(self, number: int) -> None:
        """Pass the wish to stop on. Asked a second time, workers stop without waiting for deliveries."""
        if not self._stopping:
            self._stopping = True
            signal.alarm(self._patience_seconds)
        self._signal_all(number)

    def _signal_all(self, number: int) -> None:
        for pid in self._started:
            os.kill(pid, number)
