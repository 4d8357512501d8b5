"""A second person for what guards feeds (threat model, S30), where PORTAL_SECOND_APPROVAL is on.

The guard of a feed is its certificate policy and rules; a feed that is not there has none. A write by which the
guard of any feed would come, change or go, also with its feed or by a new name, is tried, looked at, taken back
and kept as a proposal. So what a proposal says is what the write really did, whichever page or address it came by,
and a write is never done in half: everything in the same save or file as the guard waits with it.

Writes of feeds run inside `guarded`, which learns of them by signals, or where there are none by `before_bulk`. A
request that writes a feed or a rule in any other way fails.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from simple_history.models import HistoricalRecords

from feeds.changes.apply import WRITABLE, FeedChange, OfficerNeeded, RuleValues, create_feed
from feeds.changes.permissions import AnyUser, may_manage_certificates
from feeds.changes.snapshots import DeletedFeed, FeedState, compare, deleted_feed, restore, revert, state_of
from feeds.changes.timeline import ValueChange
from feeds.history import commented, present_comment, where_from
from feeds.models import CertificateRule, Feed, Proposal
from portal.audit.record import record, together

#: One person has to be able to read what they approve.
MAX_FEEDS = 500
MAX_BYTES = 8 * 1024 * 1024
#: Permissions that the proposer must still have at the approval, in addition to managing certificates.
RIGHTS = {
    "create": "feeds.add_feed",
    "restore": "feeds.add_feed",
    "change": "feeds.change_feed",
    "delete": "feeds.delete_feed",
}


class Proposed(Exception):
    """Nothing was changed: the write waits for a second person."""

    def __init__(self, proposal: Proposal) -> None:
        super().__init__(f"proposal {proposal.pk}")
        self.proposal = proposal


class TooMuch(Exception):
    """More than one person can be asked to read in one go."""


class MayNotDecide(Exception):
    """This user may not decide on this proposal."""


class CannotDecide(Exception):
    """The proposal has been decided on, or does not fit what there is any more."""


class UnwatchedWrite(RuntimeError):
    """A fault of ours: a request wrote a feed without asking whether that may stand alone."""


def is_on() -> bool:
    """Return whether second approval is switched on."""
    return bool(settings.ENVIRONMENT.second_approval)


# --- what a write does to each feed ---


@dataclass(frozen=True)
class Item:
    """Change of one feed. None stands for a feed that does not exist."""

    action: str
    feed_id: int | None
    version: int | None
    before: FeedState | None
    after: FeedState | None
    comment: str = ""

    @property
    def name(self) -> str:
        state = self.before or self.after
        return state.name if state else ""

    @cached_property
    def changes(self) -> tuple[ValueChange, ...]:
        """Every difference; a feed that is not there is compared as one with nothing but defaults."""
        blank = FeedState(self.name, FeedChange({}).with_defaults())
        return tuple(compare(self.before or blank, self.after or blank))

    @property
    def guards(self) -> bool:
        """Whether the guard of a name comes, changes or goes."""
        before, after = _guard(self.before), _guard(self.after)
        renamed = self.before is not None and self.after is not None and self.before.name != self.after.name
        return before != after or (renamed and before != _guard(None))

    def as_record(self) -> dict[str, Any]:
        """Return the item as JSON."""
        return {
            "action": self.action,
            "feed_id": self.feed_id,
            "version": self.version,
            "before": _told(self.before),
            "after": _told(self.after),
            "comment": self.comment,
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "Item":
        """Back from JSON."""
        return cls(**{**record, "before": _read(record["before"]), "after": _read(record["after"])})


def _guard(state: FeedState | None) -> tuple[str, frozenset[RuleValues]]:
    if state is None:
        return Feed.Policy.NONE.value, frozenset()
    return str(state.change.values["certificate_policy"]), frozenset(state.rules)


def _told(state: FeedState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    rules = [{**vars(rule), "expires": rule.expires.isoformat() if rule.expires else None} for rule in state.rules]
    values = {name: state.change.values[name] for name in WRITABLE}
    return {"name": state.name, "values": values, "certificate_rules": rules}


def _read(record: Mapping[str, Any] | None) -> FeedState | None:
    if record is None:
        return None
    rules = [
        RuleValues(**{**rule, "expires": datetime.fromisoformat(rule["expires"]) if rule["expires"] else None})
        for rule in record["certificate_rules"]
    ]
    return FeedState(record["name"], FeedChange(record["values"], tuple(rules)))


def items_of(proposal: Proposal) -> list[Item]:
    """Return the effects of a proposal, first those on feeds whose guard it concerns."""
    items = [Item.read(record) for record in proposal.items]
    return sorted(items, key=lambda item: not item.guards)


# --- trying a write and looking at it ---


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

    def items(self) -> list[Item]:
        return [*self._present_items(), *self._made_items()]

    def _present_items(self) -> Iterator[Item]:
        after = _states(self._present)
        for feed_id, was in self._present.items():
            action = "change" if feed_id in after else "delete"
            yield Item(action, feed_id, was.version, was.state, after.get(feed_id), was.comment)

    def _made_items(self) -> Iterator[Item]:
        after = _states([made.feed.pk for made in self._made])
        for made in self._made:
            state = after[made.feed.pk]
            if made.deleted is None:
                yield Item("create", None, None, None, state, made.comment)
            else:
                yield Item("restore", made.feed.pk, made.deleted.version, None, state, made.comment)


class _TakenBack(Exception):
    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items


_watch: ContextVar[_Watch | None] = ContextVar("watched_write", default=None)
_approved: ContextVar[bool] = ContextVar("approved_write", default=False)


def _feeds(keys: Iterable[int]) -> QuerySet[Feed]:
    return Feed.objects.filter(pk__in=list(keys)).prefetch_related("certificate_rules")


def _states(keys: Iterable[int]) -> dict[int, FeedState]:
    return {feed.pk: state_of(feed) for feed in _feeds(keys)}


@contextmanager
def guarded(user: AnyUser) -> Iterator[None]:
    """Run one transaction that writes feeds. Where it needs a second person, it is rolled back and proposed.

    Nothing around it may be a transaction that would take the proposal back too.

    Raises:
        Proposed: the write waits for a second person.
        TooMuch: it would, and is more than one proposal takes.
    """
    if not is_on():
        with transaction.atomic():
            yield
        return
    token = _watch.set(_Watch())
    try:
        with transaction.atomic():
            yield
            settle()
    except _TakenBack as taken:
        raise Proposed(_propose(taken.items, user)) from None
    finally:
        _watch.reset(token)


def settle() -> None:
    """Check what was written so far: for callers that report success before `guarded` ends."""
    watch = _watch.get()
    if watch is not None:
        items = watch.items()
        if any(item.guards for item in items):
            raise _TakenBack(items)


def before_feed(*, instance: Feed, **_: Any) -> None:
    """Note the state of a feed before it is written or deleted (signal receiver)."""
    if instance._state.adding:
        before_bulk([instance], [])
    else:
        before_bulk([], [instance.pk])


def before_rule(*, instance: CertificateRule, **_: Any) -> None:
    """Note the state of a rule's feed before the rule is written or deleted (signal receiver)."""
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
    watch = _watch.get()
    if watch is None:
        _refuse_unwatched()
    elif not watch.knows(instance.pk if isinstance(instance, Feed) else instance.feed_id):
        raise UnwatchedWrite("This feed was written before its state was noted.")


