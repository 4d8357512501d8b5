"""Items of a proposal: the change of one feed, with the state before and after, and its form as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from feeds.changes.apply import WRITABLE, FeedChange, RuleValues
from feeds.changes.snapshots import FeedState, compare
from feeds.changes.timeline import ValueChange
from feeds.models import Feed, Proposal


@dataclass(frozen=True)
class ProposalItem:
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
            "before": state_record(self.before),
            "after": state_record(self.after),
            "comment": self.comment,
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "ProposalItem":
        """Back from JSON."""
        return cls(**{**record, "before": _state(record["before"]), "after": _state(record["after"])})


def _guard(state: FeedState | None) -> tuple[str, frozenset[RuleValues]]:
    if state is None:
        return Feed.Policy.NONE.value, frozenset()
    return str(state.change.values["certificate_policy"]), frozenset(state.rules)


def state_record(state: FeedState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    rules = [{**vars(rule), "expires": rule.expires.isoformat() if rule.expires else None} for rule in state.rules]
    values = {name: state.change.values[name] for name in WRITABLE}
    return {"name": state.name, "values": values, "certificate_rules": rules}


def _state(record: Mapping[str, Any] | None) -> FeedState | None:
    if record is None:
        return None
    rules = [
        RuleValues(**{**rule, "expires": datetime.fromisoformat(rule["expires"]) if rule["expires"] else None})
        for rule in record["certificate_rules"]
    ]
    return FeedState(record["name"], FeedChange(record["values"], tuple(rules)))


def items_of(proposal: Proposal) -> list[ProposalItem]:
    """Return the effects of a proposal, first those on feeds whose guard it concerns."""
    items = [ProposalItem.read(record) for record in proposal.items]
    return sorted(items, key=lambda item: not item.guards)
