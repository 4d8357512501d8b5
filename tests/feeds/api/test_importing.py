"""Importing over REST: a dry run by default, every difference shown, all or nothing."""

import io
import json
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from feeds.models import Feed
from tests.calls import EDITOR, OFFICER, VIEWER, Caller, anonymous, caller, problem_of
from tests.factories import DN, make_feed, make_rule

pytestmark = pytest.mark.django_db

PATH = "/api/v1/feeds/import/"
TABLE = b"name,status,owner\r\nFEED-A,Drop,Web team\r\nFEED-B,Receive,\r\n"


def send(who: Caller, data: bytes, query: str = "", kind: str = "text/csv") -> Any:
    return Client().generic("POST", PATH + query, data, content_type=kind, headers=who.headers)


def test_by_default_nothing_is_written_and_every_difference_is_shown() -> None:
    make_feed("FEED-A", owner="Nobody")
    response = send(caller(*EDITOR), TABLE)
    assert response.status_code == 200
    plan = response.json()
    assert (plan["dry_run"], plan["possible"]) == (True, True)
    assert plan["counts"] == {"create": 1, "change": 1, "same": 0, "fault": 0}
    assert plan["rows"][0]["name"] == "FEED-A"
    assert sorted(plan["rows"][0]["changes"], key=lambda change: change["field"]) == [
        {"field": "owner", "old": "Nobody", "new": "Web team"},
        {"field": "status", "old": "Receive", "new": "Drop"},
    ]
    assert Feed.objects.get().owner == "Nobody"


def test_asked_so_it_is_done_with_one_comment() -> None:
    make_feed("FEED-A")
    editor = caller(*EDITOR)
    digest = send(editor, TABLE).json()["digest"]
    response = send(editor, TABLE, f"?dry_run=false&comment=ticket+7&digest={digest}")
    assert response.status_code == 200
    assert response.json()["dry_run"] is False
    assert Feed.objects.get(name="FEED-A").status == "Drop"
    assert [feed.history.first().history_change_reason for feed in Feed.objects.all()] == ["ticket 7"] * 2


def test_a_row_at_fault_stops_all_and_is_named_by_its_index() -> None:
    data = TABLE + b"short,Sometimes,x\r\n"
    editor = caller(*EDITOR)
    assert send(editor, data).json()["counts"]["fault"] == 1
    problem = problem_of(send(editor, data, "?dry_run=false"), 400)
    assert {error["index"] for error in problem["errors"]} == {2}
    assert not Feed.objects.exists()


def test_another_plan_than_the_one_seen_is_a_conflict() -> None:
    editor = caller(*EDITOR)
    digest = send(editor, TABLE).json()["digest"]
    make_feed("FEED-A")
    problem_of(send(editor, TABLE, f"?dry_run=false&digest={digest}"), 409)
    assert Feed.objects.count() == 1


def test_an_import_that_changes_nothing_is_done() -> None:
    editor = caller(*EDITOR)
    assert send(editor, TABLE, "?dry_run=false").status_code == 200
    assert send(editor, TABLE).json()["possible"] is False
    assert send(editor, TABLE, "?dry_run=false").json()["counts"]["same"] > 0


def test_all_kinds_of_file_and_ways_of_sending_are_taken() -> None:
    document = {"type": "Feed", "name": "FEED-A", "feedStatus": "DROP", "encoding": "UTF-8"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("FEED-A.Feed.0d4bf9a0-3c3f-4c39-8f3b-3a3f5c0d1f11.meta", json.dumps(document))
    editor = caller(*EDITOR)
    for data, kind in [
        (json.dumps(document).encode(), "application/json"),
        (json.dumps([{"name": "FEED-A", "status": "Drop"}]).encode(), "application/octet-stream"),
        (packed.getvalue(), "application/zip"),
        (b"name,status\nFEED-A,Drop\n", "application/x-www-form-urlencoded"),
    ]:
        plan = send(editor, data, kind=kind).json()
        assert plan["counts"]["create"] == 1, kind
        assert ("status", "Drop") in [(change["field"], change["new"]) for change in plan["rows"][0]["changes"]]
    upload = SimpleUploadedFile("feeds.csv", TABLE)
    response = Client().post(PATH, {"file": upload}, headers=editor.headers)
    assert response.json()["counts"]["create"] == 2


@pytest.mark.parametrize("data", [b"", b"PK broken", b"{", b"\xff\xfe", b"colour\nred\n", b"name\n", b"[]"])
def test_what_is_no_file_of_feeds_is_400(data: bytes) -> None:
    problem_of(send(caller(*EDITOR), data), 400)


@pytest.mark.parametrize("text", [r"\u0000", r"\ud800"])
@pytest.mark.parametrize(
    "row",
    [
        '{"name": "FEED-A", "owner": "%s"}',
        '{"name": "FEED-A", "labels": ["%s"]}',
        '{"name": "FEED-A", "certificate_rules": [{"subject_dn": "CN=a", "action": "allow", "comment": "%s"}]}',
        '{"name": "FEED%s"}',
    ],
)
def test_text_that_no_database_takes_is_a_fault(row: str, text: str) -> None:
    data = (row % text).encode()
    editor = caller(*OFFICER)
    assert send(editor, data).json()["counts"]["fault"] == 1
    problem_of(send(editor, data, "?dry_run=false"), 400)


def test_a_form_with_other_parts_is_400() -> None:
    editor = caller(*EDITOR)
    for parts in [{"file": "text"}, {"other": SimpleUploadedFile("x", TABLE)}, {}]:
        problem_of(Client().post(PATH, parts, headers=editor.headers), 400)


@pytest.mark.parametrize("query", ["dry_run=no", "dry_run=", "colour=red", "fields=kind"])
def test_a_query_that_cannot_be_used_is_named(query: str) -> None:
    problem = problem_of(send(caller(*EDITOR), TABLE, f"?{query}"), 400)
    assert problem["errors"][0]["parameter"] == query.partition("=")[0]


def test_who_may_import() -> None:
    problem_of(send(anonymous(), TABLE), 401)
    problem_of(send(caller(*VIEWER), TABLE), 403)
    problem_of(send(caller("feeds.add_feed"), TABLE), 403)
    problem_of(send(caller(*EDITOR, scopes=["read"]), TABLE), 403)


def test_s30_the_guard_of_a_feed_is_for_certificate_officers_here_too() -> None:
    data = json.dumps([{"name": "FEED-A", "certificate_policy": "required"}]).encode()
    editor, officer = caller(*EDITOR), caller(*OFFICER)
    assert "certificate officer" in send(editor, data).json()["rows"][0]["faults"][0]
    problem_of(send(editor, data, "?dry_run=false"), 400)
    assert send(officer, data, "?dry_run=false").status_code == 200


def test_a_csv_list_can_be_imported_as_it_is() -> None:
    feed = make_feed("FEED-A", owner="=1+1", labels=["a b", "c,d", "=e"], reference=True)
    make_rule(feed, DN, comment="'quoted")
    officer = caller(*OFFICER)
    table = b"".join(officer.get("/api/v1/feeds/?format=csv").streaming_content)
    assert send(officer, table).json()["counts"] == {"create": 0, "change": 0, "same": 1, "fault": 0}
    feed.delete()
    assert send(officer, table, "?dry_run=false").status_code == 200
    made = officer.get("/api/v1/feeds/FEED-A/").json()
    assert (made["owner"], made["labels"]) == ("=1+1", ["a b", "c,d", "=e"])
    assert made["certificate_rules"][0]["comment"] == "'quoted"