def _refuse_unwatched() -> None:
    """Refuse a request that did not come through `guarded`. Commands on the portal's machine are the operator's."""
    in_request = getattr(HistoricalRecords.context, "request", None) is not None
    if in_request and is_on() and not _approved.get():
        raise UnwatchedWrite("This write of a feed does not ask for a second approval.")


# --- proposals ---


def _propose(items: Sequence[Item], user: AnyUser) -> Proposal:
    """Keep a write that was rolled back. The same one by the same user makes no second proposal."""
    records = [item.as_record() for item in items]
    text = json.dumps([{**one, "comment": ""} for one in records], sort_keys=True)
    if len(items) > MAX_FEEDS or len(text) > MAX_BYTES:
        raise TooMuch(
            f"This changes what guards feeds and needs a second approval, for which it is too much: at most "
            f"{MAX_FEEDS} feeds and {MAX_BYTES // 1024 // 1024} MiB in one proposal. Nothing was changed."
        )
    digest = hashlib.sha256(text.encode()).hexdigest()
    with transaction.atomic():
        same = Proposal.objects.filter(state=Proposal.State.OPEN, proposed_by_id=user.pk, digest=digest).first()
        if same is not None:
            return same
        request_id, address = where_from()
        names = dict.fromkeys(state.name for item in items for state in (item.before, item.after) if state)
        proposal = Proposal.objects.create(
            names="".join(f"\n{name}" for name in names) + "\n",
            items=records,
            digest=digest,
            comment="\n".join(dict.fromkeys(item.comment for item in items if item.comment)),
            proposed_by_id=user.pk,
            proposer=user.get_username(),
            remote_address=address,
            request_id=request_id,
        )
        _record("proposed", proposal, proposal.comment, items)
    return proposal


