"""Fixtures of tests whose server has rows of its own; import them into a module or its conftest."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.live import Live, forget_everything, running

__all__ = ["database", "db", "live_with"]


@pytest.fixture
def db() -> None:
    """Instead of pytest-django's: the database is needed, but no transaction may hide its rows from the server."""


@pytest.fixture(autouse=True)
def database(db: None) -> None:
    """Every test here needs the database."""


def live_with(data_dir: Path, blocker: DjangoDbBlocker, prepare: Callable[[], object]) -> Iterator[Live]:
    """A running server for a fixture to yield, after what is to be in the database; emptied afterwards."""
    with blocker.unblock():
        prepare()
        with running(data_dir) as portal:
            yield portal
        forget_everything()
