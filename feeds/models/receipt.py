"""Accepted deliveries, the feeds each holds data of, and the store that belongs to the database."""

import uuid
from typing import Any

from django.db import models
from django.db.models.functions import Left

from feeds.models.names import FEED_NAME_LENGTH

#: Characters of a DN that its index holds: PostgreSQL refuses rows whose indexed values are long.
DN_INDEXED = 200


class DnStart(models.Func):
    """The part of a DN that its index holds, without parameters: SQLite would not see the index."""

    template = f"SUBSTR(%(expressions)s, 1, {DN_INDEXED})"
    output_field = models.TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template=f"LEFT(%(expressions)s, {DN_INDEXED})", **context)


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
    sender_token = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001  # null: no valid token
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
            # The second column gives the latest receipts of a sender in order, however many there are.
            models.Index(fields=["remote_address", "-id"], name="receipt_address"),
            models.Index(Left("sender_dn", DN_INDEXED), models.F("id").desc(), name="receipt_sender"),
            # Deliveries without a token cost nothing.
            models.Index(
                fields=["sender_token", "-id"],
                name="receipt_token",
                condition=models.Q(sender_token__isnull=False),
            ),
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
