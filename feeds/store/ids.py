"""Receipt ids: unique for ever, in order, whatever the clock does; and where a receipt's files are kept."""

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import PurePosixPath

RECEIPT_ID = re.compile(r"(?P<millis>\d{13})_(?P<sequence>\d{4})_P_(?P<node>[A-Za-z0-9-]+)")
DATA_SUFFIX = ".dat"
META_SUFFIX = ".meta"
RECEIVED = "received"
#: File in the store's root that holds its key.
STORE_ID = "store.id"


class ReceiptIds:
    """Makes the ids of one running process; its node id belongs to no other. None is older than `since`."""

    def __init__(self, node_id: str, clock: Callable[[], float] = time.time, *, since: int = 0) -> None:
        self._node_id = node_id
        self._clock = clock
        self._lock = threading.Lock()
        self._millis = since
        self._sequence = 0

    def next(self) -> str:
        """A new id. A clock set back does not take the ids back: they go on from the latest."""
        with self._lock:
            now = int(self._clock() * 1000)
            if now > self._millis:
                self._millis, self._sequence = now, 0
            elif self._sequence < 9999:
                self._sequence += 1
            else:
                self._millis, self._sequence = self._millis + 1, 0
            return f"{self._millis:013d}_{self._sequence:04d}_P_{self._node_id}"


def received_at(receipt_id: str) -> datetime:
    """The instant that an id was made.

    Raises:
        ValueError: the text is not a receipt id.
    """
    return datetime.fromtimestamp(_millis(receipt_id) / 1000, UTC)


def _millis(receipt_id: str) -> int:
    match = RECEIPT_ID.fullmatch(receipt_id)
    if match is None:
        raise ValueError(f"not a receipt id: {receipt_id!r}")
    return int(match["millis"])


def data_path(receipt_id: str) -> PurePosixPath:
    """Return the path of a receipt's data, relative to the store; it is derived from the id alone."""
    return data_folder(receipt_id) / f"{receipt_id}{DATA_SUFFIX}"


def data_folder(receipt_id: str) -> PurePosixPath:
    """Return the folder of a receipt's files, relative to the store.

    Raises:
        ValueError: the text is not a receipt id.
    """
    return _folder_of_hour(_millis(receipt_id) // 3_600_000)


@lru_cache(maxsize=16)  # the path and its hash are wanted several times for each delivery
def _folder_of_hour(hours: int) -> PurePosixPath:
    return PurePosixPath(RECEIVED) / f"{datetime.fromtimestamp(hours * 3600, UTC):%Y-%m-%d/%H}"


def meta_path(data: PurePosixPath) -> PurePosixPath:
    """Return the place of the metadata: next to the data."""
    return data.with_suffix(META_SUFFIX)
