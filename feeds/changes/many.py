"""One edit of many feeds: labels, owner, classification, and one certificate rule added or removed.

All of it in one transaction, with a history row and an audit record for each feed that changes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feeds.changes.apply import MAX_RULES, FeedChange, OfficerNeeded, RuleValues
from feeds.changes.approval import guarded
from feeds.changes.bulk import BulkChange
from feeds.changes.permissions import AnyUser, may_manage_certificates
from feeds.models import MAX_LABELS, CertificateRule, Feed
from feeds.rules.dn import BadDistinguishedName, parse_dn

#: Feeds in one edit: so many take a fraction of a second, in which SQLite accepts no other write.
MAX_FEEDS = 2_000


class TooManyFeeds(Exception):
    """More feeds than one edit takes, or a feed that cannot take more; the message says which."""


@dataclass(frozen=True)
class FeedEdit:
    """Edit of each feed. Values that are equal already change nothing.

    Attributes:
        values: new values of columns.
        add_labels: labels that each feed has afterwards.
        remove_labels: labels that no feed has afterwards.
        add_rule: a rule that each feed has afterwards.
        remove_rule: action and DN of the rules that no feed has afterwards; any form of the DN will do.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    add_labels: Sequence[str] = ()
    remove_labels: Sequence[str] = ()
    add_rule: RuleValues | None = None
    remove_rule: tuple[str, str] | None = None

    @property
    def is_of_rules(self) -> bool:
        return self.add_rule is not None or self.remove_rule is not None

    def of(self, feed: Feed) -> FeedChange | None:
        """Return the change of a feed whose rules are prefetched; None where nothing changes.

        Raises:
            TooManyFeeds: the feed would have too many labels or rules.
        """
        values = {name: value for name, value in self.values.items() if getattr(feed, name) != value}
        labels = self._labels(feed.labels)
        if labels != feed.labels:
            values["labels"] = labels
        present = [RuleValues.of(rule) for rule in feed.certificate_rules.all()]
        rules = self._rules(present)
        if len(labels) > MAX_LABELS or len(rules) > MAX_RULES:
            raise TooManyFeeds(f"{feed.name} would have more than {MAX_LABELS} labels or {MAX_RULES} rules.")
        if not values and rules == present:
            return None
        return FeedChange(values, rules if rules != present else None)

    def _labels(self, present: Sequence[str]) -> list[str]:
        gone = set(self.remove_labels) - set(self.add_labels)
        return [label for label in dict.fromkeys([*present, *self.add_labels]) if label not in gone]

    def _rules(self, present: Sequence[RuleValues]) -> list[RuleValues]:
        rules = list(present)
        if self.remove_rule is not None:
            action, text = self.remove_rule
            rules = [rule for rule in rules if rule.action != action or not same_name(rule.subject_dn, text)]
        added = self.add_rule
        if added is None:
            return rules
        same = [r for r in rules if r.action == added.action and same_name(r.subject_dn, added.subject_dn)]
        if any(rule.expires == added.expires for rule in same):
            return rules
        # A rule for the same certificate that ends at another time is replaced: two would differ only in that.
        return [*(rule for rule in rules if rule not in same), added]


def same_name(one: str, other: str) -> bool:
    """Return whether two texts are the same DN, in any form."""
    try:
        return one == other or parse_dn(one) == parse_dn(other)
    except BadDistinguishedName:
        return False


def edit_feeds(keys: Sequence[int], edit: FeedEdit, *, user: AnyUser, comment: str) -> int:
    """Edit these feeds; return how many changed.

    Raises:
        OfficerNeeded: it is about rules, and the user may not change them.
        Proposed: it waits for a second person.
        TooManyFeeds: there are too many feeds, or one of them cannot take it.
        TooMuch: it would have to wait for a second person, who cannot be asked for so much.
    """
    if edit.is_of_rules and not may_manage_certificates(user):
        raise OfficerNeeded
    if len(keys) > MAX_FEEDS:
        raise TooManyFeeds(f"At most {MAX_FEEDS} feeds in one edit; {len(keys)} are selected.")
    with guarded(user):
        feeds = Feed.objects.select_for_update().filter(pk__in=keys).prefetch_related("certificate_rules")
        bulk, changed = BulkChange(comment), 0
        for feed in feeds.order_by("pk"):
            change = edit.of(feed)
            if change is not None:
                bulk.change(feed, change)
                changed += 1
        if changed:
            bulk.write()
    return changed


@dataclass(frozen=True)
class SharedRule:
    """A rule of some of the selected feeds: action, DN, and how many of them have it."""

    action: str
    subject_dn: str
    feeds: int


def shared_rules(keys: Iterable[int], most: int = 200) -> list[SharedRule]:
    """Return the rules of these feeds, those of most feeds first."""
    rows = CertificateRule.objects.filter(feed__in=list(keys)).values_list("action", "subject_dn", "feed_id")
    counted = Counter((action, dn) for action, dn, _ in set(rows))
    return [SharedRule(action, dn, feeds) for (action, dn), feeds in counted.most_common(most)]
