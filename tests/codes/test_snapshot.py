"""Pages and API answers of the catalogue come from memory: one query for any code, and rows rendered once."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from codes import snapshot
from codes.lookup import find_code
from codes.models import LocalNote, Meaning, Release, StatusCode
from codes.release import content_version, one_version
from codes.templatetags import catalogue as tags
from codes.templatetags.catalogue import rendered_once

pytestmark = pytest.mark.django_db
Queries = Callable[[int], Any]


@pytest.mark.parametrize("address", ["404", "499", "503", "200", "471"])
@pytest.mark.parametrize("start", ["/codes/http/", "/api/v1/codes/http/"])
def test_any_code_takes_one_query(
    catalogue: None, client: Client, django_assert_num_queries: Queries, start: str, address: str
) -> None:
    client.get(f"{start}{address}/")
    with django_assert_num_queries(1):  # the version of the catalogue and of the site's notes
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


def test_a_note_changes_the_page_and_the_api_at_once(catalogue: None, client: Client) -> None:
    def shown() -> list[bool]:
        answers = [client.get(f"{start}/codes/http/503/") for start in ("", "/api/v1")]
        return [b"Ask the night shift." in answer.content for answer in answers]

    assert shown() == [False, False]
    note = LocalNote.objects.create(meaning=Meaning.objects.get(pk="http/503/ietf"), text="Ask the night shift.")
    assert shown() == [True, True]
    note.text = "Ask the day shift."
    note.save()
    assert shown() == [False, False]


def test_a_request_reads_the_version_once_and_the_next_one_again(
    catalogue: None, django_assert_num_queries: Queries
) -> None:
    with django_assert_num_queries(1), one_version():
        before = content_version()
        assert content_version() is before
    with one_version(), django_assert_num_queries(1):
        assert content_version() == before


def test_rows_are_rendered_once_for_a_release(catalogue: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(snapshot.current().codes.values())
    first = rendered_once("includes/_code.html", rows)
    assert first.count("<li>") == len(rows)
    monkeypatch.setattr(tags, "render_to_string", lambda *_: pytest.fail("rendered again"))
    assert rendered_once("includes/_code.html", rows) == first


def test_another_load_shows_its_own_rows(catalogue: None, client: Client) -> None:
    assert b"A new name" not in client.get("/codes/").content
    StatusCode.objects.filter(pk="http/404").update(name="A new name")
    Release.objects.create(digest="another")
    for address in ("/codes/", "/codes/http/", "/api/v1/codes/", "/api/v1/classes/http/4xx/"):
        assert b"A new name" in client.get(address).content, address


def test_chosen_fields_and_the_public_address_hold_for_kept_answers(
    catalogue: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(query: str) -> dict[str, Any]:
        row: dict[str, Any] = client.get(f"/api/v1/vendors/{query}").json()["results"][0]
        return row

    assert list(first("?fields=slug,url")) == ["slug", "url"]
    whole = first("")
    assert list(whole)[:2] == ["slug", "name"]
    assert whole["url"].startswith("/codes/vendors/")
    environment = dataclasses.replace(settings.ENVIRONMENT, public_url="https://codes.example.org")
    monkeypatch.setattr(settings, "ENVIRONMENT", environment)
    assert first("")["url"] == f"https://codes.example.org{whole['url']}"


def test_the_snapshot_of_a_release_is_read_once(catalogue: None, django_assert_num_queries: Queries) -> None:
    first = snapshot.current()
    with django_assert_num_queries(1):
        assert snapshot.current() is first
