"""Tokens for sending: who issues them, under which names, and how they are rotated."""

import io
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.access.queries import is_sender, senders_ending
from portal.models import ApiToken
from tests.calls import EDITOR, OFFICER, anonymous, make_user, problem_of

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
LOGIN, TOKENS = "/api/v1/auth/token/", "/api/v1/tokens/"
HAS_TOKENS = ("portal.view_apitoken", "portal.add_apitoken", "portal.delete_apitoken")


def log_in(*permissions: str, **body: object) -> Any:
    user = make_user(*permissions)
    asked = {"username": user.username, "password": "correct horse battery", **body}
    return anonymous().post(LOGIN, asked)


def sender(**fields: Any) -> tuple[ApiToken, dict[str, str]]:
    given = {"name": "payroll", "scopes": ["send"], **fields}
    token, secret = ApiToken.objects.issue(make_user(), **given)
    return token, {"Authorization": f"Bearer {secret}"}


def rotate(headers: dict[str, str], **body: object) -> Any:
    return Client().post(TOKENS, body, content_type="application/json", headers=headers)


def page(*permissions: str) -> Client:
    client = Client()
    client.force_login(make_user(*HAS_TOKENS, *permissions, is_staff=True))
    return client


def test_an_officer_gets_a_token_for_sending_with_its_limit() -> None:
    made = log_in(*OFFICER, name="payroll", scopes=["send"], rate=60)
    assert made.status_code == 201
    assert (made.json()["scopes"], made.json()["rate"]) == (["send"], 60)
    token = ApiToken.objects.get()
    assert (token.name, token.scopes, token.rate) == ("payroll", ["send"], 60)


def test_the_scope_is_never_given_unasked() -> None:
    assert log_in(*OFFICER).json()["scopes"] == ["read", "write", "check"]
    assert ApiToken.objects.issue(make_user())[0].scopes == ["read", "write", "check"]


def test_s30_nobody_else_gets_one() -> None:
    problem = problem_of(log_in(*EDITOR, name="payroll", scopes=["send"]), 403)
    assert problem["permission"] == "feeds.change_certificaterule"
    assert not ApiToken.objects.exists()


def test_under_second_approval_the_command_alone_issues_one(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    problem = problem_of(log_in(*OFFICER, name="payroll", scopes=["send"]), 403)
    assert "manage.py create_token" in problem["detail"]
    form = page(*OFFICER).get(reverse("admin:portal_apitoken_add")).content.decode()
    assert 'value="check"' in form
    assert 'value="send"' not in form
    _, headers = sender()
    assert rotate(headers).status_code == 201
    call_command("create_token", make_user().username, name="x", scopes="send", stdout=io.StringIO())
    assert ApiToken.objects.filter(name="x", scopes=["send"]).exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["send"]}, "name"),
        ({"scopes": ["send"], "name": "two words"}, "name"),
        ({"scopes": ["send"], "name": "naïve"}, "name"),
        ({"scopes": ["send"], "name": ".hidden"}, "name"),
        ({"scopes": ["send"], "name": "x", "rate": 0}, "rate"),
        ({"scopes": ["send"], "name": "x", "rate": 10**7}, "rate"),
        ({"scopes": ["read"], "name": "x", "rate": 5}, "rate"),
    ],
)
def test_what_cannot_be_a_sender_is_named(body: dict[str, object], field: str) -> None:
    problem = problem_of(log_in(*OFFICER, **body), 400)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_s13_a_token_for_sending_does_nothing_else() -> None:
    _, headers = sender()
    for method, path in (("get", "/api/v1/feeds/"), ("post", "/api/v1/receipt/check/"), ("get", TOKENS)):
        answer = getattr(Client(), method)(path, headers=headers, content_type="application/json")
        assert problem_of(answer, 403)["code"] == "scope_missing"


def test_a_successor_keeps_name_and_limit_and_ends_the_old_one_after_the_overlap() -> None:
    old, headers = sender(rate=7)
    before = timezone.now()
    made = rotate(headers, overlap=60)
    assert made.status_code == 201
    new = ApiToken.objects.get(pk=made.json()["id"])
    assert (new.name, new.scopes, new.rate, new.expires, new.user) == ("payroll", ["send"], 7, None, old.user)
    old.refresh_from_db()
    assert old.expires is not None
    assert before + timedelta(seconds=60) <= old.expires <= timezone.now() + timedelta(seconds=60)
    ends = old.expires
    assert rotate(headers, overlap=3600).status_code == 201
    old.refresh_from_db()
    assert old.expires == ends


