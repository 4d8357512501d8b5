"""Each running worker has a number and a folder for its parts that no other living process uses."""

import contextlib
import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from feeds.receipt.spool import PART_SUFFIX

PARTS = "parts"
_LOCK = "lock"
_MOST = 4096
_SINCE = re.compile(rb" since (\d{1,16})\n")


@dataclass(frozen=True)
class Slot:
    """A worker's number, its folder, and the open lock file that proves its life; the kernel frees the lock.

    `since` is the moment that it was taken, in milliseconds as in receipt ids: what has this number and an earlier
    id is a predecessor's. `inherited` says that the last owner died without giving it back.
    """

    number: int
    folder: Path
    descriptor: int
    since: int = 0
    inherited: bool = False

    def release(self) -> None:
        """Give the number back with nothing left undone; a process that dies only lets go of the lock."""
        with contextlib.suppress(OSError):
            os.ftruncate(self.descriptor, 0)
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
    return sum(_sweep_and_let_go(slot) for slot in _free_slots_with_parts(store))


def _free_slots_with_parts(store: Path) -> Iterator[Slot]:
    """Others are not even locked for a moment: a worker that is just starting would take a higher number."""
    folder = store / PARTS
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.isdecimal() and any(path.glob(f"*{PART_SUFFIX}")):
            slot = lock_slot(store, int(path.name))
            if slot is not None:
                yield slot


def _sweep_and_let_go(slot: Slot) -> int:
    try:
        return sweep(slot)
    finally:
        os.close(slot.descriptor)  # not given back: the dead owner may have left more than parts


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
    since = int(time.time() * 1000)
    inherited = os.fstat(descriptor).st_size > 0
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()} on {socket.gethostname()} since {since}\n".encode())
    return Slot(number, folder, descriptor, since, inherited)


def holder_since(store: Path, number: int) -> int | None:
    """Since when a living process holds this number; None where none does, 0 where it does not say."""
    try:
        descriptor = os.open(store / PARTS / str(number) / _LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        told = _SINCE.search(os.read(descriptor, 1024))
        return int(told[1]) if told else 0
    finally:
        os.close(descriptor)
    return None
