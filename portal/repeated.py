"""Repeated faults: logged when they begin and end, and once a minute while they last."""

import logging
import threading
import time
from dataclasses import dataclass

#: A lasting fault is logged again after this time; a change is logged at once.
REMIND_AFTER = 60.0
WELL = "ok"


@dataclass
class _Last:
    """A fault that stays: when it was logged last, and when it was last seen."""

    finding: str
    logged: float
    seen: float


class RepeatedFaults:
    """Last logged state of each thing that is checked repeatedly. Thread-safe."""

    def __init__(self, log: logging.Logger, *, settle_seconds: float = 0.0) -> None:
        """Begin with nothing wrong.

        Args:
            log: where the lines go.
            settle_seconds: how long nothing must fail before a thing is well again. Without it a fault that comes
                and goes with each look would be logged each time.
        """
        self._log = log
        self._settle_seconds = settle_seconds
        self._lock = threading.Lock()
        self._last: dict[str, _Last] = {}

    def report(
        self, what: str, finding: str, fault: BaseException | None = None, level: int = logging.WARNING
    ) -> None:
        """Log it if it is news: a disk that stays full for a night is not worth a line for every look at it.

        Args:
            what: the thing, in the words of the log.
            finding: its state in a word; `ok` where nothing is wrong.
            fault: what was raised. Its text goes to the log but is not compared: it may be another every time.
            level: of the line.
        """
        with self._lock:
            before, is_news = self._note(what, finding)
        if not is_news:
            return
        if finding == WELL:
            self._log.info("%s: ok again", what)
            return
        still = "still " if finding == before else ""
        self._log.log(level, "%s: %s%s (%s: %s)", what, still, finding, type(fault).__name__, fault)

    def _note(self, what: str, finding: str) -> tuple[str, bool]:
        """Store the finding; return the one before, and whether to log this one."""
        now = time.monotonic()
        last = self._last.get(what)
        if finding == WELL:
            if last is None or now - last.seen < self._settle_seconds:
                return WELL, False
            del self._last[what]
            return last.finding, True
        if last is not None and last.finding == finding and now - last.logged < REMIND_AFTER:
            last.seen = now
            return finding, False
        self._last[what] = _Last(finding, logged=now, seen=now)
        return last.finding if last else WELL, True
