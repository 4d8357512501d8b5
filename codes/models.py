"""The catalogue in the database: what is filtered, joined or edited is a table or a column, the rest is JSON.

Keys are the natural ones ("http/404", "http/451/microsoft"), so that loading needs no look-ups, a link is readable
and a reload changes nothing that others point to. Only `LocalNote` is ever edited; all else comes from the files.
"""

from typing import Self

from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import Count, Exists, OuterRef, Q
from django.utils.safestring import SafeString
from simple_history.models import HistoricalRecords

from codes import notes
from codes.links import page

KEY_LENGTH = 200
FEW_CODES = 20


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
        """The first digit as in 4xx; the class of invalid numbers has none and shows its range."""
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


class StatusCodeQuerySet(models.QuerySet["StatusCode"]):
    def in_page_order(self) -> Self:
        return self.order_by("registry__position", "code")

    def for_lists(self) -> Self:
        """Return rows in page order, without the long columns that a list does not show."""
        return self.in_page_order().defer("constants", "note", "releases")

    def disputed(self, *, disputed: bool) -> Self:
        """Keep the codes whose sources differ in more than listing them, or the others."""
        differing = Disagreement.objects.about_content().filter(status_code=OuterRef("pk"))
        return self.filter(Exists(differing) if disputed else ~Exists(differing))


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


class LocalNoteQuerySet(models.QuerySet["LocalNote"]):
    def without_meaning(self) -> Self:
        """Keep the notes that are not shown because their meaning left the files."""
        return self.filter(meaning__name__isnull=True)


class LocalNote(models.Model):
    """Note of this site about a meaning; kept across reloads."""

    # By key alone: a note outlives a meaning that leaves the files, and is shown again when it comes back.
    # Nullable for the sake of the join only, which must not lose such a note; a form always asks for the meaning.
    meaning = models.ForeignKey(
        Meaning, models.DO_NOTHING, related_name="local_notes", null=True, blank=False, db_constraint=False
    )
    text = models.TextField(
        validators=[MaxLengthValidator(notes.MAX_LENGTH)],
        help_text="Markdown, without headings and pictures. Everybody reads it on the code's page and in the API.",
    )
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()
    objects = LocalNoteQuerySet.as_manager()

    class Meta:
        ordering = ["created"]

    def __str__(self) -> str:
        return f"Note on {self.meaning_id}"

    @property
    def html(self) -> SafeString:
        """Return the note as HTML."""
        return notes.render_note(self.text)
