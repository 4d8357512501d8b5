"""Limits on how often a client may ask, counted in fixed windows that all workers share."""

import math
from typing import NamedTuple

from portal.http.counters import CounterTable, Pair

WINDOW = 60.0
#: Seconds for which a request may have waited for its turn to be counted.
MOST_WAIT = 5.0


class Allowance(NamedTuple):  # made for every request: a dataclass takes several times as long
    """Remaining requests of a client in the current window."""

    allowed: bool
    limit: int
    left: int
    resets_in: int


class Counter:
    """Rate limiter with fixed windows of a minute; shared by all workers once they share their table."""

    def __init__(self, table: CounterTable | None = None) -> None:
        self.table = table or CounterTable()

    def take(self, key: str, limit: int, now: float) -> Allowance:
        """Count one request. A refused request is not counted, so that waiting always helps."""
        allowed = False

        def count(window: Pair | None) -> Pair:
            nonlocal allowed
            started, used = _current(window, now)
            allowed = used < limit
            return started, used + allowed

        started, used = self.table.update(key, count)
        resets_in = min(int(WINDOW), max(1, math.ceil(started + WINDOW - now)))
        return Allowance(allowed, limit, max(0, limit - int(used)), resets_in)

    def give_back(self, key: str, now: float) -> None:
        """Give back one counted request."""

        def uncount(window: Pair | None) -> Pair:
            started, used = _current(window, now)
            return started, max(0.0, used - 1)

        self.table.update(key, uncount)


def _current(window: Pair | None, now: float) -> Pair:
    """Return the current window.

    One of another boot of the machine may lie in what is now the future; one that another worker has begun while we
    waited for the table lies there by a moment.
    """
    started, used = window or (now, 0)
    return (started, used) if -MOST_WAIT <= now - started < WINDOW else (now, 0)


#: Counter of this process. A worker replaces its table by the one that all workers share.
COUNTER = Counter()
