"""A portal without a catalogue says so at every address of it, instead of failing or calling numbers unknown."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client
from django.urls import URLPattern

from codes.models import Registry
from codes.pages import urls
from codes.pages.not_loaded import CatalogueMiddleware
from tests.calls import anonymous, problem_of

pytestmark = pytest.mark.django_db
DESCRIPTION = Path(__file__).parents[3] / "docs" / "openapi.yaml"
FILLED = {
    "registry": "http",
    "code": "404",
    "owner": "ietf",
    "slug": "nginx",
    "key": "4xx",
}
REMEDY = "manage.py load_catalogue"
PASTED = "HTTP/1.1 404 Not Found\r\n"


@pytest.fixture(autouse=True)
def _nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CatalogueMiddleware, "was_seen", False)


def filled(route: str) -> str:
    return re.sub(r"[<{](?:\w+:)?(\w+)[>}]", lambda match: FILLED[match[1]], route)


def pages() -> list[str]:
    return [f"/codes/{filled(str(one.pattern))}" for one in urls.urlpatterns if isinstance(one, URLPattern)]


def api() -> Iterator[tuple[str, str]]:
    for path, operations in yaml.safe_load(DESCRIPTION.read_text())["paths"].items():
        for method, operation in operations.items():
            if operation.get("tags") == ["catalogue"]:
                yield method, filled(path)


@pytest.mark.parametrize("accepted", ["text/html", "text/plain", "application/json"])
def test_every_page_says_that_nothing_is_loaded(accepted: str) -> None:
    addresses = pages()
    assert {"/codes/", "/codes/http/404/", "/codes/http/404/ietf/", "/codes/explain/"} <= set(addresses)
    for address in [*addresses, "/codes/?q=404", "/codes/http/471/", "/codes/lookup/?http=403&stroom=310"]:
        answer = Client(headers={"Accept": accepted}).get(address)
        assert (answer.status_code, REMEDY in answer.text) == (503, True), address
    answer = Client().post("/codes/explain/", {"text": PASTED})
    assert (answer.status_code, REMEDY in answer.text) == (503, True)


def test_every_address_of_the_api_says_that_nothing_is_loaded() -> None:
    asked = list(api())
    assert {("get", "/api/v1/codes/http/404/"), ("post", "/api/v1/codes/explain/")} <= set(asked)
    for method, address in asked:
        answer = anonymous().call(method.upper(), address, {"text": PASTED} if method == "post" else None)
        assert REMEDY in problem_of(answer, 503)["detail"], address
        assert answer["Access-Control-Allow-Origin"] == "*"


def test_the_first_page_is_there_and_says_it_too() -> None:
    answer = Client().get("/")
    assert answer.status_code == 200
    assert REMEDY in answer.text


def test_what_needs_no_catalogue_works() -> None:
    assert Client().get("/docs/").status_code == 200
    assert anonymous().get("/api/schema/?format=json").status_code == 200
    assert Client().options("/api/v1/codes/").status_code == 204
    assert Client().get("/nowhere/").status_code == 404


def test_after_the_remedy_all_is_well() -> None:
    assert Client().get("/codes/http/404/").status_code == 503
    call_command("load_catalogue", verbosity=0)
    for address in ["/", *(page.replace("headers/nginx", "headers/retry-after") for page in pages())]:
        wanted = 404 if address == "/codes/sources/nginx/" else 200
        answer = Client().get(address, follow=True)
        assert (answer.status_code, REMEDY in answer.text) == (wanted, False), address
    assert CatalogueMiddleware.was_seen


def test_a_database_that_fails_is_not_called_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bool:
        raise OperationalError("database is locked")

    monkeypatch.setattr(type(Registry.objects.all()), "exists", fail)
    assert Client(raise_request_exception=False).get("/api/v1/vendors/nginx/").status_code == 404
    assert not CatalogueMiddleware.was_seen
