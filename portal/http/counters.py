"""Two numbers for each key, in a table of fixed size that all workers share: what limits are counted in.

The table is a mapped file, so that a limit holds for the portal and not for each of its workers, and costs no
query. It forgets whoever was not seen for longest when there is no room for somebody new.
"""

import fcntl
import logging
import mmap
import struct
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from portal.files import lock_within, reserve_file

log = logging.getLogger(__name__)

FILE = "limits"
#: A key can lie in any entry of its row and in no other.
ROWS, ENTRIES = 2048, 8
#: Digest of the key, 0 where there is none; when it was seen, and how much was counted.
_ENTRY = struct.Struct("=Qdd")
_ROW_BYTES = ENTRIES * _ENTRY.size
#: All entries of a row in one go, three numbers each.
_ROW = struct.Struct("=" + _ENTRY.format[1:] * ENTRIES)

#: How long the table's lock is waited for, once: whoever holds it needs some microseconds.
PATIENCE_SECONDS = 0.5

Pair = tuple[float, float]


class Tallies:
    """The table. Without a path it lies in memory, for one process alone."""

    def __init__(self, path: Path | None = None, *, rows: int = ROWS) -> None:
        """Map the table, and make its file where there is none.

        Args:
            path: the file that all workers share.
            rows: how many rows it has; the same for all who share it.

        Raises:
            OSError: there is no room for the file, or it cannot be used.
        """
        self._rows = rows
        self._lock = threading.Lock()
        self._is_stuck = False
        self._file = -1 if path is None else reserve_file(path, rows * _ROW_BYTES)
        self._table = mmap.mmap(self._file, rows * _ROW_BYTES)

    def update(self, key: str, change: Callable[[Pair | None], Pair]) -> Pair:
        """Put what `change` makes of a key's pair in its place, with nobody in between; the new pair.

        Args:
            key: whose pair it is.
            change: takes the pair, None for a key that is not known (any more). The first number of what it
                gives tells when the key was seen.
        """
        digest = _digest(key)
        start = digest % self._rows * _ROW_BYTES
        with self._lock:
            if self._file < 0:
                return self._change(start, digest, change)
            # The kernel gives the lock back for a worker that dies meanwhile, but not for one that is stopped: then
            # the others go on without it. At worst two requests at once are counted as one.
            is_locked = lock_within(self._file, 0 if self._is_stuck else PATIENCE_SECONDS)
            self._is_stuck = not is_locked
            try:
                return self._change(start, digest, change)
            finally:
                if is_locked:
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    def find(self, key: str) -> Pair | None:
        """A key's pair, without taking room for one that is not known."""
        digest = _digest(key)
        row = _ROW.unpack_from(self._table, digest % self._rows * _ROW_BYTES)
        if digest not in row[::3]:
            return None
        place = row[::3].index(digest)
        return row[3 * place + 1 : 3 * place + 3]

    def _change(self, start: int, digest: int, change: Callable[[Pair | None], Pair]) -> Pair:
        row = _ROW.unpack_from(self._table, start)
        digests = row[::3]
        if digest in digests:
            place = digests.index(digest)
            pair = change(row[3 * place + 1 : 3 * place + 3])
        else:
            place = _longest_unseen(digests, row[1::3])
            pair = change(None)
        _ENTRY.pack_into(self._table, start + place * _ENTRY.size, digest, *pair)
        return pair


@lru_cache(maxsize=1024)
def _digest(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) or 1


def _longest_unseen(digests: Sequence[int], seen: Sequence[float]) -> int:
    """An empty entry, else the one whose key was seen longest ago."""
    return min(range(ENTRIES), key=lambda n: (digests[n] != 0, seen[n]))


def shared_tallies(folder: Path) -> Tallies:
    """The table of all workers; where the disk has no room for it, one of this worker alone."""
    try:
        return Tallies(folder / FILE)
    except OSError as fault:
        log.warning("limits are counted by each worker for itself: %s", fault)
        return Tallies()
