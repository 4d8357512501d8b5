"""One history of a feed and its certificate rules: who, when, from where, why, and which values changed."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from feeds.changes.apply import WRITABLE, defaults
from feeds.history import SAME_CHANGE
from feeds.models import CertificateRule, Feed

ACTIONS = {"+": "created", "~": "changed", "-": "deleted"}
RULES = "certificate_rules"


@dataclass(frozen=True)
class ValueChange:
    """One difference. A rule that was added has no `old`, one that was removed no `new`."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Change:
    """Everything that one person changed in one go. `history_id` is the feed's own history row, if it has one."""

    at: datetime
    action: str
    user: str | None
    comment: str
    request_id: str
    remote_address: str
    version: int | None
    changes: tuple[ValueChange, ...]
    history_id: int | None = None


def feeds_once_called(name: str) -> list[int]:
    """Keys of the feeds, present or deleted, whose last name was `name`; else of those that ever had it."""
    keys = set(Feed.history.filter(name=name).values_list("id", flat=True))
    latest: dict[int, str] = dict(Feed.history.filter(id__in=keys).order_by("history_id").values_list("id", "name"))
    kept = [key for key, last in latest.items() if last == name]
    return sorted(kept or keys)


def story_of(keys: Iterable[int]) -> list[Change]:
    """Return all changes of these feeds, newest first."""
    wanted = list(keys)
    feed_rows = Feed.history.filter(id__in=wanted).select_related("history_user").order_by("history_id")
    rule_rows = CertificateRule.history.filter(feed_id__in=wanted).select_related("history_user")
    return _story(list(feed_rows), list(rule_rows.order_by("history_id")))


def latest_of(key: int, number: int) -> list[Change]:
    """Return the latest changes of one feed, newest first, without reading its whole history.

    Twice as many rows are read as are shown: the oldest of them are needed only to say what changed in the next.
    """
    read = 2 * number + 1
    feed_rows = Feed.history.filter(id=key).select_related("history_user").order_by("-history_id")[:read]
    rule_rows = CertificateRule.history.filter(feed_id=key).select_related("history_user").order_by("-history_id")
    found = _story(sorted(feed_rows, key=_number), _with_former(key, list(rule_rows[: read * 10])))
    return found[:number]


def _with_former(key: int, rows: list[Any]) -> list[Any]:
    """Add the row before the first one of each rule, which says what the rule was, in the order of the history."""
    if not rows:
        return rows
    oldest = min(row.history_id for row in rows)
    former = CertificateRule.history.filter(
        feed_id=key, id__in={row.id for row in rows}, history_id__lt=oldest
    ).select_related("history_user")
    latest: dict[int, Any] = {}
    for row in former.order_by("history_id"):
        latest[row.id] = row
    return sorted([*latest.values(), *rows], key=_number)


def _number(row: Any) -> int:
    number: int = row.history_id
    return number


def _story(feed_rows: list[Any], rule_rows: list[Any]) -> list[Change]:
    with_rules: dict[int, list[ValueChange]] = defaultdict(list)
    alone: list[Change] = []
    of_feeds = _FeedRows(feed_rows)
    for row, change in _rule_changes(rule_rows):
        owner = of_feeds.written_with(row)
        if owner is None:
            alone.append(_entry(row, "changed", (change,)))
        else:
            with_rules[owner.history_id].append(change)
    entries = [*_feed_entries(feed_rows, with_rules), *alone]
    return sorted(entries, key=lambda entry: (entry.at, entry.history_id or 0), reverse=True)


def _feed_entries(rows: Sequence[Any], rules: dict[int, list[ValueChange]]) -> Iterable[Change]:
    before: dict[int, Any] = {}
    for row in rows:
        old = before.get(row.id)
        own = () if row.history_type == "-" else tuple(_differences(old, row))
        yield _entry(
            row,
            ACTIONS[row.history_type],
            (*own, *rules.get(row.history_id, ())),
            version=row.version,
            history_id=row.history_id,
        )
        before[row.id] = row


def _differences(old: Any, new: Any) -> Iterable[ValueChange]:
    """Return the values of a new feed that are not defaults."""
    initial = {"name": "", **defaults()}
    # A new feed's uuid says nothing to a reader; another one does.
    identity = ("stroom_uuid", "stroom") if old is not None and old.stroom_uuid else ()
    for name in ("name", *WRITABLE, *identity):
        value = getattr(new, name)
        former = getattr(old, name) if old is not None else initial[name]
        if value != former:
            yield ValueChange(name, former if old is not None else None, value)


def _rule_changes(rows: Sequence[Any]) -> Iterable[tuple[Any, ValueChange]]:
    before: dict[int, dict[str, Any]] = {}
    for row in rows:
        now = {
            "action": row.action,
            "subject_dn": row.subject_dn,
            "expires": row.expires,
            "comment": row.comment,
        }
        gone, new = row.history_type == "-", row.history_type == "+"
        old = None if new else before.get(row.id, now)
        yield row, ValueChange(RULES, old, None if gone else now)
        before[row.id] = now


class _FeedRows:
    """History rows of feeds, by who wrote them with which request: there may be very many, and as many of rules."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows: dict[Any, list[Any]] = defaultdict(list)
        for row in sorted(rows, key=_date):
            self._rows[row.id, row.request_id, row.history_user_id].append(row)

    def written_with(self, rule_row: Any) -> Any | None:
        """Return the row that was written together with this rule's, None where the rule changed alone."""
        alike = self._rows.get((rule_row.feed_id, rule_row.request_id, rule_row.history_user_id), [])
        place = bisect_left(alike, rule_row.history_date, key=_date)
        nearest = min(alike[max(0, place - 1) : place + 1], key=lambda row: _distance(row, rule_row), default=None)
        return nearest if nearest is not None and _distance(nearest, rule_row) < SAME_CHANGE else None


def _date(row: Any) -> datetime:
    moment: datetime = row.history_date
    return moment


def _distance(row: Any, other: Any) -> timedelta:
    return abs(_date(row) - _date(other))


def _entry(
    row: Any,
    action: str,
    changes: tuple[ValueChange, ...],
    *,
    version: int | None = None,
    history_id: int | None = None,
) -> Change:
    user = row.history_user
    return Change(
        at=row.history_date,
        action=action,
        user=user.get_username() if user is not None else None,
        comment=row.history_change_reason or "",
        request_id=row.request_id,
        remote_address=row.remote_address,
        version=version,
        changes=changes,
        history_id=history_id,
    )
