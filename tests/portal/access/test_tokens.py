"""Tokens over REST: shown once, stored hashed, held to scopes, one's own only."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import OperationalError
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from portal.access.tokens import BearerOutcome, authenticate_bearer
from portal.models import ApiToken
from tests.calls import VIEWER, Caller, anonymous, caller, make_user, problem_of

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
LOGIN = "/api/v1/auth/token/"


def log_in(user: User, **body: object) -> Any:
    return anonymous().post(LOGIN, {"username": user.username, "password": PASSWORD, **body})


def test_a_password_buys_a_token_that_works() -> None:
    user = make_user(*VIEWER)
    response = log_in(user)
    assert response.status_code == 201
    assert response["Cache-Control"] == "no-store"
    body = response.json()
    assert body["scopes"] == ["read", "write", "check"]
    assert body["expires"] is None
    assert ApiToken.objects.get(pk=body["id"]).user == user
    answer = anonymous().get("/api/v1/feeds/", Authorization=f"Bearer {body['token']}")
    assert answer.status_code == 200


def test_name_scopes_and_expiry_are_kept() -> None:
    expires = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    body = log_in(make_user(), name="backup", scopes=["check", "read"], expires=expires.isoformat()).json()
    token = ApiToken.objects.get()
    assert (token.name, token.scopes, token.expires) == ("backup", ["read", "check"], expires)
    assert (body["name"], body["scopes"]) == ("backup", ["read", "check"])


def test_wrong_password_unknown_and_inactive_users_are_told_the_same() -> None:
    inactive = make_user(is_active=False)
    answers = [
        anonymous().post(LOGIN, {"username": make_user().username, "password": "wrong"}),
        anonymous().post(LOGIN, {"username": "nobody-of-this-name", "password": "wrong"}),
        log_in(inactive),
    ]
    details = {problem_of(answer, 401)["detail"] for answer in answers}
    assert len(details) == 1
    assert all(answer["WWW-Authenticate"].startswith("Bearer") for answer in answers)
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["admin"]}, "scopes.0"),
        ({"scopes": []}, "scopes"),
        ({"scopes": "read"}, "scopes"),
        ({"expires": "2001-01-01T00:00:00Z"}, "expires"),
        ({"expires": 5}, "expires"),
        ({"name": "x" * 101}, "name"),
        ({"lifetime": 5}, "lifetime"),
        ({"password": None}, "password"),
    ],
)
def test_what_cannot_be_used_is_named(body: dict[str, object], field: str) -> None:
    problem = problem_of(log_in(make_user(), **body), 400)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_one_sees_and_revokes_only_ones_own() -> None:
    mine, other = caller(), caller()
    listed = mine.get("/api/v1/tokens/").json()
    assert [token["id"] for token in listed["results"]] == [mine.token.pk]
    assert listed["results"][0]["current"] is True
    assert listed["results"][0]["prefix"] == mine.secret[:8]
    assert mine.secret not in json.dumps(listed)
    for method in ["GET", "DELETE"]:
        problem_of(mine.call(method, f"/api/v1/tokens/{other.token.pk}/"), 404)
    assert mine.delete(f"/api/v1/tokens/{mine.token.pk}/").status_code == 204
    assert problem_of(mine.get("/api/v1/tokens/"), 401)
    assert other.get("/api/v1/tokens/").status_code == 200


def test_all_tokens_are_revoked_only_when_asked_in_so_many_words() -> None:
    mine, other = caller(), caller()
    problem_of(mine.delete("/api/v1/tokens/"), 400)
    problem_of(mine.delete("/api/v1/tokens/?all=yes"), 400)
    assert mine.delete("/api/v1/tokens/?all=true").status_code == 204
    assert [token.pk for token in ApiToken.objects.all()] == [other.token.pk]


@pytest.mark.parametrize("scopes", [["check"], ["write"]])
def test_listing_tokens_needs_the_read_scope(scopes: list[str]) -> None:
    problem_of(caller(scopes=scopes).get("/api/v1/tokens/"), 403)


@pytest.mark.parametrize("number", [0, 2**63, 2**80])
def test_a_number_beyond_all_tokens_is_404(number: int) -> None:
    problem_of(caller().get(f"/api/v1/tokens/{number}/"), 404)


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "bearer wrong", "Bearer sp_x y", "Bearer \u00e4"])
def test_a_wrong_token_is_401_with_a_challenge(header: str) -> None:
    response = anonymous().get("/api/v1/tokens/", Authorization=header)
    problem_of(response, 401)
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_an_expired_token_is_worth_nothing() -> None:
    mine = caller()
    ApiToken.objects.update(expires=timezone.now())
    problem_of(mine.get("/api/v1/tokens/"), 401)


def test_the_last_use_is_remembered() -> None:
    mine = caller()
    mine.get("/api/v1/tokens/")
    mine.token.refresh_from_db()
    assert mine.token.last_used is not None


def test_a_session_may_write_only_with_its_csrf_token() -> None:
    user = make_user()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    assert browser.get("/api/v1/tokens/").status_code == 200
    problem_of(browser.delete("/api/v1/tokens/?all=true"), 403)


def test_s16_a_dump_of_the_database_holds_no_token() -> None:
    secrets = [caller().secret for _ in range(3)] + [log_in(make_user()).json()["token"]]
    for secret in secrets:
        Caller(None).get("/api/v1/feeds/", Authorization=f"Bearer {secret}")
    dump = io.StringIO()
    call_command("dumpdata", stdout=dump)
    assert not [secret for secret in secrets if secret in dump.getvalue()]
    assert len(set(secrets)) == len(secrets)
    assert all(len(secret) >= 43 for secret in secrets)  # 256 bits in base64


@pytest.mark.parametrize("count", [1, 50])
def test_the_list_takes_the_same_queries_however_long(count: int, django_assert_num_queries: Any) -> None:
    user = make_user()
    for _ in range(count):
        mine = Caller(user)
    mine.get("/api/v1/tokens/")
    # the token with its user; count; the page
    with django_assert_num_queries(3):
        assert len(mine.get("/api/v1/tokens/").json()["results"]) == count


def test_a_use_that_cannot_be_noted_does_not_turn_the_caller_away(monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = ApiToken.objects.issue(make_user(*VIEWER), scopes=["check"])

    def locked(*_: object, **__: object) -> int:
        raise OperationalError("database is locked")

    monkeypatch.setattr(QuerySet, "update", locked)
    assert authenticate_bearer(f"Bearer {secret}", "check", "") is BearerOutcome.ALLOWED


@pytest.mark.parametrize(
    ("change", "is_usable"),
    [
        ({}, True),
        ({"expires": timedelta(seconds=60)}, True),
        ({"expires": timedelta(seconds=-1)}, False),
        ({"is_active": False}, False),
        ({"secret": "sp_unknown"}, False),
        ({"secret": ""}, False),
    ],
)
def test_the_two_forms_of_the_token_check_agree(change: dict[str, Any], is_usable: bool) -> None:
    """One is SQL for receive paths, the other reads the user too; both record the use, at most once a minute."""
    user = make_user()
    expires = timezone.now() + change["expires"] if "expires" in change else None
    token, secret = ApiToken.objects.issue(user, expires=expires)
    User.objects.filter(pk=user.pk).update(is_active=change.get("is_active", True))
    header = f"Bearer {change.get('secret', secret)}"
    assert (ApiToken.objects.presented(header, "") is not None) is is_usable
    token.refresh_from_db()
    assert (token.last_used is not None) is is_usable
    ApiToken.objects.filter(pk=token.pk).update(last_used=None)
    assert (authenticate_bearer(header, "check", "") is BearerOutcome.ALLOWED) is is_usable
    token.refresh_from_db()
    assert (token.last_used is not None) is is_usable
