"""S10: nothing of an address is more than text on the page that it gets, in whatever parameter or path."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse

from codes import loading
from tests.calls import Answer
from tests.feeds.admin.admin_client import signed_in
from tests.hostile import bundle, faults_of, fields_on, handfuls

pytestmark = [pytest.mark.django_db]

PUBLIC = [
    *(
        "/",
        "/codes/",
        "/codes/lookup/",
        "/codes/compare/",
        "/codes/explain/",
        "/codes/disagreements/",
        "/codes/http/",
    ),
    *("/codes/http/404/", "/codes/sources/", "/codes/vendors/", "/codes/headers/", "/codes/data/", "/docs/"),
    *("/docs/admin/", "/api/docs/", "/api/schema/", "/admin/login/"),
]
API = [
    *("codes/", "codes/lookup/", "codes/compare/", "disagreements/", "sources/", "vendors/", "headers/", "feeds/"),
    *("proposals/", "receipts/", "rejections/", "tokens/", "codes/http/404/"),
]
#: Parameters that some page knows.
NAMES = (
    "q code codes http stroom feed source next class registry owner vendor retry header page p o e at since".split()
)
NAMES += ["sample", "quiet", "rules", "refused", "status__exact", "stroom_status", "_changelist_filters", "_popup"]


@pytest.fixture(scope="module", autouse=True)
def _catalogue(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), transaction.atomic():
        loading.load()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def boss(db: None, settings: Any) -> Client:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    return signed_in(superuser=True)


def admin_pages() -> list[str]:
    """Every page of the admin whose address names no object."""
    _, resolver = get_resolver().namespace_dict["admin"]
    names = [name for name in resolver.reverse_dict if isinstance(name, str)]
    plain = [name for name in names if resolver.reverse_dict.getlist(name)[0][0][0][1] == []]
    return sorted({reverse(f"admin:{name}") for name in plain if name not in {"logout", "view_on_site"}})


def faults_in(answers: dict[str, Answer]) -> dict[str, list[str]]:
    told = {}
    for name, answer in answers.items():
        faults = faults_of(answer.content.decode()) if is_page(answer) else []
        faults += [f"HTTP {answer.status_code}"] if answer.status_code >= 500 else []
        faults += [] if answer.get("X-Content-Type-Options") == "nosniff" else ["the browser may guess its type"]
        if faults:
            told[name] = faults[:5]
    return told


def is_page(answer: Answer) -> bool:
    return bool(answer["Content-Type"].startswith("text/html"))


def test_the_admin_has_many_pages_to_look_at() -> None:
    assert len(admin_pages()) > 25


def test_s10_no_query_is_more_than_text(boss: Client) -> None:
    """Each page gets all payloads: as its search, as every parameter that there is, and as a parameter's name."""
    told = bundle("query")
    answers = {}
    for path in [*PUBLIC, *admin_pages(), *(f"/api/v1/{path}" for path in API)]:
        for kind, query in {"q": {"q": told}, "all": dict.fromkeys(NAMES, told), "name": {told: told}}.items():
            answers[f"{path} {kind}"] = boss.get(path, query, follow=True)
    assert faults_in(answers) == {}
    showing = [name for name, answer in answers.items() if is_page(answer) and fields_on(answer.content.decode())]
    assert len(showing) > 12


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/codes/", "class"),
        ("/codes/lookup/", "http"),
        ("/codes/lookup/", "stroom"),
        ("/codes/compare/", "codes"),
        ("/codes/disagreements/", "page"),
        ("/codes/disagreements/", "source"),
        ("/admin/login/", "next"),
        ("/admin/feeds/feed/test/", "feed"),
        ("/admin/feeds/feed/test/", "sample"),
        ("/admin/feeds/feed/add/", "name"),
        ("/admin/feeds/feed/add/", "description"),
        ("/admin/feeds/feed/", "quiet"),
        ("/admin/feeds/refusalsample/now/", "stroom_status"),
        ("/admin/portal/auditrecord/", "kind"),
    ],
)
def test_s10_no_parameter_is_more_than_text(path: str, name: str, boss: Client) -> None:
    assert faults_in({path: boss.get(path, {name: bundle("parameter")}, follow=True)}) == {}


def test_s10_no_search_of_the_admin_is_more_than_text(boss: Client) -> None:
    """In parts, because a search takes twenty words at most."""
    told = {text: boss.get(reverse("admin:auth_group_changelist"), {"q": text}) for text in handfuls("search", 3)}
    answers = {text: answer for text, answer in told.items() if answer.status_code == 200}
    assert faults_in(answers) == {}
    assert len(answers) > 75
    assert all("search" in fields_on(answer.content.decode()) for answer in answers.values())


def test_s10_no_path_is_more_than_text(boss: Client) -> None:
    told = quote(bundle("path"), safe="")
    paths = [
        *(f"/{told}", f"/{told}/", f"/codes/{told}/", f"/codes/http/{told}/", f"/codes/http/404/{told}/"),
        *(f"/codes/sources/{told}/", f"/docs/{told}/", f"/admin/{told}/", f"/admin/feeds/{told}/"),
        *(f"/admin/feeds/feed/{told}/change/", f"/admin/feeds/feed/export/{told}/", f"/admin/r/1/{told}/"),
        *(f"/api/{told}", f"/api/v1/{told}/", f"/api/v1/feeds/{told}/", f"/api/v1/codes/http/{told}/"),
        *(f"/api/v1/receipts/{told}/content", f"/api/v1/feeds/{told}/history/", f"/static/{told}"),
    ]
    assert faults_in({path[:40]: boss.get(path, follow=True) for path in paths}) == {}


def test_s10_no_request_header_is_more_than_text(boss: Client) -> None:
    """Nor is what a page says of the request itself."""
    names = ("User-Agent", "Referer", "Accept-Language", "X-Request-ID", "X-Forwarded-For", "Accept", "Cookie")
    told = " ".join(bundle("header").split()).encode("ascii", "replace").decode()
    answers = {
        f"{path} {name}": Client(headers={name: told, "host": "localhost"}).get(path)
        for path in ("/codes/", "/admin/login/", "/nowhere/", "/api/v1/nowhere/")
        for name in names
    }
    assert faults_in(answers) == {}
    assert all("zqxheader" not in answer.content.decode() for answer in answers.values())
