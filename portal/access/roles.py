"""Roles of the portal as groups, each with exactly its permissions (threat model, S13 and S30).

They are put right after every migration, so that a right that a release takes from a role is really gone. Groups
that an installation makes itself are never touched. Certificate policies and rules are the officers' alone, also
an administrator gets them only by being an officer too.
"""

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import AnonymousUser, Group, Permission, User

VIEWER = "Viewer"
FEED_EDITOR = "Feed editor"
CERTIFICATE_OFFICER = "Certificate officer"
AUDITOR = "Auditor"
ADMINISTRATOR = "Administrator"

_SEE = frozenset(
    "feeds.view_feed feeds.view_certificaterule feeds.view_receipt feeds.view_receiptfeed feeds.view_hourlycount "
    "feeds.view_receiptrule feeds.view_refusalsample feeds.view_retentionpolicy feeds.view_historicalfeed "
    "feeds.view_historicalcertificaterule codes.view_localnote portal.view_apitoken portal.add_apitoken "
    "portal.delete_apitoken".split()
)
_EDIT = frozenset("feeds.add_feed feeds.change_feed feeds.delete_feed".split())
_GUARD = frozenset(
    "feeds.change_feed feeds.add_certificaterule feeds.change_certificaterule feeds.delete_certificaterule "
    "feeds.add_receiptrule feeds.change_receiptrule feeds.delete_receiptrule".split()
)
_AUDIT = frozenset("portal.view_auditrecord auth.view_user auth.view_group admin.view_logentry".split())
_ADMINISTER = frozenset(
    "auth.add_user auth.change_user auth.delete_user feeds.download_receipt feeds.add_retentionpolicy "
    "feeds.change_retentionpolicy feeds.delete_retentionpolicy codes.add_localnote codes.change_localnote "
    "codes.delete_localnote".split()
)

ROLES: dict[str, frozenset[str]] = {
    VIEWER: _SEE,
    FEED_EDITOR: _SEE | _EDIT,
    CERTIFICATE_OFFICER: _SEE | _GUARD,
    AUDITOR: _SEE | _AUDIT,
    ADMINISTRATOR: _SEE | _EDIT | _AUDIT | _ADMINISTER,
}


def enters_admin(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Return whether a user may sign in to the admin: users with a role or *Staff status* may."""
    if not isinstance(user, User) or not user.is_active:
        return False
    return user.is_staff or user.groups.filter(name__in=ROLES).exists()


def put_right(sender: AppConfig, **kwargs: Any) -> None:
    """Create or reset the shipped groups (receiver of post_migrate, which is sent once for each app)."""
    if sender.label != "portal":
        return
    using: str = kwargs.get("using", "default")
    for label in ("auth", "admin", "codes", "feeds", "portal"):
        create_permissions(apps.get_app_config(label), verbosity=0, using=using)
    by_name = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.using(using).select_related("content_type")
    }
    for name, wanted in ROLES.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        present = set(group.permissions.values_list("pk", flat=True))
        permissions = [by_name[key] for key in wanted if key in by_name]
        if present != {permission.pk for permission in permissions}:
            group.permissions.set(permissions)
