"""One running server for each module of contract tests; its feeds and receipts are removed afterwards."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.factories import make_feed
from tests.live import Live
from tests.live_fixtures import database, db, live_with

__all__ = ["database", "db"]


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Live]:
    yield from live_with(tmp_path_factory.mktemp("data"), django_db_blocker, lambda: None)


@pytest.fixture(scope="module")
def two_feeds(live: Live) -> None:
    """One that receives and one that rejects."""
    make_feed("OPEN-FEED")
    make_feed("REJECT-FEED", status="Reject")


@pytest.fixture
def emptied(live: Live) -> Iterator[None]:
    """What a test has delivered is gone after it."""
    yield
    live.clear()