@pytest.mark.parametrize(
    ("body", "field"), [({"name": "another"}, "name"), ({"name": ""}, "name"), ({"overlap": -1}, "overlap")]
)
def test_s30_a_sender_cannot_become_another_one(body: dict[str, object], field: str) -> None:
    _, headers = sender(scopes=["send", "read"])
    problem = problem_of(rotate(headers, **body), 400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert rotate(headers, scopes=["read"], name="another").status_code == 201
    assert ApiToken.objects.filter(scopes=["read"], name="another", rate=None).exists()


def test_an_officer_issues_and_rotates_one_in_the_admin() -> None:
    client = page(*OFFICER)
    add = reverse("admin:portal_apitoken_add")
    form = {"name": "two words", "scopes": ["send"], "expires": "", "rate": "5"}
    refused = client.post(add, form)
    assert refused.context["adminform"].form.errors["name"]
    assert client.post(add, {**form, "scopes": ["read"]}).context["adminform"].form.errors["rate"]
    assert client.post(add, {**form, "name": "payroll"}).status_code == 302
    old = ApiToken.objects.get()
    assert (old.name, old.scopes, old.rate) == ("payroll", ["send"], 5)
    detail = reverse("admin:portal_apitoken_change", args=[old.pk])
    assert "Issue the successor" in client.get(detail).content.decode()
    address = reverse("admin:portal_apitoken_rotate", args=[old.pk])
    late = client.post(address, {"overlap": "1", "expires": "2001-01-01"}, follow=True).content.decode()
    assert "was not rotated: This time has passed." in late
    text = client.post(address, {"overlap": "2", "expires": ""}, follow=True).content.decode()
    secret = re.search(r"sp_[\w-]{30,}", text)
    assert secret is not None
    new = ApiToken.objects.usable(secret[0])
    assert new is not None
    assert (new.name, new.scopes, new.rate) == ("payroll", ["send"], 5)
    old.refresh_from_db()
    assert old.expires is not None
    assert old.expires <= timezone.now() + timedelta(hours=2)


def test_s30_others_neither_see_the_choice_nor_rotate() -> None:
    client = page(*EDITOR)
    assert 'value="send"' not in client.get(reverse("admin:portal_apitoken_add")).content.decode()
    refused = client.post(reverse("admin:portal_apitoken_add"), {"name": "payroll", "scopes": ["send"]})
    assert refused.context["adminform"].form.errors["scopes"]
    token, _ = sender()
    officer = page(*OFFICER)
    address = reverse("admin:portal_apitoken_rotate", args=[token.pk])
    for who in (client, officer):  # it is of another user
        assert who.post(address, {"overlap": "1"}).status_code == 403
    assert ApiToken.objects.get() == token
    usual = ApiToken.objects.issue(make_user(), name="x")[0]
    administrator = page(*OFFICER, "auth.change_user")
    assert administrator.post(reverse("admin:portal_apitoken_rotate", args=[usual.pk])).status_code == 403
    assert administrator.get(address).status_code == 403
    assert administrator.post(address, {"overlap": "1"}).status_code == 302


@pytest.mark.parametrize(
    "options", [{}, {"name": "two words"}, {"name": "x", "rate": 0}, {"name": "x", "scopes": "read", "rate": 5}]
)
def test_the_command_refuses_what_the_api_refuses(options: dict[str, object]) -> None:
    with pytest.raises(CommandError):
        call_command("create_token", make_user().username, **{"scopes": "send", **options})
    assert not ApiToken.objects.exists()


def test_a_name_is_a_sender_while_one_token_of_it_is_usable() -> None:
    now = timezone.now()
    assert not is_sender("payroll")
    sender(expires=now)
    assert not is_sender("payroll")
    sender(scopes=["read"])
    assert not is_sender("payroll")
    token, _ = sender()
    assert is_sender("payroll")
    token.user.is_active = False
    token.user.save()
    assert not is_sender("payroll")


def test_senders_are_counted_whose_last_token_ends_soon() -> None:
    now, soon = timezone.now(), timezone.now() + timedelta(days=30)
    sender(expires=now + timedelta(days=1))
    assert senders_ending(now, soon) == 1
    sender(expires=now + timedelta(days=2), scopes=["read"])
    sender(expires=now + timedelta(days=90))
    assert senders_ending(now, soon) == 0
    sender(name="two", expires=now + timedelta(days=3))
    sender(name="gone", expires=now - timedelta(days=3))
    sender(name="for-ever")
    sender(name="for-ever", expires=now + timedelta(days=3))
    assert senders_ending(now, soon) == 1
