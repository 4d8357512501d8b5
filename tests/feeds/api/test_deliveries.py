"""Counts of deliveries by feed, hour and outcome, so that a ratio can be drawn from REST."""

from datetime import UTC, datetime

import pytest

from feeds.models import HourlyCount, Outcome
from tests.calls import VIEWER, caller, problem_of

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
HOUR = datetime(2026, 2, 24, 18, tzinfo=UTC)


@pytest.fixture(autouse=True)
def counted() -> None:
    for feed, outcome, http, stroom, count in [
        ("FEED-A", Outcome.RECEIVED, 200, 0, 90),
        ("FEED-A", Outcome.REFUSED, 403, 310, 10),
        ("FEED-B", Outcome.DROPPED, 200, 0, 5),
    ]:
        HourlyCount.objects.create(
            hour=HOUR, feed=feed, outcome=outcome, http_status=http, stroom_status=stroom, count=count, bytes=7
        )


def test_all_outcomes_are_counted() -> None:
    results = caller(*VIEWER).get("/api/v1/deliveries/?feed=FEED-A").json()["results"]
    assert {row["outcome"]: row["count"] for row in results} == {"received": 90, "refused": 10}
    assert results[0]["hour"] == "2026-02-24T18:00:00Z"


@pytest.mark.parametrize(
    ("query", "count"),
    [("outcome=dropped", 1), ("stroom_status=310", 1), ("since=2026-02-25", 0), ("until=2026-02-25", 3)],
)
def test_filters_narrow_them(query: str, count: int) -> None:
    assert caller(*VIEWER).get(f"/api/v1/deliveries/?{query}").json()["count"] == count


def test_a_table_is_one_line_for_each_count() -> None:
    response = caller(*VIEWER).get("/api/v1/deliveries/?format=csv&fields=feed,outcome,count&ordering=feed")
    lines = b"".join(response.streaming_content).decode().splitlines()
    assert lines[0] == "feed,outcome,count"
    assert sorted(lines[1:]) == ["FEED-A,received,90", "FEED-A,refused,10", "FEED-B,dropped,5"]


def test_an_unknown_outcome_is_400_and_counts_need_their_permission() -> None:
    problem_of(caller(*VIEWER).get("/api/v1/deliveries/?outcome=lost"), 400)
    assert problem_of(caller().get("/api/v1/deliveries/"), 403)["permission"] == "feeds.view_hourlycount"
