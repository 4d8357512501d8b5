"""Tokens that know, replace and revoke themselves, within their own scopes and expiry."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import ApiToken
from tests.calls import caller, make_user, problem_of

pytestmark = [pytest.mark.django_db]
TOKENS, CURRENT = "/api/v1/tokens/", "/api/v1/tokens/current/"


def issue(**fields: Any) -> tuple[ApiToken, dict[str, str]]:
    token, secret = ApiToken.objects.issue(make_user(), **fields)
    return token, {"Authorization": f"Bearer {secret}"}


def post(headers: dict[str, str], body: Any) -> Any:
    return Client().post(TOKENS, body, content_type="application/json", headers=headers)


def test_a_token_gets_its_successor_and_revokes_itself() -> None:
    old, headers = issue(name="nightly", scopes=["read"])
    made = post(headers, {"name": "nightly, next"})
    assert made.status_code == 201
    assert made["Cache-Control"] == "no-store"
    body = made.json()
    assert (body["scopes"], body["expires"]) == (["read"], None)
    new = {"Authorization": f"Bearer {body['token']}"}
    assert Client().get(CURRENT, headers=new).json()["id"] == body["id"]
    assert Client().delete(CURRENT, headers=headers).status_code == 204
    assert not ApiToken.objects.filter(pk=old.pk).exists()
    problem_of(Client().get(CURRENT, headers=headers), 401)
    assert Client().get(CURRENT, headers=new).status_code == 200


@pytest.mark.parametrize("scopes", [["read"], ["check"], ["write"], []])
def test_any_token_knows_and_revokes_itself(scopes: list[str]) -> None:
    token, headers = issue(scopes=scopes)
    assert Client().get(CURRENT, headers=headers).json()["scopes"] == scopes
    assert Client().delete(CURRENT, headers=headers).status_code == 204
    assert not ApiToken.objects.filter(pk=token.pk).exists()


def test_s13_a_token_cannot_get_more_than_it_has() -> None:
    ends = timezone.now() + timedelta(days=10)
    _, headers = issue(scopes=["read"], expires=ends)
    for body, field in [
        ({"scopes": ["read", "write"]}, "scopes"),
        ({"expires": None}, "expires"),
        ({"expires": (ends + timedelta(seconds=1)).isoformat()}, "expires"),
        ({"expires": "2001-01-01T00:00:00Z"}, "expires"),
        ({"user": 1}, "user"),
    ]:
        problem = problem_of(post(headers, body), 400)
        assert [error["field"] for error in problem["errors"]] == [field], body
    assert ApiToken.objects.count() == 1
    made = post(headers, {"name": "x"}).json()
    assert ApiToken.objects.get(pk=made["id"]).expires == ends
    sooner = post(headers, {"expires": (ends - timedelta(days=1)).isoformat()})
    assert sooner.status_code == 201


def test_a_session_has_no_token_to_replace() -> None:
    client = Client()
    client.force_login(make_user())
    problem_of(client.get(CURRENT), 404)


def test_the_successor_belongs_to_the_same_user() -> None:
    user = make_user()
    _, secret = ApiToken.objects.issue(user, scopes=["read"])
    made = post({"Authorization": f"Bearer {secret}"}, {"name": "next"}).json()
    assert ApiToken.objects.get(pk=made["id"]).user_id == user.pk
    assert caller().get(f"{TOKENS}{made['id']}/").status_code == 404
