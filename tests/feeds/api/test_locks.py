"""Optimistic locks that work from a list: `version` and `etag` in bodies; bulk create and delete."""

from typing import Any

import pytest

from feeds.models import CertificateRule, Feed
from tests.calls import EDITOR, OFFICER, VIEWER, caller, problem_of
from tests.factories import DN, make_feed, make_rule

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
BULK = "/api/v1/feeds/bulk/"


def listed(name: str) -> dict[str, Any]:
    """A feed as a list shows it, which is what a reconciler plans with."""
    results = caller(*VIEWER).get(f"/api/v1/feeds/?q={name}").json()["results"]
    found: dict[str, Any] = next(feed for feed in results if feed["name"] == name)
    return found


def test_the_etag_of_a_list_is_the_one_that_if_match_takes() -> None:
    make_feed("FEED-A")
    tag = listed("FEED-A")["etag"]
    editor = caller(*EDITOR)
    assert editor.get("/api/v1/feeds/FEED-A/")["ETag"] == tag
    assert editor.patch("/api/v1/feeds/FEED-A/", {"owner": "x"}, If_Match=tag).status_code == 200
    problem_of(editor.patch("/api/v1/feeds/FEED-A/", {"owner": "y"}, If_Match=tag), 412)


@pytest.mark.parametrize("key", ["version", "etag"])
@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_body_with_an_old_version_or_etag_changes_nothing(method: str, key: str) -> None:
    make_feed("FEED-A")
    planned = listed("FEED-A")
    editor = caller(*EDITOR)
    assert editor.patch("/api/v1/feeds/FEED-A/", {"owner": "somebody else"}).status_code == 200
    answer = getattr(editor, method)("/api/v1/feeds/FEED-A/", {"owner": "mine", key: planned[key]})
    assert problem_of(answer, 412)["code"] == "precondition_failed"
    assert Feed.objects.get().owner == "somebody else"
    fresh = listed("FEED-A")
    assert getattr(editor, method)("/api/v1/feeds/FEED-A/", {"owner": "mine", key: fresh[key]}).status_code == 200


def test_a_version_that_never_was_is_not_the_current_one_either() -> None:
    make_feed("FEED-A")
    problem_of(caller(*EDITOR).patch("/api/v1/feeds/FEED-A/", {"version": 99}), 412)


def test_what_was_read_can_be_written_back_as_it_is() -> None:
    make_feed("FEED-A")
    editor = caller(*EDITOR)
    body = editor.get("/api/v1/feeds/FEED-A/").json()
    again = editor.put("/api/v1/feeds/FEED-A/", body)
    assert (again.status_code, again.json()) == (200, body)


def test_a_feed_made_again_has_another_etag() -> None:
    make_feed("FEED-A")
    old = listed("FEED-A")
    Feed.objects.all().delete()
    make_feed("FEED-A")
    assert listed("FEED-A")["version"] == old["version"]
    problem_of(caller(*EDITOR).patch("/api/v1/feeds/FEED-A/", {"etag": old["etag"]}), 412)


# --- in bulk ---


def test_one_stale_item_of_a_bulk_change_refuses_all_with_its_index() -> None:
    for name in ("FEED-A", "FEED-B"):
        make_feed(name)
    first, second = listed("FEED-A"), listed("FEED-B")
    editor = caller(*EDITOR)
    editor.patch("/api/v1/feeds/FEED-B/", {"owner": "somebody else"})
    items = [{"name": feed["name"], "version": feed["version"], "owner": "mine"} for feed in (first, second)]
    problem = problem_of(editor.patch("/api/v1/feeds/", items), 412)
    assert [(e["index"], e["field"], e["code"]) for e in problem["errors"]] == [(1, "version", "version_conflict")]
    assert Feed.objects.get(name="FEED-A").owner == ""
    items[1]["version"] += 1
    assert editor.patch("/api/v1/feeds/", items).status_code == 200


