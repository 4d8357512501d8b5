"""The OpenAPI description is complete, valid, committed, and served with its browser."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from codes import loading
from portal.rest import schema_examples
from portal.rest.schema_views import description
from tests.calls import anonymous, make_user, problem_of, superuser

ROOT = Path(__file__).resolve().parents[3]
METHODS = {"get", "post", "put", "patch", "delete"}
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return yaml.safe_load(description("yaml"))


def operations(openapi: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, item in openapi["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_the_committed_description_is_that_of_the_code(tmp_path: Path) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "openapi.yaml"))
    assert (ROOT / "docs/openapi.yaml").read_text() == (tmp_path / "openapi.yaml").read_text(), "run `make schema`"


def test_every_address_and_method_of_the_api_is_described(openapi: dict[str, Any]) -> None:
    described = {(method.upper(), path) for method, path, _ in operations(openapi)}
    tables = {(method, path) for method, path in described if _list_of(path) in openapi["paths"]}
    assert described - tables == set(api_methods())
    assert len(tables) > 15


def _list_of(path: str) -> str:
    """The list that an address of a table belongs to; nothing for others."""
    return f"{path.removesuffix('.csv')}/" if path.endswith(".csv") else ""


def api_methods() -> list[tuple[str, str]]:
    """Every method of every address below /api/v1/, from the URL map."""
    found = []
    for pattern, route in leaves(get_resolver().url_patterns):
        if route.startswith("api/v1/"):
            found += [(method, "/" + without_converters(route)) for method in methods_of(pattern)]
    return found


def leaves(patterns: Any, prefix: str = "") -> list[tuple[URLPattern, str]]:
    found = []
    for entry in patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            found += leaves(entry.url_patterns, route)
        else:
            found.append((entry, route))
    return found


def methods_of(pattern: URLPattern) -> list[str]:
    actions = getattr(pattern.callback, "actions", None)
    if actions:
        return [method.upper() for method in actions if method != "head"]
    view = pattern.callback.cls  # type: ignore[attr-defined]
    return [method.upper() for method in sorted(METHODS) if hasattr(view, method)]


def without_converters(route: str) -> str:
    return "/".join(
        "{" + part.strip("<>").split(":")[-1] + "}" if part.startswith("<") else part for part in route.split("/")
    )


def test_every_operation_has_its_own_id_and_words(openapi: dict[str, Any]) -> None:
    found = [operation for _, _, operation in operations(openapi)]
    assert len({operation["operationId"] for operation in found}) == len(found)
    unspoken = [operation["operationId"] for operation in found if len(operation.get("description", "")) < 10]
    assert not unspoken
    summaries = [operation["summary"] for operation in found]
    assert sorted(summaries) == sorted(set(summaries))


def test_every_group_of_operations_is_declared_and_used(openapi: dict[str, Any]) -> None:
    declared = {tag["name"] for tag in openapi["tags"]}
    used = {tag for path in openapi["paths"].values() for operation in path.values() for tag in operation["tags"]}
    assert used == declared


def test_every_answer_that_an_operation_may_give_is_described(openapi: dict[str, Any]) -> None:
    for method, path, operation in operations(openapi):
        answers = set(operation["responses"])
        where = (method, path)
        assert {"400", "500", "503"} <= answers, where
        if any(operation.get("security", ())):
            assert {"401", "403"} <= answers, where
        else:
            assert "429" in answers or path == "/api/v1/auth/token/", where
        if "{" in path:
            assert "404" in answers, where
        if method == "get" and _list_of(path) not in openapi["paths"]:
            assert "304" in answers, where
        if "requestBody" in operation:
            assert {"413", "415"} <= answers, where
        if path == "/api/v1/feeds/{name}/" and method != "get":
            assert "412" in answers, where
    assert "409" in openapi["paths"]["/api/v1/feeds/"]["post"]["responses"]


def test_every_key_and_every_parameter_has_its_words(openapi: dict[str, Any]) -> None:
    schemas = openapi["components"]["schemas"]
    shapes = {name: schema for name, schema in schemas.items() if not name.startswith("Paginated")}
    unspoken = [name for name, schema in shapes.items() if "enum" not in schema and not schema.get("description")]
    for name, schema in schemas.items():
        unspoken += [
            f"{name}.{key}" for key, found in schema.get("properties", {}).items() if "description" not in found
        ]
    for method, path, operation in operations(openapi):
        parameters = operation.get("parameters", ())
        unspoken += [f"{method} {path} {found['name']}" for found in parameters if "description" not in found]
    assert unspoken == []


def test_no_example_is_left_over_from_what_is_gone(openapi: dict[str, Any]) -> None:
    assert set(schema_examples.BODIES) <= {operation["operationId"] for _, _, operation in operations(openapi)}


def test_no_internal_docstring_leaks(openapi: dict[str, Any]) -> None:
    """Descriptions speak of the API, not of the classes that make it."""
    internal = re.compile(r"\b(DRF|Django|ORM|Python|self|Args:|Raises:)|[Mm]ixin|[Ss]erializer|`_\w+`")

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (str(value[key]) for key in ("description", "summary") if key in value)
            value = list(value.values())
        for item in value if isinstance(value, list) else ():
            yield from texts(item)

    assert [text for text in texts(openapi) if internal.search(text)] == []


def test_every_body_of_json_has_an_example_that_is_taken(openapi: dict[str, Any]) -> None:
    loading.load()
    make_user(username="admin")
    who = superuser()
    for name in ("WEB-ACCESS-EVENTS", "DNS-QUERIES"):
        who.put(f"/api/v1/feeds/{name}/", {})
    taken = []
    for path in sorted(openapi["paths"], key=len):
        for method in ("post", "put", "patch"):
            operation = openapi["paths"][path].get(method, {})
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None and "{proposal_id}" not in path and "{rule_id}" not in path:
                address = path.replace("{name}", "NAME")
                answer = who.call(method.upper(), address, body["example"])
                taken.append((method, path, answer.status_code))
    assert {status for _, _, status in taken} <= {200, 201, 204}, taken
    assert (
        len(taken) == len(schema_examples.BODIES) - 7
    )  # those of proposals and single rules have a test of their own


def test_every_decision_has_an_example_that_is_taken(openapi: dict[str, Any], settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    proposer, other = superuser(), superuser()
    for name, who in {"approve": other, "decline": other, "withdraw": proposer}.items():
        proposed = proposer.put(f"/api/v1/feeds/{name.upper()}-FEED/", {"certificate_policy": "required"})
        path = f"/api/v1/proposals/{{proposal_id}}/{name}/"
        example = openapi["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        decided = who.post(path.format(proposal_id=proposed.json()["id"]), example)
        assert (decided.status_code, decided.json()["decision_comment"]) == (200, example["comment"])


def test_every_change_of_a_rule_has_an_example_that_is_taken(openapi: dict[str, Any], settings: Any) -> None:
    def example(path: str, method: str) -> Any:
        operation = openapi["paths"][path][method]
        return operation["requestBody"]["content"]["application/json"]["example"]

    who, other, path = superuser(), superuser(), "/api/v1/receipt-rules/{rule_id}/"
    rule = who.post("/api/v1/receipt-rules/", example("/api/v1/receipt-rules/", "post")).json()["id"]
    assert who.put(path.format(rule_id=rule), example(path, "put")).status_code == 200
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    for decision in ("approve", "decline"):
        assert who.patch(path.format(rule_id=rule), example(path, "patch")).status_code == 202
        decided = other.post(f"{path.format(rule_id=rule)}{decision}/", example(f"{path}{decision}/", "post"))
        assert decided.status_code == 200


def test_a_bulk_change_says_what_becomes_of_if_match(openapi: dict[str, Any]) -> None:
    parameters = openapi["paths"]["/api/v1/feeds/"]["patch"]["parameters"]
    (if_match,) = [found for found in parameters if found["name"] == "If-Match"]
    assert "no version" in if_match["description"]


def test_errors_are_problems_in_the_description_too(openapi: dict[str, Any]) -> None:
    for name, response in openapi["components"]["responses"].items():
        assert list(response["content"]) == ["application/problem+json"], name
    for _, _, operation in operations(openapi):
        for status, response in operation["responses"].items():
            if status >= "400":
                assert response == {"$ref": f"#/components/responses/Problem{status}"}


def test_the_description_is_served_as_yaml_and_json_and_not_made_anew() -> None:
    first = anonymous().get("/api/schema/")
    assert first["Content-Type"] == "application/vnd.oai.openapi"
    assert yaml.safe_load(first.content)["openapi"].startswith("3.0")
    as_json = anonymous().get("/api/schema/?format=json")
    assert json.loads(as_json.content)["info"]["title"] == "Stroom portal"
    assert anonymous().get("/api/schema/", If_None_Match=first["ETag"]).status_code == 304
    problem_of(anonymous().get("/api/schema/?version=2"), 400)


def test_swagger_ui_is_served_from_here_without_inline_script_or_style() -> None:
    response = Client().get("/api/docs/")
    page = response.content.decode()
    assert response.status_code == 200
    assert "<style" not in page
    assert "style=" not in page
    assert page.count("<script src=") == page.count("<script")
    assert "http://" not in page
    assert "https://" not in page
    script = Client().get("/api/docs/?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/schema/" in script.content.decode()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_address_without_its_slash_is_404_with_the_right_one_and_never_redirected(method: str) -> None:
    body = problem_of(anonymous().call(method, "/api/v1/feeds"), 404)
    assert "/api/v1/feeds/" in body["detail"]


@pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing/", "/api/v2/feeds/"])
def test_nothing_is_a_problem_too(path: str) -> None:
    problem_of(anonymous().get(path), 404)


def test_a_wrong_host_is_a_problem_too() -> None:
    problem_of(anonymous().get("/api/v1/codes/", Host="evil.example"), 400)


def test_links_are_absolute_where_the_public_address_is_known(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, public_url="https://portal.example.org")
    body = anonymous().get("/api/v1/nothing/").json()
    assert body["type"] == "https://portal.example.org/codes/http/404/"


def test_an_error_of_ours_is_a_problem_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from codes.api import views

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret path /var/lib")

    monkeypatch.setattr(views.CodeList, "get_queryset", fail)
    client = Client(raise_request_exception=False)
    response = client.get("/api/v1/codes/", headers={"X-Request-ID": "request-0001"})
    body = problem_of(response, 500)
    assert "secret" not in response.content.decode()
    assert body["request_id"] == response["X-Request-ID"] == "request-0001"


@pytest.mark.parametrize("sent", ["request-0001", "7", "", "bad id!", "-", "x" * 129])
def test_a_request_id_is_taken_over_or_made(sent: str) -> None:
    response = anonymous().get("/api/v1/nothing/", X_Request_ID=sent)
    body = problem_of(response, 404)
    assert body["request_id"] == response["X-Request-ID"]
    assert (response["X-Request-ID"] == sent) is (sent in {"request-0001", "7"})


def test_a_database_that_fails_is_503_with_a_time_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    from codes.api import views

    def fail(*_: object, **__: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(views.CodeList, "get_queryset", fail)
    response = anonymous().get("/api/v1/codes/")
    assert "locked" not in problem_of(response, 503)["detail"]
    assert int(response["Retry-After"]) > 0


def test_the_policy_of_deprecation_is_whole_and_true(openapi: dict[str, Any]) -> None:
    policy = (ROOT / "docs/api.md").read_text().partition("## What is promised")[2]
    for word in ("Deprecation: @", "Sunset: ", 'rel="deprecation"', "RFC 9745", "RFC 8594", "twelve months", "410"):
        assert word in policy
    deprecated = [
        operation["operationId"] for _, _, operation in operations(openapi) if operation.get("deprecated")
    ]
    assert ("Nothing is deprecated at present" in policy) is (deprecated == [])
    begin, end = re.search(r"@(\d+)", policy), re.search(r"Sunset: (.*)", policy)
    assert begin is not None
    assert end is not None
    assert float(begin[1]) < parsedate_to_datetime(end[1]).timestamp()
