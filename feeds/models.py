"""Stroom feeds, the rules that guard them, and what has been received and refused."""

import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import connections, models
from django.urls import reverse
from django.utils import timezone
from simple_history.models import HistoricalRecords

from feeds.history import ChangeContext
from feeds.rules.decision import CertificatePolicy, CertificateRuleSnapshot, FeedPolicy, FeedStatus, RuleAction
from feeds.rules.dn import BadDistinguishedName, parse_dn
from feeds.store.stroom_packs import MAX_UUID, default_uuid

FEED_NAME_LENGTH = 255
#: Labels of a feed, and characters of each.
MAX_LABELS, MAX_LABEL = 50, 100


def validate_feed_name(name: str) -> None:
    """Refuse a name outside the configured pattern, in words an administrator can act on."""
    pattern = settings.ENVIRONMENT.feed_name_pattern
    # What no request can name (arguments are trimmed and cleaned) is refused whatever the pattern says.
    if not re.search(pattern, name) or not name.isprintable() or name != name.strip():
        raise ValidationError(
            "A feed name matches %(pattern)s: by default capital letters, digits, _ and -, at least three.",
            code="feed_name",
            params={"pattern": pattern},
        )


def validate_rule_dn(text: str) -> None:
    """Refuse a DN that could never match."""
    try:
        parse_dn(text)
    except BadDistinguishedName as fault:
        raise ValidationError(
            "This is not a distinguished name: %(fault)s. Write it as CN=client-a,OU=Test,O=Example,C=GB.",
            code="dn",
            params={"fault": fault},
        ) from fault


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
            CertificateRuleSnapshot(RuleAction(action), dn, _instant(expires))
            for *_, action, dn, expires in rows
            if action is not None
        )
        policy = FeedPolicy(found, FeedStatus(status), CertificatePolicy(guard), rules, version=version)
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


#: Not empty once this process has seen a feed or the history of one.
_seen_feeds: list[bool] = []
#: Always a row, and one more for each further rule: of an unknown feed one without a value.
_POLICY_SQL = """
    SELECT f.name, f.status, f.certificate_policy, f.version, r.action, r.subject_dn, r.expires
    FROM (SELECT %s AS name) AS asked
    LEFT JOIN feeds_feed f ON f.name = asked.name
    LEFT JOIN feeds_certificaterule r ON r.feed_id = f.id
    ORDER BY r.id
"""
#: What is made of that row, and thrown away.
_NO_FEED = ("", FeedStatus.REJECT.value, CertificatePolicy.NONE.value, 0)


def _instant(value: Any) -> datetime | None:
    """SQLite's driver gives text for a raw read, PostgreSQL's a datetime."""
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


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
        return reverse("admin:feeds_feed_change", args=[self.pk])

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
    """One allow or deny entry of a feed: a DN, an optional expiry and a comment. Deny beats allow."""

    class Action(models.TextChoices):
        ALLOW = RuleAction.ALLOW.value, "allow"
        DENY = RuleAction.DENY.value, "deny"

    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="certificate_rules")
    action = models.CharField(max_length=5, choices=Action.choices, default=Action.ALLOW)
    subject_dn = models.TextField(
        "subject DN",
        validators=[MaxLengthValidator(2000), validate_rule_dn],
        help_text=(
            "The whole DN, such as CN=client-a,OU=Test,O=Example,C=GB, or only CN=client-a to match by common name."
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
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject_dn}"


class Store(models.Model):
    """A store of received data that belongs to this database; the file `store.id` in it holds the same key."""

    key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    made = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.key)


class ReceiptQuerySet(models.QuerySet["Receipt"]):
    """Questions about many receipts."""

    def of_feed(self, name: str) -> "ReceiptQuerySet":
        """Receipts that hold data of this feed, also as one of several in a ZIP."""
        return self.filter(pk__in=ReceiptFeed.objects.filter(feed=name).values("receipt_id"))


