"""Every change of every feed in one list: names, order, filters, and a place to go on from."""

import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from feeds.models import Feed
from tests.calls import OFFICER, VIEWER, caller, problem_of
from tests.factories import DN, make_feed

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
CHANGES = "/api/v1/changes/"
SINCE = ""


def changes(query: str = "") -> list[dict[str, Any]]:
    """Changes since the test began; other tests may have left entries, which cannot be removed."""
    response = caller(*VIEWER).get(f"{CHANGES}{query}{'&' if query else '?'}{SINCE}")
    assert response.status_code == 200, response.content
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def path_of(link: str) -> str:
    return "/" + link.split("/", 3)[3]


@pytest.fixture(autouse=True)
def begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SINCE", f"since={datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")


@pytest.fixture
def made(begin: None) -> None:
    officer = caller(*OFFICER)
    rule = {"action": "allow", "subject_dn": DN}
    officer.put("/api/v1/feeds/FEED-A/", {"comment": "new"}, X_Request_ID="request-1")
    body = {"certificate_policy": "restricted", "certificate_rules": [rule], "comment": "guard it"}
    officer.patch("/api/v1/feeds/FEED-A/", body, X_Request_ID="request-2")
    officer.put("/api/v1/feeds/FEED-B/", {}, X_Request_ID="request-3")
    officer.delete("/api/v1/feeds/FEED-A/", X_Request_ID="request-4")


@pytest.mark.usefixtures("made")
def test_each_change_names_its_feed_also_that_of_a_rule_and_of_a_deleted_feed() -> None:
    found = [(entry["feed"], entry["kind"], entry["action"]) for entry in changes("?ordering=at")]
    assert [*found[:4], *sorted(found[4:])] == [
        ("FEED-A", "feed", "created"),
        ("FEED-A", "feed", "changed"),
        ("FEED-A", "certificate_rule", "created"),
        ("FEED-B", "feed", "created"),
        ("FEED-A", "certificate_rule", "deleted"),
        ("FEED-A", "feed", "deleted"),
    ]


@pytest.mark.usefixtures("made")
def test_what_changed_who_and_why_stand_in_the_entry() -> None:
    feed, rule = changes("?ordering=at&request_id=request-2")
    assert feed["new"] == {"certificate_policy": "restricted"}
    assert feed["old"] == {"certificate_policy": "none"}
    assert (feed["comment"], feed["request_id"]) == ("guard it", "request-2")
    assert feed["user"]
    assert rule["new"]["subject_dn"] == DN
    assert "feed_id" not in rule["new"]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("?feed=FEED-A", 5),
        ("?feed=FEED-B", 1),
        ("?feed=NO-SUCH", 0),
        ("?kind=certificate_rule", 2),
        ("?request_id=request-4", 2),
        ("?user=nobody", 0),
        ("?until=2999-01-01", 6),
        ("?until=2001-01-01", 0),
    ],
)
def test_filters_narrow_it(query: str, count: int) -> None:
    assert len(changes(query)) == count


@pytest.mark.usefixtures("made")
def test_r33_a_collector_that_keeps_resume_sees_each_change_once() -> None:
    viewer = caller(*VIEWER)
    page = viewer.get(f"{CHANGES}?ordering=at&limit=4&{SINCE}").json()
    seen = [entry["number"] for entry in page["results"]]
    while page["next"]:
        page = viewer.get(path_of(page["next"])).json()
        seen += [entry["number"] for entry in page["results"]]
    make_feed("LATER-FEED")
    later = viewer.get(path_of(page["resume"]))
    assert [entry["feed"] for entry in later.json()["results"]] == ["LATER-FEED"]
    assert len(seen) == len(set(seen)) == 6


def test_a_renamed_feed_has_its_last_name() -> None:
    feed = make_feed("OLD-NAME")
    feed.name = "NEW-NAME"
    feed.save()
    assert {entry["feed"] for entry in changes()} == {"NEW-NAME"}


def test_changes_are_for_those_who_may_view_feeds() -> None:
    assert problem_of(caller().get(CHANGES), 403)["permission"] == "feeds.view_feed"


@pytest.mark.parametrize("count", [1, 30])
def test_a_page_takes_the_same_queries_however_long(count: int, django_assert_num_queries: Any) -> None:
    for number in range(count):
        make_feed(f"FEED-{number}")
    assert Feed.objects.count() == count
    viewer = caller(*VIEWER)
    viewer.get(f"{CHANGES}?{SINCE}")
    with django_assert_num_queries(5):
        assert len(viewer.get(f"{CHANGES}?{SINCE}").json()["results"]) == count
