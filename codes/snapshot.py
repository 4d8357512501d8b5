"""The catalogue in memory: read once for each release, since nothing but a load changes it.

The models remain the source of truth: rows are loaded, filtered and searched there. Site notes change at any time:
a snapshot has none; `with_notes` adds them to what one request shows.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

from django.db.models import prefetch_related_objects

from codes.models import CodeClass, Disagreement, Meaning, Owner, Registry, Release, Source, StatusCode

Choices = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Snapshot:
    """Rows of one release with all their relations. Shared by all threads: never change them."""

    registries: Mapping[str, Registry]
    #: By key, as in http/404, in page order.
    codes: Mapping[str, StatusCode]
    classes: Mapping[str, CodeClass]
    owners: Choices
    sources: Choices
    aspects: Sequence[str]

    def in_order(self, keys: Iterable[str]) -> list[StatusCode]:
        """Return the rows with these keys; one that a load has added meanwhile is left out."""
        return [self.codes[key] for key in keys if key in self.codes]

    def class_of(self, registry: str, number: int) -> CodeClass | None:
        found = (row for row in self.classes.values() if row.registry_id == registry)
        return next((row for row in found if row.first <= number <= row.last), None)


def current() -> Snapshot:
    """The catalogue as of the latest load: one query where this process has it already."""
    # The number too: rows that a load left in place or pruned can differ for the same files.
    release = Release.objects.order_by("-pk").values_list("pk", "digest").first()
    # Without a release there is no name for what the tables hold.
    return _kept(release) if release else _read()


@lru_cache(maxsize=2)
def _kept(_release: tuple[int, str]) -> Snapshot:
    return _read()


def _read() -> Snapshot:
    classes = list(CodeClass.objects.select_related("registry"))
    aspects = Disagreement.objects.order_by("aspect").values_list("aspect", flat=True).distinct()
    return Snapshot(
        registries={row.pk: row for row in Registry.objects.all()},
        codes={row.pk: row for row in StatusCode.objects.with_meanings().in_page_order()},
        classes={row.pk: row for row in classes},
        owners=list(Owner.objects.values_list("slug", "name")),
        sources=list(Source.objects.values_list("slug", "title")),
        aspects=list(aspects),
    )


def with_notes(rows: Sequence[StatusCode]) -> dict[str, list[Meaning]]:
    """Read the site's notes of some codes, in one query; the codes' meanings with them, by the key of the code.

    The meanings are copies: a snapshot's own must not hold what another request has read.
    """
    found = {row.pk: [_without_notes(meaning) for meaning in row.meanings.all()] for row in rows}
    meanings = [meaning for own in found.values() for meaning in own]
    if meanings:
        prefetch_related_objects(meanings, "local_notes")
    return found


def _without_notes(meaning: Meaning) -> Meaning:
    own = copy(meaning)
    # Django keeps prefetched rows in this dictionary, which a copy shares with its original.
    own._prefetched_objects_cache = dict(own._prefetched_objects_cache)  # type: ignore[attr-defined]
    return own
