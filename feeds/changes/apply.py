"""Changes of a feed together with its certificate rules: differences, permissions, and one history for both.

Used by everything that writes whole feeds (REST, imports). The admin's form writes through Django's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from feeds.changes.permissions import AnyUser, may_manage_certificates
from feeds.history import commented
from feeds.models import CertificateRule, Feed

#: What callers may set, in the order in which it is shown.
MAX_RULES = 1_000
MAX_COMMENT = 1_000
#: Read-only keys of an answer of the REST API, which a body or a file may repeat.
GIVEN = ("version", "etag", "created", "updated")
WRITABLE = (
    "status",
    "description",
    "classification",
    "owner",
    "certificate_policy",
    "stream_type",
    "encoding",
    "context_encoding",
    "data_format",
    "schema",
    "schema_version",
    "reference",
    "labels",
)


def defaults() -> dict[str, Any]:
    """Return the default values of a feed."""
    plain = Feed()
    return {name: getattr(plain, name) for name in WRITABLE}


class OfficerNeeded(Exception):
    """Only a certificate officer may change certificate policy and rules (threat model, S30)."""


@dataclass(frozen=True)
class RuleValues:
    """One certificate rule as a caller wants it."""

    action: str
    subject_dn: str
    expires: datetime | None = None
    comment: str = ""

    @classmethod
    def of(cls, rule: CertificateRule) -> "RuleValues":
        return cls(rule.action, rule.subject_dn, rule.expires, rule.comment)


@dataclass(frozen=True)
class FeedChange:
    """Desired state of a feed: `values` by field name; `rules` replace all present ones, None leaves them."""

    values: Mapping[str, Any] = field(default_factory=dict)
    rules: Sequence[RuleValues] | None = None

    def with_defaults(self) -> "FeedChange":
        """Return a copy in which missing values have their defaults."""
        return FeedChange({**defaults(), **self.values}, self.rules or ())


def create_feed(name: str, change: FeedChange, *, user: AnyUser, comment: str = "") -> Feed:
    """Make a feed. Run inside a transaction.

    Raises:
        OfficerNeeded: the feed would be guarded and the user may not guard feeds.
        IntegrityError: a feed of this name exists.
    """
    whole = change.with_defaults()
    feed = Feed(name=name, **whole.values)
    if (feed.certificate_policy != Feed.Policy.NONE or whole.rules) and not may_manage_certificates(user):
        raise OfficerNeeded
    with commented(comment):
        feed.save()
        for rule in whole.rules or ():
            CertificateRule.objects.create(feed=feed, **vars(rule))
    return feed


def change_feed(
    feed: Feed, change: FeedChange, *, user: AnyUser, comment: str = "", keep_comment: bool = True
) -> bool:
    """Bring a feed to what `change` says; return whether anything was written.

    Nothing is written, and no version or history made, where nothing differs and there is no comment to keep.
    A change of rules alone moves the feed's version too. Run inside a transaction that holds the feed's row.

    Args:
        keep_comment: whether a comment is kept also where nothing differs; not where the same is asked for again
            and again, as by a PUT every night.

    Raises:
        OfficerNeeded: policy or rules would change and the user may not.
    """
    differing = {name: value for name, value in change.values.items() if getattr(feed, name) != value}
    plan = None if change.rules is None else plan_rules(feed.certificate_rules.all(), change.rules)
    rules_differ = plan is not None and plan.differs
    if ("certificate_policy" in differing or rules_differ) and not may_manage_certificates(user):
        raise OfficerNeeded
    if not differing and not rules_differ and not (keep_comment and comment.strip()):
        return False
    with commented(comment):
        for name, value in differing.items():
            setattr(feed, name, value)
        feed.save()
        if plan is not None:
            plan.write(feed)
    return True


@dataclass(frozen=True)
class RulePlan:
    """Difference between two sets of rules: those to remove, to change and to add; equal ones are left alone."""

    removed: tuple[CertificateRule, ...]
    updated: tuple[tuple[CertificateRule, RuleValues], ...]
    added: tuple[RuleValues, ...]

    @property
    def differs(self) -> bool:
        return bool(self.removed or self.updated or self.added)

    def write(self, feed: Feed) -> None:
        for rule in self.removed:
            rule.delete()
        for rule, values in self.updated:
            rule.expires, rule.comment = values.expires, values.comment
            rule.save(update_fields=["expires", "comment"])
        for values in self.added:
            CertificateRule.objects.create(feed=feed, **vars(values))


def plan_rules(present: Iterable[CertificateRule], wanted: Sequence[RuleValues]) -> RulePlan:
    """Find which of the present rules to remove, change and add in order to get the desired ones."""
    left = sorted(present, key=lambda rule: rule.pk)
    unmatched: list[RuleValues] = []
    for values in wanted:
        same = next((rule for rule in left if RuleValues.of(rule) == values), None)
        if same is None:
            unmatched.append(values)
        else:
            left.remove(same)
    updated: list[tuple[CertificateRule, RuleValues]] = []
    added: list[RuleValues] = []
    for values in unmatched:
        alike = next((r for r in left if (r.action, r.subject_dn) == (values.action, values.subject_dn)), None)
        if alike is None:
            added.append(values)
        else:
            left.remove(alike)
            updated.append((alike, values))
    return RulePlan(tuple(left), tuple(updated), tuple(added))