def test_other_faults_beside_a_stale_item_are_400_with_both() -> None:
    make_feed("FEED-A")
    items = [{"name": "FEED-A", "version": 7}, {"name": "NOT-HERE"}]
    problem = problem_of(caller(*EDITOR).patch("/api/v1/feeds/", items), 400)
    assert [error["code"] for error in problem["errors"]] == ["version_conflict", "not_found"]


def test_many_feeds_are_made_in_one_go_and_answered_in_order() -> None:
    rule = {"action": "allow", "subject_dn": DN}
    items = [
        {"name": "FEED-B", "status": "Reject", "comment": "new site"},
        {"name": "FEED-A", "certificate_policy": "restricted", "certificate_rules": [rule]},
    ]
    answer = caller(*OFFICER).post(BULK, items)
    assert answer.status_code == 201
    made = [(feed["name"], feed["status"]) for feed in answer.json()]
    assert made == [("FEED-B", "Reject"), ("FEED-A", "Receive")]
    assert CertificateRule.objects.get().feed.name == "FEED-A"
    assert Feed.objects.get(name="FEED-B").history.get().history_change_reason == "new site"


def test_one_fault_makes_none_of_many() -> None:
    make_feed("HERE-ALREADY")
    items = [{"name": "FEED-A"}, {"name": "HERE-ALREADY"}, {"name": "FEED-B", "status": "Take"}, {"name": "FEED-B"}]
    problem = problem_of(caller(*EDITOR).post(BULK, items[:3]), 400)
    found = [(error["index"], error["code"]) for error in problem["errors"]]
    assert found == [(1, "name_taken"), (2, "invalid_choice")]
    assert Feed.objects.count() == 1
    assert problem_of(caller(*EDITOR).post(BULK, [items[0], items[0]]), 400)["errors"][0]["code"] == "given_twice"


def test_s30_a_guard_among_many_needs_an_officer_and_makes_none() -> None:
    items = [{"name": "FEED-A"}, {"name": "FEED-B", "certificate_policy": "required"}]
    problem = problem_of(caller(*EDITOR).post(BULK, items), 403)
    assert problem["permission"] == "feeds.change_certificaterule"
    assert "FEED-B (index 1)" in problem["detail"]
    assert not Feed.objects.exists()


def test_many_feeds_are_deleted_in_one_go() -> None:
    for name in ("FEED-A", "FEED-B", "FEED-C"):
        make_feed(name)
    items = [
        {"name": "FEED-A", "version": 1},
        {"name": "FEED-B", "etag": listed("FEED-B")["etag"], "comment": "old"},
    ]
    assert caller(*EDITOR).post(f"{BULK}delete/", items).status_code == 204
    assert [feed.name for feed in Feed.objects.all()] == ["FEED-C"]
    assert Feed.history.filter(name="FEED-B").first().history_change_reason == "old"


def test_one_stale_or_missing_feed_deletes_none() -> None:
    make_feed("FEED-A")
    editor = caller(*EDITOR)
    stale = problem_of(editor.post(f"{BULK}delete/", [{"name": "FEED-A", "version": 7}]), 412)
    assert stale["errors"][0]["index"] == 0
    missing = problem_of(editor.post(f"{BULK}delete/", [{"name": "FEED-A"}, {"name": "NOT-HERE"}]), 400)
    assert missing["errors"][0]["code"] == "not_found"
    assert Feed.objects.count() == 1


def test_s30_a_guarded_feed_among_many_is_deleted_by_officers_only() -> None:
    make_rule(make_feed("FEED-A"), DN)
    make_feed("FEED-B")
    items = [{"name": "FEED-B"}, {"name": "FEED-A"}]
    problem_of(caller(*EDITOR).post(f"{BULK}delete/", items), 403)
    assert Feed.objects.count() == 2
    assert caller(*OFFICER).post(f"{BULK}delete/", items).status_code == 204