class Receipt(models.Model):
    """One accepted delivery. The row is the truth about the file it names (contract section 8).

    Feeds are kept as text: renaming or deleting a feed never touches what it received.
    """

    class Status(models.TextChoices):
        STORED = "stored", "stored"
        FORWARDING = "forwarding", "forwarding"
        FORWARDED = "forwarded", "forwarded"
        FAILED = "failed", "failed"

    receipt_id = models.CharField(max_length=120, unique=True)
    feed = models.CharField(max_length=FEED_NAME_LENGTH, db_index=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.STORED)
    stroom_status = models.PositiveSmallIntegerField(default=0)
    received_at = models.DateTimeField(db_index=True)
    bytes = models.BigIntegerField(help_text="Length of the stored file.")
    wire_bytes = models.BigIntegerField(default=0, help_text="Length of the body as it came over the network.")
    sha256 = models.CharField(max_length=64, help_text="Of the stored file.")
    compression = models.CharField(max_length=4, default="NONE")
    path = models.CharField(max_length=300, help_text="Below the store; built from date and receipt id only.")
    sender_dn = models.TextField(null=True, blank=True)  # noqa: DJ001  # null: no verified certificate
    remote_address = models.CharField(max_length=100, blank=True, help_text="The real peer of the connection.")
    headers = models.JSONField(default=dict, help_text="Metadata as stored beside the data.")
    groups = models.JSONField(default=list, help_text="Of a ZIP: base name, feed, and whether it is dropped.")
    notes = models.JSONField(default=list)
    feed_version = models.PositiveIntegerField(null=True, blank=True)
    guid = models.CharField(max_length=200, blank=True, db_index=True)
    request_id = models.CharField(
        "request id", max_length=128, blank=True, default="", db_default="", help_text="X-Request-ID."
    )
    duplicate_of = models.CharField(max_length=120, blank=True, help_text="Earlier receipt with the same content.")
    truncated = models.BooleanField(default=False)
    recovered = models.BooleanField(default=False)
    forwarded_at = models.DateTimeField(
        "handed over", null=True, blank=True, help_text="When it was handed over. Its retention counts from then."
    )
    archives = models.JSONField(
        null=True, blank=True, help_text="What it was handed over in: name, GUID, feed and type of each archive."
    )

    objects = ReceiptQuerySet.as_manager()

    class Meta:
        ordering = ["-received_at", "-id"]
        indexes = [
            models.Index(fields=["feed", "-received_at"], name="receipt_feed_time"),
            models.Index(fields=["sha256", "bytes"], name="receipt_content"),
            models.Index(fields=["request_id"], name="receipt_request"),
        ]
        permissions = [("download_receipt", "Can download received data")]

    def __str__(self) -> str:
        return self.receipt_id

    @property
    def archives_left_in(self) -> list[dict[str, str]]:
        """Name, GUID, feed and type of each archive in which it was handed over."""
        return self.archives or []


class ReceiptFeed(models.Model):
    """A feed that a receipt holds data of; one row for each, so that a ZIP is found by any of its feeds."""

    receipt = models.ForeignKey(Receipt, on_delete=models.CASCADE, related_name="feed_links")
    feed = models.CharField(max_length=FEED_NAME_LENGTH)
    dropped = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["receipt", "feed"], name="receipt_feed_once")]
        # The second column finds the latest receipt of a feed in one step, however many there are.
        indexes = [models.Index(fields=["feed", "-receipt"], name="receipt_feed_latest")]

    def __str__(self) -> str:
        return f"{self.receipt_id}: {self.feed}"


class Outcome(models.TextChoices):
    """Outcome of a delivery."""

    RECEIVED = "received", "received"
    REFUSED = "refused", "refused"
    DROPPED = "dropped", "dropped"
    EMPTY = "empty", "empty"


class HourlyCount(models.Model):
    """Deliveries of one feed with one outcome in one hour. Refusals live here, never as receipts (R26)."""

    hour = models.DateTimeField(help_text="Start of the hour, UTC.")
    feed = models.CharField(max_length=FEED_NAME_LENGTH)
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    http_status = models.PositiveSmallIntegerField()
    stroom_status = models.PositiveSmallIntegerField()
    known = models.BooleanField(default=True, help_text="Whether a feed of this name existed.")
    count = models.PositiveBigIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-hour", "feed"]
        constraints = [
            models.UniqueConstraint(
                fields=["hour", "feed", "outcome", "http_status", "stroom_status", "known"],
                name="hourly_count_once",
            ),
        ]
        indexes = [models.Index(fields=["feed", "-hour"], name="hourly_count_feed")]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.feed} {self.outcome} {self.stroom_status}: {self.count}"


