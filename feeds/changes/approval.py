"""A second person for what guards feeds (threat model, S30), where PORTAL_SECOND_APPROVAL is on.

The guard of a feed is its certificate policy and rules; a feed that is not there has none. A write by which the
guard of any feed would come, change or go, also with its feed or by a new name, is tried, looked at, taken back
and kept as a proposal. So what a proposal says is what the write really did, whichever page or address it came by,
and a write is never done in half: everything in the same save or file as the guard waits with it.

`approval_items` holds the change of one feed, `approval_watch` finds the changes of a write, and this module keeps
proposals and decides on them. Writes of feeds run inside `guarded`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from feeds.changes.apply import OfficerNeeded, create_feed
from feeds.changes.approval_items import ProposalItem, items_of
from feeds.changes.approval_watch import TakenBack, approved, is_on, watched
from feeds.changes.permissions import AnyUser, may_manage_certificates
from feeds.changes.snapshots import deleted_feed, restore, revert
from feeds.history import commented, where_from
from feeds.models import Feed, Proposal
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
    try:
        with watched():
            yield
    except TakenBack as taken:
        raise Proposed(_propose(taken.items, user)) from None


# --- proposals ---


def _propose(items: Sequence[ProposalItem], user: AnyUser) -> Proposal:
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


def _obstacle(item: ProposalItem, proposer: User | None) -> str:
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
        with approved():
            for item in items:
                _apply(item, proposal, user, comment)
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


def _apply(item: ProposalItem, proposal: Proposal, user: AnyUser, decision_comment: str) -> None:
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


def _write(item: ProposalItem, proposer: AnyUser, comment: str) -> None:
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


def _record(action: str, proposal: Proposal, comment: str, items: Sequence[ProposalItem]) -> None:
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
