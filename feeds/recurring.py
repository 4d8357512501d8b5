"""Faults that are found again at every look: told when they begin and end, and once a minute while they stay."""

import logging
import time

#: A fault that stays is told again after so long; a change is told at once.
REMIND_AFTER = 60.0
WELL = "ok"


class Recurring:
    """What was last told of each thing that is looked at again and again. Used by one thread at a time."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told: dict[str, tuple[str, float]] = {}

    def tell(self, what: str, finding: str, fault: Exception | None = None) -> None:
        """Log it if it is news: a disk that stays full for a night is not worth a line for every look at it.

        Args:
            what: the thing, in the words of the log.
            finding: its state in a word; `ok` where nothing is wrong.
            fault: what was raised. Its text goes to the log but is not compared: it may be another every time.
        """
        before, at = self._told.get(what, (WELL, 0.0))
        now = time.monotonic()
        if finding == before and (finding == WELL or now - at < REMIND_AFTER):
            return
        self._told[what] = finding, now
        if finding == WELL:
            self._log.info("%s: ok again", what)
            return
        still = "still " if finding == before else ""
        self._log.warning("%s: %s%s (%s: %s)", what, still, finding, type(fault).__name__, fault)
