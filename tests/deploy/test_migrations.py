"""Migrations run forwards and back over data without changing it (R24)."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AddField
from django.db.models import NOT_PROVIDED

from tests import postgresql
from tests.helpers.tiers import sizes
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


@pytest.mark.parametrize("kind", sizes("sqlite", "postgresql"))
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


def test_a3_a_column_that_came_later_has_a_default_in_the_database() -> None:
    """An older program does not name it when it inserts; on the way back, or on another host, it still writes."""
    loader = MigrationLoader(None)
    state = loader.project_state()
    missing = [
        f"{app}.{operation.model_name}.{operation.name}"
        for (app, name), migration in loader.disk_migrations.items()
        if app in {"feeds", "portal", "codes"} and not name.startswith("0001")
        for operation in migration.operations
        if isinstance(operation, AddField)
        and (app, operation.model_name_lower) in state.models
        and (field := state.models[app, operation.model_name_lower].fields.get(operation.name)) is not None
        and not field.null
        and not field.many_to_many
        and field.db_default is NOT_PROVIDED
    ]
    assert missing == []


def test_a3_the_changes_say_with_which_migrations_the_release_ends() -> None:
    newest = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1]
    told = re.search(r"^- Schema: (.*?) \(", newest, re.MULTILINE)
    assert told
    leaves = {app: name[:4] for app, name in MigrationLoader(None).graph.leaf_nodes()}
    assert told[1] == ", ".join(f"{app} {leaves[app]}" for app in ("feeds", "portal", "codes"))
