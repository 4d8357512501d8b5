"""The menu: one list for all pages, of which a user sees what exists and what he may see."""

from collections.abc import Collection

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.test import Client
from django.urls import NoReverseMatch, reverse

from portal import menu
from portal.access.roles import AUDITOR, VIEWER
from portal.menu import MenuEntry, ShownEntry, shown_menu

pytestmark = pytest.mark.django_db

OPEN = ["Codes", "Docs"]


def member_of(*roles: str, **fields: bool) -> User:
    user = User.objects.create_user("someone", password="x", **fields)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def labels(shown: Collection[ShownEntry]) -> list[str]:
    return [entry.label for entry in shown]


@pytest.mark.parametrize("user", [None, AnonymousUser()])
def test_a_visitor_sees_open_pages_only(user: AnonymousUser | None) -> None:
    shown = shown_menu(user, "codes:detail", "/codes/http/404/")
    assert labels(shown) == OPEN
    assert "Notes" not in labels(shown[0].children)
    assert [entry.label for entry in shown if entry.is_current] == ["Codes"]


def test_a_user_without_a_role_sees_no_page_of_the_admin() -> None:
    assert labels(shown_menu(member_of(), "home", "/")) == OPEN


def test_a_viewer_sees_no_audit_and_cannot_add_feeds() -> None:
    shown = shown_menu(member_of(VIEWER), "admin:feeds_feed_changelist", reverse("admin:feeds_feed_changelist"))
    assert {"Overview", "Feeds", "Refused", "Receipts", "Test", *OPEN} <= set(labels(shown))
    assert "Audit" not in labels(shown)
    feeds = next(entry for entry in shown if entry.is_current)
    assert feeds.label == "Feeds"
    assert not {"Add", "Import"} & set(labels(feeds.children))
    assert [entry.label for entry in feeds.children if entry.is_current] == ["All feeds"]


def test_an_auditor_sees_records_and_users() -> None:
    shown = shown_menu(member_of(AUDITOR), "admin:auth_user_change", "/admin/auth/user/1/change/")
    audit = next(entry for entry in shown if entry.is_current)
    assert labels(audit.children) == ["Records", "Users", "Roles"]


@pytest.mark.parametrize(
    ("view_name", "label"),
    [
        ("admin:feeds_feed_test", "Test"),
        ("admin:feeds_feed_history", "Feeds"),
        ("admin:feeds_hourlycount_changelist", "Refused"),
        ("admin:feeds_receipt_data", "Receipts"),
        ("admin:index", "Overview"),
        ("api-docs", "Docs"),
        ("home", "Codes"),
    ],
)
def test_the_section_of_a_page_is_marked(view_name: str, label: str) -> None:
    shown = shown_menu(member_of(is_superuser=True, is_staff=True), view_name, "")
    assert [entry.label for entry in shown if entry.is_current] == [label]


def test_an_entry_without_a_page_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        menu, "MENU", (MenuEntry("Later", "admin:no_such_page"), MenuEntry("Docs", "documentation-index"))
    )
    assert labels(shown_menu(None, "", "")) == ["Docs"]


def test_every_permission_of_the_menu_exists() -> None:
    from django.contrib.auth.models import Permission

    known = {f"{p.content_type.app_label}.{p.codename}" for p in Permission.objects.select_related("content_type")}
    entries = [*menu.MENU, *(child for entry in menu.MENU for child in entry.children)]
    for entry in entries:
        try:
            reverse(entry.url_name, args=entry.arguments)
        except NoReverseMatch:
            continue
        assert set(entry.permissions) <= known, entry.label


def test_both_halves_show_the_same_bar(client: Client) -> None:
    client.force_login(member_of(is_superuser=True, is_staff=True))
    bars = set()
    for path in ("/docs/", "/admin/feeds/receipt/", "/admin/portal/auditrecord/", "/api/docs/"):
        text = client.get(path).content.decode()
        bar = text[text.index('<header class="bar">') : text.index("</header>")]
        menu_text = bar[bar.index('<nav class="menu"') : bar.index("</nav>")]
        bars.add(menu_text.replace(' class="current"', "").replace(' aria-current="page"', ""))
        assert "Sign out" in bar, path
        assert "<title>" in text
        assert " · Stroom portal</title>" in text.replace("\n", ""), path
    assert len(bars) == 1


def test_a_visitor_signs_in_from_any_page_and_comes_back(client: Client) -> None:
    text = client.get("/docs/api/").content.decode()
    assert 'href="/admin/login/?next=/docs/api/"' in text
    assert "Sign out" not in text
