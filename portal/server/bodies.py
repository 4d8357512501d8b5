"""Bodies of requests outside the wire: read as far as the route and the caller deserve, within one budget."""

import asyncio
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import BinaryIO, cast

from portal.http.body import Body

MEBIBYTE = 1024 * 1024
#: Bytes that one worker holds for all requests, in memory and in temporary files, and how many of them for callers
#: without a login.
ALL_BODIES, STRANGERS_BODIES = 128 * MEBIBYTE, 32 * MEBIBYTE
SPOOL_OVER = MEBIBYTE
#: Longest time for a body, without and with a login.
STRANGERS_SECONDS, LOGIN_SECONDS = 10.0, 120.0


class BodyTooLarge(Exception):  # becomes a 413
    """A body is larger than this caller may send here."""


class TooSlow(Exception):  # becomes a 408
    """A body did not arrive in time."""


class NoRoom(Exception):  # becomes a 503
    """All room for bodies is taken, or the disk of temporary files is full."""


class Share:
    """The bytes of one request within the budget."""

    def __init__(self, budget: "Budget", *, stranger: bool) -> None:
        self._budget = budget
        self.stranger = stranger
        self.bytes = 0

    def grow(self, count: int) -> None:
        """Take more.

        Raises:
            NoRoom: there is not as much left.
        """
        self._budget.take(count, stranger=self.stranger)
        self.bytes += count

    def release(self) -> None:
        self._budget.take(-self.bytes, stranger=self.stranger)
        self.bytes = 0


class Budget:
    """Bytes of bodies that one worker holds at once."""

    def __init__(self, most: int = ALL_BODIES, most_of_strangers: int = STRANGERS_BODIES) -> None:
        self._most = most
        self._most_of_strangers = most_of_strangers
        self.taken = 0
        self.taken_by_strangers = 0

    @contextmanager
    def share(self, *, stranger: bool) -> Iterator[Share]:
        """A request's part of the budget, which begins empty."""
        share = Share(self, stranger=stranger)
        try:
            yield share
        finally:
            share.release()

    def take(self, count: int, *, stranger: bool) -> None:
        """Take bytes, or give them back.

        Raises:
            NoRoom: there are not as many left.
        """
        of_strangers = self.taken_by_strangers + (count if stranger else 0)
        if count > 0 and (self.taken + count > self._most or of_strangers > self._most_of_strangers):
            raise NoRoom
        self.taken += count
        self.taken_by_strangers = of_strangers


async def read_body(body: Body, most: int, share: Share, disk: Executor) -> tuple[BinaryIO, int]:
    """A whole body as a file at its start, and its length, which a chunked body does not tell.

    Args:
        body: the request's body.
        most: its largest size.
        share: counts its bytes.
        disk: threads that write to temporary files.

    Raises:
        BodyTooLarge: it is larger; what is announced as larger is not read at all.
        Incomplete: it ends too early.
        NoRoom: there is no room for it.
        TooSlow: it takes too long.
    """
    if body.length is not None and body.length > most:
        raise BodyTooLarge
    file = cast("BinaryIO", tempfile.SpooledTemporaryFile(SPOOL_OVER))  # noqa: SIM115  # closed by the caller
    try:
        async with asyncio.timeout(STRANGERS_SECONDS if share.stranger else LOGIN_SECONDS):
            length = await _copy(body, file, most, share, disk)
    except TimeoutError:
        file.close()
        raise TooSlow from None
    except OSError as fault:
        file.close()
        raise NoRoom from fault
    except BaseException:
        file.close()
        raise
    return file, length


async def _copy(body: Body, file: BinaryIO, most: int, share: Share, disk: Executor) -> int:
    length = 0
    while piece := await body.next():
        length += len(piece)
        if length > most:
            raise BodyTooLarge
        share.grow(len(piece))
        if length > SPOOL_OVER:
            await asyncio.get_running_loop().run_in_executor(disk, file.write, piece)
        else:
            file.write(piece)
    file.seek(0)
    return length
