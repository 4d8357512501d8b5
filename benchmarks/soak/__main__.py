"""Try each demand for long and print one table of figures: `make soak`, `make soak T="R02 R03" MINUTES=20`.

Every trial gets a share of the time; what one does not need goes to those after it. A trial that does not reach its
figure says how far it came. The exit code is 1 where anything was wrong, 130 where it was stopped by hand.
"""

import argparse
import ctypes
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the models behind them need Django to be ready
    from benchmarks.soak.trial import Finding, Trial

MINUTES = 75.0
PR_SET_CHILD_SUBREAPER = 36


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description="Try the demands of the threat model for long.")
    parser.add_argument("trials", nargs="*", help="names such as R02; all when none is given")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="time for all of them together")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run; another one each time by default")
    parser.add_argument("--output", type=Path, help="a file that gets the table too")
    parser.add_argument("--list", action="store_true", help="only say which trials there are")
    return parser.parse_args(arguments)


@contextmanager
def own_world() -> Iterator[Path]:
    """A folder for everything that is made, and no process left behind, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    folder = Path(tempfile.mkdtemp(prefix="portal-soak-"))
    os.environ.pop("DATABASE_URL", None)
    os.environ["PORTAL_DATA_DIR"] = str(folder / "own")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield folder
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_children()
        shutil.rmtree(folder, ignore_errors=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def end_children() -> None:
    """Whatever a trial has started and not stopped: also what lost its parent is ours."""
    from tests.reliability import processes

    for _ in range(50):
        below = processes.tree(os.getpid())[1:]
        if not below:
            return
        for pid in below:
            processes.kill(pid)
        for pid in below:
            processes.wait(pid, 1)
        while _reap():
            pass


def _reap() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def teller(name: str) -> Callable[[str], None]:
    """Shows on a terminal how far a trial is."""
    if not sys.stderr.isatty():
        return lambda _: None
    shown = 0.0

    def tell(text: str) -> None:
        nonlocal shown
        if time.monotonic() - shown > 0.5:
            shown = time.monotonic()
            print(f"\r{name}  {text}\033[K", end="", file=sys.stderr, flush=True)

    return tell


def main(arguments: Sequence[str]) -> int:
    options = read_arguments(arguments)
    with own_world() as folder:
        import django

        django.setup()
        from benchmarks.soak.table import as_table
        from benchmarks.soak.trials import chosen

        trials = chosen(options.trials)
        if options.list:
            print("\n".join(f"{trial.name}  {trial.goal:,} {trial.unit}: {trial.what}" for trial in trials))
            return 0
        seed = random.randrange(10**6) if options.seed is None else options.seed
        print(f"Seed {seed}, {options.minutes:g} minutes, {len(trials)} trials", file=sys.stderr, flush=True)
        findings: list[Finding] = []
        stopped = False
        try:
            for finding in try_all(trials, seed=seed, minutes=options.minutes, folder=folder):
                findings.append(finding)  # noqa: PERF402  # one by one, for Control-C
        except KeyboardInterrupt:
            stopped = True
        text = as_table(findings, seed=seed, minutes=options.minutes, of=len(trials))
        print(text)
        if options.output:
            options.output.write_text(text + "\n")
        if any(finding.failed for finding in findings):
            return 1
        return 130 if stopped else 0


def try_all(trials: Sequence["Trial"], *, seed: int, minutes: float, folder: Path) -> Iterator["Finding"]:
    """Run the trials one after the other, each for its share of the time that is left."""
    from benchmarks.soak.trial import Run, try_out

    deadline = time.monotonic() + minutes * 60
    for place, trial in enumerate(trials):
        print(f"{trial.name}  {trial.what}", file=sys.stderr, flush=True)
        share = trial.minutes / sum(each.minutes for each in trials[place:])
        seconds = float(max(0.0, deadline - time.monotonic()) * share)
        work = folder / f"{place:02d}-{trial.name}"
        work.mkdir()
        chance = random.Random(f"{seed} {trial.name} {trial.what}")
        finding = try_out(trial, Run(trial.goal, seconds, chance, work, teller(trial.name)))
        end_children()
        shutil.rmtree(work, ignore_errors=True)
        yield finding
        print(f"\r  {finding.done:,} {trial.unit}, {finding.verdict}\033[K", file=sys.stderr, flush=True)
        for each in finding.wrong[:5]:
            print(f"  wrong: {each}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
