"""One piece of maintenance at a time: exporting, pruning, backing up and repairing would disturb each other."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Busy(Exception):
    """Other maintenance is running on the same folder."""


@contextmanager
def only_one(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock on a folder. The kernel frees it when the process ends, however it ends.

    Raises:
        Busy: somebody else holds it, and we do not wait.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        os.close(descriptor)
        raise Busy(f"An export, a backup, a repair or a prune is running on {folder}.") from fault
    try:
        yield
    finally:
        os.close(descriptor)
