"""A feed as it was: at any instant of its history, or just before it was deleted; compared, and brought back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from feeds.changes.apply import WRITABLE, FeedChange, OfficerNeeded, RuleValues, change_feed
from feeds.changes.permissions import AnyUser, may_rename
from feeds.changes.timeline import RULES, ValueChange
from feeds.history import SAME_CHANGE, commented
from feeds.models import CertificateRule, Feed
from feeds.store.stroom_packs import default_uuid


class ChangedMeanwhile(Exception):
    """Another user changed the feed since this one looked at it."""


@dataclass(frozen=True)
class FeedState:
    """A feed with its rules at one instant. `change` says everything but the name."""

    name: str
    change: FeedChange

    @property
    def rules(self) -> tuple[RuleValues, ...]:
        return tuple(self.change.rules or ())


@dataclass(frozen=True)
class DeletedFeed:
    """A feed that is gone and could come back; not under its name if that is taken."""

    feed_id: int
    state: FeedState
    at: datetime
    user: str
    comment: str
    version: int
    name_taken: bool
    stroom_uuid: str
    stroom: dict[str, Any]


def state_of(feed: Feed) -> FeedState:
    """Return the feed as it is now."""
    return _state(feed, (RuleValues.of(rule) for rule in feed.certificate_rules.all()))


def state_at(feed_id: int, moment: datetime) -> FeedState | None:
    """Return the feed as it was when everything written up to `moment` counted; None when it did not exist."""
    row = Feed.history.filter(id=feed_id, history_date__lte=moment).first()
    if row is None or row.history_type == "-":
        return None
    latest: dict[int, Any] = {}
    for rule in CertificateRule.history.filter(_written_with(moment, row), feed_id=feed_id):
        latest.setdefault(rule.id, rule)
    return _state(row, (RuleValues.of(rule) for rule in latest.values() if rule.history_type != "-"))


def _written_with(moment: datetime, row: Any) -> Q:
    """Up to `moment`; rules that the same request wrote just after the feed's own row belong to it too.

    A caller may give many requests one id: what comes after the feed's next row is another change.
    """
    until = Q(history_date__lte=moment)
    if not row.request_id:
        return until
    after = Q(request_id=row.request_id, history_date__lt=row.history_date + SAME_CHANGE)
    later = Feed.history.filter(id=row.id, history_date__gt=row.history_date).order_by("history_date").first()
    return until | (after & Q(history_date__lt=later.history_date) if later is not None else after)


def _state(row: Any, rules: Iterable[RuleValues]) -> FeedState:
    values = {name: getattr(row, name) for name in WRITABLE}
    return FeedState(row.name, FeedChange(values, tuple(sorted(rules, key=_title))))


def _title(rule: RuleValues) -> tuple[str, str]:
    return rule.action, rule.subject_dn


def compare(old: FeedState, new: FeedState) -> list[ValueChange]:
    """Return the steps that turn `old` into `new`."""
    names: dict[str, tuple[Any, Any]] = {"name": (old.name, new.name)}
    names |= {name: (old.change.values.get(name), value) for name, value in new.change.values.items()}
    changes = [ValueChange(name, before, after) for name, (before, after) in names.items() if before != after]
    changes += [ValueChange(RULES, None, vars(rule)) for rule in new.rules if rule not in old.rules]
    changes += [ValueChange(RULES, vars(rule), None) for rule in old.rules if rule not in new.rules]
    return changes


@transaction.atomic
def revert(feed: Feed, wanted: FeedState, *, user: AnyUser, comment: str, seen_version: int | None = None) -> None:
    """Write a former state, its rules and its name, as a new change.

    Args:
        seen_version: the version of the feed that the user has seen; None where another way makes sure of it.

    Raises:
        ChangedMeanwhile: the feed is at another version than that.
        OfficerNeeded: policy, rules or the name of a guarded feed would change and the user may not.
        ValidationError: the state breaks a rule that holds today.
    """
    locked = Feed.objects.select_for_update().get(pk=feed.pk)
    if seen_version is not None and seen_version != locked.version:
        raise ChangedMeanwhile
    if wanted.name != locked.name:
        if not may_rename(user, locked):
            raise OfficerNeeded
        locked.name = wanted.name
        locked.full_clean()
        with commented(comment):
            locked.save(update_fields=["name"])
    change_feed(locked, wanted.change, user=user, comment=comment)


def last_deletions(*words: str) -> QuerySet[Any]:
    """Return the history row of the deletion of each feed that no longer exists, the last one first.

    Args:
        words: only feeds that have each of these in the name, the owner or the reason of the deletion.
    """
    deletions = Feed.history.filter(history_type="-")
    later = deletions.filter(id=OuterRef("id"), history_id__gt=OuterRef("history_id"))
    gone = deletions.exclude(id__in=Feed.objects.values("pk")).exclude(Exists(later))
    for word in words:
        gone = gone.filter(
            Q(name__icontains=word) | Q(owner__icontains=word) | Q(history_change_reason__icontains=word)
        )
    return gone.select_related("history_user")  # type: ignore[no-any-return]  # untyped


def deleted_feeds(rows: Iterable[Any]) -> list[DeletedFeed]:
    """Return the deleted feeds that belong to these history rows."""
    chosen = list(rows)
    taken = set(Feed.objects.filter(name__in=[row.name for row in chosen]).values_list("name", flat=True))
    return [_deleted(row, (), taken) for row in chosen]


def deleted_feed(feed_id: int) -> DeletedFeed | None:
    """Return a deleted feed by its former key, with the rules that were deleted with it."""
    row = Feed.history.filter(id=feed_id).select_related("history_user").first()
    if row is None or row.history_type != "-" or Feed.objects.filter(pk=feed_id).exists():
        return None
    together = CertificateRule.history.filter(
        feed_id=feed_id,
        history_type="-",
        history_date=row.history_date,  # see Feed.delete
    )
    taken = set(Feed.objects.filter(name=row.name).values_list("name", flat=True))
    return _deleted(row, (RuleValues.of(rule) for rule in together), taken)


def _deleted(row: Any, rules: Iterable[RuleValues], taken: set[str]) -> DeletedFeed:
    return DeletedFeed(
        feed_id=row.id,
        state=_state(row, rules),
        at=row.history_date,
        user=row.history_user.get_username() if row.history_user else "",
        comment=row.history_change_reason or "",
        version=row.version,
        name_taken=row.name in taken,
        stroom_uuid=row.stroom_uuid or default_uuid(row.name),
        stroom=row.stroom,
    )


@transaction.atomic
def restore(deleted: DeletedFeed, *, comment: str) -> Feed:
    """Bring a deleted feed back as it was, guard included, under its former key, so that its history goes on.

    The guard returns with the feed, so users who may add feeds may do this. The version moves on: no ETag ever
    names two states.

    Raises:
        ValidationError: the name is taken, or the state breaks a rule that holds today.
    """
    feed = Feed(
        pk=deleted.feed_id, name=deleted.state.name, version=deleted.version + 1, **deleted.state.change.values
    )
    feed.stroom = deleted.stroom
    if not Feed.objects.filter(stroom_uuid=deleted.stroom_uuid).exists():
        feed.stroom_uuid = deleted.stroom_uuid
    feed.full_clean()
    with commented(comment):
        feed.save(force_insert=True)
        for rule in deleted.state.rules:
            CertificateRule.objects.create(feed=feed, **vars(rule))
    return feed
