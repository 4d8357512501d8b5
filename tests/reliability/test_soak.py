"""`make soak`: a few cheap trials in some seconds, what counts as failed, and that nothing is left behind."""

import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from benchmarks.soak.bodies import damaged_cases, is_harmless
from benchmarks.soak.security import auc
from benchmarks.soak.stress import slope_of
from benchmarks.soak.table import as_table
from benchmarks.soak.trial import Finding, LeftOut, Run, Trial, try_out
from benchmarks.soak.trials import TRIALS, chosen

ROOT = Path(__file__).parents[2]
THREAT_MODEL_LONG = set(
    "R02 R03 R04 R06 R07 R08 R09 R10 R11 R12 R13 R15 R16 R17 R18 R19 R21 R23 R24 R25 R26".split()
)
THREAT_MODEL_LONG |= set("S04 S12 S17 S21 S23 S27 S29".split())


def soak(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The command, on a folder for temporary files that can be looked at afterwards."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "RUN_FOLDER"))}
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.soak", *arguments],
        cwd=ROOT,
        env={**kept, "TMPDIR": str(tmp_path), "SOAK_MARK": tmp_path.name},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def alive(mark: str) -> list[str]:
    """Processes that were started with this mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"SOAK_MARK={mark}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / f"soak-{uuid.uuid4().hex}"
    own.mkdir()
    return own


def test_every_demand_with_a_long_figure_has_a_trial() -> None:
    assert {trial.name for trial in TRIALS} == THREAT_MODEL_LONG
    assert {trial.name for trial in chosen(["s04", "R09"])} == {"R09", "S04"}
    with pytest.raises(SystemExit, match="no trial X99"):
        chosen(["X99"])


@pytest.mark.long
@pytest.mark.server
def test_cheap_trials_in_a_few_seconds_make_a_table(folder: Path) -> None:
    table = folder / "table.md"
    names = ["R07", "R09", "S04", "S23"]
    process = soak(folder, *names, "--minutes", "0.15", "--seed", "4", "--output", str(table))
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, output + errors
    assert "Seed 4, 0.15 minutes, 4 trials" in errors
    rows = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == names
    assert {row[3] for row in rows[2:]} == {"0"}
    assert all(re.fullmatch(r"ok|cut short at [\d,]+ of [\d,]+", row[6]) for row in rows[2:]), rows
    assert table.read_text() == output
    assert [path.name for path in folder.iterdir()] == ["table.md"], "its own folders are gone"
    assert alive(folder.name) == []


@pytest.mark.long
@pytest.mark.server
def test_stopped_by_hand_it_leaves_nothing_running_and_tells_what_it_has(folder: Path) -> None:
    process = soak(folder, "R21", "R03", "--minutes", "5")
    assert process.stderr is not None
    while "R21" not in (line := process.stderr.readline()):
        assert line, "it ended by itself"
    deadline = time.monotonic() + 180
    while len(alive(folder.name)) < 4:
        assert time.monotonic() < deadline, "no portal was started"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 130, errors
    assert "0 of 2 trials" in output
    assert alive(folder.name) == []
    assert list(folder.iterdir()) == []


def attempt(tmp_path: Path, work: object, goal: int = 3) -> Finding:
    trial = Trial("R99", "something", goal, "things", "nothing wrong", 1, work)
    return try_out(trial, Run(goal, 60, random.Random(1), tmp_path))


def test_each_way_to_end_has_its_verdict(tmp_path: Path) -> None:
    def whole(run: Run) -> None:
        run.count(3)

    def short(run: Run) -> None:
        run.count(2)

    def wrong(run: Run) -> None:
        run.count(3)
        run.note_wrong("one lost")

    def missed(run: Run) -> None:
        run.count(3)
        run.demand("slowest", "9 s", met=False)

    def broken(run: Run) -> None:
        raise ValueError("no such thing")

    def left_out(run: Run) -> None:
        raise LeftOut("there is no disk")

    findings = [attempt(tmp_path, work) for work in (whole, short, wrong, missed, broken, left_out)]
    assert [finding.verdict for finding in findings] == [
        "ok",
        "cut short at 2 of 3",
        "FAILED",
        "FAILED",
        "FAILED",
        "left out because there is no disk",
    ]
    text = as_table(findings, seed=1, minutes=1, of=6)
    assert "* one lost" in text
    assert "* not as wanted: slowest 9 s" in text
    assert re.search(r"\* ValueError at test_soak.py:\d+: no such thing", text)


def test_a_run_ends_with_its_goal_or_its_time_and_does_something_in_any_case(tmp_path: Path) -> None:
    late = Run(10, 0, random.Random(1), tmp_path)
    assert late.more(), "once at least"
    late.count()
    assert not late.more()
    early = Run(2, 60, random.Random(1), tmp_path)
    early.count(2)
    assert not early.more()


def test_the_judges_of_damaged_data_agree_on_good_and_tell_bad(tmp_path: Path) -> None:
    accepted, stricter, wrong = damaged_cases((5, str(tmp_path)), cases=300)
    assert wrong == []
    assert 0 < accepted < 100
    assert stricter < 100
    good = [("1.dat", b"x")]
    assert is_harmless(good, good, good)
    assert is_harmless(good, None, good), "another reader is afraid of a version"
    assert not is_harmless([("1.dat", b"y")], None, good)
    assert not is_harmless(good, [("1.dat", b"y")], good), "two readers, two contents"
    assert not is_harmless(b"x", None, b"x"), "what zlib refuses is not taken"


def test_the_area_and_the_slope_are_what_they_should_be() -> None:
    assert auc([1, 2, 3], [4, 5, 6]) == 1
    assert auc([4, 5, 6], [1, 2, 3]) == 0
    assert auc([1, 2, 2, 3], [1, 2, 2, 3]) == 0.5
    slope, doubt = slope_of([(0, 1), (1, 3), (2, 5)])
    assert (round(slope, 6), round(doubt, 6)) == (2, 0)
