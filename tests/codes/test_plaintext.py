"""Codes as plain text for terminals, at the address of their page."""

import pytest
from django.test import Client

from codes.models import StatusCode

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]

TEXT = {"Accept": "text/plain"}


@pytest.mark.parametrize("accept", ["text/plain", "text/plain, */*;q=0.1", "text/plain;q=0.9, text/html;q=0.5"])
def test_who_asks_for_plain_text_gets_it(accept: str) -> None:
    response = Client().get("/codes/http/404/", headers={"Accept": accept})
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.startswith(b"HTTP 404 Not Found  (registered)\n")
    assert "Accept" in response["Vary"]


@pytest.mark.parametrize(
    "accept", ["*/*", "text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "image/png", ""]
)
def test_everyone_else_gets_the_page(accept: str) -> None:
    response = Client().get("/codes/http/404/", headers={"Accept": accept})
    assert response["Content-Type"].startswith("text/html")
    assert "Accept" in response["Vary"]


def test_every_code_has_a_text_with_its_names_advice_and_addresses() -> None:
    client = Client()
    for row in StatusCode.objects.prefetch_related("meanings"):
        text = client.get(row.get_absolute_url(), headers=TEXT).content.decode()
        words = " ".join(text.split())
        for meaning in row.meanings.all():
            assert meaning.name in words
            assert " ".join(meaning.summary.split()) in words
            assert " ".join(meaning.what_to_do["sender"].split()) in words
        assert f"JSON            /api/v1{row.get_absolute_url()}" in text
        assert max(len(line) for line in text.splitlines()) <= 90  # a single long word may stand out


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/codes/http/471/", ["HTTP 471  (not assigned)", "act as on HTTP 400", "Sender"]),
        ("/codes/http/799/", ["HTTP 799  (not a valid status)", "act as on HTTP 500"]),
        ("/codes/stroom/555/", ["Stroom 555  (not assigned)", "act on the HTTP status"]),
        ("/codes/stroom/310/", ["with HTTP 403 or HTTP 401"]),
        ("/codes/http/451/", ["[IETF", "[Microsoft"]),
        ("/codes/http/451/microsoft/", ["HTTP 451 Redirect"]),
    ],
)
def test_odd_numbers_and_single_owners_have_a_text_too(path: str, words: list[str]) -> None:
    text = " ".join(Client().get(path, headers=TEXT).content.decode().split())
    for word in words:
        assert " ".join(word.split()) in text


def test_the_text_is_read_conditionally_and_apart_from_the_page() -> None:
    client = Client()
    first = client.get("/codes/http/404/", headers=TEXT)
    assert client.get("/codes/http/404/", headers={**TEXT, "If-None-Match": first["ETag"]}).status_code == 304
    page = client.get("/codes/http/404/", headers={"If-None-Match": first["ETag"]})
    assert page.status_code == 200
