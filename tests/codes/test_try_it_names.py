"""What the try-it endpoints know of the catalogue."""

import contextlib

import pytest

from codes.catalogue.values import Catalogue
from codes.models import Meaning
from portal.server.try_it import catalogue_names


@pytest.mark.django_db
@pytest.mark.usefixtures("catalogue")
def test_the_names_are_those_of_the_first_meaning_of_each_code(
    authored: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It closes a connection that is inside a transaction, as that of every test is.
    monkeypatch.setattr("portal.server.try_it.database", contextlib.nullcontext)
    names = catalogue_names()
    assert names.keys() == {(code.registry, code.code) for code in authored.codes}
    for meaning in Meaning.objects.filter(position=0).select_related("status_code"):
        named = names[meaning.status_code.registry_id, meaning.status_code.code]
        assert (named.name, named.summary) == (meaning.name, meaning.summary)
        assert list(named.http_statuses) == meaning.status_code.http_statuses
