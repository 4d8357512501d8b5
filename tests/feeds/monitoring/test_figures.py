"""Numbers for people, and the pictures made of them."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feeds.models import HourlyCount
from feeds.monitoring.charts import nice_top, short, stacked_bars
from feeds.monitoring.figures import HOUR, TimeSlot, refusals, slots

NOW = datetime(2026, 2, 24, 18, 10, tzinfo=UTC)
THIS_HOUR = datetime(2026, 2, 24, 18, tzinfo=UTC)


def make_count(
    hours_ago: int, outcome: str, count: int, *, feed: str = "A-FEED", http: int = 200, stroom: int = 0
) -> Any:
    HourlyCount.objects.create(
        hour=THIS_HOUR - hours_ago * HOUR,
        feed=feed,
        outcome=outcome,
        count=count,
        http_status=http,
        stroom_status=stroom,
    )


@pytest.mark.django_db
def test_the_last_24_hours_are_24_slots_that_end_with_the_present_hour() -> None:
    make_count(0, "received", 3)
    make_count(0, "empty", 1)
    make_count(23, "dropped", 5)
    make_count(24, "received", 1000)
    found = slots(NOW, hours=24, width=1)
    assert len(found) == 24
    assert found[-1] == TimeSlot(THIS_HOUR, accepted=4)
    assert found[0].dropped == 5
    assert sum(slot.total for slot in found) == 9


@pytest.mark.django_db
def test_one_feed_is_counted_alone_and_wide_slots_are_aligned_to_the_clock() -> None:
    make_count(1, "refused", 2, http=403, stroom=310)
    make_count(1, "refused", 9, feed="B-FEED", http=403, stroom=310)
    found = slots(NOW, hours=168, width=6, feed="A-FEED")
    assert {slot.start.hour for slot in found} == {0, 6, 12, 18}
    assert sum(slot.refused for slot in found) == 2


@pytest.mark.django_db
def test_refusals_are_summed_by_status_most_frequent_first() -> None:
    make_count(0, "refused", 2, http=403, stroom=310)
    make_count(1, "refused", 2, http=403, stroom=310)
    make_count(2, "refused", 3, http=406, stroom=110)
    make_count(0, "received", 50)
    found = [(row.http_status, row.stroom_status, row.count, row.last) for row in refusals(NOW, hours=24)]
    assert found == [(403, 310, 4, THIS_HOUR), (406, 110, 3, THIS_HOUR - 2 * HOUR)]


def test_a_bar_is_as_high_as_its_count_and_stands_on_the_base() -> None:
    chart = stacked_bars("T", [TimeSlot(NOW, accepted=100, refused=50), TimeSlot(NOW + HOUR)], span=HOUR)
    accepted, refused = chart.boxes
    assert (accepted.kind, refused.kind) == ("accepted", "refused")
    assert accepted.height == pytest.approx(2 * refused.height, abs=0.2)
    assert accepted.y + accepted.height == pytest.approx(chart.base, abs=0.2)
    assert refused.y + refused.height == pytest.approx(accepted.y, abs=0.2)
    assert chart.summary == "T: 100 accepted, 50 refused, 0 dropped."


def test_a_single_refusal_beside_a_million_is_still_visible() -> None:
    chart = stacked_bars("T", [TimeSlot(NOW, accepted=1_000_000, refused=1)], span=HOUR)
    assert min(box.height for box in chart.boxes) >= 1.5


def test_no_bar_leaves_the_picture_and_no_two_times_touch() -> None:
    week = [TimeSlot(NOW + place * 6 * HOUR, accepted=place) for place in range(29)]
    chart = stacked_bars("T", week, span=timedelta(hours=6))
    assert all(box.x + box.width <= chart.width and box.y >= 0 for box in chart.boxes)
    positions = [tick.position for tick in chart.times]
    assert all(after - before >= 50 for before, after in itertools.pairwise(positions))


def test_no_deliveries_are_said_to_be_none() -> None:
    assert stacked_bars("T", [TimeSlot(NOW)], span=HOUR).empty


@pytest.mark.parametrize(("most", "top"), [(0, 2), (1, 2), (3, 4), (7, 10), (11, 20), (61, 100), (999, 1000)])
def test_the_top_of_an_axis_is_a_round_number_above_all(most: int, top: int) -> None:
    assert nice_top(most) == top


@pytest.mark.parametrize(("number", "text"), [(950, "950"), (1200, "1.2k"), (3_000_000, "3M"), (2e9, "2G")])
def test_large_numbers_are_short(number: float, text: str) -> None:
    assert short(number) == text
