"""Import plans: the changes that a file makes, feed by feed, and their execution, all or nothing."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError

from feeds.changes.apply import FeedChange, RuleValues
from feeds.changes.approval import guarded
from feeds.changes.bulk import BulkChange
from feeds.changes.import_rows import ImportFile, ImportRow
from feeds.changes.permissions import AnyUser, may_manage_certificates
from feeds.changes.snapshots import FeedState, compare
from feeds.changes.timeline import RULES, ValueChange
from feeds.models import CertificateRule, Feed
from feeds.store.stroom_packs import LeftOut

CHANGED = "Feeds have changed since this was shown. Look at it again."
#: How often a plan is made again because another user was faster.
ATTEMPTS = 3


class ImportRefused(Exception):
    """The file cannot be imported as it stands; the plan says which rows and why."""


@dataclass(frozen=True)
class PlannedRow:
    """One row: `create`, `change`, `same` or `fault`, with every difference or every reason."""

    row: ImportRow
    action: str
    changes: tuple[ValueChange, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def change(self) -> FeedChange:
        return _wanted(self.row)


@dataclass(frozen=True)
class ImportPlan:
    """Planned changes. Nothing is changed while a row has an error; parts that are left out do not prevent it."""

    kind: str
    rows: tuple[PlannedRow, ...]
    left_out: tuple[LeftOut, ...] = ()

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(row.action for row in self.rows)

    @property
    def possible(self) -> bool:
        return not self.counts["fault"] and bool(self.counts["create"] + self.counts["change"])

    @cached_property
    def digest(self) -> str:
        """Names this very plan: one that was seen and one that would be done now are the same or not."""
        rows = [
            (row.row.name, row.action, [(change.field, change.old, change.new) for change in row.changes])
            for row in self.rows
        ]
        return hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()


def plan_import(file: ImportFile, user: AnyUser) -> ImportPlan:
    """Compare a file with what there is, for this user. Reads the database twice, whatever the file's length."""
    return _plan(file, _present(file), user)


def _present(file: ImportFile) -> dict[str, Feed]:
    """Return the existing feeds among those of the file, with their rules."""
    names = {row.name for row in file.rows}
    return {feed.name: feed for feed in Feed.objects.filter(name__in=names).prefetch_related("certificate_rules")}


def _plan(file: ImportFile, present: Mapping[str, Feed], user: AnyUser) -> ImportPlan:
    times = Counter(row.name for row in file.rows if row.name)
    officer = may_manage_certificates(user)
    doubled = _doubled(file)
    rows = [
        _plan_row(row, present.get(row.name), [*doubled.get(row.place, ())], user, officer=officer)
        if times[row.name] < 2
        else _plan_row(row, None, ["the file names this feed more than once"], user, officer=officer)
        for row in file.rows
    ]
    return ImportPlan(file.kind, tuple(rows), file.left_out)


def _wanted(row: ImportRow) -> FeedChange:
    """Return the values of a row, for the portal and for Stroom."""
    return FeedChange({**row.values, **row.stroom}, row.rules)


def _doubled(file: ImportFile) -> dict[str, list[str]]:
    """Return why a row's uuid cannot be its feed's: for Stroom it identifies one feed."""
    keys = {row.place: row.stroom["stroom_uuid"] for row in file.rows if row.stroom.get("stroom_uuid")}
    times = Counter(keys.values())
    owners = dict(Feed.objects.filter(stroom_uuid__in=times).values_list("stroom_uuid", "name"))
    found: dict[str, list[str]] = {}
    for row in file.rows:
        key = keys.get(row.place)
        if key is not None and times[key] > 1:
            found[row.place] = [f"the file has another feed with its uuid {key}"]
        elif key in owners and owners[key] != row.name:
            found[row.place] = [
                f"its uuid {key} is that of the feed {owners[key]}: rename or delete that one first"
            ]
    return found


def _plan_row(
    row: ImportRow, feed: Feed | None, doubled: Sequence[str], user: AnyUser, *, officer: bool
) -> PlannedRow:
    faults = [*row.faults, *doubled]
    if faults:
        return PlannedRow(row, "fault", faults=tuple(faults))
    change = _wanted(row)
    faults += _invalid(row, feed)
    if feed is None:
        changes = compare(FeedState(row.name, _BLANK), FeedState(row.name, change.with_defaults()))
        action = "create"
    else:
        changes = compare(*_both(feed, change))
        action = "change" if changes else "same"
    faults += _forbidden(action, changes, user, officer=officer)
    return PlannedRow(row, "fault" if faults else action, tuple(changes), tuple(faults))


