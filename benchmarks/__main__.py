"""Measure everything and print one table: `make bench`, or `make bench T="P1 P5"` for a part."""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks import pages, wire
from benchmarks.load import wrk
from benchmarks.table import Row, markdown, say

#: Which rows each workload gives.
WORKLOADS: dict[tuple[str, ...], Callable[[], Iterator[Row]]] = {
    ("P1", "P2"): wire.small_deliveries,
    ("P3",): wire.one_sender,
    ("P4",): wire.on_postgresql,
    ("P5",): wire.questions,
    ("P6",): pages.warm,
    ("P7",): pages.cold,
    ("P8",): wire.packed_deliveries,
    ("P9",): wire.plain_deliveries,
    ("P11",): wire.memory,
}


def measure(wanted: set[str]) -> Iterator[Row]:
    """Run the workloads that give the wanted rows, all of them where none is named."""
    for ids, workload in WORKLOADS.items():
        if wanted and not wanted & set(ids):
            continue
        say(" ".join(ids))
        try:
            yield from workload()
        except wire.Missing as reason:
            say(f"left out: {reason}")


def main(arguments: list[str]) -> int:
    known = {one for ids in WORKLOADS for one in ids}
    wanted = {argument.upper() for argument in arguments}
    if unknown := wanted - known:
        print(
            f"There is no row {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}.", file=sys.stderr
        )
        return 2
    began = time.monotonic()
    rows = list(measure(wanted))
    print(markdown(rows))
    print(
        f"\nMedian of the rounds, taken in alternation; {os.cpu_count()} cores, which generator, servers and peers "
        f"share; Python {platform.python_version()}, {platform.system()} {platform.release()}; load by "
        f"{'wrk' if wrk() else 'a generator in Python'}; {time.monotonic() - began:.0f} s."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
