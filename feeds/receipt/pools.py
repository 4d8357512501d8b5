"""Threads of the receiver, by kind of work."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from feeds.rules.metadata import RequestMetadata
from portal.database.threads import DatabasePool

#: Packed data up to this size is unpacked where it is written: a thousand times as much takes 10 ms.
SMALL_PACKED = 16 * 1024


@dataclass(frozen=True)
class ReceiptPools:
    """Thread pools of one worker.

    Attributes:
        decisions: decisions before a body is read; short database reads.
        small: deliveries that are whole on arrival.
        work: writing of other bodies.
        inflation: writing of data that has to be unpacked for it.
        verification: reading archives to their end; fewer threads than for writing.
    """

    decisions: DatabasePool
    small: DatabasePool
    work: DatabasePool
    inflation: DatabasePool
    verification: DatabasePool

    @property
    def all(self) -> tuple[DatabasePool, ...]:
        return (self.decisions, self.small, self.work, self.inflation, self.verification)

    def for_batch(self, request: RequestMetadata, batch: Sequence[bytes]) -> Executor:
        """Return the pool that writes a batch: packed data may unpack to much, and must not hold all threads."""
        return self.inflation if may_inflate(request, batch) else self.work


def may_inflate(request: RequestMetadata, batch: Sequence[bytes]) -> bool:
    """Return whether data is packed and may unpack to much."""
    return (request.is_gzip or request.is_content_encoded) and sum(map(len, batch)) > SMALL_PACKED
