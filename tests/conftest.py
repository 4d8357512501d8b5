"""What all tests share."""

import gc
from typing import Any

import pytest


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name long byte strings by their length: compressed data bears the time, and workers must agree on names."""
    return f"{argname}-of-{len(val)}" if isinstance(val, bytes) and len(val) > 16 else None


#: Folders whose files take longest: workers get them first, so that none is left with a long one at the end.
LONGEST_FIRST = ("reliability", "deploy", "browser", "contract")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first where several workers share the run."""
    if not hasattr(config, "workerinput"):
        return
    order = {folder: place for place, folder in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.nodeid.split("/")[1], len(order)))


def pytest_collection_finish() -> None:
    """What has been loaded by now stays to the end: collecting garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _limits_count_from_zero() -> None:
    """No test uses up what another one may ask for."""
    from portal.http.counters import CounterTable
    from portal.http.limits import COUNTER

    COUNTER.table = CounterTable()


@pytest.fixture(scope="session", autouse=True)
def _catalogue_was_seen() -> None:
    """Many tests need but a few rows of the catalogue, or none; that it may be missing has tests of its own."""
    from codes.pages.not_loaded import CatalogueMiddleware

    CatalogueMiddleware.was_seen = True


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Tests that empty every table could not, with the audit record's triggers; its own tests put them back."""
    from django.db import connection

    from portal.audit import triggers
    from tests.emptying import QuickFlush

    with django_db_blocker.unblock():
        triggers.remove(connection)
        QuickFlush(connection).install()
