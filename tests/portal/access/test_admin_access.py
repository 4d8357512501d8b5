"""Admin of tokens, users and groups."""

import re

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from portal.models import ApiToken, hash_secret

pytestmark = pytest.mark.django_db


def signed_in(username: str, *permissions: str, superuser: bool = False) -> Client:
    user = User.objects.create_user(username, password="x", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_a_token_is_shown_once_and_kept_as_a_hash() -> None:
    client = signed_in("boss", superuser=True)
    owner = User.objects.get(username="boss")
    page = client.post(
        reverse("admin:portal_apitoken_add"),
        {"user": owner.pk, "name": "proxy", "scopes": ["check"], "expires": ""},
        follow=True,
    ).content.decode()
    secret = re.search(r"sp_[\w-]{30,}", page).group()
    token = ApiToken.objects.get()
    assert token.digest == hash_secret(secret)
    assert (token.name, token.scopes, token.user) == ("proxy", ["check"], owner)
    again = client.get(reverse("admin:portal_apitoken_changelist")).content.decode()
    assert secret not in again
    detail = client.get(reverse("admin:portal_apitoken_change", args=[token.pk])).content.decode()
    assert secret not in detail
    assert token.digest not in detail


def test_a_token_of_somebody_else_is_neither_seen_nor_revoked() -> None:
    other = User.objects.create_user("other")
    token, _ = ApiToken.objects.issue(other, name="secret-name")
    client = signed_in("me", "view_apitoken", "add_apitoken", "delete_apitoken")
    assert "secret-name" not in client.get(reverse("admin:portal_apitoken_changelist")).content.decode()
    answer = client.post(reverse("admin:portal_apitoken_delete", args=[token.pk]), {"post": "yes"})
    assert answer.status_code == 302
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_who_does_not_administer_users_issues_tokens_for_themselves_alone() -> None:
    other = User.objects.create_user("other")
    client = signed_in("me", "view_apitoken", "add_apitoken")
    client.post(reverse("admin:portal_apitoken_add"), {"user": other.pk, "name": "n", "scopes": ["read"]})
    assert ApiToken.objects.get().user.username == "me"


def test_s30_nobody_but_a_superuser_issues_a_token_for_one() -> None:
    root = User.objects.create_superuser("root", password="x")
    other = User.objects.create_user("other", password="x")
    add = reverse("admin:portal_apitoken_add")
    administrator = signed_in("ann", "change_user", "add_apitoken", "view_apitoken")
    token = {"name": "n", "scopes": ["read"], "expires": ""}
    refused = administrator.post(add, {**token, "user": root.pk})
    assert refused.context["adminform"].form.errors["user"]
    assert administrator.post(add, {**token, "user": other.pk}).status_code == 302
    assert signed_in("sue", superuser=True).post(add, {**token, "user": root.pk}).status_code == 302
    assert sorted(ApiToken.objects.values_list("user__username", flat=True)) == ["other", "root"]


def test_an_administrator_cannot_make_a_superuser_nor_touch_one() -> None:
    chief = User.objects.create_user("chief", is_superuser=True, is_staff=True)
    plain = User.objects.create_user("plain")
    client = signed_in("admin2", "view_user", "change_user")
    form = {"username": "plain", "is_active": "on", "is_superuser": "on", "user_permissions": ["1"]}
    client.post(reverse("admin:auth_user_change", args=[plain.pk]), form)
    plain.refresh_from_db()
    assert not plain.is_superuser
    assert not plain.user_permissions.exists()
    assert client.post(reverse("admin:auth_user_change", args=[chief.pk]), form).status_code == 403


def test_who_may_not_is_told_as_whom_and_who_can_help() -> None:
    page = signed_in("viewer1", "view_user").get(reverse("admin:auth_user_add"))
    assert page.status_code == 403
    assert "You are signed in as viewer1, and none of your roles allows this." in page.content.decode()


def test_an_administrator_cannot_change_what_a_role_may_do() -> None:
    group = Group.objects.create(name="role")
    client = signed_in("admin2", "view_group", "change_group", "add_group")
    form = {"name": "role", "permissions": ["1"]}
    assert client.post(reverse("admin:auth_group_change", args=[group.pk]), form).status_code == 403
    assert not group.permissions.exists()


def test_a_malformed_request_id_is_replaced() -> None:
    answer = Client().get("/admin/login/", headers={"X-Request-ID": "bad id\twith blanks"})
    assert re.fullmatch(r"[0-9a-f]{32}", answer["X-Request-ID"])
