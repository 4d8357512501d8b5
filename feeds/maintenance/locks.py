"""Locks for maintenance: pruning, backing up and repairing a store would disturb each other.

An export to Stroom has a lock of its own, on its staging folder: it must not stand still during a backup of hours.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.files import try_lock, wait_for_lock


class MaintenanceBusy(Exception):
    """Other maintenance is running on the same folder."""


@contextmanager
def only_one(folder: Path, what: str = "A backup, a repair or a prune", *, wait: bool = False) -> Iterator[None]:
    """Hold a lock on a folder. The kernel frees it when the process ends, however it ends.

    Args:
        folder: what is locked; it is made where it is missing.
        what: may hold the lock, in the words of the error.
        wait: until it is free.

    Raises:
        MaintenanceBusy: another process holds it, and `wait` is off.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if wait:
            wait_for_lock(descriptor)
        elif not try_lock(descriptor):
            raise MaintenanceBusy(f"{what} is running on {folder}. Wait for its end, or use --wait.")
        yield
    finally:
        os.close(descriptor)
