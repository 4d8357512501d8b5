"""HTTP's own rules: qualities, 406 and 415 with what there is, merge patches, dates, links, HEAD and OPTIONS."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from django.utils.http import http_date

from feeds.models import Feed
from portal.rest.index import _paths
from portal.rest.negotiation import quality_of, read_accept
from tests.calls import EDITOR, Caller, anonymous, caller, problem_of, superuser
from tests.factories import make_feed, make_receipt, make_rule
from tests.portal.rest.test_csv import FEED as LISTED
from tests.portal.rest.test_csv import catalogue, viewer  # noqa: F401  # fixtures

JSON, CSV = "application/json", "text/csv"
FEED = "/api/v1/feeds/FEED-A/"
MERGE = "application/merge-patch+json"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("*", JSON),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV", CSV),
        ("text/csv, application/json;q=0.5", CSV),
        ("application/json;q=0.5, text/csv;q=0.4", JSON),
        ("application/json;q=0, text/csv", CSV),
        ("application/json;q=0, */*", CSV),
        ("text/*, application/json;q=0.9", CSV),
        ("*/*;q=0.1, application/json;q=0", CSV),
        ("application/json; indent=2", JSON),
        ("application/json;q=x", JSON),
        ("application/json;q=0", None),
        ("*/*;q=0", None),
        ("text/html", None),
        ("nonsense", None),
    ],
)
@pytest.mark.django_db
def test_the_type_of_the_highest_quality_is_sent(accept: str, wanted: str | None) -> None:
    answer = superuser().get("/api/v1/feeds/", Accept=accept)
    if wanted is None:
        body = problem_of(answer, 406)
        assert (body["code"], "application/json, text/csv" in body["detail"]) == ("not_acceptable", True)
    else:
        assert (answer.status_code, answer["Content-Type"].split(";")[0]) == (200, wanted)


def test_the_most_specific_range_decides() -> None:
    ranges = read_accept("a/b;q=0.2, a/*;q=0.3, */*;q=0.4, a/b;v=1;q=0.1")
    assert [quality_of(kind, ranges)[0] for kind in ("a/b", "a/c", "c/d")] == [0.1, 0.3, 0.4]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("application/yaml", "application/yaml"),
        ("application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json"),
        ("*/*", "application/vnd.oai.openapi"),
    ],
)
def test_importers_get_the_description_under_any_of_its_names(accept: str, kind: str) -> None:
    assert anonymous().get("/api/schema/", Accept=accept)["Content-Type"] == kind


@pytest.mark.django_db
def test_a_415_says_what_is_read() -> None:
    make_feed("FEED-A")
    boss = superuser()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = boss.call("POST", "/api/v1/feeds/", "a=b", form)
    assert (posted["Accept"], "Send application/json." in problem_of(posted, 415)["detail"]) == (JSON, True)
    patched = boss.call("PATCH", FEED, "a=b", form)
    assert patched["Accept-Patch"] == f"{JSON}, {MERGE}"
    assert boss.call("PATCH", "/api/v1/feeds/", "a=b", form)["Accept-Patch"] == JSON
    packed = boss.call("PATCH", FEED, "{}", {"Content-Encoding": "br"})
    assert (packed.status_code, packed["Accept-Encoding"], "Accept-Patch" in packed) == (415, "identity", False)
    assert boss.call("OPTIONS", FEED)["Accept-Patch"] == f"{JSON}, {MERGE}"
    assert boss.call("OPTIONS", "/api/v1/feeds/")["Accept-Patch"] == JSON


@pytest.mark.django_db
def test_null_in_a_merge_patch_gives_a_value_its_default() -> None:
    feed = make_feed("FEED-A", owner="Web team", status="Drop", labels=["a"], allow=["CN=a"])
    boss = superuser()

    def merge(patch: Any, status: int = 200) -> Any:
        answer = boss.call("PATCH", FEED, json.dumps(patch), {"Content-Type": MERGE})
        assert answer.status_code == status, answer.content
        return answer.json()

    body = merge({"owner": None, "labels": None, "status": None, "description": "logs"})
    assert (body["owner"], body["labels"], body["status"], body["description"]) == ("", [], "Receive", "logs")
    assert len(body["certificate_rules"]) == 1
    assert merge({"certificate_rules": None})["certificate_rules"] == []
    merge([{"owner": "x"}], 400)
    merge({"name": None}, 400)
    merge({"version": 1}, 412)
    merge({"colour": None}, 400)
    plain = boss.call("PATCH", FEED, '{"owner": null}')
    assert problem_of(plain, 400)["errors"][0]["code"] == "null", "as JSON null stays an error"
    problem_of(boss.call("PATCH", "/api/v1/feeds/", "[]", {"Content-Type": MERGE}), 415)
    problem_of(boss.call("PUT", FEED, "{}", {"Content-Type": MERGE}), 415)
    feed.refresh_from_db()
    assert feed.version == 3


@pytest.mark.django_db
def test_a_feed_says_when_it_was_changed_and_takes_dates_as_conditions() -> None:
    feed = make_feed("FEED-A")
    early = timezone.now() - timedelta(hours=1)
    Feed.objects.update(updated=early)
    editor = caller(*EDITOR)
    at, before, after = (http_date((early + timedelta(seconds=n)).timestamp()) for n in (0, -2, 2))
    read = editor.get(FEED)
    assert read["Last-Modified"] == at
    unchanged = editor.get(FEED, If_Modified_Since=at)
    assert (unchanged.status_code, unchanged["Last-Modified"]) == (304, at)
    assert editor.get(FEED, If_Modified_Since=before).status_code == 200
    assert editor.get(FEED, If_Modified_Since=at, If_None_Match='"other"').status_code == 200, "the tag decides"
    body = {"owner": "late"}
    problem_of(editor.patch(FEED, body, If_Unmodified_Since=before), 412)
    problem_of(editor.patch(FEED, body, If_Match='"other"', If_Unmodified_Since=after), 412)
    assert editor.patch(FEED, body, If_Unmodified_Since=at).status_code == 200
    problem_of(editor.delete(FEED, If_Unmodified_Since=at), 412)
    assert editor.patch(FEED, {"owner": "b"}, If_Unmodified_Since="no date").status_code == 200
    make_rule(feed)


@pytest.mark.django_db
def test_every_link_that_is_followed_is_absolute(settings: Any) -> None:
    boss = superuser()
    made = boss.post("/api/v1/feeds/", {"name": "FEED-A"})
    make_receipt("FEED-A")
    make_receipt("FEED-A")
    page = boss.get("/api/v1/receipts/?limit=1").json()
    links = [made["Location"], page["next"], page["results"][0]["content"]]
    links += boss.get("/api/v1/").json()["addresses"].values()
    assert {link.split("/api/v1/")[0] for link in links} == {"http://testserver"}


@pytest.mark.django_db
def test_the_address_that_was_nearly_asked_is_named() -> None:
    receipt = make_receipt()
    content = f"/api/v1/receipts/{receipt.receipt_id}/content"
    assert f"ends without a slash: {content}" in problem_of(superuser().get(f"{content}/"), 404)["detail"]
    for path in ("/api/", "/api/v2/feeds/"):
        assert "begins at /api/v1/" in problem_of(anonymous().get(path), 404)["detail"]
    assert problem_of(anonymous().get("/api/v1/nothing/"), 404)["detail"] == "There is nothing at this address."


def test_a_host_of_no_portal_names_the_setting() -> None:
    body = problem_of(anonymous().get("/api/v1/codes/", Host="evil.example"), 400)
    assert "PORTAL_ALLOWED_HOSTS" in body["detail"]


@pytest.mark.django_db
def test_bytes_that_are_no_text_are_named_and_a_byte_order_mark_is_ignored() -> None:
    boss = superuser()
    body = problem_of(boss.get("/api/v1/feeds/?q=%FF&owner=a"), 400)
    assert [error["parameter"] for error in body["errors"]] == ["q"]
    assert boss.call("POST", "/api/v1/feeds/", b'\xef\xbb\xbf{"name": "FEED-A"}').status_code == 201


# --- search ---


@pytest.mark.both_databases
@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["müller", "MÜLLER", "Mu\u0308ller", "STRASSE", "straße", "οδοσ", "ΟΔΌΣ".lower(), "100%"]
)
def test_a_search_ignores_case_and_composition_in_every_script(query: str) -> None:
    make_feed("FEED-A", owner="Herr Müller", description="Straße ΟΔΟΣ οδός 100% _")
    make_feed("FEED-B", owner="Muller", description="Gasse 1000")
    make_rule(make_feed("FEED-C"), "CN=Zoë,O=Example")
    boss = superuser()

    def found(text: str) -> list[str]:
        return [feed["name"] for feed in boss.get(f"/api/v1/feeds/?q={quote(text)}").json()["results"]]

    assert found(query) == ["FEED-A"]
    assert found("ZOË") == ["FEED-C"]
    assert boss.get("/api/v1/feeds/?q=_").json()["count"] == 1, "no sign of LIKE means anything"


# --- methods ---


def addresses() -> list[str]:
    """Every address of the API that has no parameter."""
    return sorted({f"/{path}" for path in _paths(get_resolver().url_patterns, "") if "<" not in path})


@pytest.mark.django_db
def test_head_and_options_work_at_every_address(viewer: Caller) -> None:  # noqa: F811  # the fixture
    receipt = viewer.get("/api/v1/receipts/?limit=1").json()["results"][0]["id"]
    more = [f"/api/v1/feeds/{LISTED}/", f"/api/v1/receipts/{receipt}/", "/api/v1/codes/http/503/", "/api/schema/"]
    for path in [*addresses(), *more]:
        options = viewer.call("OPTIONS", path)
        assert (options.status_code, options.content) == (204, b""), path
        allowed = {method.strip() for method in options["Allow"].split(",")}
        assert "OPTIONS" in allowed, path
        assert ("GET" in allowed) == ("HEAD" in allowed), path
        if "GET" in allowed:
            read, head = viewer.call("GET", path), viewer.call("HEAD", path)
            assert (head.status_code, head.content if not head.streaming else b"") == (read.status_code, b""), path
            ignored = {"X-Request-ID", "RateLimit"}
            assert set(head.headers) - ignored == set(read.headers) - ignored, path


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/codes/", "/docs/", "/docs/api/", "/codes/explain/"])
def test_pages_say_their_methods(path: str) -> None:
    answer = Client().options(path)
    assert (answer.status_code, "GET, HEAD" in answer["Allow"]) == (204, True), path
