"""Last run and result of each maintenance task, for Prometheus.

A command writes one small file in the data folder at its end; whichever worker is asked for metrics reads them.
They outlive a restart of the portal, as a backup of last night does.
"""

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feeds.monitoring.metrics import NAMESPACE
from portal.files import write_durably

log = logging.getLogger(__name__)

FOLDER = "maintenance"
TASKS = ("backup", "check", "export", "prune")


@dataclass(frozen=True)
class Run:
    """The last run of a task. `succeeded` is when one ended well, perhaps an earlier one; seconds since 1970."""

    ended: float
    ok: bool
    succeeded: float | None = None


@contextmanager
def recorded(data_dir: Path, task: str) -> Iterator[None]:
    """Record how the block ends: well, unless it raises."""
    ok = False
    try:
        yield
        ok = True
    finally:
        _record(data_dir, task, ok=ok)


def last_runs(data_dir: Path) -> dict[str, Run]:
    """Return the last run of each task that has run and can be read."""
    runs = {}
    for task in TASKS:
        with contextlib.suppress(OSError, ValueError, TypeError):
            runs[task] = Run(**json.loads(_file(data_dir, task).read_bytes()))
    return runs


class MaintenanceCollector(Collector):
    """Gives Prometheus the last runs when it asks."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def collect(self) -> Iterator[Metric]:
        return self._figures(last_runs(self._data_dir))

    def _figures(self, runs: dict[str, Run]) -> Iterator[Metric]:
        ok = _gauge("maintenance_ok", "1 where the last run of this task ended well.")
        ended = _gauge("maintenance_ended_timestamp_seconds", "When the last run of this task ended.")
        succeeded = _gauge("maintenance_succeeded_timestamp_seconds", "When a run of this task last ended well.")
        for task, run in runs.items():
            ok.add_metric([task], run.ok)
            ended.add_metric([task], run.ended)
            if run.succeeded is not None:
                succeeded.add_metric([task], run.succeeded)
        yield from (ok, ended, succeeded)


def _record(data_dir: Path, task: str, *, ok: bool) -> None:
    now = time.time()
    before = last_runs(data_dir).get(task)
    run = Run(now, ok, now if ok else before.succeeded if before else None)
    try:
        file = _file(data_dir, task)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        write_durably(file, json.dumps(asdict(run)).encode())
        if os.geteuid() == 0:  # the portal, which is another user, reads it and writes the next one
            owner = data_dir.stat()
            for path in (file.parent, file):
                os.chown(path, owner.st_uid, owner.st_gid)
    except OSError as fault:
        log.warning("the end of %s is not recorded for Prometheus: %s", task, fault)


def _file(data_dir: Path, task: str) -> Path:
    return data_dir / FOLDER / f"{task}.json"


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{NAMESPACE}_{name}", text, labels=["task"])
