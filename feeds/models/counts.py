"""Hourly counts of deliveries, and samples of refused ones."""

from django.db import models

from feeds.models.names import FEED_NAME_LENGTH


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
    sender_token = models.CharField(max_length=100, blank=True, default="", db_default="")
    headers = models.JSONField(default=dict)
    trace = models.JSONField(default=list)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["feed", "stroom_status", "-at"], name="refusal_sample_key")]

    def __str__(self) -> str:
        return f"{self.receipt_id}: {self.http_status}/{self.stroom_status}"
