"""One history of a feed and its rules: which rows were written together."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from feeds.changes.timeline import _FeedRows
from feeds.history import SAME_CHANGE

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Row:
    """A row of history that counts how often its date is asked for."""

    written: datetime
    id: int = 1
    feed_id: int = 1
    request_id: str = "nightly"
    history_user_id: int = 1
    asked: int = 0

    @property
    def history_date(self) -> datetime:
        self.asked += 1
        return self.written


def test_a_rule_belongs_to_the_nearest_change_of_the_same_request() -> None:
    first, second = Row(BEGIN), Row(BEGIN + timedelta(seconds=20))
    other = Row(BEGIN + timedelta(seconds=1), request_id="another")
    rows = _FeedRows([second, other, first])
    assert rows.written_with(Row(BEGIN + timedelta(seconds=2))) is first
    assert rows.written_with(Row(BEGIN - timedelta(seconds=2))) is first
    assert rows.written_with(Row(BEGIN + timedelta(seconds=19))) is second
    assert rows.written_with(Row(BEGIN + timedelta(seconds=30))) is second
    assert rows.written_with(Row(second.written + SAME_CHANGE)) is None
    assert rows.written_with(Row(BEGIN, feed_id=2)) is None
    assert rows.written_with(Row(BEGIN, history_user_id=2)) is None


def test_a_long_history_is_not_compared_row_by_row() -> None:
    number = 2000
    feeds = [Row(BEGIN + timedelta(minutes=place)) for place in range(number)]
    rules = [Row(row.written + timedelta(milliseconds=3)) for row in feeds]
    rows = _FeedRows(feeds)
    assert [rows.written_with(rule) for rule in rules] == feeds
    assert sum(row.asked for row in feeds) < 40 * number
