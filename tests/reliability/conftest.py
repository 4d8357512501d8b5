"""Portals to be mistreated."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.portal import Portal


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data dir with schema and feeds, to be copied."""
    data_dir = tmp_path_factory.mktemp("template") / "data"
    data_dir.mkdir()
    with Portal(data_dir) as portal:
        portal.prepare()
    return data_dir


@pytest.fixture(scope="module")
def portal(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One portal for a module; each test starts it as it wants and leaves it stopped."""
    data_dir = tmp_path_factory.mktemp("portal") / "data"
    shutil.copytree(template, data_dir)
    with Portal(data_dir) as portal:
        yield portal