def waiting() -> QuerySet[Proposal]:
    """Return the proposals that wait for a decision."""
    return Proposal.objects.filter(state=Proposal.State.OPEN)


def concerning(name: str, proposals: QuerySet[Proposal] | None = None) -> QuerySet[Proposal]:
    """Proposals about the feed of this name, as it is called before or after."""
    chosen = Proposal.objects.all() if proposals is None else proposals
    return chosen.filter(names__contains=f"\n{name}\n")


def obstacle(proposal: Proposal) -> str:
    """Return why an open proposal cannot be approved now, in words; empty if it can."""
    return next((reason for item in items_of(proposal) if (reason := _obstacle(item, proposal.proposed_by))), "")


def _obstacle(item: Item, proposer: User | None) -> str:
    if proposer is None:
        return "The account that proposed this no longer exists. Decline it, and propose the change again."
    officer = item.action == "restore" or may_manage_certificates(proposer)
    if not (officer and proposer.has_perm(RIGHTS[item.action])):
        return f"{proposer.get_username()}, who proposed this, may not make this change any more."
    if item.feed_id is None:
        taken = Feed.objects.filter(name=item.name).exists()
        return f"A feed called {item.name} exists by now." if taken else ""
    if item.action == "restore":
        deleted = deleted_feed(item.feed_id)
        fits = deleted is not None and deleted.version == item.version and not deleted.name_taken
        return "" if fits else f"{item.name} was restored or created again meanwhile."
    present = Feed.objects.filter(pk=item.feed_id).values_list("version", flat=True).first()
    if present is None:
        return f"{item.name} was deleted meanwhile."
    return "" if present == item.version else f"{item.name} was changed since this was proposed."


def may_decide(user: AnyUser, proposal: Proposal) -> bool:
    """Return whether the user is a certificate officer and not the proposer."""
    return may_manage_certificates(user) and user.pk != proposal.proposed_by_id


def approve(key: int, user: AnyUser, comment: str = "") -> Proposal:
    """Do what was proposed, all of it in one transaction, with both names in the history of each feed.

    Raises:
        MayNotDecide: the user is no certificate officer, or proposed it.
        CannotDecide: it has been decided on, or what it is based on has changed meanwhile.
    """
    with transaction.atomic(), together():
        proposal = _open_proposal(key, user)
        items = items_of(proposal)
        # Locked in one order by every approval.
        keys = [item.feed_id for item in items if item.feed_id is not None]
        list(Feed.objects.select_for_update().filter(pk__in=keys).order_by("pk").values_list("pk"))
        if reason := obstacle(proposal):
            raise CannotDecide(f"{reason} Nothing was changed.")
        token = _approved.set(True)
        try:
            for item in items:
                _apply(item, proposal, user, comment)
        finally:
            _approved.reset(token)
        return _decide(proposal, Proposal.State.APPROVED, user, comment)


