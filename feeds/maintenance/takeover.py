"""Takeover: recovers what a killed worker left behind while the portal keeps serving.

Its parts are removed when the number is taken. Files that were whole and in their place, but not recorded when the
worker died, get their rows here, and metadata whose data never came is removed.
"""

import logging
import threading
from pathlib import Path, PurePosixPath

from django.db import Error, connections

from feeds.maintenance.integrity import StoreCheck
from feeds.store.slots import Slot, sweep_dead
from portal.repeated import WELL, RepeatedFaults

log = logging.getLogger(__name__)

#: Newest folders that are checked in addition to those that the killed worker noted; `check_store` checks all.
NEWEST_HOURS = 3
TRY_AGAIN_SECONDS = 5.0
#: Until what may be a living writer's is looked at again.
LOOK_AGAIN_SECONDS = 60.0
_PATIENCE_SECONDS = 5.0


class Takeover(threading.Thread):
    """Mends once, then ends; while the database or the store cannot be used, it tries again.

    Objects that a live worker may be making, for example after the clock was set back a little, are checked again
    until it can.
    """

    def __init__(self, root: Path, slot: Slot) -> None:
        super().__init__(name="succession", daemon=True)
        self._root = root
        self._slot = slot
        self._wanted = slot.inherited
        self._undecided: set[PurePosixPath] | None = None
        self._stop_asked = threading.Event()
        self._repeated = RepeatedFaults(log)

    def run(self) -> None:
        while self._wanted and not self._stop_asked.is_set():
            try:
                self._take_over()
                self._wanted = bool(self._undecided)
                if self._wanted:
                    self._stop_asked.wait(LOOK_AGAIN_SECONDS)
                else:
                    self._slot.journal.mended()
            except (Error, OSError) as fault:
                self._repeated.report("recovery after a killed worker", "cannot be mended yet", fault)
                self._stop_asked.wait(TRY_AGAIN_SECONDS)
        connections.close_all()

    def _take_over(self) -> None:
        sweep_dead(self._root)
        check = StoreCheck(self._root, repair=True, newest=NEWEST_HOURS)
        for finding in check.recover():
            log.warning("a killed worker left a %s: %s (repaired)", finding.kind, finding.path)
        # Later ones are not the dead's.
        self._undecided = check.undecided if self._undecided is None else check.undecided & self._undecided
        self._repeated.report("recovery after a killed worker", WELL)

    def stop(self) -> None:
        """End without waiting long: what is not mended is mended at the next start."""
        self._stop_asked.set()
        if self.is_alive():
            self.join(_PATIENCE_SECONDS)
