"""Changes that wait for a decision: proposals, and imports between preview and confirmation."""

import uuid

from django.conf import settings
from django.db import models
from django.urls import reverse


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
