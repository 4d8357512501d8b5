"""S13: every address of the API with every method, for every role and kind of token; the rest is denied."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from codes.models import StatusCode
from feeds.models import Proposal, ReceiptRule
from portal.access.roles import ADMINISTRATOR, CERTIFICATE_OFFICER, FEED_EDITOR, ROLES
from portal.models import ApiToken, AuditRecord
from tests.calls import Caller, anonymous, caller, make_user, problem_of, superuser
from tests.factories import make_feed, make_receipt
from tests.portal.rest.test_description import api_methods, leaves

pytestmark = pytest.mark.django_db

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "LOCK"]
NO_ROLE, SUPERUSER = "no role", "superuser"
READ_TOKEN, WRITE_TOKEN, CHECK_TOKEN = "read token", "write token", "check token"
#: Of an administrator of everything, but worth nothing.
DEAD = ("token without a scope", "expired token", "token of an inactive user", "revoked token")

SEE = {*ROLES, SUPERUSER, READ_TOKEN}
EDIT = {FEED_EDITOR, ADMINISTRATOR, SUPERUSER, WRITE_TOKEN}
CHANGE = EDIT | {CERTIFICATE_OFFICER}
DECIDE = {CERTIFICATE_OFFICER, SUPERUSER, WRITE_TOKEN}
OWN_READ = SEE | {NO_ROLE}
OWN_WRITE = {NO_ROLE, *ROLES, SUPERUSER, WRITE_TOKEN}

RECEIPT = "1771956627192_0001_P_test-1"

#: What any token may do to itself, whatever its scopes.
OF_ITSELF = (
    ("POST", "/api/v1/tokens/"),
    ("GET", "/api/v1/tokens/current/"),
    ("DELETE", "/api/v1/tokens/current/"),
)

#: Who may do what; everybody else is refused. The catalogue and the way to a token are open to all.
MAY: dict[tuple[str, str], set[str]] = {
    ("GET", "/api/v1/feeds/"): SEE,
    ("POST", "/api/v1/feeds/"): EDIT,
    ("PATCH", "/api/v1/feeds/"): CHANGE,
    ("POST", "/api/v1/feeds/bulk/"): EDIT,
    ("POST", "/api/v1/feeds/bulk/delete/"): EDIT,
    ("GET", "/api/v1/feeds/export/"): SEE,
    ("POST", "/api/v1/feeds/import/"): CHANGE,
    ("GET", "/api/v1/feeds/{name}/"): SEE,
    ("PUT", "/api/v1/feeds/{name}/"): CHANGE,
    ("PATCH", "/api/v1/feeds/{name}/"): CHANGE,
    ("DELETE", "/api/v1/feeds/{name}/"): EDIT,
    ("GET", "/api/v1/feeds/{name}/history/"): SEE,
    ("GET", "/api/v1/proposals/"): SEE,
    ("GET", "/api/v1/proposals/{proposal_id}/"): SEE,
    ("POST", "/api/v1/proposals/{proposal_id}/approve/"): DECIDE,
    ("POST", "/api/v1/proposals/{proposal_id}/decline/"): DECIDE,
    ("POST", "/api/v1/proposals/{proposal_id}/withdraw/"): set(),  # who proposed it, whatever their role
    ("GET", "/api/v1/receipt-rules/"): SEE,
    ("POST", "/api/v1/receipt-rules/"): DECIDE,
    ("POST", "/api/v1/receipt-rules/test/"): DECIDE,
    ("GET", "/api/v1/receipt-rules/{rule_id}/"): SEE,
    ("PUT", "/api/v1/receipt-rules/{rule_id}/"): DECIDE,
    ("PATCH", "/api/v1/receipt-rules/{rule_id}/"): DECIDE,
    ("DELETE", "/api/v1/receipt-rules/{rule_id}/"): DECIDE,
    ("GET", "/api/v1/receipt-rules/{rule_id}/history/"): SEE,
    ("GET", "/api/v1/receipt-rules/{rule_id}/matches/"): SEE,
    ("POST", "/api/v1/receipt-rules/{rule_id}/approve/"): DECIDE,
    ("POST", "/api/v1/receipt-rules/{rule_id}/decline/"): DECIDE,
    ("GET", "/api/v1/receipts/"): SEE,
    ("GET", "/api/v1/receipts/{receipt_id}/"): SEE,
    ("GET", "/api/v1/receipts/{receipt_id}/content"): {ADMINISTRATOR, SUPERUSER, READ_TOKEN},
    ("GET", "/api/v1/rejections/"): SEE,
    ("GET", "/api/v1/changes/"): SEE,
    ("GET", "/api/v1/deliveries/"): SEE,
    ("POST", "/api/v1/receipt/check/"): SEE | {CHECK_TOKEN},
    ("GET", "/api/v1/tokens/"): OWN_READ,
    ("DELETE", "/api/v1/tokens/"): OWN_WRITE,
    **dict.fromkeys(OF_ITSELF, OWN_READ | {WRITE_TOKEN, CHECK_TOKEN}),
    ("GET", "/api/v1/tokens/{token_id}/"): OWN_READ,
    ("DELETE", "/api/v1/tokens/{token_id}/"): OWN_WRITE,
}
OPEN = {
    ("GET", "/api/v1/"),
    ("GET", "/api/v1/codes/"),
    ("GET", "/api/v1/codes/lookup/"),
    ("POST", "/api/v1/codes/explain/"),
    ("GET", "/api/v1/codes/compare/"),
    ("GET", "/api/v1/codes/export.json"),
    ("GET", "/api/v1/codes/export.csv"),
    ("GET", "/api/v1/codes/export.schema.json"),
    ("GET", "/api/v1/codes/retry.json"),
    ("GET", "/api/v1/codes/{registry}/{code}/"),
    ("GET", "/api/v1/codes/{registry}/{code}/{owner}/"),
    ("GET", "/api/v1/disagreements/"),
    ("GET", "/api/v1/releases/"),
    ("GET", "/api/v1/sources/"),
    ("GET", "/api/v1/sources/{slug}/"),
    ("GET", "/api/v1/vendors/"),
    ("GET", "/api/v1/vendors/{slug}/"),
    ("GET", "/api/v1/headers/"),
    ("GET", "/api/v1/headers/{slug}/"),
    ("GET", "/api/v1/registries/"),
    ("GET", "/api/v1/classes/{registry}/{key}/"),
    ("POST", "/api/v1/auth/token/"),
}
#: Beginnings of the pages for everybody. The admin has a matrix of its own.
PAGES = ("codes/", "docs/", "search/", "favicon.ico", "api/schema/", "api/docs/")


def address(path: str, owner: Caller) -> str:
    """The address with things that are there; a token of the caller, and never the one that it calls with."""
    token = ApiToken.objects.issue(owner.user)[0].pk if owner.user is not None else 1
    return path.format(
        name="FEED-A",
        receipt_id=RECEIPT,
        rule_id=ReceiptRule.objects.values_list("pk", flat=True).first()
        or ReceiptRule.objects.create(name="rule", position=1, enabled=False).pk,
        token_id=token,
        proposal_id=Proposal.objects.values_list("pk", flat=True).first() or 1,
        registry="http",
        code="404",
        owner="ietf",
        slug="nginx",
        key="4xx",
    )


def caller_of(role: str) -> Caller:
    match role:
        case "superuser":
            return superuser()
        case "no role":
            return caller()
        case "token without a scope":
            return Caller(make_user(superuser=True), [])
        case "expired token":
            found = superuser()
            ApiToken.objects.filter(pk=found.token.pk).update(expires=timezone.now() - timedelta(seconds=1))
            return found
        case "token of an inactive user":
            found = superuser()
            type(found.user).objects.filter(pk=found.user.pk).update(is_active=False)
            return found
        case "revoked token":
            found = superuser()
            found.token.delete()
            return found
    if role.endswith(" token"):
        return Caller(make_user(superuser=True), [role.removesuffix(" token")])
    user = make_user()
    user.groups.add(Group.objects.get(name=role))
    return Caller(user)


@pytest.fixture
def objects(tmp_path: Path, settings: Any) -> None:
    settings.STORE_DIR = tmp_path
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    make_feed("FEED-A")
    superuser().patch("/api/v1/feeds/FEED-A/", {"certificate_policy": "required"})
    receipt = make_receipt("FEED-A", receipt_id=RECEIPT)
    (tmp_path / receipt.path).parent.mkdir(parents=True)
    (tmp_path / receipt.path).write_bytes(b"some data\n")


def call(who: Caller, method: str, path: str) -> int:
    body = None if method in {"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"} else "{}"
    query = "?all=true" if (method, path) == ("DELETE", "/api/v1/tokens/") else ""
    response = who.call(method, address(path, who) + query, body)
    if hasattr(response, "streaming_content"):
        b"".join(response.streaming_content)
    return response.status_code


def test_s13_every_address_of_the_api_is_listed() -> None:
    assert set(api_methods()) == set(MAY) | OPEN


def test_s13_every_other_address_is_a_page_or_the_admins() -> None:
    others = [
        route for _, route in leaves(get_resolver().url_patterns) if not route.startswith(("api/v1/", "admin/"))
    ]
    assert [route for route in others if route and not route.startswith(PAGES)] == []


@pytest.mark.parametrize("role", [NO_ROLE, *ROLES, SUPERUSER, READ_TOKEN, WRITE_TOKEN, CHECK_TOKEN])
def test_s13_every_role_may_exactly_what_is_listed(role: str, objects: None) -> None:
    surprises = []
    for (method, path), roles in sorted(MAY.items(), key=lambda entry: entry[0][0] == "DELETE"):
        who = caller_of(role)
        status = call(who, method, path)
        if (status != 403) != (role in roles) or status in {401, 405, 500}:
            surprises.append((method, path, status))
    assert surprises == []


@pytest.mark.parametrize("role", DEAD)
def test_s13_a_token_that_is_worth_nothing_opens_nothing(role: str, objects: None) -> None:
    expected = 403 if role == DEAD[0] else 401
    scoped = {key for key in MAY if expected == 401 or key not in OF_ITSELF}
    assert {call(caller_of(role), method, path) for method, path in scoped} == {expected}


def test_s13_without_a_token_nothing_but_the_open_is_answered(objects: None) -> None:
    assert {call(anonymous(), method, path) for method, path in MAY} == {401}
    for method, path in OPEN:
        status = call(anonymous(), method, path)
        assert status in {200, 400, 404}, (method, path)


@pytest.mark.parametrize("who", ["anonymous", "superuser"])
def test_s13_a_method_that_is_not_listed_does_nothing(who: str, objects: None) -> None:
    listed = set(MAY) | OPEN | {("HEAD", path) for method, path in {*MAY, *OPEN} if method == "GET"}
    listed |= {("OPTIONS", path) for _, path in listed}
    found = anonymous() if who == "anonymous" else superuser()
    expected = {405} if who == "superuser" else {401, 405}
    for path in {path for _, path in listed}:
        for method in METHODS:
            if (method, path) not in listed:
                assert call(found, method, path) in expected, (method, path)


def test_options_tells_everybody_the_methods_of_an_address_and_nothing_else(objects: None) -> None:
    offered: dict[str, set[str]] = {}
    for method, path in {*MAY, *OPEN}:
        offered.setdefault(path, {"OPTIONS"}).update({method, "HEAD"} if method == "GET" else {method})
    for path, methods in offered.items():
        for who in (anonymous(), caller_of(READ_TOKEN), caller_of("expired token")):
            response = who.call("OPTIONS", address(path, who), headers={"Origin": "https://example.org"})
            assert (response.status_code, response.content) == (204, b""), path
            assert set(response["Allow"].split(", ")) == methods, path
            is_catalogue = ("GET", path) in OPEN or path == "/api/v1/codes/explain/"
            assert response.has_header("Access-Control-Allow-Origin") is is_catalogue, path
        refused = superuser().call("TRACE", address(path, anonymous()))
        assert set(refused["Allow"].split(", ")) == methods, path


def test_options_names_no_more_where_there_is_nothing(objects: None) -> None:
    there = anonymous().call("OPTIONS", "/api/v1/feeds/FEED-A/")
    nothing = anonymous().call("OPTIONS", "/api/v1/feeds/NO-SUCH-FEED/")
    assert (there.status_code, there["Allow"]) == (nothing.status_code, nothing["Allow"])


def test_s13_head_is_as_open_as_get(objects: None) -> None:
    for method, path in MAY:
        if method == "GET":
            assert call(anonymous(), "HEAD", path) == 401
            assert call(caller(), "HEAD", path) == (200 if "/tokens/" in path else 403)
            assert call(superuser(), "HEAD", path) == 200


def test_s13_the_catalogue_changes_for_nobody(objects: None) -> None:
    before = list(StatusCode.objects.values())
    for _, path in OPEN - {("POST", "/api/v1/auth/token/"), ("POST", "/api/v1/codes/explain/")}:
        for method in ["POST", "PUT", "PATCH", "DELETE"]:
            assert call(superuser(), method, path) == 405
    assert list(StatusCode.objects.values()) == before


def test_s15_what_others_own_cannot_be_found_by_any_way() -> None:
    mine, other = superuser(), superuser()
    number = other.token.pk
    for method in ["GET", "DELETE"]:
        problem_of(mine.call(method, f"/api/v1/tokens/{number}/"), 404)
    for query in ["", "?ordering=name", "?limit=1000", "?format=csv"]:
        response = mine.get(f"/api/v1/tokens/{query}")
        content = b"".join(response.streaming_content) if response.streaming else response.content
        assert other.token.prefix.encode() not in content
    problem_of(mine.get(f"/api/v1/tokens/?user={other.user.pk}"), 400)
    mine.delete("/api/v1/tokens/?all=true")
    assert ApiToken.objects.filter(pk=number).exists()


def test_s17_ten_wrong_passwords_lock_this_way_in_too() -> None:
    user = make_user()
    login = {"username": user.username, "password": "wrong"}
    answers = [anonymous().post("/api/v1/auth/token/", login) for _ in range(10)]
    right = {**login, "password": "correct horse battery"}
    answers.append(anonymous().post("/api/v1/auth/token/", right))
    assert len({problem_of(answer, 401)["detail"] for answer in answers}) == 1
    assert not ApiToken.objects.exists()


def test_s31_every_download_is_in_the_audit_record(objects: None) -> None:
    who = superuser()
    call(who, "GET", "/api/v1/receipts/{receipt_id}/content")
    entry = AuditRecord.objects.get(action="downloaded")
    assert (entry.actor, entry.kind, entry.key) == (who.user.username, "receipt", RECEIPT)


def test_s14_no_serializer_takes_all_the_fields_of_its_model() -> None:
    from rest_framework.serializers import ModelSerializer

    import portal.access.api  # noqa: F401  # so that all are known

    found = [
        kind for kind in all_kinds(ModelSerializer) if kind.__module__.startswith(("feeds.", "codes.", "portal."))
    ]
    assert len(found) >= 4
    for kind in found:
        fields = getattr(kind.Meta, "fields", None)  # type: ignore[attr-defined]
        assert isinstance(fields, list | tuple), kind


def all_kinds(kind: type) -> list[type]:
    return [found for sub in kind.__subclasses__() for found in (sub, *all_kinds(sub))]  # type: ignore[var-annotated]


def test_a_session_reads_and_writes_with_its_csrf_token(objects: None) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user(superuser=True, is_staff=True))
    assert browser.get("/api/v1/feeds/").status_code == 200
    assert browser.patch("/api/v1/feeds/FEED-A/", {}, content_type="application/json").status_code == 403
    browser.get("/admin/password_change/")
    token = browser.cookies["csrftoken"].value
    response = browser.patch(
        "/api/v1/feeds/FEED-A/",
        {"owner": "me"},
        content_type="application/json",
        headers={"X-CSRFToken": token},
    )
    assert response.status_code == 200
