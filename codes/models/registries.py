"""Number spaces with their classes, and who gives numbers a meaning."""

from typing import Self

from django.db import models
from django.db.models import Count

from codes.links import page

KEY_LENGTH = 200


class Keyed(models.Model):
    """A row with its natural key."""

    key = models.CharField(max_length=KEY_LENGTH, primary_key=True)

    class Meta:
        abstract = True


class RegistryQuerySet(models.QuerySet["Registry"]):
    def with_counts(self) -> Self:
        # A query that counts forgets the model's own order.
        return self.annotate(code_count=Count("codes")).order_by("position").prefetch_related("classes")


class Registry(models.Model):
    slug = models.SlugField(primary_key=True)
    name = models.CharField(max_length=100)
    found_in = models.CharField(max_length=200)
    min = models.PositiveSmallIntegerField()
    max = models.PositiveSmallIntegerField()
    note = models.TextField(blank=True)
    source_notes = models.JSONField(default=list)
    position = models.PositiveSmallIntegerField()

    objects = RegistryQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        verbose_name_plural = "registries"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page("registry", self.slug)

    @property
    def short_name(self) -> str:
        """Return the word before a number: "HTTP 404", "Stroom 110"."""
        return "HTTP" if self.slug == "http" else self.slug.capitalize()

    @property
    def plural(self) -> str:
        return f"{self.short_name} status codes"


class CodeClass(Keyed):
    registry = models.ForeignKey(Registry, models.CASCADE, related_name="classes")
    slug = models.SlugField()
    name = models.CharField(max_length=100)
    first = models.PositiveSmallIntegerField()
    last = models.PositiveSmallIntegerField()
    fallback = models.PositiveSmallIntegerField(null=True)
    summary = models.TextField()
    client_rules = models.JSONField(default=list)
    specs = models.JSONField(default=list)
    source_notes = models.JSONField(default=list)

    class Meta:
        ordering = ["registry__position", "first"]
        verbose_name = "class"
        verbose_name_plural = "classes"

    def __str__(self) -> str:
        return f"{self.label} {self.name}"

    def get_absolute_url(self) -> str:
        return page("detail", self.registry_id, self.slug)

    @property
    def label(self) -> str:
        """Return the first digit as in 4xx; the class of invalid numbers has none and shows its range."""
        return self.slug if self.slug[:1].isdigit() else f"{self.first}–{self.last}"


class Vendor(models.Model):
    slug = models.SlugField(primary_key=True)
    name = models.CharField(max_length=100)
    products = models.JSONField(default=list)
    url = models.URLField(blank=True)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page("vendor", self.slug)


class Owner(models.Model):
    """Party that gives numbers a meaning: the IETF, Stroom, a vendor, or two vendors together."""

    slug = models.SlugField(primary_key=True)
    name = models.CharField(max_length=100)
    vendors = models.JSONField(default=list)
    note = models.TextField(blank=True)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.name
