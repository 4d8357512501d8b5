"""Numbers and their meanings."""

from typing import Self

from django.db import models

from codes.links import page
from codes.models.registries import CodeClass, Keyed, Owner, Registry, Vendor


class StatusCodeQuerySet(models.QuerySet["StatusCode"]):
    def in_page_order(self) -> Self:
        return self.order_by("registry__position", "code")

    def for_lists(self) -> Self:
        """Return rows in page order, without the long columns that a list does not show."""
        return self.in_page_order().defer("constants", "http3", "note", "releases")


class StatusCode(Keyed):
    """One number in one registry. `name`, `retry` and `owners` repeat its meanings, so that a list is one query."""

    registry = models.ForeignKey(Registry, models.CASCADE, related_name="codes")
    code = models.PositiveSmallIntegerField()
    code_class = models.ForeignKey(CodeClass, models.CASCADE, related_name="codes")
    standing = models.CharField(max_length=20, db_index=True)
    registered = models.CharField(max_length=20, blank=True)
    expires = models.CharField(max_length=20, blank=True)
    note = models.TextField(blank=True)
    http_statuses = models.JSONField(default=list)
    releases = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    constants = models.JSONField(default=list)
    http3 = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    name = models.CharField(max_length=100)
    retry = models.CharField(max_length=20, db_index=True)
    owners = models.JSONField(default=list)
    disputes = models.PositiveSmallIntegerField(default=0)

    objects = StatusCodeQuerySet.as_manager()

    class Meta:
        ordering = ["registry__position", "code"]
        constraints = [
            models.UniqueConstraint(fields=["registry", "code"], name="one_row_per_registry_and_number"),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.name}"

    def get_absolute_url(self) -> str:
        return page("detail", self.registry_id, str(self.code))


class MeaningQuerySet(models.QuerySet["Meaning"]):
    def in_page_order(self) -> Self:
        return self.order_by("status_code__registry__position", "status_code__code", "position")


class Meaning(Keyed):
    """Meaning that one owner gives to one number; the registered meaning comes first."""

    status_code = models.ForeignKey(StatusCode, models.CASCADE, related_name="meanings")
    owner = models.ForeignKey(Owner, models.CASCADE, related_name="meanings")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=100)
    former_names = models.JSONField(default=list)
    vendors: "models.ManyToManyField[Vendor, MeaningVendor]" = models.ManyToManyField(
        Vendor, through="MeaningVendor", related_name="meanings"
    )
    summary = models.TextField()
    detail = models.TextField(blank=True)
    carried = models.CharField(max_length=10)
    cacheability = models.CharField(max_length=10, db_index=True)
    body = models.CharField(max_length=10)
    methods = models.TextField(blank=True)
    what_to_do = models.JSONField(default=dict)
    specs = models.JSONField(default=list)
    related = models.JSONField(default=list)
    retry_verdict = models.CharField(max_length=20, db_index=True)
    retry = models.JSONField(default=dict)
    shared_number = models.BooleanField(default=False)

    objects = MeaningQuerySet.as_manager()

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.key} {self.name}"

    def get_absolute_url(self) -> str:
        """Return the owner's permalink where a number has several owners, else the code's page."""
        registry, code, owner = self.key.split("/")
        if self.shared_number:
            return page("meaning", registry, code, owner)
        return page("detail", registry, code)


class MeaningVendor(Keyed):
    meaning = models.ForeignKey(Meaning, models.CASCADE)
    vendor = models.ForeignKey(Vendor, models.CASCADE)

    class Meta:
        ordering = ["vendor__position"]

    def __str__(self) -> str:
        return self.key


class HeaderUse(Keyed):
    """A header field that a code asks for, or that makes a difference to it."""

    meaning = models.ForeignKey(Meaning, models.CASCADE, related_name="headers")
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80, db_index=True)
    direction = models.CharField(max_length=10)
    level = models.CharField(max_length=10)
    note = models.TextField(blank=True)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.key
