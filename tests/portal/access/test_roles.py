"""The shipped roles: what each may do, address by address (threat model, S13, S14, S15, S30)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import get_resolver, reverse

from feeds.models import CertificateRule, Feed, Proposal, Receipt, ReceiptRule, RefusalSample, RetentionPolicy
from portal.access.roles import ADMINISTRATOR, AUDITOR, CERTIFICATE_OFFICER, FEED_EDITOR, ROLES, VIEWER, put_right
from portal.models import ApiToken, AuditRecord

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def second_approval(settings: Any, tmp_path: Path) -> None:
    """With it on there are more pages, and those that are there without it stay as open as they were."""
    settings.STORE_DIR = tmp_path
    (tmp_path / "x").write_bytes(b"x")  # of the one receipt
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)


ANONYMOUS, STAFF, SUPERUSER = "anonymous", "staff without a role", "superuser"
EVERYONE = {VIEWER, FEED_EDITOR, CERTIFICATE_OFFICER, AUDITOR, ADMINISTRATOR, SUPERUSER}
EDITORS = {FEED_EDITOR, ADMINISTRATOR, SUPERUSER}
CHANGERS = EDITORS | {CERTIFICATE_OFFICER}
OFFICERS = {CERTIFICATE_OFFICER, SUPERUSER}
AUDITORS = {AUDITOR, ADMINISTRATOR, SUPERUSER}
ADMINISTRATORS = {ADMINISTRATOR, SUPERUSER}
NOBODY: set[str] = set()

#: Who gets a page (200) from each address of the admin by GET; everyone else is refused or sent to the login.
READERS: dict[str, set[str]] = {
    "index": EVERYONE | {STAFF},
    "password_change": EVERYONE | {STAFF},
    "password_change_done": EVERYONE | {STAFF},
    "jsi18n": EVERYONE | {STAFF},
    "feeds_feed_changelist": EVERYONE,
    "feeds_feed_change": EVERYONE,
    "feeds_feed_history": EVERYONE,
    "feeds_feed_read": EVERYONE,
    "feeds_feed_test": EVERYONE,
    "feeds_feed_deleted": EVERYONE,
    "feeds_feed_export": EVERYONE,
    "feeds_feed_add": EDITORS,
    "feeds_feed_delete": EDITORS,
    "feeds_feed_restore": EDITORS,
    "feeds_feed_revert": CHANGERS,
    "feeds_feed_import": CHANGERS,
    "feeds_feed_import_confirm": NOBODY,
    "feeds_feed_set_status": NOBODY,
    "feeds_feed_bulk_edit": NOBODY,
    "feeds_feed_save_view": NOBODY,
    "feeds_feed_remove_view": NOBODY,
    "feeds_proposal_changelist": EVERYONE,
    "feeds_proposal_change": EVERYONE,
    "feeds_certificate": EVERYONE,
    "feeds_certificaterule_changelist": EVERYONE,
    "feeds_certificaterule_change": NOBODY,  # it leads to the page of the certificate
    "feeds_certificaterule_history": EVERYONE,
    "feeds_certificaterule_add": NOBODY,
    "feeds_certificaterule_delete": NOBODY,
    "feeds_receipt_changelist": EVERYONE,
    "feeds_receipt_change": EVERYONE,
    "feeds_receipt_data": ADMINISTRATORS,
    "feeds_receipt_history": EVERYONE,
    "feeds_receipt_add": NOBODY,
    "feeds_receipt_delete": NOBODY,
    "feeds_hourlycount_changelist": EVERYONE,
    "feeds_hourlycount_change": EVERYONE,
    "feeds_hourlycount_history": EVERYONE,
    "feeds_hourlycount_add": NOBODY,
    "feeds_hourlycount_delete": NOBODY,
    "feeds_refusalsample_changelist": EVERYONE,
    "feeds_refusalsample_change": EVERYONE,
    "feeds_refusalsample_history": EVERYONE,
    "feeds_refusalsample_now": EVERYONE,
    "feeds_refusalsample_add": NOBODY,
    "feeds_refusalsample_delete": NOBODY,
    "feeds_retentionpolicy_changelist": EVERYONE,
    "feeds_retentionpolicy_change": EVERYONE,
    "feeds_retentionpolicy_history": EVERYONE,
    "feeds_retentionpolicy_add": ADMINISTRATORS,
    "feeds_retentionpolicy_delete": ADMINISTRATORS,
    "feeds_receiptrule_changelist": EVERYONE,
    "feeds_receiptrule_change": EVERYONE,
    "feeds_receiptrule_history": EVERYONE,
    "feeds_receiptrule_add": OFFICERS,
    "feeds_receiptrule_delete": OFFICERS,
    "feeds_receiptrule_decide": NOBODY,  # POST alone
    "portal_apitoken_changelist": EVERYONE,
    "portal_apitoken_change": ADMINISTRATORS,
    "portal_apitoken_history": ADMINISTRATORS,
    "portal_apitoken_add": EVERYONE,
    "portal_apitoken_delete": ADMINISTRATORS,
    "portal_apitoken_rotate": NOBODY,  # POST alone
    "portal_auditrecord_changelist": AUDITORS,
    "portal_auditrecord_change": AUDITORS,
    "portal_auditrecord_history": AUDITORS,
    "portal_auditrecord_add": NOBODY,
    "portal_auditrecord_delete": NOBODY,
    "auth_user_changelist": AUDITORS,
    "auth_user_change": AUDITORS,
    "auth_user_history": AUDITORS,
    "auth_user_add": ADMINISTRATORS,
    "auth_user_delete": ADMINISTRATORS,
    "auth_user_password_change": ADMINISTRATORS,
    "auth_group_changelist": AUDITORS,
    "auth_group_change": AUDITORS,
    "auth_group_history": AUDITORS,
    "auth_group_add": {SUPERUSER},
    "auth_group_delete": {SUPERUSER},
}
#: Addresses that belong to no role, or answer everyone alike.
OUTSIDE = {"login", "logout", "autocomplete", "view_on_site", "app_list"}


def admin_names() -> set[str]:
    """Every named address below /admin/, from the map itself."""
    _, resolver = get_resolver().namespace_dict["admin"]
    names = {name for name in resolver.reverse_dict if isinstance(name, str)}
    return {name for name in names if not name.startswith("codes_")} - OUTSIDE


def make_objects() -> dict[str, object]:
    """One object for each kind of address."""
    feed = Feed.objects.create(name="PAYROLL-PROD")
    gone = Feed.objects.create(name="GONE-FEED")
    gone_key = gone.pk
    gone.delete()
    receipt = Receipt.objects.create(
        receipt_id="r1", feed=feed.name, received_at="2026-02-24T00:00:00Z", bytes=1, sha256="0" * 64, path="x"
    )
    sample = RefusalSample.objects.create(
        at="2026-02-24T00:00:00Z", feed=feed.name, http_status=406, stroom_status=110, receipt_id="r2"
    )
    from feeds.models import HourlyCount

    count = HourlyCount.objects.create(
        hour="2026-02-24T00:00:00Z", feed=feed.name, outcome="received", http_status=200, stroom_status=0
    )
    other = User.objects.create_user("somebody-else")
    token, _ = ApiToken.objects.issue(other)
    return {
        "feeds_feed": feed.pk,
        "gone": gone_key,
        "feeds_proposal": Proposal.objects.create(names=f"\n{feed.name}\n", items=[], proposer="x").pk,
        "feeds_certificaterule": CertificateRule.objects.create(feed=None, action="deny", subject_dn="CN=x").pk,
        "feeds_receipt": receipt.pk,
        "feeds_refusalsample": sample.pk,
        "feeds_hourlycount": count.pk,
        "feeds_retentionpolicy": RetentionPolicy.objects.create(keep_days=1).pk,
        "feeds_receiptrule": ReceiptRule.objects.create(name="rule", position=1, enabled=False).pk,
        "portal_apitoken": token.pk,
        "portal_auditrecord": AuditRecord.objects.first().pk,
        "auth_user": other.pk,
        "auth_group": Group.objects.create(name="own").pk,
    }


def address(name: str, objects: dict[str, object]) -> str:
    model = "_".join(name.split("_")[:2])
    special = {
        "feeds_feed_restore": [objects["gone"]],
        "feeds_feed_read": [objects["feeds_feed"]],
        "feeds_feed_bulk_edit": ["values"],
        "feeds_feed_remove_view": [1],
        "feeds_feed_export": ["csv"],
        "feeds_feed_import_confirm": ["00000000-0000-0000-0000-000000000000"],
    }
    of_an_object = ("_change", "_delete", "_history", "_revert", "_data", "_rotate", "_decide")
    needs_object = name.endswith(of_an_object) and name != "password_change"
    arguments = special.get(name, [objects[model]] if needs_object and model in objects else [])
    url = reverse(f"admin:{name}", args=arguments)
    if name == "feeds_feed_revert":
        moment = Feed.history.filter(id=objects["feeds_feed"]).first().history_date
        url += "?at=" + moment.isoformat().replace("+", "%2B")
    return url


def client_of(role: str) -> Client:
    client = Client()
    if role != ANONYMOUS:
        user = User.objects.create_user(role, is_staff=True, is_superuser=role == SUPERUSER)
        if role in ROLES:
            user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
    return client


def test_s13_every_address_of_the_admin_is_in_the_matrix() -> None:
    assert admin_names() == set(READERS)


@pytest.mark.parametrize("role", [ANONYMOUS, STAFF, *ROLES, SUPERUSER])
def test_s13_every_role_gets_exactly_the_pages_of_the_matrix(role: str) -> None:
    objects = make_objects()
    client = client_of(role)
    surprises = []
    for name, readers in READERS.items():
        status = client.get(address(name, objects)).status_code
        allowed = status == 200
        if allowed != (role in readers):
            surprises.append((name, status))
    assert surprises == []


@pytest.mark.parametrize("role", [ANONYMOUS, STAFF, VIEWER, AUDITOR])
def test_s13_who_may_not_write_changes_nothing_by_any_post(role: str) -> None:
    objects = make_objects()
    client = client_of(role)
    models = (Feed, CertificateRule, Proposal, Receipt, ReceiptRule, RefusalSample, RetentionPolicy, User, Group)
    before = [list(model.objects.order_by("pk").values_list("pk", flat=True)) for model in models]
    state = Feed.objects.values().get(pk=objects["feeds_feed"])  # type: ignore[misc]
    proposal = Proposal.objects.values().get()
    everything = {
        "name": "OTHER",
        "status": "Drop",
        "post": "yes",
        "change_comment": "x",
        "feeds": str(objects["feeds_feed"]),
        "comment": "x",
        "action": "set_drop",
        "decision": "approve",
        "_selected_action": str(objects["feeds_feed"]),
        "username": "x",
        "is_superuser": "on",
        "_save": "1",
    }
    for name in set(READERS) - {"password_change", "portal_apitoken_add"}:
        client.post(address(name, objects), everything)
    assert [list(model.objects.order_by("pk").values_list("pk", flat=True)) for model in models] == before
    assert Feed.objects.values().get(pk=objects["feeds_feed"]) == state  # type: ignore[misc]
    assert Proposal.objects.values().get() == proposal
    assert not User.objects.filter(username="somebody-else", is_superuser=True).exists()


def test_s30_only_officers_have_any_right_to_certificate_rules() -> None:
    for name, rights in ROLES.items():
        writes = {right for right in rights if right.endswith("_certificaterule") and ".view_" not in right}
        assert bool(writes) == (name == CERTIFICATE_OFFICER)


def test_s30_no_role_but_the_administrator_touches_users_and_none_touches_roles() -> None:
    for name, rights in ROLES.items():
        assert {r for r in rights if r in {"auth.change_group", "auth.add_group", "auth.delete_group"}} == set()
        assert ("auth.change_user" in rights) == (name == ADMINISTRATOR)


def test_s30_an_administrator_cannot_become_an_officer_alone() -> None:
    client = client_of(ADMINISTRATOR)
    me = User.objects.get(username=ADMINISTRATOR)
    officer = Group.objects.get(name=CERTIFICATE_OFFICER)
    form = {"username": ADMINISTRATOR, "is_active": "on", "is_staff": "on", "groups": [str(officer.pk)]}
    client.post(reverse("admin:auth_user_change", args=[me.pk]), form)
    assert not me.groups.filter(pk=officer.pk).exists()


def test_every_right_of_a_role_exists() -> None:
    known = {f"{p.content_type.app_label}.{p.codename}" for p in Permission.objects.select_related("content_type")}
    for rights in ROLES.values():
        assert rights <= known


def test_a_right_that_was_added_by_hand_goes_and_other_groups_stay() -> None:
    viewer = Group.objects.get(name=VIEWER)
    viewer.permissions.add(Permission.objects.get(codename="delete_feed"))
    own = Group.objects.create(name="own")
    own.permissions.add(Permission.objects.get(codename="delete_feed"))
    put_right(apps.get_app_config("portal"))
    assert not viewer.permissions.filter(codename="delete_feed").exists()
    assert own.permissions.filter(codename="delete_feed").exists()


def test_every_model_of_the_admin_is_known_to_the_matrix() -> None:
    listed = {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry}
    assert {f"{name}_changelist" for name in listed if not name.startswith("codes_")} <= set(READERS)