def decline(key: int, user: AnyUser, comment: str = "") -> Proposal:
    """Decline a proposal for good: nothing is changed.

    Raises:
        MayNotDecide: the user is no certificate officer, or proposed it.
        CannotDecide: it has been decided on.
    """
    with transaction.atomic():
        return _decide(_open_proposal(key, user), Proposal.State.DECLINED, user, comment)


def withdraw(key: int, user: AnyUser, comment: str = "") -> Proposal:
    """Take back what one has proposed oneself.

    Raises:
        MayNotDecide: another user proposed it.
        CannotDecide: it has been decided on.
    """
    with transaction.atomic():
        proposal = Proposal.objects.select_for_update().get(pk=key)
        if proposal.proposed_by_id != user.pk:
            raise MayNotDecide("Only who proposed it may withdraw it.")
        _require_open(proposal)
        return _decide(proposal, Proposal.State.WITHDRAWN, user, comment)


def _open_proposal(key: int, user: AnyUser) -> Proposal:
    proposal = Proposal.objects.select_for_update(of=("self",)).select_related("proposed_by").get(pk=key)
    if not may_manage_certificates(user):
        raise MayNotDecide("Only a certificate officer may decide on a proposal.")
    if not may_decide(user, proposal):
        raise MayNotDecide("You proposed this yourself: another certificate officer has to decide on it.")
    _require_open(proposal)
    return proposal


def _require_open(proposal: Proposal) -> None:
    if proposal.state != Proposal.State.OPEN:
        raise CannotDecide(f"This proposal was {proposal.state} by {proposal.decider} already.")


def _apply(item: Item, proposal: Proposal, user: AnyUser, decision_comment: str) -> None:
    """Apply the change of one feed by the proposer's rights; the approver need not have them all."""
    proposer: Any = proposal.proposed_by
    why = f": {decision_comment.strip()}" if decision_comment.strip() else ""
    both = f"[proposal {proposal.pk}: proposed by {proposal.proposer}, approved by {user.get_username()}{why}]"
    comment = f"{item.comment} {both}".strip()
    try:
        # One that fails leaves the connection fit to say why.
        with transaction.atomic():
            _write(item, proposer, comment)
    except ValidationError as fault:
        raise CannotDecide(f"{item.name}: {' '.join(fault.messages)} Nothing was changed.") from fault
    except (IntegrityError, OfficerNeeded) as fault:
        raise CannotDecide(f"{item.name} cannot be written so any more. Nothing was changed.") from fault


def _write(item: Item, proposer: AnyUser, comment: str) -> None:
    if item.action == "restore":
        if deleted := deleted_feed(item.feed_id or 0):  # else there was an obstacle
            restore(deleted, comment=comment)
    elif item.action == "delete":
        with commented(comment):
            Feed.objects.get(pk=item.feed_id or 0).delete()
    elif item.after is not None and item.action == "create":
        Feed(name=item.name, **item.after.change.values).full_clean()
        create_feed(item.name, item.after.change, user=proposer, comment=comment)
    elif item.after is not None:
        revert(Feed.objects.get(pk=item.feed_id or 0), item.after, user=proposer, comment=comment)


def _decide(proposal: Proposal, state: Proposal.State, user: AnyUser, comment: str) -> Proposal:
    proposal.state = state
    proposal.decided_at = datetime.now(UTC)
    proposal.decided_by_id = user.pk
    proposal.decider = user.get_username()
    proposal.decision_comment = comment.strip()
    proposal.save(update_fields=["state", "decided_at", "decided_by", "decider", "decision_comment"])
    _record(state.value, proposal, proposal.decision_comment, items_of(proposal))
    return proposal


def _record(action: str, proposal: Proposal, comment: str, items: Sequence[Item]) -> None:
    """Into the audit record, with both sides of every difference."""
    record(
        action,
        kind="proposal",
        key=proposal.pk,
        name=f"{proposal} (proposed by {proposal.proposer})",
        old={item.name: [(change.field, change.old) for change in item.changes] for item in items},
        new={item.name: [(change.field, change.new) for change in item.changes] for item in items},
        comment=comment,
        actor=proposal.proposer if action == "proposed" else proposal.decider,
    )
