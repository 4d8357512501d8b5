"""Retention policies of feeds."""

from django.core.exceptions import ValidationError
from django.db import models
from simple_history.models import HistoricalRecords

from feeds.history import ChangeContext
from feeds.models.names import FEED_NAME_LENGTH


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
