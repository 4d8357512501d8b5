"""Parent process: starts the workers, replaces those that die, restarts them in overlap, and stops them."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable

from portal.server.restart import Inheritance, start_trial

log = logging.getLogger(__name__)

#: A worker that gives up this soon has failed to start; so many in a row and the parent gives up too.
STARTED_AFTER_SECONDS = 3.0
MOST_FAILURES = 3
#: Before the place of a worker is filled that lived no longer than this.
PAUSE_SECONDS = 0.2
#: By which a worker reports that it accepts connections, and learns that its successors do.
STARTED, SUCCEEDED = signal.SIGUSR1, signal.SIGUSR2
_UNUSED_BY_WORKERS = frozenset({signal.SIGCHLD, signal.SIGALRM, signal.SIGHUP, STARTED})
_WATCHED = _UNUSED_BY_WORKERS | {signal.SIGTERM, signal.SIGINT}


def report_started() -> None:
    """Report to the parent that this worker accepts connections."""
    os.kill(os.getppid(), STARTED)


class Supervisor:
    """Runs a function in several forked processes until SIGTERM or SIGINT; SIGHUP restarts them in overlap."""

    def __init__(
        self,
        run: Callable[[int], None],
        *,
        workers: int,
        stop_seconds: int,
        listener: int | None = None,
        inherited: Inheritance | None = None,
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            run: what each worker does; its argument is a descriptor that becomes readable when the parent is gone.
            workers: how many.
            stop_seconds: how long workers may take to stop before they are killed.
            listener: descriptor of the socket to pass to the next program; without one SIGHUP stops, as SIGTERM.
            inherited: workers of the program before this one, which end once new ones accept connections.
        """
        self._listener = listener
        self._inherited = inherited
        self._leaving: set[int] = set(inherited.workers) if inherited else set()
        self._trial: int | None = None
        self._run = run
        self._wanted = workers
        self._stop_seconds = stop_seconds
        self._started: dict[int, float] = {}
        self._failures = 0
        self._stopping = False
        self._failed = False

    def run(self) -> int:
        """Start, watch and stop the workers; the result is the exit code."""
        # Blocked, so that they wait for `sigwait` instead of interrupting; workers let them through when ready.
        signal.pthread_sigmask(signal.SIG_BLOCK, {*_WATCHED, SUCCEEDED})
        left = self._inherited
        self._lifeline, self._our_end = (left.lifeline, left.lifeline_end) if left else os.pipe()
        for _ in range(self._wanted):
            self._start_one()
        while self._started or self._leaving:
            self._handle(signal.sigwait(_WATCHED))
        return 1 if self._failed else 0

    def _handle(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGALRM:
            self._signal_all(signal.SIGKILL)
        elif number == STARTED:
            self._release_predecessors()
        elif number != signal.SIGHUP:
            self._stop(number)
        elif self._listener is None:
            self._stop(signal.SIGTERM)
        else:
            self._try_new_program()

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
            # A hang-up is the parent's business, also where it is sent to the whole group.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _UNUSED_BY_WORKERS)
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
        while self._started or self._leaving or self._trial is not None:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid == self._trial:
                self._end_trial(os.waitstatus_to_exitcode(status))
                continue
            if pid in self._leaving:
                self._leaving.remove(pid)
                log.info("worker %s of the program before has ended", pid)
                continue
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

    def _try_new_program(self) -> None:
        if self._trial is not None or self._stopping:
            return
        log.info("restarting in overlap: the new program is tried first")
        try:
            self._trial = start_trial()
        except OSError:
            log.exception("the new program cannot be started; this one goes on")

    def _end_trial(self, code: int) -> None:
        self._trial = None
        if self._stopping:
            return
        if code != 0:
            log.error("the new program does not start (%s); this one goes on. Its lines above say why", code)
            return
        self._become_new_program()

    def _become_new_program(self) -> None:
        assert self._listener is not None  # noqa: S101  # a trial is started only with one
        workers = (*self._started, *self._leaving)
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            Inheritance(os.getpid(), self._listener, self._lifeline, self._our_end, workers).hand_over()
        except OSError:
            log.exception("the new program cannot be run; this one goes on")

    def _release_predecessors(self) -> None:
        """Let the workers of the program before finish what they have begun, now that others accept connections."""
        for pid in self._leaving:
            os.kill(pid, SUCCEEDED)

    def _stop(self, number: int) -> None:
        """Pass the wish to stop on. Asked a second time, workers stop without waiting for deliveries."""
        if not self._stopping:
            self._stopping = True
            signal.alarm(self._stop_seconds)
        self._signal_all(number)

    def _signal_all(self, number: int) -> None:
        for pid in (*self._started, *self._leaving):
            os.kill(pid, number)
