"""Loads of the catalogue."""

from django.db import models

FEW_CODES = 20


def _plural(words: str, count: int) -> str:
    noun, _, rest = words.partition(" ")
    return words if count == 1 else f"{noun}s {rest}"


class ReleaseQuerySet(models.QuerySet["Release"]):
    def latest_digest(self) -> str:
        return self.order_by("-pk").values_list("digest", flat=True).first() or ""


class Release(models.Model):
    """One load that changed something; `digest` stands for the files and the code that reads and shows them."""

    digest = models.CharField(max_length=64)
    loaded_at = models.DateTimeField(auto_now_add=True)
    counts = models.JSONField(default=dict)
    changes = models.JSONField(default=dict)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.digest[:12]

    def get_absolute_url(self) -> str:
        return f"/codes/data/#{self}"

    @property
    def summary(self) -> str:
        """Return what changed, in a few words."""
        counted = {
            "code new or changed": len(self.changes.get("codes", [])),
            "source new": len(self.changes.get("new_sources", [])),
            "disagreement new or changed": len(self.changes.get("disagreements", [])),
        }
        said = [f"{count} {_plural(words, count)}" for words, count in counted.items() if count]
        return ", ".join(said) or "wording, or the portal itself"

    @property
    def few_codes(self) -> list[list[str]]:
        """Return the codes that the load touched, if they are few enough to be named."""
        codes = self.changes.get("codes", [])
        return [key.split("/") for key in codes] if len(codes) <= FEW_CODES else []
