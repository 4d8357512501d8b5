"""The one menu of all pages: which entries there are, and which of them a user sees.

An entry is hidden from users without its permissions, and where its address does not exist in this installation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.urls import NoReverseMatch, reverse

from portal.access.roles import enters_admin


@dataclass(frozen=True)
class MenuEntry:
    """A page in the menu.

    Attributes:
        label: the word in the menu.
        url_name: name of the page's address.
        arguments: arguments of the address.
        permissions: permissions that a user needs to see the entry, all of them; empty for a page open to all.
        views: beginnings of the names of the views that belong to the entry, the longest match wins.
        is_admin: whether only users who may enter the admin see it.
        children: entries of the second row.
    """

    label: str
    url_name: str
    arguments: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    is_admin: bool = False
    children: "tuple[MenuEntry, ...]" = ()

    @property
    def beginnings(self) -> tuple[str, ...]:
        return self.views or (self.url_name,)


MENU = (
    MenuEntry("Overview", "admin:index", is_admin=True),
    MenuEntry(
        "Feeds",
        "admin:feeds_feed_changelist",
        permissions=("feeds.view_feed",),
        views=("admin:feeds_feed_", "admin:feeds_proposal_", "admin:feeds_retentionpolicy_"),
        children=(
            MenuEntry("All feeds", "admin:feeds_feed_changelist", permissions=("feeds.view_feed",)),
            MenuEntry("Add", "admin:feeds_feed_add", permissions=("feeds.add_feed",)),
            MenuEntry("Import", "admin:feeds_feed_import", permissions=("feeds.add_feed", "feeds.change_feed")),
            MenuEntry(
                "Retention", "admin:feeds_retentionpolicy_changelist", permissions=("feeds.view_retentionpolicy",)
            ),
            MenuEntry("Deleted", "admin:feeds_feed_deleted", permissions=("feeds.view_feed",)),
        ),
    ),
    MenuEntry(
        "Refused",
        "admin:feeds_refusalsample_now",
        permissions=("feeds.view_refusalsample", "feeds.view_hourlycount"),
        views=("admin:feeds_refusalsample_", "admin:feeds_hourlycount_"),
        children=(
            MenuEntry("Last 24 hours", "admin:feeds_refusalsample_now", permissions=("feeds.view_refusalsample",)),
            MenuEntry(
                "Examples", "admin:feeds_refusalsample_changelist", permissions=("feeds.view_refusalsample",)
            ),
            MenuEntry("By hour", "admin:feeds_hourlycount_changelist", permissions=("feeds.view_hourlycount",)),
        ),
    ),
    MenuEntry(
        "Receipts",
        "admin:feeds_receipt_changelist",
        permissions=("feeds.view_receipt",),
        views=("admin:feeds_receipt_",),
    ),
    MenuEntry(
        "Certificates",
        "admin:feeds_certificate",
        permissions=("feeds.view_feed", "feeds.view_certificaterule"),
        views=("admin:feeds_certificate",),
        children=(
            MenuEntry("Look up", "admin:feeds_certificate", permissions=("feeds.view_certificaterule",)),
            MenuEntry(
                "Rules for all feeds",
                "admin:feeds_certificaterule_changelist",
                permissions=("feeds.view_certificaterule",),
                views=("admin:feeds_certificaterule_",),
            ),
        ),
    ),
    MenuEntry("Test", "admin:feeds_feed_test", permissions=("feeds.view_feed",)),
    MenuEntry(
        "Rules",
        "admin:feeds_receiptrule_changelist",
        permissions=("feeds.view_receiptrule",),
        views=("admin:feeds_receiptrule_",),
    ),
    MenuEntry(
        "Audit",
        "admin:portal_auditrecord_changelist",
        permissions=("portal.view_auditrecord",),
        views=("admin:portal_auditrecord_", "admin:auth_"),
        children=(
            MenuEntry("Records", "admin:portal_auditrecord_changelist", permissions=("portal.view_auditrecord",)),
            MenuEntry(
                "Users", "admin:auth_user_changelist", permissions=("auth.view_user",), views=("admin:auth_user_",)
            ),
            MenuEntry(
                "Roles",
                "admin:auth_group_changelist",
                permissions=("auth.view_group",),
                views=("admin:auth_group_",),
            ),
        ),
    ),
    MenuEntry(
        "Codes",
        "codes:list",
        views=("home", "codes:", "admin:codes_"),
        children=(
            MenuEntry("All", "codes:list"),
            MenuEntry("HTTP", "codes:registry", ("http",)),
            MenuEntry("Stroom", "codes:registry", ("stroom",)),
            MenuEntry("Explain", "codes:explain"),
            MenuEntry("Compare", "codes:compare"),
            MenuEntry("Disagreements", "codes:disagreements"),
            MenuEntry("Sources", "codes:sources"),
            MenuEntry(
                "Notes",
                "admin:codes_localnote_changelist",
                permissions=("codes.view_localnote",),
                views=("admin:codes_",),
            ),
        ),
    ),
    MenuEntry(
        "Docs",
        "documentation-index",
        views=("documentation", "api-docs"),
        children=(
            MenuEntry("Documentation", "documentation-index", views=("documentation",)),
            MenuEntry("API", "api-docs"),
        ),
    ),
)


@dataclass
class ShownEntry:
    """An entry as a page shows it."""

    label: str
    address: str
    is_current: bool = False
    children: "list[ShownEntry]" = field(default_factory=list)


def shown_menu(user: AbstractBaseUser | AnonymousUser | None, view_name: str, path: str) -> list[ShownEntry]:
    """Return the entries that a user sees; those of the current page are marked.

    Args:
        user: who looks at the page; None where nothing is known.
        view_name: name of the page's view.
        path: path of the page.
    """
    visible = list(_visible(MENU, user))
    current = _current((entry for entry, _ in visible), view_name)
    return [
        ShownEntry(entry.label, address, entry is current, _children(entry, user, path) if entry.children else [])
        for entry, address in visible
    ]


def _children(entry: MenuEntry, user: AbstractBaseUser | AnonymousUser | None, path: str) -> list[ShownEntry]:
    return [ShownEntry(child.label, address, path == address) for child, address in _visible(entry.children, user)]


def _visible(
    entries: tuple[MenuEntry, ...], user: AbstractBaseUser | AnonymousUser | None
) -> Iterator[tuple[MenuEntry, str]]:
    for entry in entries:
        address = _address(entry.url_name, entry.arguments)
        if address and _may_see(entry, user):
            yield entry, address


def _may_see(entry: MenuEntry, user: Any) -> bool:
    if not entry.permissions and not entry.is_admin:
        return True
    if user is None or not user.is_authenticated:
        return False
    return bool(user.has_perms(entry.permissions)) and (not entry.is_admin or enters_admin(user))


def _current(entries: Iterator[MenuEntry], view_name: str) -> MenuEntry | None:
    """Return the entry with the longest beginning of the view's name."""
    matches = [
        (len(beginning), entry)
        for entry in entries
        for beginning in entry.beginnings
        if view_name.startswith(beginning)
    ]
    return max(matches, key=lambda match: match[0])[1] if matches else None


def _address(name: str, arguments: tuple[str, ...]) -> str:
    try:
        return reverse(name, args=arguments)
    except NoReverseMatch:
        return ""
