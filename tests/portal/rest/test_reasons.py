"""Machine-readable reasons: `code` in every problem, what a 403 lacks, the challenges of RFC 6750, the table."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework import exceptions

from portal.models import ApiToken
from portal.rest import problems, reasons
from tests.calls import EDITOR, VIEWER, anonymous, caller, make_user, problem_of, superuser
from tests.factories import make_feed, make_receipt

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
DOCUMENT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def token_with(*scopes: str, permissions: tuple[str, ...] = EDITOR) -> dict[str, str]:
    _, secret = ApiToken.objects.issue(make_user(*permissions), name="t", scopes=list(scopes))
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "inner"),
    [
        ("GET", "/api/v1/feeds/?colour=red", None, 400, "invalid_parameter", "unknown_parameter"),
        ("GET", "/api/v1/feeds/?limit=1&limit=2", None, 400, "invalid_parameter", "given_twice"),
        ("GET", "/api/v1/feeds/?q=", None, 400, "invalid_parameter", "empty"),
        ("GET", "/api/v1/feeds/?fields=colour", None, 400, "invalid_parameter", "unknown_field"),
        ("GET", "/api/v1/feeds/?ordering=colour", None, 400, "invalid_parameter", "unknown_field"),
        ("GET", "/api/v1/feeds/?limit=x", None, 400, "invalid_parameter", "invalid"),
        ("POST", "/api/v1/feeds/", {"colour": "red"}, 400, "invalid", "unknown_key"),
        ("POST", "/api/v1/feeds/", {}, 400, "invalid", "required"),
        ("POST", "/api/v1/feeds/", {"name": "A-B", "status": "Take"}, 400, "invalid", "invalid_choice"),
        ("POST", "/api/v1/feeds/", {"name": "HERE-ALREADY"}, 409, "name_taken", None),
        ("PATCH", "/api/v1/feeds/", [{"name": "NOT-HERE"}], 400, "refused_items", "not_found"),
        ("PATCH", "/api/v1/feeds/", [{"name": "A-B"}, {"name": "A-B"}], 400, "refused_items", "given_twice"),
        ("GET", "/api/v1/feeds/NOT-HERE/", None, 404, "not_found", None),
        ("GET", "/api/v1/nothing/", None, 404, "not_found", None),
        ("DELETE", "/api/v1/receipts/", None, 405, "method_not_allowed", None),
        ("GET", "/api/v1/codes/http/404/?format=xml", None, 400, "invalid_parameter", "invalid"),
    ],
)
def test_each_problem_has_its_word(
    method: str, path: str, body: Any, status: int, code: str, inner: str | None
) -> None:
    make_feed("HERE-ALREADY")
    problem = problem_of(superuser().call(method, path, *([body] if body is not None else [])), status)
    assert problem["code"] == code
    assert [error["code"] for error in problem.get("errors", [])][:1] == ([inner] if inner else [])


def test_a_403_says_which_scope_the_token_lacks() -> None:
    headers = token_with("read")
    response = Client().post("/api/v1/feeds/", {"name": "A-B"}, content_type="application/json", headers=headers)
    problem = problem_of(response, 403)
    assert (problem["code"], problem["scope"]) == ("scope_missing", "write")
    assert "permission" not in problem
    assert response["WWW-Authenticate"] == 'Bearer realm="portal", error="insufficient_scope", scope="write"'


@pytest.mark.parametrize(
    ("permissions", "method", "path", "body", "lacks"),
    [
        ((), "GET", "/api/v1/feeds/", None, "feeds.view_feed"),
        (VIEWER, "POST", "/api/v1/feeds/", {"name": "A-B"}, "feeds.add_feed"),
        (VIEWER, "PUT", "/api/v1/feeds/A-B/", {}, "feeds.change_feed"),
        (EDITOR, "PUT", "/api/v1/feeds/A-B/", {"certificate_policy": "required"}, "feeds.change_certificaterule"),
        ((), "GET", "/api/v1/receipts/", None, "feeds.view_receipt"),
        ((), "POST", "/api/v1/receipt/check/", {"headers": {"Feed": "A-B"}}, "feeds.view_feed"),
    ],
)
def test_a_403_says_which_permission_the_user_lacks(
    permissions: tuple[str, ...], method: str, path: str, body: Any, lacks: str
) -> None:
    problem = problem_of(caller(*permissions).call(method, path, *([body] if body is not None else [])), 403)
    assert (problem["code"], problem["permission"]) == ("permission_missing", lacks)
    assert "scope" not in problem


def test_s31_a_403_for_content_names_the_permission_to_download() -> None:
    receipt = make_receipt()
    problem = problem_of(caller(*VIEWER).get(f"/api/v1/receipts/{receipt.receipt_id}/content"), 403)
    assert problem["permission"] == "feeds.download_receipt"


def test_a_401_names_a_token_that_is_worth_nothing() -> None:
    unknown = Client().get("/api/v1/feeds/", headers={"Authorization": "Bearer nothing"})
    assert problem_of(unknown, 401)["code"] == "invalid_token"
    assert unknown["WWW-Authenticate"] == 'Bearer realm="portal", error="invalid_token"'
    none = anonymous().get("/api/v1/feeds/")
    assert problem_of(none, 401)["code"] == "not_authenticated"
    assert none["WWW-Authenticate"] == 'Bearer realm="portal"'


def test_every_exception_of_ours_has_a_word_that_is_documented() -> None:
    def below(kind: type[Exception]) -> set[type[Exception]]:
        return {kind, *(deeper for child in kind.__subclasses__() for deeper in below(child))}

    ours = {
        kind
        for kind in below(exceptions.APIException)
        if kind.__module__.split(".")[0] in {"portal", "feeds", "codes"}
    }
    assert len(ours) > 8
    for kind in ours:
        assert kind.default_code in reasons.REASONS, kind  # type: ignore[attr-defined]


def test_the_document_lists_every_word_and_no_other() -> None:
    tables = re.findall(r"\| `code` of .*?\n\n", DOCUMENT, re.DOTALL)
    listed = [dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)) for table in tables]
    assert listed == [dict(reasons.REASONS), dict(reasons.ERROR_REASONS)]
    assert set(reasons.BY_STATUS.values()) <= set(reasons.REASONS)


def test_the_usual_word_stands_for_a_status_without_one() -> None:
    assert problems.problem_body(404, "x", path="", request_id="")["code"] == "not_found"
    assert problems.problem_body(418, "x", path="", request_id="")["code"] == "bad_request"
    assert problems.problem_body(502, "x", path="", request_id="")["code"] == "server_error"
