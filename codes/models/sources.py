"""Documents, what they say, and where they differ."""

from typing import Self

from django.db import models
from django.db.models import Count, Q

from codes.links import page
from codes.models.codes import StatusCode
from codes.models.registries import Keyed, Owner, Registry


class SourceQuerySet(models.QuerySet["Source"]):
    def with_counts(self) -> Self:
        # A query that counts forgets the model's own order.
        return self.annotate(entry_count=Count("entries")).order_by("rank", "slug")


class Source(models.Model):
    """A document that we read. `rank` is the order in which sources are shown."""

    slug = models.SlugField(primary_key=True)
    title = models.TextField()
    kind = models.CharField(max_length=30)
    date = models.TextField(blank=True)
    url = models.URLField(blank=True)
    licence = models.TextField(blank=True)
    seed = models.TextField(blank=True)
    checksum = models.CharField(max_length=64, blank=True)
    rank = models.SmallIntegerField()
    summary = models.TextField()
    notes = models.JSONField(default=list)

    objects = SourceQuerySet.as_manager()

    class Meta:
        ordering = ["rank", "slug"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return page("source", self.slug)


class SourceEntryQuerySet(models.QuerySet["SourceEntry"]):
    def in_page_order(self) -> Self:
        return self.order_by("status_code__registry__position", "status_code__code", "owner__position")


class SourceEntry(Keyed):
    """Statement of one source about one number of one owner, in our words, with its lines."""

    source = models.ForeignKey(Source, models.CASCADE, related_name="entries")
    status_code = models.ForeignKey(StatusCode, models.CASCADE, related_name="entries")
    owner = models.ForeignKey(Owner, models.CASCADE, related_name="entries")
    name = models.TextField()
    first_line = models.PositiveIntegerField(null=True)
    last_line = models.PositiveIntegerField(null=True)
    summary = models.TextField()
    rfcs = models.JSONField(default=list)
    local_note = models.TextField(blank=True)
    claims = models.JSONField(default=list)

    objects = SourceEntryQuerySet.as_manager()

    class Meta:
        ordering = ["source__rank", "source", "first_line"]
        verbose_name_plural = "source entries"

    def __str__(self) -> str:
        return self.key

    @property
    def lines(self) -> list[int] | None:
        return None if self.first_line is None or self.last_line is None else [self.first_line, self.last_line]


class DisagreementQuerySet(models.QuerySet["Disagreement"]):
    def naming(self, source: str) -> Self:
        return self.filter(source_slugs__contains=f" {source} ")

    def about_content(self) -> Self:
        """Leave out the disagreements about the mere listing of a code."""
        return self.filter(~Q(aspect="presence"))


class Disagreement(Keyed):
    """Difference between sources about a code or, without a `status_code`, about a class ("any": all codes)."""

    registry = models.ForeignKey(Registry, models.CASCADE, related_name="disagreements")
    status_code = models.ForeignKey(StatusCode, models.CASCADE, null=True, related_name="disagreements")
    class_key = models.CharField(max_length=20, blank=True)
    owner = models.CharField(max_length=50, blank=True)
    aspect = models.CharField(max_length=50, db_index=True)
    severity = models.CharField(max_length=10, db_index=True)
    severity_rank = models.PositiveSmallIntegerField()
    positions = models.JSONField(default=list)
    source_slugs = models.TextField()
    standard = models.TextField(blank=True)
    standard_reference = models.JSONField(null=True)
    advice = models.TextField()
    authored = models.BooleanField()

    objects = DisagreementQuerySet.as_manager()

    class Meta:
        ordering = ["severity_rank", "registry__position", "status_code__code", "aspect", "owner"]

    def __str__(self) -> str:
        return self.key

    def get_absolute_url(self) -> str:
        if self.status_code_id:
            registry, code = self.status_code_id.split("/")
            return f"{page('detail', registry, code)}#disagreements"
        if self.class_key == "any":
            return page("registry", self.registry_id)
        return page("detail", self.registry_id, self.class_key)

    @property
    def absent(self) -> list[tuple[str, str]]:
        """For a listing difference: title and page of each source that leaves the code out."""
        lacking = [position for position in self.positions if position["absent"]]
        return [(position["title"], page("source", position["source"])) for position in lacking]
