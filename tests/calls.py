"""Calls of the REST API as somebody with given rights."""

import itertools
import json
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client

from portal.models import ApiToken
from portal.rest.reasons import REASONS

#: What the test client answers: a response with `json()` and, for a stream, `streaming_content`.
Answer = Any

VIEWER = ("feeds.view_feed", "feeds.view_certificaterule", "feeds.view_receipt", "feeds.view_hourlycount")
EDITOR = (*VIEWER, "feeds.add_feed", "feeds.change_feed", "feeds.delete_feed")
OFFICER = (
    *EDITOR,
    "feeds.add_certificaterule",
    "feeds.change_certificaterule",
    "feeds.delete_certificaterule",
)
_numbers = itertools.count(1)


def make_user(*permissions: str, superuser: bool = False, **fields: Any) -> User:
    """A user with exactly these permissions (`app.codename`)."""
    name = fields.pop("username", None) or f"user{next(_numbers)}"
    user = User.objects.create_user(name, password="correct horse battery", is_superuser=superuser, **fields)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


class Caller:
    """Sends JSON with a token of its user; an anonymous caller sends none."""

    def __init__(self, user: User | None, scopes: list[str] | None = None) -> None:
        self.user = user
        self.headers: dict[str, str] = {}
        self._client = Client()
        if user is not None:
            self.token, self.secret = ApiToken.objects.issue(user, scopes=scopes)
            self.headers["Authorization"] = f"Bearer {self.secret}"

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        data = "" if body is None else body if isinstance(body, str | bytes) else json.dumps(body)
        return self._client.generic(
            method, path, data, content_type="application/json", headers={**self.headers, **(headers or {})}
        )

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, headers=_dashed(headers))

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.call("POST", path, body, _dashed(headers))

    def put(self, path: str, body: Any, **headers: str) -> Answer:
        return self.call("PUT", path, body, _dashed(headers))

    def patch(self, path: str, body: Any, **headers: str) -> Answer:
        return self.call("PATCH", path, body, _dashed(headers))

    def delete(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("DELETE", path, body, headers=_dashed(headers))


def caller(*permissions: str, scopes: list[str] | None = None) -> Caller:
    return Caller(make_user(*permissions), scopes)


def superuser() -> Caller:
    return Caller(make_user(superuser=True))


def anonymous() -> Caller:
    return Caller(None)


def problem_of(response: Answer, status: int) -> Any:
    """The problem in an answer, after checking that it is one as RFC 9457 has it."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert body["status"] == status
    assert body["type"] == f"/codes/http/{status}/"
    assert body["title"]
    assert body["detail"]
    assert body["code"] in REASONS, body
    assert all(error["code"] for error in body.get("errors", ()))
    return body


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
