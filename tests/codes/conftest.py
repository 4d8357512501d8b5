"""The catalogue as values, and in the database: loaded once for a whole module and gone afterwards."""

from collections.abc import Iterator

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoDbBlocker

from codes import loading
from codes.catalogue.reader import read_catalogue
from codes.catalogue.values import Catalogue


@pytest.fixture(scope="session")
def authored() -> Catalogue:
    """What the files of the product say."""
    return read_catalogue(loading.DATA_DIRECTORY)


@pytest.fixture(scope="module")
def catalogue(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[loading.LoadReport]:
    """The files of the product in the database; what a test adds is undone by its own `db` fixture."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield loading.load()
        transaction.set_rollback(True)


@pytest.fixture
def site(catalogue: loading.LoadReport, db: None) -> Client:
    """A caller without a login, at a portal that has the catalogue."""
    return Client(headers={"host": "localhost"})
