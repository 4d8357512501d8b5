"""Views of the list of feeds that users keep under a name."""

from django.conf import settings
from django.db import models

MAX_QUERY = 2_000


class SavedView(models.Model):
    """Search, filters, order and columns of the list of feeds, under a name. Shared ones are seen by everybody."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)
    query = models.TextField(blank=True, help_text="Query of the list's address.")
    shared = models.BooleanField(default=False)

    class Meta:
        ordering = ["name", "pk"]
        default_permissions = ()  # users who may view feeds keep views of their own
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="saved_view_once")]

    def __str__(self) -> str:
        return self.name