_BLANK = FeedChange({}).with_defaults()


def _both(feed: Feed, change: FeedChange) -> tuple[FeedState, FeedState]:
    """Return the feed before and after, in the values that the file gives."""
    now = {name: getattr(feed, name) for name in change.values}
    rules = tuple(RuleValues.of(rule) for rule in feed.certificate_rules.all())
    after = rules if change.rules is None else tuple(change.rules)
    return FeedState(feed.name, FeedChange(now, rules)), FeedState(feed.name, FeedChange(change.values, after))


def _invalid(row: ImportRow, feed: Feed | None) -> list[str]:
    """Return the validation errors of the models, in their words."""
    candidate = Feed(name=row.name) if feed is None else Feed(pk=feed.pk, name=row.name)
    for name, value in {**row.values, **row.stroom}.items():
        setattr(candidate, name, value)
    candidates: list[tuple[str, Any, list[str]]] = [("", candidate, [])]
    for number, rule in enumerate(row.rules or (), 1):
        candidates.append((f"certificate rule {number}: ", CertificateRule(**vars(rule)), ["feed"]))
    return [fault for prefix, model, exclude in candidates for fault in _faults(prefix, model, exclude)]


def _faults(prefix: str, model: Any, exclude: Sequence[str]) -> list[str]:
    try:
        # The choices say what the check constraints say, without a query for each.
        model.full_clean(exclude=exclude, validate_unique=False, validate_constraints=False)
    except ValidationError as fault:
        return [f"{prefix}{name}: {' '.join(reasons)}" for name, reasons in fault.message_dict.items()]
    return []


def _forbidden(action: str, changes: Sequence[ValueChange], user: AnyUser, *, officer: bool) -> list[str]:
    faults = []
    if action == "create" and not user.has_perm("feeds.add_feed"):  # type: ignore[union-attr]  # both kinds have it
        faults.append("you may not create feeds")
    if action == "change" and not user.has_perm("feeds.change_feed"):  # type: ignore[union-attr]
        faults.append("you may not change feeds")
    if not officer and any(change.field in {RULES, "certificate_policy"} for change in changes):
        faults.append("a certificate officer is needed for its certificate policy or rules")
    return faults


def apply_import(file: ImportFile, user: AnyUser, *, comment: str, digest: str | None = None) -> ImportPlan:
    """Do what the plan says, all of it or nothing, each feed with its own history.

    Deliveries wait while feeds are written, so only the writing is done in a transaction: the plan is made before,
    and made again where another user changed one of the feeds meanwhile.

    Args:
        digest: that of the plan which the user agreed to; another plan is refused. None: whatever it is now.

    Raises:
        ImportRefused: a row is at fault, or the plan is not the agreed one any more.
        Proposed: it waits for a second person.
        TooMuch: it would, and is more than one proposal takes.
    """
    for _ in range(ATTEMPTS):
        present = _present(file)
        plan = _plan(file, present, user)
        if digest is not None and plan.digest != digest:
            raise ImportRefused(CHANGED)
        if plan.counts["fault"]:
            raise ImportRefused("There are faults.")
        if not plan.possible:
            return plan
        if _write(plan, present, user, comment):
            return plan
    raise ImportRefused(CHANGED)


def _write(plan: ImportPlan, present: Mapping[str, Feed], user: AnyUser, comment: str) -> bool:
    """Write what was planned; False where the feeds are not any more as they were when it was."""
    versions = {feed.name: feed.version for feed in present.values()}
    writing = BulkChange(comment)
    for planned in plan.rows:
        if planned.action == "create":
            writing.create(planned.row.name, planned.change)
        elif planned.action == "change":
            writing.change(present[planned.row.name], planned.change)
    try:
        with guarded(user):
            names = [planned.row.name for planned in plan.rows]
            found = Feed.objects.select_for_update().filter(name__in=names).values_list("name", "version")
            if dict(found) != versions:
                return False
            writing.write()
    except IntegrityError:  # a feed of a new one's name was made at this very moment
        return False
    return True
