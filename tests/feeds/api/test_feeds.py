"""Feeds over REST: by name, strict, versioned, and with a history that says why."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from feeds.models import CertificateRule, Feed, Receipt
from feeds.rules.decision import CertificateRuleSnapshot, RuleAction
from tests.calls import EDITOR, OFFICER, VIEWER, anonymous, caller, problem_of, superuser
from tests.factories import DN, make_feed, make_receipt, make_rule

pytestmark = pytest.mark.django_db

RULE = {"action": "allow", "subject_dn": DN, "expires": None, "comment": ""}
DENY = {"action": "deny", "subject_dn": "CN=lost-laptop", "expires": "2031-01-02T03:04:05Z", "comment": "stolen"}
FULL = {
    "name": "WEB-ACCESS-EVENTS",
    "status": "Drop",
    "description": "Access logs.",
    "classification": "OFFICIAL",
    "owner": "Web team",
    "certificate_policy": "restricted",
    "certificate_rules": [RULE, DENY],
    "stream_type": "Events",
    "encoding": "ASCII",
    "context_encoding": "UTF-16",
    "data_format": "CSV",
    "schema": "web",
    "schema_version": "2",
    "reference": True,
    "labels": ["web", "prod"],
}
DEFAULTS = {
    "status": "Receive",
    "description": "",
    "classification": "",
    "owner": "",
    "certificate_policy": "none",
    "certificate_rules": [],
    "stream_type": "Raw Events",
    "encoding": "UTF-8",
    "context_encoding": "UTF-8",
    "data_format": "",
    "schema": "",
    "schema_version": "",
    "reference": False,
    "labels": [],
}


def test_a_posted_feed_is_there_at_once_with_its_defaults() -> None:
    response = caller(*EDITOR).post("/api/v1/feeds/", {"name": "WEB-ACCESS-EVENTS"})
    assert response.status_code == 201
    assert response["Location"] == "http://testserver/api/v1/feeds/WEB-ACCESS-EVENTS/"
    body = response.json()
    assert {key: body[key] for key in DEFAULTS} == DEFAULTS
    assert body["version"] == 1
    policy = Feed.objects.policy_for("WEB-ACCESS-EVENTS")
    assert policy is not None
    assert policy.rules == ()


def test_every_documented_key_is_kept_and_given_back() -> None:
    officer = caller(*OFFICER)
    assert officer.post("/api/v1/feeds/", FULL).status_code == 201
    body = officer.get("/api/v1/feeds/WEB-ACCESS-EVENTS/").json()
    assert {key: body[key] for key in FULL} == FULL


def test_posting_a_name_twice_is_a_conflict() -> None:
    make_feed("WEB-ACCESS-EVENTS")
    body = problem_of(caller(*EDITOR).post("/api/v1/feeds/", {"name": "WEB-ACCESS-EVENTS"}), 409)
    assert "WEB-ACCESS-EVENTS" in body["detail"]


def test_put_makes_a_feed_and_then_replaces_it_with_defaults() -> None:
    officer = caller(*OFFICER)
    body = {key: value for key, value in FULL.items() if key != "name"}
    assert officer.put("/api/v1/feeds/WEB-ACCESS-EVENTS/", body).status_code == 201
    response = officer.put("/api/v1/feeds/WEB-ACCESS-EVENTS/", {"owner": "Somebody"})
    assert response.status_code == 200
    kept = response.json()
    assert {key: kept[key] for key in DEFAULTS} == {**DEFAULTS, "owner": "Somebody"}
    assert CertificateRule.objects.count() == 0


def test_patch_changes_only_what_it_names() -> None:
    officer = caller(*OFFICER)
    officer.post("/api/v1/feeds/", FULL)
    response = officer.patch("/api/v1/feeds/WEB-ACCESS-EVENTS/", {"status": "Reject"})
    body = response.json()
    assert response.status_code == 200
    assert {key: body[key] for key in FULL} == {**FULL, "status": "Reject"}


def test_what_get_gave_can_be_put_back_and_changes_nothing() -> None:
    officer = caller(*OFFICER)
    officer.post("/api/v1/feeds/", FULL)
    given = officer.get("/api/v1/feeds/WEB-ACCESS-EVENTS/")
    response = officer.put("/api/v1/feeds/WEB-ACCESS-EVENTS/", given.json())
    assert response.status_code == 200
    assert response.json() == given.json()
    assert response["ETag"] == given["ETag"]
    assert Feed.history.count() == 1
    assert CertificateRule.history.count() == 2


def test_an_older_answer_can_be_put_back_after_a_change() -> None:
    editor = caller(*EDITOR)
    make_feed("WEB-ACCESS-EVENTS")
    old = editor.get("/api/v1/feeds/WEB-ACCESS-EVENTS/").json()
    editor.patch("/api/v1/feeds/WEB-ACCESS-EVENTS/", {"status": "Drop"})
    problem_of(editor.put("/api/v1/feeds/WEB-ACCESS-EVENTS/", old), 412)
    values = {key: value for key, value in old.items() if key not in {"version", "etag"}}
    response = editor.put("/api/v1/feeds/WEB-ACCESS-EVENTS/", values)
    assert response.status_code == 200
    assert response.json()["status"] == "Receive"
    assert response.json()["version"] == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"id": 7}, "id"),
        ({"name": "OTHER-NAME"}, "name"),
        ({"status": "receive"}, "status"),
        ({"status": None}, "status"),
        ({"certificate_policy": "sometimes"}, "certificate_policy"),
        ({"reference": "yes"}, "reference"),
        ({"owner": 7}, "owner"),
        ({"owner": "x" * 201}, "owner"),
        ({"labels": "web"}, "labels"),
        ({"labels": [1]}, "labels.0"),
        ({"version": 0}, "version"),
        ({"etag": 7}, "etag"),
        ({"version": True}, "version"),
        ({"created": "2001-01-01T00:00:00Z"}, "created"),
        ({"updated": "2999-01-01T00:00:00Z"}, "updated"),
        ({"certificate_rules": {}}, "certificate_rules"),
        ({"certificate_rules": [{"action": "allow"}]}, "certificate_rules.0.subject_dn"),
        ({"certificate_rules": [RULE, {**RULE, "subject_dn": "nonsense"}]}, "certificate_rules.1.subject_dn"),
        ({"certificate_rules": [{**RULE, "action": "maybe"}]}, "certificate_rules.0.action"),
        ({"certificate_rules": [{**RULE, "expires": "soon"}]}, "certificate_rules.0.expires"),
        ({"certificate_rules": [{**RULE, "id": 1}]}, "certificate_rules.0.id"),
        ({"comment": 5}, "comment"),
        ([], ""),
        ("text", ""),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_cannot_be_used_is_named_and_changes_nothing(method: str, body: object, field: str) -> None:
    make_feed("WEB-ACCESS-EVENTS", owner="Web team")
    before = Feed.objects.values().get()
    sent = {"status": "Reject", **body} if isinstance(body, dict) else body
    response = caller(*OFFICER).call(method, "/api/v1/feeds/WEB-ACCESS-EVENTS/", json.dumps(sent))
    problem = problem_of(response, 400)
    assert field in [error["field"] for error in problem["errors"]]
    assert Feed.objects.values().get() == before
    assert Feed.history.count() == 1


@pytest.mark.parametrize("name", ["short", "AB", "A B C", "ÄÖÜ-FEED"])
def test_a_name_outside_the_pattern_is_refused_however_it_comes(name: str) -> None:
    editor = caller(*EDITOR)
    assert "name" in str(problem_of(editor.post("/api/v1/feeds/", {"name": name}), 400)["errors"])
    assert "name" in str(problem_of(editor.put(f"/api/v1/feeds/{name}/", {}), 400)["errors"])
    assert not Feed.objects.exists()


def test_a_name_unlike_the_address_makes_no_feed() -> None:
    body = problem_of(caller(*EDITOR).put("/api/v1/feeds/FEED-ONE/", {"name": "FEED-TWO"}), 400)
    assert body["errors"][0]["field"] == "name"
    assert not Feed.objects.exists()


@pytest.mark.parametrize("path", ["/api/v1/feeds/NO-SUCH-FEED/", "/api/v1/feeds/A%00B/", "/api/v1/feeds/%FF/"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_feed_that_is_not_there_is_404(method: str, path: str) -> None:
    problem_of(superuser().call(method, path, "{}"), 404)


def test_deleting_a_feed_leaves_its_receipts_and_history() -> None:
    make_feed("WEB-ACCESS-EVENTS")
    make_receipt("WEB-ACCESS-EVENTS")
    editor = caller(*EDITOR)
    assert editor.delete("/api/v1/feeds/WEB-ACCESS-EVENTS/?comment=no+longer+sent").status_code == 204
    assert not Feed.objects.exists()
    assert Receipt.objects.get().feed == "WEB-ACCESS-EVENTS"
    story = editor.get("/api/v1/feeds/WEB-ACCESS-EVENTS/history/").json()["results"]
    assert [(entry["action"], entry["comment"]) for entry in story] == [
        ("deleted", "no longer sent"),
        ("created", ""),
    ]


# --- who may ---


def test_without_a_token_nothing_is_told() -> None:
    make_feed("WEB-ACCESS-EVENTS")
    response = anonymous().get("/api/v1/feeds/WEB-ACCESS-EVENTS/")
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert "WEB-ACCESS" not in problem_of(response, 401)["detail"]


def test_a_viewer_reads_and_writes_nothing() -> None:
    make_feed("WEB-ACCESS-EVENTS")
    viewer = caller(*VIEWER)
    assert viewer.get("/api/v1/feeds/").status_code == 200
    for method, path in [
        ("POST", "/api/v1/feeds/"),
        ("PATCH", "/api/v1/feeds/"),
        ("PUT", "/api/v1/feeds/WEB-ACCESS-EVENTS/"),
        ("PATCH", "/api/v1/feeds/WEB-ACCESS-EVENTS/"),
        ("DELETE", "/api/v1/feeds/WEB-ACCESS-EVENTS/"),
    ]:
        problem_of(viewer.call(method, path, "{}"), 403)


def test_reading_needs_the_view_permission_too() -> None:
    make_feed("WEB-ACCESS-EVENTS")
    for path in ["/api/v1/feeds/", "/api/v1/feeds/WEB-ACCESS-EVENTS/", "/api/v1/feeds/WEB-ACCESS-EVENTS/history/"]:
        problem_of(caller().get(path), 403)


def test_a_token_does_no_more_than_its_scopes() -> None:
    make_feed("WEB-ACCESS-EVENTS")
    path = "/api/v1/feeds/WEB-ACCESS-EVENTS/"
    assert caller(*OFFICER, scopes=["read"]).get(path).status_code == 200
    problem_of(caller(*OFFICER, scopes=["read", "check"]).patch(path, {}), 403)
    problem_of(caller(*OFFICER, scopes=["write", "check"]).get(path), 403)


@pytest.mark.parametrize("body", [{"certificate_policy": "required"}, {"certificate_rules": [RULE]}])
def test_s30_an_editor_cannot_guard_a_feed(body: dict[str, object]) -> None:
    make_feed("WEB-ACCESS-EVENTS")
    editor = caller(*EDITOR)
    problem_of(editor.post("/api/v1/feeds/", {"name": "NEW-FEED", **body}), 403)
    problem_of(editor.put("/api/v1/feeds/NEW-FEED/", body), 403)
    problem_of(editor.patch("/api/v1/feeds/WEB-ACCESS-EVENTS/", body), 403)
    assert Feed.history.count() == 1
    assert not CertificateRule.objects.exists()


def test_s30_an_editor_cannot_take_the_guard_away() -> None:
    make_feed("WEB-ACCESS-EVENTS", allow=[DN])
    editor = caller(*EDITOR)
    path = "/api/v1/feeds/WEB-ACCESS-EVENTS/"
    problem_of(editor.put(path, {"owner": "me"}), 403)
    problem_of(editor.patch(path, {"certificate_rules": []}), 403)
    problem_of(editor.patch("/api/v1/feeds/", [{"name": "WEB-ACCESS-EVENTS", "certificate_policy": "none"}]), 403)
    problem_of(editor.delete(path), 403)
    assert CertificateRule.objects.count() == 1
    assert Feed.objects.get().version == 1


def test_an_editor_may_repeat_the_guard_and_change_the_rest() -> None:
    make_feed("WEB-ACCESS-EVENTS", allow=[DN])
    editor = caller(*EDITOR)
    body = editor.get("/api/v1/feeds/WEB-ACCESS-EVENTS/").json()
    response = editor.put("/api/v1/feeds/WEB-ACCESS-EVENTS/", {**body, "owner": "me"})
    assert response.status_code == 200
    assert response.json()["owner"] == "me"


def test_put_that_makes_a_feed_needs_the_add_permission() -> None:
    problem_of(caller("feeds.change_feed").put("/api/v1/feeds/WEB-ACCESS-EVENTS/", {}), 403)


# --- versions ---


def test_rules_alone_move_the_version_and_the_etag() -> None:
    feed = make_feed("WEB-ACCESS-EVENTS")
    officer = caller(*OFFICER)
    path = "/api/v1/feeds/WEB-ACCESS-EVENTS/"
    before = officer.get(path)["ETag"]
    response = officer.patch(path, {"certificate_rules": [RULE]})
    assert response["ETag"] != before
    feed.refresh_from_db()
    assert feed.version == 2
    policy = Feed.objects.policy_for(feed.name)
    assert policy is not None
    assert policy.version == 2
    assert policy.rules == (CertificateRuleSnapshot(RuleAction.ALLOW, DN),)


def test_rules_that_stay_keep_their_row_and_get_no_history() -> None:
    feed = make_feed("WEB-ACCESS-EVENTS")
    kept = make_rule(feed)
    changed = make_rule(feed, "CN=b", comment="old")
    make_rule(feed, "CN=gone")
    body = [RULE, {"subject_dn": "CN=new"}, {"subject_dn": "CN=b", "comment": "new"}]
    caller(*OFFICER).patch("/api/v1/feeds/WEB-ACCESS-EVENTS/", {"certificate_rules": body})
    assert kept.history.count() == 1
    assert changed.history.count() == 2
    assert list(feed.certificate_rules.order_by("pk").values_list("subject_dn", flat=True)) == [
        DN,
        "CN=b",
        "CN=new",
    ]


def test_an_unchanged_read_is_304() -> None:
    make_feed("WEB-ACCESS-EVENTS")
    viewer = caller(*VIEWER)
    for path in ["/api/v1/feeds/WEB-ACCESS-EVENTS/", "/api/v1/feeds/"]:
        first = viewer.get(path)
        assert first["Cache-Control"] == "private, no-cache"
        assert viewer.get(path, If_None_Match=first["ETag"]).status_code == 304
    Feed.objects.get().save()
    assert viewer.get(path, If_None_Match=first["ETag"]).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_write_with_an_old_etag_is_412_and_changes_nothing(method: str) -> None:
    make_feed("WEB-ACCESS-EVENTS")
    editor = caller(*EDITOR)
    path = "/api/v1/feeds/WEB-ACCESS-EVENTS/"
    old = editor.get(path)["ETag"]
    new = editor.patch(path, {"owner": "first"}, If_Match=old)["ETag"]
    body = None if method == "DELETE" else {"owner": "second"}
    problem_of(editor.call(method, path, body, {"If-Match": old}), 412)
    assert Feed.objects.get().owner == "first"
    assert editor.call(method, path, body, {"If-Match": new}).status_code < 300


def test_put_can_be_told_to_only_make_or_only_replace() -> None:
    editor = caller(*EDITOR)
    path = "/api/v1/feeds/WEB-ACCESS-EVENTS/"
    problem_of(editor.put(path, {}, If_Match="*"), 412)
    assert editor.put(path, {}, If_None_Match="*").status_code == 201
    problem_of(editor.put(path, {"owner": "x"}, If_None_Match="*"), 412)


def test_a_feed_made_anew_has_another_etag() -> None:
    editor = caller(*EDITOR)
    path = "/api/v1/feeds/WEB-ACCESS-EVENTS/"
    first = editor.put(path, {})["ETag"]
    editor.delete(path)
    assert editor.put(path, {})["ETag"] != first


# --- many at once ---


def test_bulk_changes_all_and_answers_in_order() -> None:
    for name in ["FEED-A", "FEED-B", "FEED-C"]:
        make_feed(name)
    response = caller(*EDITOR).patch(
        "/api/v1/feeds/",
        [{"name": "FEED-C", "status": "Drop", "comment": "why"}, {"name": "FEED-A", "status": "Reject"}],
    )
    assert response.status_code == 200
    assert [(feed["name"], feed["status"]) for feed in response.json()] == [
        ("FEED-C", "Drop"),
        ("FEED-A", "Reject"),
    ]
    assert Feed.objects.get(name="FEED-B").version == 1
    assert Feed.objects.get(name="FEED-C").history.first().history_change_reason == "why"


def test_bulk_with_faults_changes_nothing_and_names_each_by_its_index() -> None:
    for name in ["FEED-A", "FEED-B"]:
        make_feed(name)
    items = [
        {"name": "FEED-A", "status": "Drop"},
        {"name": "NO-SUCH", "status": "Drop"},
        {"name": "FEED-B", "status": "Sometimes", "colour": "red"},
    ]
    problem = problem_of(caller(*EDITOR).patch("/api/v1/feeds/", items), 400)
    assert {(error["index"], error["field"]) for error in problem["errors"]} >= {(1, "name"), (2, "colour")}
    assert {error["index"] for error in problem["errors"]} == {1, 2}
    assert not Feed.objects.exclude(status="Receive").exists()
    assert Feed.history.count() == 2


@pytest.mark.parametrize(
    "items",
    [{}, [], "x", [7], [{}], [{"name": 3}], [{"name": "FEED-A"}, {"name": "FEED-A"}], [{"name": "A\n"}]],
)
def test_bulk_needs_a_list_of_distinct_feeds(items: object) -> None:
    make_feed("FEED-A")
    problem_of(caller(*EDITOR).patch("/api/v1/feeds/", json.dumps(items)), 400)


def test_bulk_stops_at_what_the_caller_may_not_and_changes_nothing() -> None:
    make_feed("FEED-A")
    make_feed("FEED-B")
    items = [{"name": "FEED-A", "status": "Drop"}, {"name": "FEED-B", "certificate_policy": "required"}]
    assert "FEED-B" in problem_of(caller(*EDITOR).patch("/api/v1/feeds/", items), 403)["detail"]
    assert not Feed.objects.exclude(status="Receive").exists()


# --- history ---


def test_history_says_who_why_from_where_and_what_with_rules() -> None:
    officer = caller(*OFFICER)
    path = "/api/v1/feeds/WEB-ACCESS-EVENTS/"
    officer.put(path, {"owner": "Web team", "comment": "ticket 1"})
    officer.patch(
        path,
        {"certificate_policy": "restricted", "certificate_rules": [RULE], "comment": "ticket 2"},
        X_Request_ID="request-0002",
    )
    officer.patch(path, {"certificate_rules": [{**RULE, "comment": "main host"}], "comment": "ticket 3"})
    officer.patch(path, {"certificate_rules": []})
    body = officer.get(f"{path}history/").json()
    assert body["count"] == 4
    emptied, commented, guarded, made = body["results"]
    assert made["action"] == "created"
    assert made["user"] == officer.user.username
    assert made["changes"] == [
        {"field": "name", "old": None, "new": "WEB-ACCESS-EVENTS"},
        {"field": "owner", "old": None, "new": "Web team"},
    ]
    assert (guarded["comment"], guarded["request_id"], guarded["version"]) == ("ticket 2", "request-0002", 2)
    assert guarded["remote_address"] == "127.0.0.1"
    assert guarded["changes"] == [
        {"field": "certificate_policy", "old": "none", "new": "restricted"},
        {"field": "certificate_rules", "old": None, "new": RULE},
    ]
    assert commented["changes"] == [
        {"field": "certificate_rules", "old": RULE, "new": {**RULE, "comment": "main host"}}
    ]
    assert emptied["changes"][0]["new"] is None


def test_a_comment_alone_is_kept() -> None:
    make_feed("WEB-ACCESS-EVENTS")
    editor = caller(*EDITOR)
    editor.patch("/api/v1/feeds/WEB-ACCESS-EVENTS/", {"comment": "reviewed"})
    assert editor.get("/api/v1/feeds/WEB-ACCESS-EVENTS/history/").json()["results"][0]["comment"] == "reviewed"


def test_a_put_that_is_repeated_with_its_comment_changes_nothing() -> None:
    officer = caller(*OFFICER)
    officer.put("/api/v1/feeds/WEB-ACCESS-EVENTS/", {**FULL, "comment": "nightly"})
    again = officer.put("/api/v1/feeds/WEB-ACCESS-EVENTS/", {**FULL, "comment": "nightly"})
    assert (again.status_code, again.json()["version"]) == (200, 1)
    assert officer.get("/api/v1/feeds/WEB-ACCESS-EVENTS/history/").json()["count"] == 1


def test_a_history_with_rules_that_end_is_a_table_too() -> None:
    officer = caller(*OFFICER)
    officer.put("/api/v1/feeds/WEB-ACCESS-EVENTS/", FULL)
    table = officer.get("/api/v1/feeds/WEB-ACCESS-EVENTS/history/?format=csv&fields=changes")
    (row,) = csv.DictReader(io.StringIO(b"".join(table.streaming_content).decode(), newline=""))
    shown = officer.get("/api/v1/feeds/WEB-ACCESS-EVENTS/history/").json()["results"][0]["changes"]
    assert json.loads(row["changes"]) == shown


def test_history_of_a_name_that_never_was_is_404() -> None:
    problem_of(superuser().get("/api/v1/feeds/NEVER-WAS/history/"), 404)


def test_where_a_reason_is_demanded_a_change_without_one_is_refused(settings: Any) -> None:
    from dataclasses import replace

    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, change_comment_required=True)
    make_feed("FEED-A")
    editor = caller(*EDITOR)
    for response in [
        editor.post("/api/v1/feeds/", {"name": "FEED-B"}),
        editor.put("/api/v1/feeds/FEED-A/", {"owner": "x"}),
        editor.patch("/api/v1/feeds/", [{"name": "FEED-A", "owner": "x"}]),
        editor.delete("/api/v1/feeds/FEED-A/"),
    ]:
        assert problem_of(response, 400)["errors"][0]["field"] == "comment"
    assert editor.delete("/api/v1/feeds/FEED-A/?comment=why").status_code == 204


# --- lists ---


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [feed["name"] for feed in response.json()["results"]]


def test_lists_are_paged_with_links() -> None:
    for number in range(5):
        make_feed(f"FEED-{number}")
    viewer = caller(*VIEWER)
    first = viewer.get("/api/v1/feeds/?limit=2")
    assert names(first) == ["FEED-0", "FEED-1"]
    assert first.json()["count"] == 5
    assert f'<{first.json()["next"]}>; rel="next"' in first["Link"]
    second = viewer.get(first.json()["next"].removeprefix("http://testserver"))
    assert names(second) == ["FEED-2", "FEED-3"]
    assert 'rel="prev"' in second["Link"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("colour=red", "colour"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=-1", "limit"),
        ("offset=-1", "offset"),
        ("offset=99999999999999999999", "offset"),
        ("ordering=colour", "ordering"),
        ("ordering=name,pk", "ordering"),
        ("status=receive", "status"),
        ("certificate_policy=all", "certificate_policy"),
        ("reference=maybe", "reference"),
        ("fields=name,colour", "fields"),
        ("format=xml", "format"),
        ("name=A&name=B", "name"),
        ("name=", "name"),
        ("q=%00", "q"),
        ("updated_since=yesterday", "updated_since"),
        ("owner=" + "x" * 201, "owner"),
    ],
)
def test_a_query_that_cannot_be_used_is_named(query: str, parameter: str) -> None:
    problem = problem_of(caller(*VIEWER).get(f"/api/v1/feeds/?{query}"), 400)
    assert [error["parameter"] for error in problem["errors"]] == [parameter]


@pytest.mark.parametrize(
    "path", ["feeds/FEED-A/?limit=1", "feeds/FEED-A/?q=x", "feeds/FEED-A/history/?ordering=at"]
)
def test_query_parameters_of_lists_are_unknown_elsewhere(path: str) -> None:
    make_feed("FEED-A")
    problem_of(caller(*VIEWER).get(f"/api/v1/{path}"), 400)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=FEED-A", ["FEED-A"]),
        ("status=Reject", ["FEED-B"]),
        ("certificate_policy=restricted", ["FEED-C"]),
        ("owner=Web%20team", ["FEED-A"]),
        ("label=web", ["FEED-A"]),
        ("label=we", []),
        ("reference=true", ["FEED-B"]),
        ("reference=false", ["FEED-A", "FEED-C"]),
        ("q=web", ["FEED-A"]),
        ("q=client-a", ["FEED-C"]),
        ("updated_since=2020-01-01T00:00:00%2B01:00", ["FEED-A", "FEED-B", "FEED-C"]),
        ("updated_since=2999-01-01", []),
        ("ordering=-name", ["FEED-C", "FEED-B", "FEED-A"]),
        ("ordering=status,-name", ["FEED-C", "FEED-A", "FEED-B"]),
    ],
)
def test_lists_are_narrowed_and_ordered(query: str, expected: list[str]) -> None:
    make_feed("FEED-A", owner="Web team", labels=["web", "prod"])
    make_feed("FEED-B", status="Reject", reference=True)
    make_feed("FEED-C", allow=[DN])
    assert names(caller(*VIEWER).get(f"/api/v1/feeds/?{query}")) == expected


def test_rules_that_expire_soon_can_be_asked_for() -> None:
    soon = timezone.now() + timedelta(days=3)
    make_rule(make_feed("FEED-A"), expires=soon)
    make_rule(make_feed("FEED-B"), expires=soon + timedelta(days=60))
    make_rule(make_feed("FEED-C"), expires=timezone.now() - timedelta(days=1))
    until = (soon + timedelta(days=1)).isoformat().replace("+", "%2B")
    assert names(caller(*VIEWER).get(f"/api/v1/feeds/?rules_expire_before={until}")) == ["FEED-A"]


def test_fields_are_chosen_in_lists_and_single_feeds() -> None:
    make_feed("FEED-A", allow=[DN])
    viewer = caller(*VIEWER)
    assert viewer.get("/api/v1/feeds/?fields=name,status").json()["results"] == [
        {"name": "FEED-A", "status": "Receive"}
    ]
    assert set(viewer.get("/api/v1/feeds/FEED-A/?fields=certificate_rules").json()) == {"certificate_rules"}
    assert viewer.get("/api/v1/feeds/FEED-A/?fields=certificate_rules").json()["certificate_rules"] == [RULE]


def test_csv_has_every_row_and_no_formula() -> None:
    for number in range(150):
        make_feed(f"FEED-{number:03}", owner="=HYPERLINK(1)", labels=["a"])
    viewer = caller(*VIEWER)
    response = viewer.get("/api/v1/feeds/?format=csv&fields=name,owner,reference")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    lines = b"".join(response.streaming_content).decode().splitlines()
    assert lines[:2] == ["name,owner,reference", "FEED-000,'=HYPERLINK(1),false"]
    assert len(lines) == 151
    page = viewer.get("/api/v1/feeds/?format=csv&limit=2&fields=name")
    assert b"".join(page.streaming_content).decode().splitlines() == ["name", "FEED-000", "FEED-001"]
    assert viewer.get("/api/v1/feeds/?format=csv&colour=1").status_code == 400


@pytest.mark.parametrize("count", [1, 50])
def test_a_list_takes_the_same_queries_however_long(count: int, django_assert_num_queries: Any) -> None:
    for number in range(count):
        make_feed(f"FEED-{number:03}", allow=[DN, "CN=b"])
    viewer = caller(*VIEWER)
    viewer.get("/api/v1/feeds/")
    # token with its user; own and group permissions; count; the page; its rules
    with django_assert_num_queries(6):
        assert len(names(viewer.get("/api/v1/feeds/"))) == count


@pytest.mark.parametrize("count", [1, 50])
def test_a_bulk_change_reads_the_feeds_at_once(count: int) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    items = []
    for number in range(count):
        make_feed(f"FEED-{number:03}", allow=[DN])
        items.append({"name": f"FEED-{number:03}", "status": "Drop"})
    editor = caller(*EDITOR)
    with CaptureQueriesContext(connection) as seen:
        assert editor.patch("/api/v1/feeds/", items).status_code == 200
    tables = ('FROM "feeds_feed"', 'FROM "feeds_certificaterule"')
    reads = [
        query for query in seen if query["sql"].startswith("SELECT") and any(t in query["sql"] for t in tables)
    ]
    # the feeds and their rules before, the feeds and their rules after, however many they are
    assert len(reads) == 4


# --- what is not JSON ---


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b'{"name": "A", "name": "B"}', b"[" * 100_000, b'{"name": NaN}', b'{"owner": "\\ud800"}', b""],
)
def test_a_body_that_is_not_json_is_400(body: bytes) -> None:
    problem_of(caller(*EDITOR).call("POST", "/api/v1/feeds/", body), 400)


def test_another_media_type_is_415() -> None:
    editor = caller(*EDITOR)
    response = editor._client.post("/api/v1/feeds/", {"name": "FEED-A"}, headers=editor.headers)
    problem_of(response, 415)


def test_an_accept_header_that_cannot_be_met_is_406() -> None:
    problem_of(caller(*VIEWER).get("/api/v1/feeds/", Accept="image/png"), 406)


def test_another_method_is_405_and_says_what_is_allowed() -> None:
    response = superuser().delete("/api/v1/feeds/")
    problem_of(response, 405)
    assert set(response["Allow"].split(", ")) >= {"GET", "POST", "PATCH"}


def test_a_bulk_change_takes_no_condition_that_it_could_not_keep() -> None:
    make_feed("WEB-ACCESS-EVENTS")
    editor = caller(*EDITOR)
    body = '[{"name": "WEB-ACCESS-EVENTS", "owner": "x"}]'
    problem_of(editor.call("PATCH", "/api/v1/feeds/", body, {"If-Match": '"1-1"'}), 412)
    assert Feed.objects.get().owner == ""
    assert editor.call("PATCH", "/api/v1/feeds/", body, {"If-Match": "*"}).status_code == 200
