"""Each running worker has a number and a folder for its parts that no other living process uses."""

import fcntl
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from feeds.receipt.spool import PART_SUFFIX

PARTS = "parts"
_LOCK = "lock"
_MOST = 4096


@dataclass(frozen=True)
class Slot:
    """A worker's number, its folder, and the open lock file that proves its life; the kernel frees the lock."""

    number: int
    folder: Path
    descriptor: int

    def release(self) -> None:
        """Give the number back; a process that dies does so by itself."""
        os.close(self.descriptor)


def take_slot(store: Path) -> Slot:
    """Take the lowest free number and remove what its last, dead owner left behind.

    Raises:
        RuntimeError: every number is taken.
    """
    for number in range(1, _MOST):
        slot = lock_slot(store, number)
        if slot is not None:
            sweep(slot)
            return slot
    raise RuntimeError("no free worker number")


def sweep(slot: Slot) -> int:
    """Remove the parts in a folder whose lock is ours: their writer is dead. Returns how many there were."""
    parts = [path for path in slot.folder.iterdir() if path.name.endswith(PART_SUFFIX)]
    for path in parts:
        path.unlink(missing_ok=True)
    return len(parts)


def sweep_dead(store: Path) -> int:
    """Remove the parts of every dead writer, and nobody else's. Returns how many there were."""
    return sum(_sweep_and_release(slot) for slot in _free_slots(store))


def _free_slots(store: Path) -> Iterator[Slot]:
    folder = store / PARTS
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.isdecimal():
            slot = lock_slot(store, int(path.name))
            if slot is not None:
                yield slot


def _sweep_and_release(slot: Slot) -> int:
    try:
        return sweep(slot)
    finally:
        slot.release()


def lock_slot(store: Path, number: int) -> Slot | None:
    """Take this number if no living process has it."""
    folder = store / PARTS / str(number)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()} on {socket.gethostname()}\n".encode())
    return Slot(number, folder, descriptor)
