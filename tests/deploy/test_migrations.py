"""Migrations run forwards and back over data without changing it (R24)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_r24_every_migration_runs_back_and_forth_over_data(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.deploy.migration_walk", "1000"],
        env={
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "PORTAL_DATA_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["steps"] >= 6
    assert found["longest_seconds"] < 60
