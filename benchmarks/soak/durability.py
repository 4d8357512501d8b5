"""Trials of durability: power cuts, kills, failing calls, crash states (R2, R3, R4, R12)."""

import itertools
import shutil
import tempfile
from pathlib import Path

from benchmarks.soak import stage
from benchmarks.soak.trial import Run, described
from tests.reliability.disk import cut_disk
from tests.reliability.faults import CALLS, KINDS, Bench, fail_once
from tests.reliability.kills import cut_under_load, kill_under_load
from tests.reliability.portal import Portal
from tests.reliability.recording import Recording, after_cuts, losses, record
from tests.reliability.senders import Book

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EMFILE", "EROFS", "EFBIG")
CUTS_OF_A_RECORDING = 500
KILLS_OF_A_LOAD = 250
CUTS_OF_A_FILLING = 20
STATES_OF_A_RECORDING = 125
#: Of the time for many objects the part in which they are made.
FILLING = 0.6


def new_recording(run: Run, portal: Portal) -> Recording:
    return record(portal, Path(tempfile.mkdtemp(dir=run.folder)), seed=run.chance.randrange(10**6))


def replay_cuts(run: Run) -> None:
    """R2 on paper: the recorded uploads, cut off at random places."""
    stage.need_tracing()
    recordings = 0
    while run.more():
        with stage.portal(run) as portal:
            recorded = new_recording(run, portal)
        recordings += 1
        for files, reported in after_cuts(recorded, min(CUTS_OF_A_RECORDING, run.goal - run.done), run.chance):
            run.note_wrong(*losses(files, run.folder, reported, recorded.acknowledged))
            run.count()
            if not run.more():
                break
    run.figures["recordings of 100 uploads"] = str(recordings)


def cut_power(run: Run) -> None:
    """R2 for real: a whole portal on a disk of its own that loses its power under load."""
    stage.need_disk()
    uploads, longest = 0, 0.2
    with cut_disk() as cutting, stage.portal(run, at=cutting.mount_point) as portal:
        cutting.settle()
        acknowledged: dict[str, str] = {}
        while run.more():
            book = cut_under_load(cutting, portal, run.chance.uniform(0.02, longest), run.chance.randrange(10**6))
            acknowledged |= book.acknowledged
            uploads += len(book.acknowledged)
            # On a busy machine it takes longer until there is something to lose.
            longest = max(0.2, longest * 0.9) if book.acknowledged else min(3.0, longest * 1.3)
            run.note_wrong(*book.wrong)
            stage.judge(run, portal, acknowledged)
            run.count()
            if run.done % CUTS_OF_A_FILLING == 0:
                stage.empty(portal)
                acknowledged.clear()
                cutting.settle()
    run.figures["uploads acknowledged"] = f"{uploads:,}"


def kill_processes(run: Run) -> None:
    """R3: workers, and one time in ten the supervisor."""
    uploads = 0
    with stage.portal(run) as portal:
        while run.more():
            book = Book()
            portal.start("supervisor")
            kills = min(KILLS_OF_A_LOAD, run.goal - run.done)
            seconds = max(2.0, min(60.0, run.left))
            done = kill_under_load(portal, book, kills, run.chance.randrange(10**6), seconds=seconds)
            portal.stop()
            run.note_wrong(*book.wrong)
            stage.judge(run, portal, book.acknowledged)
            uploads += len(book.acknowledged)
            run.count(done)
            stage.empty(portal)
    run.figures["uploads acknowledged"] = f"{uploads:,}"


def fail_calls(run: Run) -> None:
    """R4, R5: every call of a delivery, with each error, for each kind of upload."""
    stage.need_tracing()
    with stage.portal(run) as portal:
        portal.start("alone")
        bench = Bench(portal, run.folder / "calls")
        portal.send("/datafeed", {"Feed": "REJECT-FEED"}, b"opens the connection of the counts")
        bench.send("plain")
        portal.wait_until_ready()
        calls = [(kind, call, number) for kind in KINDS for call in CALLS for number in every(bench, kind, call)]
        cases = list(itertools.product(calls, ERRORS))
        run.goal = len(cases)
        run.figures["calls"] = str(len(calls))
        # In any order, so that what a short run tries is of every kind.
        run.chance.shuffle(cases)
        for (kind, call, number), error in cases:
            if not run.more():
                break
            try:
                fail_once(bench, kind, call, number, error)
            except (AssertionError, OSError) as fault:
                run.note_wrong(f"{kind} {call} {number} {error}: {described(fault)}")
                restart(portal)
            run.count()
        portal.kill()
        stage.judge(run, portal, bench.acknowledged)


def every(bench: Bench, kind: str, call: str) -> list[int]:
    bench.make_ready(call)
    return bench.count(kind, call, most=1000)


def restart(portal: Portal) -> None:
    portal.kill()
    portal.check()
    portal.start("alone")


def crash_states(run: Run) -> None:
    """R12: the store as crashes leave it; a start and `check_store` must explain and mend all of it."""
    stage.need_tracing()
    found = 0
    with stage.portal(run) as portal:
        before = Path(tempfile.mkdtemp(dir=run.folder)) / "data"
        shutil.copytree(portal.data_dir, before)
        while run.more():
            replace_data(portal.data_dir, read_files(before))
            recorded = new_recording(run, portal)
            for files, reported in after_cuts(
                recorded, min(STATES_OF_A_RECORDING, run.goal - run.done), run.chance
            ):
                replace_data(portal.data_dir, files)
                found += len(portal.start_up())
                run.note_wrong(*(finding for finding in portal.check() if not finding[2]))
                run.note_wrong(*portal.check(repair=False))
                run.note_wrong(*portal.lost({name: recorded.acknowledged[name] for name in reported}))
                run.count()
                if not run.more():
                    break
    run.figures["objects that a start mended"] = f"{found:,}"


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def replace_data(folder: Path, files: dict[str, bytes]) -> None:
    """Make a data dir hold exactly these; a store it has in any case."""
    shutil.rmtree(folder)
    (folder / "store").mkdir(mode=0o700, parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(content)


def many_objects(run: Run) -> None:
    """R12: how long a check of so many takes, and whether each flipped bit is found."""
    result = stage.script(run, "benchmarks.soak.many", str(run.goal), str(run.left * FILLING))
    run.note_wrong(*result["unexplained"])
    run.demand("check", f"{result['seconds']:.1f} s", met=result["seconds"] <= 10)
    run.figures["with checksums"] = f"{result['deep_seconds']:.1f} s"
    run.demand(
        "flipped bits found", f"{result['found']} of {result['flipped']}", met=result["found"] == result["flipped"]
    )
    run.count(result["objects"])
