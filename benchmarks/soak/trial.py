"""Trials: a demand, the amount of work to try it with, and what is noted on the way."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

MOST_SHOWN = 5
LONGEST_TOLD = 500


class LeftOut(Exception):
    """A trial cannot be made on this machine; says why."""


@dataclass
class Run:
    """One trial while it runs: its share of the time, its luck, and its notes."""

    goal: int
    seconds: float
    chance: random.Random
    folder: Path
    tell: Callable[[str], None] = lambda _: None
    done: int = 0
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds of its share that are left."""
        return self.seconds - (time.monotonic() - self.began)

    @property
    def passed(self) -> float:
        return time.monotonic() - self.began

    def more(self, spare: float = 0) -> bool:
        """Whether to go on: the goal is not reached and there is time, or nothing has been done at all."""
        return self.done < self.goal and (self.left > spare or self.done == 0)

    def count(self, number: int = 1) -> None:
        self.done += number
        self.tell(f"{self.done:,} of {self.goal:,}")

    def note_wrong(self, *answers: object) -> None:
        """Something that must never be; one is enough to fail."""
        self.wrong += [str(answer)[:LONGEST_TOLD] for answer in answers]

    def demand(self, what: str, value: str, *, met: bool) -> None:
        """A figure with a limit."""
        self.figures[what] = value
        if not met:
            self.missed.append(f"{what} {value}")


@dataclass(frozen=True)
class Trial:
    """A demand of the threat model and how it is tried for long."""

    name: str
    what: str
    goal: int
    unit: str
    wanted: str
    minutes: float
    run: Callable[[Run], None]


@dataclass(frozen=True)
class Finding:
    """Result of a trial."""

    trial: Trial
    done: int
    goal: int
    seconds: float
    wrong: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()
    left_out: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.wrong or self.missed)

    @property
    def verdict(self) -> str:
        if self.failed:
            return "FAILED"
        if self.left_out:
            return f"left out because {self.left_out}"
        if self.done < self.goal:
            return f"cut short at {self.done:,} of {self.goal:,}"
        return "ok"


def try_out(trial: Trial, run: Run) -> Finding:
    """Make one trial; whatever it raises is its failure and not that of the others."""
    left_out = ""
    try:
        trial.run(run)
    except LeftOut as reason:
        left_out = str(reason)
    except Exception as fault:  # noqa: BLE001  # a fault of any kind is a finding
        run.note_wrong(described(fault))
    return Finding(
        trial,
        run.done,
        run.goal,
        run.passed,
        wrong=tuple(run.wrong),
        missed=tuple(run.missed),
        figures=tuple(run.figures.items()),
        left_out=left_out,
    )


def described(fault: BaseException) -> str:
    """A fault in a line, with the place where it came up."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    text = " ".join(str(fault).split())
    return f"{type(fault).__name__}{place}: {text[:300]}"