class RefusalSample(models.Model):
    """One refused delivery in full, kept as an example; the number kept is bounded (R26)."""

    at = models.DateTimeField(db_index=True)
    feed = models.CharField(max_length=FEED_NAME_LENGTH, db_index=True)
    http_status = models.PositiveSmallIntegerField()
    stroom_status = models.PositiveSmallIntegerField()
    receipt_id = models.CharField(max_length=120)
    request_id = models.CharField("request id", max_length=128, blank=True, default="", db_default="")
    remote_address = models.CharField(max_length=100, blank=True)
    sender_dn = models.TextField(blank=True)
    headers = models.JSONField(default=dict)
    trace = models.JSONField(default=list)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["feed", "stroom_status", "-at"], name="refusal_sample_key")]

    def __str__(self) -> str:
        return f"{self.receipt_id}: {self.http_status}/{self.stroom_status}"


class RetentionPolicy(models.Model):
    """Retention policy: limits by age, by size, or both. Without one, everything is kept (R25)."""

    feed = models.CharField(
        max_length=FEED_NAME_LENGTH,
        unique=True,
        blank=True,
        help_text="Exactly the feed's name. Empty: every feed that has no policy of its own.",
    )
    keep_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text=(
            "Receipts are removed this many days after their hand-over; where what was not handed over may go too, "
            "after their receipt. Empty: age does not matter."
        ),
    )
    keep_bytes = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        help_text="The oldest receipts of a feed are removed while it holds more. Empty: size does not matter.",
    )
    only_forwarded = models.BooleanField(
        default=True, help_text="Keep what has not been handed on yet, whatever its age and size."
    )

    history = HistoricalRecords(bases=[ChangeContext])

    class Meta:
        verbose_name_plural = "retention policies"
        ordering = ["feed"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(keep_days__isnull=True) | models.Q(keep_days__gte=1),
                name="retention_days_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.feed or "every other feed"

    def clean(self) -> None:
        """Validate in the words of the form, before the database refuses it."""
        if self.keep_days == 0:
            raise ValidationError({"keep_days": "Keep one day at least. Empty: age does not matter."})


class Proposal(models.Model):
    """A change of what guards feeds, kept until a second person has decided on it (see `feeds.changes.approval`).

    What it says never changes: who approves it approves what they read. `items` holds the whole state of each feed
    before and after. Names of users are kept as text in addition to the link, so that they outlive an account.
    """

    class State(models.TextChoices):
        OPEN = "open", "open"
        APPROVED = "approved", "approved"
        DECLINED = "declined", "declined"
        WITHDRAWN = "withdrawn", "withdrawn"

    state = models.CharField(max_length=9, choices=State.choices, default=State.OPEN)
    names = models.TextField(help_text="Of the feeds, each between line ends.")
    items = models.JSONField()
    digest = models.CharField(max_length=64, help_text="Of what would be done, so that it is proposed once.")
    comment = models.TextField(blank=True)
    proposed_at = models.DateTimeField("proposed (UTC)", auto_now_add=True)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    proposer = models.CharField("proposed by", max_length=150)
    remote_address = models.CharField("from", max_length=100, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    decided_at = models.DateTimeField("decided (UTC)", null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decider = models.CharField("decided by", max_length=150, blank=True)
    decision_comment = models.TextField(blank=True)

    class Meta:
        verbose_name = "proposed change"
        ordering = ["-proposed_at", "-pk"]
        default_permissions = ()  # users who may view feeds may view it; certificate officers decide
        indexes = [models.Index(fields=["state", "-proposed_at"], name="proposal_state_time")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["open", "approved", "declined", "withdrawn"]),
                name="proposal_state_known",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="approved") | ~models.Q(decided_by=models.F("proposed_by")),
                name="proposal_approved_by_another",
            ),
        ]

    def __str__(self) -> str:
        named = self.feed_names
        return f"{', '.join(named[:3])}{f' and {len(named) - 3} more' if len(named) > 3 else ''}"

    def get_absolute_url(self) -> str:
        return reverse("admin:feeds_proposal_change", args=[self.pk])

    @property
    def feed_names(self) -> list[str]:
        return self.names.strip("\n").split("\n")


class PendingImport(models.Model):
    """A file of feeds between its preview and the confirmation, for its uploader alone; removed after a day."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created = models.DateTimeField(auto_now_add=True, db_index=True)
    filename = models.CharField(max_length=255)
    content = models.BinaryField()

    def __str__(self) -> str:
        return self.filename
