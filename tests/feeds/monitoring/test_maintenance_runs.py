"""Prometheus is given when each piece of maintenance ran last, and how it ended."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from prometheus_client import CollectorRegistry

from feeds.monitoring.maintenance_runs import FOLDER, MaintenanceCollector, Run, last_runs, recorded
from tests.factories import make_feed
from tests.feeds.maintenance.depot import Depot, running_depot

pytestmark = pytest.mark.django_db


@pytest.fixture
def depot(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    settings.DATA_DIR = tmp_path
    make_feed("OPEN-FEED")
    yield from running_depot(tmp_path / "store", settings, monkeypatch)


def value(data_dir: Path, name: str, task: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(MaintenanceCollector(data_dir))
    return registry.get_sample_value(f"stroom_portal_maintenance_{name}", {"task": task})


@pytest.mark.parametrize(
    ("task", "command"),
    [
        ("prune", ["prune_receipts"]),
        ("check", ["check_store"]),
        ("export", ["export_receipts", "--output", "{}/out"]),
    ],
)
def test_a_command_records_its_end(depot: Depot, tmp_path: Path, task: str, command: list[str]) -> None:
    call_command(*(word.format(tmp_path) for word in command), stdout=StringIO(), stderr=StringIO())
    assert last_runs(tmp_path)[task].ok
    assert value(tmp_path, "ok", task) == 1
    assert value(tmp_path, "ended_timestamp_seconds", task) == value(tmp_path, "succeeded_timestamp_seconds", task)


def test_a_failed_run_keeps_when_one_last_ended_well(depot: Depot, tmp_path: Path) -> None:
    receipt = depot.keep("OPEN-FEED", b"data")
    call_command("check_store", stdout=StringIO())
    well = value(tmp_path, "succeeded_timestamp_seconds", "check")
    depot.data(receipt).unlink()
    with pytest.raises(CommandError):
        call_command("check_store", stdout=StringIO(), stderr=StringIO())
    assert value(tmp_path, "ok", "check") == 0
    assert value(tmp_path, "succeeded_timestamp_seconds", "check") == well
    assert value(tmp_path, "ended_timestamp_seconds", "check") != well


def test_a_backup_that_is_refused_is_recorded_as_failed(depot: Depot, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="inside the data folder"):
        call_command("backup", str(tmp_path / "copy"), stdout=StringIO(), stderr=StringIO())
    assert value(tmp_path, "ok", "backup") == 0
    assert value(tmp_path, "succeeded_timestamp_seconds", "backup") is None


def test_what_never_ran_has_no_figures_and_a_dry_run_is_none(depot: Depot, tmp_path: Path) -> None:
    call_command("prune_receipts", "--dry-run", stdout=StringIO())
    assert last_runs(tmp_path) == {}
    assert value(tmp_path, "ok", "prune") is None


def test_a_file_that_is_not_ours_or_cannot_be_written_stops_no_maintenance(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("no folder")
    with recorded(tmp_path, "prune"):
        pass
    assert last_runs(tmp_path) == {}
    (tmp_path / FOLDER).unlink()
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "prune.json").write_text('{"odd": 1}')
    with recorded(tmp_path, "prune"):
        pass
    assert isinstance(last_runs(tmp_path)["prune"], Run)
