"""Trials of kept data: backups, migrations, retention (R23, R24, R25)."""

import tempfile
from pathlib import Path

from benchmarks.soak import stage
from benchmarks.soak.trial import Run
from tests.deploy.portal import Portal as DeployedPortal
from tests.feeds.maintenance.drill import back_up_and_restore

KILLS_OF_A_PROCESS = 50


def drill(run: Run) -> None:
    """R23: backed up under load, restored elsewhere, and recorded again without the database."""
    while run.more():
        folder = Path(tempfile.mkdtemp(dir=run.folder))
        elsewhere = Path(tempfile.mkdtemp(dir=run.folder))
        with DeployedPortal(folder / "data") as portal:
            back_up_and_restore(portal, elsewhere)
        run.count()


def migrate(run: Run) -> None:
    """R24: every migration back and forth over so many receipts."""
    result = stage.script(run, "tests.deploy.migration_walk", str(run.goal))
    run.figures["steps"] = str(result["steps"])
    run.demand("longest step", f"{result['longest_seconds']} s", met=result["longest_seconds"] <= 60)
    run.count(run.goal)


def kill_retention(run: Run) -> None:
    """R25: runs of retention that are killed anywhere, until so many really were before their end."""
    while run.more():
        run.count(stage.script(run, "tests.feeds.maintenance.retention_kills", str(KILLS_OF_A_PROCESS)))
