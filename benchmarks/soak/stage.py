"""Portals to be tried, and what must hold of each when it has been."""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.soak.trial import LeftOut, Run
from tests.reliability import disk, tracing
from tests.reliability.portal import Portal

ROOT = Path(__file__).parents[2]


@functools.cache
def template(folder: Path) -> Path:
    """A data dir with schema and feeds, made once and copied for each portal."""
    data_dir = folder / "template"
    data_dir.mkdir()
    with Portal(data_dir) as portal:
        portal.prepare()
    return data_dir


@contextmanager
def portal(run: Run, *, at: Path | None = None, **settings: str) -> Iterator[Portal]:
    """A portal with data of its own, not started yet.

    Args:
        run: the trial that it is for.
        at: where its data is, instead of in a folder of the trial.
        settings: differing from those of the tests.
    """
    folder = at or Path(tempfile.mkdtemp(prefix="portal-", dir=run.folder))
    shutil.copytree(template(run.folder.parent), folder / "data")
    # Many requests from one address are what a trial is.
    with Portal(folder / "data", **{"PORTAL_ANONYMOUS_RATE": "0", **settings}) as made:
        yield made
    shutil.rmtree(folder / "data", ignore_errors=True)


def need_tracing() -> None:
    if reason := tracing.unavailable():
        raise LeftOut(reason)


def need_disk() -> None:
    if reason := disk.unavailable():
        raise LeftOut(reason)


def judge(run: Run, portal: Portal, acknowledged: Mapping[str, str]) -> None:
    """Of a dead portal: nothing that was acknowledged is lost, and a check mends all that it finds."""
    run.note_wrong(*portal.lost(acknowledged))
    run.note_wrong(*(finding for finding in portal.check() if not finding[2]))
    run.note_wrong(*portal.check(repair=False))
    run.note_wrong(*(f"left over: {path}" for path in portal.files(".part")))


def empty(portal: Portal) -> None:
    """Forget what a dead portal has received, for trials that would fill the disk."""
    portal.execute("DELETE FROM feeds_receiptfeed")
    portal.execute("DELETE FROM feeds_receipt")
    for folder in (portal.store / "received").iterdir():
        shutil.rmtree(folder)


def script(run: Run, module: str, *arguments: str) -> Any:
    """Run one of our modules on data of its own; the last line that it prints, read as JSON."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "DATABASE_"))}
    data_dir = tempfile.mkdtemp(dir=run.folder)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**kept, "PORTAL_DATA_DIR": data_dir, "DJANGO_SETTINGS_MODULE": "portal.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(data_dir, ignore_errors=True)
    if done.returncode != 0:
        raise RuntimeError(f"{module} ended with {done.returncode}: {done.stderr[-300:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
