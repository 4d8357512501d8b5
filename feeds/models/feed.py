"""Feeds, their certificate rules, and the read that every decision starts with."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.core.validators import MaxLengthValidator
from django.db import connection, connections, models
from django.urls import reverse
from django.utils import timezone
from simple_history.models import HistoricalRecords

from feeds.history import ChangeContext
from feeds.models.names import FEED_NAME_LENGTH, validate_feed_name, validate_rule_dn
from feeds.models.receipt import Receipt
from feeds.models.receipt_rule import rules_with
from feeds.rules.decision import CertificatePolicy, CertificateRuleSnapshot, FeedPolicy, FeedStatus, RuleAction
from feeds.store.stroom_packs import MAX_UUID, default_uuid


class FeedQuerySet(models.QuerySet["Feed"]):
    """Questions about many feeds."""

    def policy_for(self, name: str) -> FeedPolicy | None:
        """Read everything a decision needs about one feed, in one committed read; None when unknown.

        Nothing is cached: a feed made or changed a moment ago is in force at once (contract section 5). An unknown
        feed takes as long as one that rejects, so that the time of an answer does not tell them apart (S21).
        """
        if not name.isprintable():
            return None  # no feed is called so, and databases refuse to look for NUL or lone surrogates
        with connections[self.db].cursor() as cursor:
            cursor.execute(_POLICY_SQL, [name])
            rows = cursor.fetchall()
        found, status, guard, version = rows[0][:4] if rows[0][0] is not None else _NO_FEED
        rules = tuple(
            CertificateRuleSnapshot(RuleAction(action), dn, stored_instant(expires), bool(everywhere))
            for *_, action, dn, expires, everywhere, _, _ in rows
            if action is not None
        )
        policy = FeedPolicy(
            found,
            FeedStatus(status),
            CertificatePolicy(guard),
            rules,
            version=version,
            receipt_rules=rules_with(rows[0][-1]),
        )
        return policy if found else None

    def are_lost(self) -> bool:
        """Return whether the database has receipts and never had a feed, as after a rebuild (R30).

        Asked until the first feed is seen, so that later an unknown feed costs no more than another (S21).
        """
        if _seen_feeds:
            return False
        if self.exists() or Feed.history.exists():
            _seen_feeds.append(True)
            return False
        return Receipt.objects.exists()


#: Names of pages of the admin that a feed could have too, where its pattern allows small letters.
_PAGES = frozenset(
    {"add", "columns", "copy", "deleted", "edit", "export", "import", "rules", "set-status", "test", "views"}
)
#: Not empty once this process has seen a feed or the history of one.
_seen_feeds: list[bool] = []
#: Always a row, and one more for each further rule: of an unknown feed one without a value. Then the rules that
#: hold for every feed.
_POLICY_SQL = """
    SELECT f.name, f.status, f.certificate_policy, f.version, r.action, r.subject_dn, r.expires, 0 AS everywhere,
        r.id AS place, (SELECT stamp FROM feeds_receiptrulestamp WHERE id = 1)
    FROM (SELECT %s AS name) AS asked
    LEFT JOIN feeds_feed f ON f.name = asked.name
    LEFT JOIN feeds_certificaterule r ON r.feed_id = f.id
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, action, subject_dn, expires, 1, id, NULL
    FROM feeds_certificaterule WHERE feed_id IS NULL
    ORDER BY everywhere, place
