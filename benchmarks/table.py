"""Table of a run: the portal's figure, the figure it is compared with, and the goal."""

import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

ROUNDS = 5


@dataclass(frozen=True)
class Row:
    """One line. `value` is compared with `goal`: at least that much, or at most where `at_most`."""

    id: str
    what: str
    ours: str
    compared: str
    value: float
    goal: float
    unit: str = ""
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def cells(self) -> list[str]:
        """Return the texts of the columns."""
        sign = "≤" if self.at_most else "≥"
        digits = 2 if self.value < 10 else 0
        return [
            self.id,
            self.what,
            self.ours,
            self.compared,
            f"{self.value:.{digits}f}{self.unit}",
            f"{sign} {self.goal:g}{self.unit}",
            "yes" if self.is_met else "no",
        ]


HEADINGS = ["id", "workload", "portal", "compared with", "result", "goal", "met"]


def alternate(ours: Callable[[], float], theirs: Callable[[], float], rounds: int = ROUNDS) -> tuple[float, float]:
    """Measure two things turn by turn, so that other work on the machine meets both alike.

    Returns the pair with the median ratio.
    """
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]


def median(measure: Callable[[], float], rounds: int = ROUNDS) -> float:
    """Return the median of some rounds."""
    return statistics.median(measure() for _ in range(rounds))


def say(text: str) -> None:
    """Tell who waits how far it is."""
    print(f"  {text}", file=sys.stderr, flush=True)


def markdown(rows: Iterable[Row]) -> str:
    """Return the table in Markdown, aligned to be read as it is."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    texts = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])
