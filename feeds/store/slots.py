"""Each running worker has a number and a folder for its parts that no other living process uses."""

import contextlib
import errno
import fcntl
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from feeds.store.spool import PART_SUFFIX, SyncFailed, sync_folder
from portal.files import try_lock

PARTS = "parts"
_LOCK = "lock"
_MOST = 4096
_SINCE = re.compile(rb" since (\d{1,16})\n")
_PLACE = re.compile(rb"^(in|out) (\S{1,200})\n", re.MULTILINE)


class FolderJournal:
    """The folders of the store that a worker may be putting files into, noted in its lock file before it does.

    What it leaves there without a record when it dies is in one of these, however old the folder is by then: that
    of an upload is the hour in which it began. Lines are only ever added, so that a crash tears at most one whose
    folder was not used yet.
    """

    def __init__(self, folder: Path, descriptor: int, left: Iterable[PurePosixPath]) -> None:
        """Begin with what the last owner of the number `left`."""
        self._folder = folder
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._noted: set[PurePosixPath] = set()
        self._in_use: Counter[PurePosixPath] = Counter()
        self._left = set(left)
        self._is_named = False

    @property
    def settled(self) -> bool:
        """Whether no unknown files can be there."""
        with self._lock:
            return not self._left and not self._in_use

    def enter(self, place: PurePosixPath) -> None:
        """About to put a file there; the note survives a power cut.

        Raises:
            OSError: it could not be written.
        """
        with self._lock:
            if place not in self._noted:
                done = {noted for noted in self._noted if noted not in self._in_use}
                self._write(ins=(place,), outs=done - self._left)
                self._sync()
                self._noted = (self._noted - done) | {place}
            self._in_use[place] += 1

    def leave(self, place: PurePosixPath) -> None:
        """Note that what was put there is recorded, or gone. Not called where that is unknown."""
        with self._lock:
            self._in_use[place] -= 1
            if not self._in_use[place]:
                del self._in_use[place]

    def mended(self) -> None:
        """Note that everything the last owner left has been checked."""
        with self._lock:
            self._write(outs=self._left - self._noted)
            self._left.clear()

    def _write(self, ins: Iterable[PurePosixPath] = (), outs: Iterable[PurePosixPath] = ()) -> None:
        lines = [*(f"out {place}\n" for place in sorted(outs)), *(f"in {place}\n" for place in ins)]
        if lines:
            _append(self._descriptor, "".join(lines))

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as fault:
            raise SyncFailed(*fault.args) from fault
        if not self._is_named:
            # The lock file's own name has to survive too: it may be a new one.
            for folder in (self._folder, self._folder.parent, self._folder.parent.parent):
                sync_folder(folder)
            self._is_named = True


@dataclass(frozen=True)
class Slot:
    """A worker's number, its folder, and the open lock file that proves its life; the kernel frees the lock.

    `since` is the moment that it was taken, in milliseconds as in receipt ids: what has this number and an earlier
    id is a predecessor's. `inherited` says that the last owner died without giving it back.
    """

    number: int
    folder: Path
    descriptor: int
    journal: FolderJournal
    since: int = 0
    inherited: bool = False

    def release(self) -> None:
        """Give the number back; a process that dies, or leaves something undone, only lets go of the lock."""
        if self.journal.settled:
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
    """Remove the parts of dead writers only, and return their number."""
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
    # Appending: what the last owner noted stays until it has been looked through.
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    if not try_lock(descriptor):
        os.close(descriptor)
        return None
    since = int(time.time() * 1000)
    content = (folder / _LOCK).read_bytes()
    left = _places_in(content)
    if not left:
        os.ftruncate(descriptor, 0)
    _append(descriptor, f"{os.getpid()} on {socket.gethostname()} since {since}\n")
    return Slot(number, folder, descriptor, FolderJournal(folder, descriptor, left), since, inherited=bool(content))


def _append(descriptor: int, lines: str) -> None:
    """Add lines to a lock file, of which what is there may end in a torn one."""
    data = f"\n{lines}".encode()
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def noted_places(store: Path) -> set[PurePosixPath]:
    """Folders of the store that a worker, alive or dead, has noted and not done with."""
    found: set[PurePosixPath] = set()
    for path in (store / PARTS).glob(f"*/{_LOCK}"):
        with contextlib.suppress(FileNotFoundError):
            found |= _places_in(path.read_bytes())
    return found


def _places_in(content: bytes) -> set[PurePosixPath]:
    """Folders that a lock file's lines enter and do not leave."""
    last = {place: word for word, place in _PLACE.findall(content)}
    return {PurePosixPath(place.decode("ascii", "replace")) for place, word in last.items() if word == b"in"}


def living_writers(store: Path) -> set[int]:
    """Return the numbers that a process holds."""
    folder = store / PARTS
    numbers = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []
    return {number for number in numbers if holder_since(store, number) is not None}


def holder_since(store: Path, number: int) -> int | None:
    """Since when a living process holds this number; None where none does, 0 where it does not say."""
    lock = store / PARTS / str(number) / _LOCK
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        since = _SINCE.findall(lock.read_bytes())
        return int(since[-1]) if since else 0
    finally:
        os.close(descriptor)
    return None
