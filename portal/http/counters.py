"""Fixed-size table of counters in a memory-mapped file that all workers share; limits are counted in it.

The table is a mapped file, so that a limit holds for the portal and not for each of its workers, and costs no
query. The least recently used entry is evicted when it is full.
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

#: Seconds to wait for the table's lock; its holder needs some microseconds.
PATIENCE_SECONDS = 0.5

Pair = tuple[float, float]


class CounterTable:
    """Table of counters: two numbers for each key. Without a path it is in the memory of one process."""

    def __init__(self, path: Path | None = None, *, rows: int = ROWS) -> None:
        """Map the table; create its file where there is none.

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
        """Replace a key's pair by the result of `change` atomically; return the new pair.

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
        """Return a key's pair, without adding an entry for an unknown key."""
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
    """Return an empty entry, else the least recently used one."""
    return min(range(ENTRIES), key=lambda n: (digests[n] != 0, seen[n]))


def shared_table(folder: Path) -> CounterTable:
    """Return the table of all workers; if the disk is full, one of this worker alone."""
    try:
        return CounterTable(folder / FILE)
    except OSError as fault:
        log.warning("limits are counted by each worker for itself: %s", fault)
        return CounterTable()
