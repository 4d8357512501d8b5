"""Migrations run forwards and back over data without changing it (R24)."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgresql
from tests.postgresql import PostgreSql

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def database(kind: str) -> Iterator[dict[str, str]]:
    """Settings that name an empty database of this kind."""
    if kind == "sqlite":
        yield {}
        return
    if postgresql.unavailable():
        pytest.skip(postgresql.unavailable())
    with PostgreSql() as server:
        yield {"DATABASE_URL": server.url()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_r24_every_migration_runs_back_and_forth_over_data(tmp_path: Path, kind: str) -> None:
    with database(kind) as settings:
        run = subprocess.run(
            [sys.executable, "-m", "tests.deploy.migration_walk", "1000"],
            env={
                **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
                "PORTAL_DATA_DIR": str(tmp_path),
                "DJANGO_SETTINGS_MODULE": "portal.settings",
                **settings,
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
