"""Many feeds written in one short transaction: a few statements for all instead of several for each.

While it lasts, deliveries wait for the database (SQLite has one writer). So everything that can be is made ready
before, and nothing is read in between. Rows, versions, history and audit record come out as `feeds.changes` would
have made them one by one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, models
from django.utils import timezone
from simple_history.models import HistoricalRecords
from simple_history.signals import post_create_historical_record

from feeds.changes.apply import FeedChange, RuleValues, plan_rules
from feeds.changes.approval_watch import before_bulk
from feeds.history import add_context, commented
from feeds.models import CertificateRule, Feed, give_stroom_uuids
from portal.audit.record import together
from portal.database.bulk import insert

#: Rows in one statement; a database takes so many values at once and not more.
BATCH = 200


@dataclass(frozen=True)
class _Step:
    """One row's part in the history: made (+), changed (~) or removed (-), and what it was before."""

    row: Feed | CertificateRule
    kind: str
    before: dict[str, Any] | None = None


@dataclass
class BulkChange:
    """Ordered collection of changes; `write` makes them all. Permissions were checked before."""

    comment: str
    _steps: list[_Step] = field(default_factory=list)

    def create(self, name: str, change: FeedChange) -> None:
        """Add a feed; values missing in `change` take their defaults."""
        whole = change.with_defaults()
        feed = Feed(name=name, **whole.values)
        self._steps.append(_Step(feed, "+"))
        self._add_rules(feed, whole.rules or ())

    def change(self, feed: Feed, change: FeedChange) -> None:
        """Bring a feed, whose rules are prefetched, to what `change` says and it is not yet."""
        before = _values(feed)
        for name, value in change.values.items():
            setattr(feed, name, value)
        feed.version += 1
        self._steps.append(_Step(feed, "~", before))
        if change.rules is None:
            return
        plan = plan_rules(feed.certificate_rules.all(), change.rules)
        self._steps += [_Step(rule, "-") for rule in plan.removed]
        for rule, values in plan.updated:
            step = _Step(rule, "~", _values(rule))
            rule.expires, rule.comment = values.expires, values.comment
            self._steps.append(step)
        self._add_rules(feed, plan.added)

    def _add_rules(self, feed: Feed, rules: Iterable[RuleValues]) -> None:
        self._steps += [_Step(CertificateRule(feed=feed, **vars(values)), "+") for values in rules]

    def write(self) -> None:
        """Write everything. Run inside `feeds.changes.approval.guarded`, which holds the rows of feeds that change.

        Raises:
            IntegrityError: a new feed's name is taken.
        """
        now = timezone.now()
        feeds, rules = self._of(Feed), self._of(CertificateRule)
        with commented(self.comment):
            before_bulk(feeds["+"], [feed.pk for feed in feeds["~"]])
        give_stroom_uuids(feeds["+"])
        Feed.objects.bulk_create(feeds["+"], batch_size=BATCH)
        for feed in feeds["~"]:
            feed.updated = now
        _update(Feed, feeds["~"], [*_columns(Feed, but={"name", "created"})])
        for rule in rules["+"]:
            rule.feed_id = rule.feed.pk  # known only now, where the feed is new
        CertificateRule.objects.bulk_create(rules["+"], batch_size=BATCH)
        _update(CertificateRule, rules["~"], [*_columns(CertificateRule, but={"feed", "action", "subject_dn"})])
        _remove(CertificateRule, rules["-"])
        with commented(self.comment):
            self._remember()

    def _of(self, model: type[models.Model]) -> dict[str, list[Any]]:
        return {
            kind: [step.row for step in self._steps if isinstance(step.row, model) and step.kind == kind]
            for kind in "+~-"
        }

    def _remember(self) -> None:
        """Write the history rows of every step, then call their receivers: the audit record."""
        user = _user()
        # Asked for once: to name a history's model takes longer than to make a row of it.
        models_of_past = {Feed: Feed.history.model, CertificateRule: CertificateRule.history.model}
        past = [(step, _past_of(step, models_of_past[type(step.row)], user)) for step in self._steps]
        for model, model_of_past in models_of_past.items():
            rows = [row for step, row in past if isinstance(step.row, model)]
            insert(model_of_past, rows)
        with together():
            for step, row in past:
                row.known_before = step.before
                post_create_historical_record.send(
                    sender=type(row),
                    instance=step.row,
                    history_instance=row,
                    history_date=row.history_date,
                    history_user=row.history_user,
                    history_change_reason=row.history_change_reason,
                    using=None,
                )


def _user() -> Any:
    """Return the user that simple_history would name."""
    user = getattr(getattr(HistoricalRecords.context, "request", None), "user", None)
    return user if user is not None and user.is_authenticated else None


def _past_of(step: _Step, model: Any, user: Any) -> Any:
    row = model(history_date=timezone.now(), history_type=step.kind, history_user=user, **_values(step.row))
    add_context(history_instance=row)
    return row


def _values(row: models.Model) -> dict[str, Any]:
    return {column.attname: getattr(row, column.attname) for column in row._meta.concrete_fields}


def _columns(model: type[models.Model], *, but: set[str]) -> list[Any]:
    return [column for column in model._meta.concrete_fields if not column.primary_key and column.name not in but]


def _update(model: type[models.Model], rows: Sequence[models.Model], columns: Sequence[Any]) -> None:
    """Update all rows by one prepared statement; Django's own way is slower the more rows there are."""
    quote = connection.ops.quote_name
    assignments = ", ".join(f"{quote(column.column)} = %s" for column in columns)
    statement = f"UPDATE {quote(model._meta.db_table)} SET {assignments} WHERE id = %s"  # noqa: S608  # our own names
    _execute(
        statement,
        [
            (*(column.get_db_prep_save(getattr(row, column.attname), connection) for column in columns), row.pk)
            for row in rows
        ],
    )


def _remove(model: type[models.Model], rows: Sequence[models.Model]) -> None:
    statement = f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)} WHERE id = %s"  # noqa: S608  # our own name
    _execute(statement, [(row.pk,) for row in rows])


def _execute(statement: str, values: Sequence[tuple[Any, ...]]) -> None:
    if values:
        with connection.cursor() as cursor:
            cursor.executemany(statement, values)
