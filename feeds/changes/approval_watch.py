"""Watch of a write: notes the state of each feed before it is written, and compares it with the result.

Writes of feeds run inside `watched`, which learns of them by signals, or where there are none by `before_bulk`. A
request that writes a feed or a rule in any other way fails.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from simple_history.models import HistoricalRecords

from feeds.changes.approval_items import ProposalItem
from feeds.changes.snapshots import DeletedFeed, FeedState, deleted_feed, state_of
from feeds.history import present_comment
from feeds.models import CertificateRule, Feed


class UnwatchedWrite(RuntimeError):
    """A fault of ours: a request wrote a feed without asking whether that may stand alone."""


def is_on() -> bool:
    """Return whether second approval is switched on."""
    return bool(settings.ENVIRONMENT.second_approval)


@dataclass(frozen=True)
class _Present:
    """A feed as it was before the write, with the comment that the write keeps."""

    state: FeedState
    version: int
    comment: str


@dataclass(frozen=True)
class _Made:
    """A feed that the write makes, or brings back."""

    feed: Feed
    deleted: DeletedFeed | None
    comment: str


class _Watch:
    """Notes each feed that a write touches, just before it does so for the first time."""

    def __init__(self) -> None:
        self._present: dict[int, _Present] = {}
        self._made: list[_Made] = []
        self._known_made: set[int] = set()

    def making(self, feed: Feed) -> None:
        deleted = deleted_feed(feed.pk) if feed.pk is not None else None
        self._made.append(_Made(feed, deleted, present_comment()))

    def touching(self, feed_ids: Iterable[int]) -> None:
        unknown = {*feed_ids} - self._present.keys() - self._keys_made()
        for feed in _feeds(unknown) if unknown else ():
            self._present[feed.pk] = _Present(state_of(feed), feed.version, present_comment())

    def knows(self, feed_id: int) -> bool:
        return feed_id in self._present or feed_id in self._known_made or feed_id in self._keys_made()

    def _keys_made(self) -> set[int]:
        """Return the keys of created feeds; they have none before they are written."""
        self._known_made = {made.feed.pk for made in self._made}
        return self._known_made

    def items(self) -> list[ProposalItem]:
        return [*self._present_items(), *self._made_items()]

    def _present_items(self) -> Iterator[ProposalItem]:
        after = _states(self._present)
        for feed_id, was in self._present.items():
            action = "change" if feed_id in after else "delete"
            yield ProposalItem(action, feed_id, was.version, was.state, after.get(feed_id), was.comment)

    def _made_items(self) -> Iterator[ProposalItem]:
        after = _states([made.feed.pk for made in self._made])
        for made in self._made:
            state = after[made.feed.pk]
            if made.deleted is None:
                yield ProposalItem("create", None, None, None, state, made.comment)
            else:
                yield ProposalItem("restore", made.feed.pk, made.deleted.version, None, state, made.comment)


class TakenBack(Exception):  # named after what was done to the write
    """The write needs a second person and was rolled back; `items` are its effects."""

    def __init__(self, items: Sequence[ProposalItem]) -> None:
        self.items = items


_watch: ContextVar[_Watch | None] = ContextVar("watched_write", default=None)
_approved: ContextVar[bool] = ContextVar("approved_write", default=False)


def _feeds(keys: Iterable[int]) -> QuerySet[Feed]:
    return Feed.objects.filter(pk__in=list(keys)).prefetch_related("certificate_rules")


def _states(keys: Iterable[int]) -> dict[int, FeedState]:
    return {feed.pk: state_of(feed) for feed in _feeds(keys)}


@contextmanager
def watched() -> Iterator[None]:
    """Run one transaction that writes feeds; roll it back where it needs a second person.

    Raises:
        TakenBack: it does.
    """
    token = _watch.set(_Watch())
    try:
        with transaction.atomic():
            yield
            settle()
    finally:
        _watch.reset(token)


@contextmanager
def approved() -> Iterator[None]:
    """Run a write that a second person has approved."""
    token = _approved.set(True)
    try:
        yield
    finally:
        _approved.reset(token)


def settle() -> None:
    """Check what was written so far: for callers that report success before `guarded` ends."""
    watch = _watch.get()
    if watch is not None:
        items = watch.items()
        if any(item.guards for item in items):
            raise TakenBack(items)


def before_feed(*, instance: Feed, **_: Any) -> None:
    """Note the state of a feed before it is written or deleted (signal receiver)."""
    if instance._state.adding:
        before_bulk([instance], [])
    else:
        before_bulk([], [instance.pk])


def before_rule(*, instance: CertificateRule, **_: Any) -> None:
    """Note the state of a rule's feed before the rule is written or deleted (signal receiver)."""
    if instance.feed_id is not None:
        before_bulk([], [instance.feed_id])


def before_bulk(made: Iterable[Feed], touched: Iterable[int]) -> None:
    """Note the states of feeds before they or their rules are written: for statements that send no signal."""
    watch = _watch.get()
    if watch is None:
        _refuse_unwatched()
        return
    for feed in made:
        watch.making(feed)
    watch.touching(touched)


def after_history(*, instance: Any, **_: Any) -> None:
    """Check that a change written into the history was announced before (signal receiver)."""
    if not isinstance(instance, Feed | CertificateRule):
        return
    feed_id = instance.pk if isinstance(instance, Feed) else instance.feed_id
    if feed_id is None:  # a rule for every feed, which has its own two-person rule
        return
    watch = _watch.get()
    if watch is None:
        _refuse_unwatched()
    elif not watch.knows(feed_id):
        raise UnwatchedWrite("This feed was written before its state was noted.")


def _refuse_unwatched() -> None:
    """Refuse a request that did not come through `guarded`. Commands on the portal's machine are the operator's."""
    in_request = getattr(HistoricalRecords.context, "request", None) is not None
    if in_request and is_on() and not _approved.get():
        raise UnwatchedWrite("This write of a feed does not ask for a second approval.")
