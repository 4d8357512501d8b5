"""A role lets its users into the admin, without a box that somebody has to know of."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from portal.access.roles import ADMINISTRATOR, ROLES, VIEWER

pytestmark = pytest.mark.django_db

PASSWORD = "a phrase of some words"


def made_in_the_admin(name: str, *roles: str, **fields: Any) -> User:
    """A user as an administrator makes one: name, password, roles."""
    boss = Client()
    boss.force_login(User.objects.create_superuser(f"boss-of-{name}"))
    groups = [str(Group.objects.get(name=role).pk) for role in roles]
    form = {
        "username": name,
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
        "groups": groups,
    }
    assert boss.post(reverse("admin:auth_user_add"), form).status_code == 302
    User.objects.filter(username=name).update(**fields)
    return User.objects.get(username=name)


def sign_in(name: str) -> Client:
    client = Client()
    client.post(reverse("admin:login"), {"username": name, "password": PASSWORD, "next": "/admin/"})
    return client


@pytest.mark.parametrize("role", ROLES)
def test_each_role_lets_its_user_sign_in(role: str) -> None:
    user = made_in_the_admin("jo", role)
    assert not user.is_staff
    client = sign_in("jo")
    assert client.get("/admin/").status_code == 200
    assert client.get(reverse("admin:feeds_feed_changelist")).status_code == 200
    user.groups.clear()
    for address in ("/admin/", reverse("admin:feeds_feed_changelist")):
        assert client.get(address).status_code == 302, "without the role the admin is closed again, at once"
    assert "_auth_user_id" not in sign_in("jo").session


def test_a_group_of_the_site_s_own_needs_staff_status() -> None:
    group = Group.objects.create(name="Interns")
    group.permissions.set(Permission.objects.filter(codename="view_feed"))
    user = made_in_the_admin("jo", "Interns")
    assert "_auth_user_id" not in sign_in("jo").session
    User.objects.filter(pk=user.pk).update(is_staff=True)
    assert sign_in("jo").get(reverse("admin:feeds_feed_changelist")).status_code == 200


def test_nobody_else_is_let_in() -> None:
    made_in_the_admin("plain")
    made_in_the_admin("gone", VIEWER, is_active=False)
    for name in ("plain", "gone"):
        client = sign_in(name)
        assert "_auth_user_id" not in client.session
        assert client.get("/admin/").status_code == 302


def test_a_role_alone_gives_no_more_than_the_role() -> None:
    made_in_the_admin("jo", VIEWER)
    viewer = sign_in("jo")
    assert viewer.get(reverse("admin:feeds_feed_add")).status_code == 403
    assert viewer.get(reverse("admin:auth_user_changelist")).status_code == 403


def test_the_list_of_users_says_who_may_sign_in() -> None:
    made_in_the_admin("with-role", ADMINISTRATOR)
    made_in_the_admin("without")
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    page = boss.get(reverse("admin:auth_user_changelist")).content.decode()
    rows = {name: page.partition(f">{name}<")[2].partition("</tr>")[0] for name in ("with-role", "without")}
    icons = {name: row.partition('field-signs_in"')[2].partition("</td>")[0] for name, row in rows.items()}
    assert "icon-yes" in icons["with-role"]
    assert "icon-no" in icons["without"]
