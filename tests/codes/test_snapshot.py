"""Pages and API answers of the catalogue come from memory: few queries, the same number for any code."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from codes import snapshot
from codes.lookup import find_code
from codes.models import LocalNote, Meaning

pytestmark = pytest.mark.django_db
Queries = Callable[[int], Any]


@pytest.mark.parametrize("address", ["404", "499", "503", "200", "471"])
@pytest.mark.parametrize("start", ["/codes/http/", "/api/v1/codes/http/"])
def test_any_code_takes_at_most_two_queries(
    catalogue: None, client: Client, django_assert_max_num_queries: Queries, start: str, address: str
) -> None:
    client.get(f"{start}{address}/")
    with django_assert_max_num_queries(2):  # the digest of the release; the site's notes
        assert client.get(f"{start}{address}/").status_code == 200


def test_a_note_is_shown_at_once_and_goes_at_once(catalogue: None) -> None:
    def notes() -> list[str]:
        found = find_code("http", "503")
        assert found is not None
        return [note.text for note in found.local_notes]

    assert notes() == []
    note = LocalNote.objects.create(meaning=Meaning.objects.get(pk="http/503/ietf"), text="Ask the night shift.")
    assert notes() == ["Ask the night shift."]
    note.delete()
    assert notes() == []
    row = snapshot.current().codes["http/503"]
    assert all("local_notes" not in vars(meaning)["_prefetched_objects_cache"] for meaning in row.meanings.all())


def test_the_snapshot_of_a_release_is_read_once(catalogue: None, django_assert_num_queries: Queries) -> None:
    first = snapshot.current()
    with django_assert_num_queries(1):
        assert snapshot.current() is first