"""
#: What is made of that row, and thrown away.
_NO_FEED = ("", FeedStatus.REJECT.value, CertificatePolicy.NONE.value, 0)


def stored_instant(value: Any) -> datetime | None:
    """SQLite's driver gives text for a raw read, PostgreSQL's a datetime."""
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


class _HasLabel(models.Func):
    """Lookup: a JSON list contains a text. For SQLite, whose ORM backend cannot look into lists."""

    template = "EXISTS (SELECT 1 FROM json_each(%(expressions)s)"
    arg_joiner = ") WHERE value = "
    output_field = models.BooleanField()


def has_label(label: str) -> models.Q:
    """Return the condition that a feed has a label."""
    if connection.vendor == "sqlite":
        return models.Q(_HasLabel(models.F("labels"), models.Value(label)))
    return models.Q(labels__contains=[label])


def labelled(feeds: "models.QuerySet[Feed]", label: str) -> "models.QuerySet[Feed]":
    """Return the feeds that have a label."""
    return feeds.filter(has_label(label))


class Feed(models.Model):
    """A named stream of data that systems may send, and how it is guarded."""

    class Status(models.TextChoices):
        RECEIVE = FeedStatus.RECEIVE.value, "Receive"
        REJECT = FeedStatus.REJECT.value, "Reject"
        DROP = FeedStatus.DROP.value, "Drop"

    class Policy(models.TextChoices):
        NONE = CertificatePolicy.NONE.value, "none: certificates do not matter"
        REQUIRED = CertificatePolicy.REQUIRED.value, "required: any verified certificate"
        RESTRICTED = CertificatePolicy.RESTRICTED.value, "restricted: only certificates with an allow rule"

    name = models.CharField(
        max_length=FEED_NAME_LENGTH,
        unique=True,
        validators=[validate_feed_name],
        help_text="Senders give exactly this name in their Feed header; upper and lower case count.",
    )
    status = models.CharField(
        max_length=10,
        choices=Status.choices,
        default=Status.RECEIVE,
        help_text=(
            "Receive stores the data and answers 200. Reject answers HTTP 406 with Stroom-Status 110; senders "
            "keep their data, but a forwarding stroom-proxy gives up. Drop answers 200 and throws the data "
            "away: the sender cannot tell it from Receive."
        ),
    )
    description = models.TextField(blank=True, help_text="What is sent here, for the people who come after you.")
    owner = models.CharField(max_length=200, blank=True, help_text="Who to ask about this feed.")
    classification = models.CharField(max_length=200, blank=True)
    certificate_policy = models.CharField(
        max_length=10,
        choices=Policy.choices,
        default=Policy.NONE,
        help_text=(
            "Without a certificate, required and restricted answer HTTP 401 with Stroom-Status 300. A certificate "
            "that is not verified, denied, or (restricted) not allowed gets HTTP 403 with Stroom-Status 310."
        ),
    )
    stream_type = models.CharField(max_length=100, blank=True, default="Raw Events")
    encoding = models.CharField(max_length=50, blank=True, default="UTF-8")
    context_encoding = models.CharField(max_length=50, blank=True, default="UTF-8")
    data_format = models.CharField(max_length=50, blank=True)
    schema = models.CharField(max_length=100, blank=True)
    schema_version = models.CharField(max_length=50, blank=True)
    reference = models.BooleanField(default=False, help_text="The feed carries reference data.")
    labels = models.JSONField(default=list, blank=True)
    stroom_uuid = models.CharField(
        "uuid in Stroom",
        max_length=MAX_UUID,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="By this Stroom knows the feed again, whatever its name; kept from an import.",
    )
    stroom = models.JSONField(
        "kept for Stroom",
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        editable=False,
        help_text="What Stroom's export says of the feed and only Stroom has a use for.",
    )
    version = models.PositiveIntegerField(default=1, editable=False)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    objects = FeedQuerySet.as_manager()
    history = HistoricalRecords(bases=[ChangeContext])

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=[status.value for status in FeedStatus]),
                name="feed_status_known",
            ),
            models.CheckConstraint(
                condition=models.Q(certificate_policy__in=[policy.value for policy in CertificatePolicy]),
                name="feed_certificate_policy_known",
            ),
            models.UniqueConstraint(
                fields=["stroom_uuid"], condition=~models.Q(stroom_uuid=""), name="feed_stroom_uuid_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save and increase the version that ETags and receipts refer to."""
        if self._state.adding:
            give_stroom_uuids([self])
        else:
            self.version += 1
            fields = kwargs.get("update_fields")
            if fields is not None:
                kwargs["update_fields"] = {*fields, "version", "updated"}
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """Return the address of the page to read, at the feed's name where no other page has that address."""
        own = self.name.lower() not in _PAGES and "/" not in self.name and not self.name.isdigit()
        return reverse("admin:feeds_feed_read", args=[self.name if own else self.pk])

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the feed. Its history row and those of its rules get one instant, so that restoring
        tells these rules from one that was removed just before.
        """
        self._history_date = timezone.now()
        try:
            return super().delete(*args, **kwargs)
        finally:
            del self._history_date


def give_stroom_uuids(feeds: Iterable[Feed]) -> None:
    """Give new feeds the uuid of their name, or any where a feed that was renamed has kept that one."""
    unset = [feed for feed in feeds if not feed.stroom_uuid]
    wanted = {default_uuid(feed.name) for feed in unset}
    taken = set(Feed.objects.filter(stroom_uuid__in=wanted).values_list("stroom_uuid", flat=True))
    for feed in unset:
        own = default_uuid(feed.name)
        feed.stroom_uuid = str(uuid.uuid4()) if own in taken else own


class CertificateRule(models.Model):
    """One allow or deny entry of a feed: a DN, an optional expiry and a comment. Deny beats allow.

    A rule without a feed is a deny rule that holds for every feed, for a certificate that was stolen.
    """

    class Action(models.TextChoices):
        ALLOW = RuleAction.ALLOW.value, "allow"
        DENY = RuleAction.DENY.value, "deny"

    feed = models.ForeignKey(
        Feed, on_delete=models.CASCADE, related_name="certificate_rules", null=True, blank=True
    )
    action = models.CharField(max_length=5, choices=Action.choices, default=Action.ALLOW)
    subject_dn = models.TextField(
        "subject DN",
        validators=[MaxLengthValidator(2000), validate_rule_dn],
        help_text=(
            "The whole DN, such as CN=client-a,OU=Test,O=Example,C=GB, or only CN=client-a to match by common "
            "name; token:NAME for the sender tokens of this name."
        ),
    )
    expires = models.DateTimeField(
        null=True, blank=True, help_text="From this instant (UTC) the rule matches nothing."
    )
    comment = models.CharField(max_length=500, blank=True)

    history = HistoricalRecords(bases=[ChangeContext])

    class Meta:
        ordering = ["action", "subject_dn", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(action__in=[action.value for action in RuleAction]),
                name="rule_action_known",
            ),
            models.CheckConstraint(
                condition=models.Q(feed__isnull=False) | models.Q(action=RuleAction.DENY.value),
                name="rule_for_all_feeds_denies",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject_dn}" + ("" if self.feed_id else " for every feed")
