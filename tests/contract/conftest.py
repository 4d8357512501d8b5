"""One running server for each module of contract tests; its feeds and receipts are removed afterwards."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.live import Live, forget_everything, running


@pytest.fixture
def db() -> None:
    """Instead of pytest-django's: the database is needed, but no transaction may hide its rows from the server."""


@pytest.fixture(autouse=True)
def database(db: None) -> None:
    """Every test here needs the database."""


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Live]:
    with django_db_blocker.unblock():
        with running(tmp_path_factory.mktemp("data")) as portal:
            yield portal
        forget_everything()
