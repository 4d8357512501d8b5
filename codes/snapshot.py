"""The catalogue in memory: read once for each release, since nothing but a load changes it.

The models remain the source of truth: rows are loaded, filtered and searched there. Site notes change at any time:
they are read again when their version changes, and `with_notes` adds them to the meanings that are shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from threading import Lock

from django.db.models import Prefetch, prefetch_related_objects

from codes.headers import Header, headers
from codes.models import (
    CodeClass,
    Disagreement,
    LocalNote,
    Meaning,
    Owner,
    Registry,
    Source,
    SourceEntry,
    StatusCode,
    Vendor,
)
from codes.release import ContentVersion, LoadVersion, content_version

Choices = Sequence[tuple[str, str]]

_reading = Lock()


@dataclass(frozen=True)
class Snapshot:
    """Rows of one release with all their relations. Shared by all threads: never change them."""

    #: By slug, with their classes and the number of their codes.
    registries: Mapping[str, Registry]
    #: By key, as in http/404, in page order.
    codes: Mapping[str, StatusCode]
    classes: Mapping[str, CodeClass]
    owners: Choices
    #: By slug, with their entries in page order and the number of them.
    sources: Mapping[str, Source]
    #: By slug, with their meanings in page order.
    vendors: Mapping[str, Vendor]
    #: By slug, in alphabetical order.
    headers: Mapping[str, Header]
    #: By key, the weightiest first, those about classes too.
    disagreements: Mapping[str, Disagreement]

    @cached_property
    def aspects(self) -> Sequence[str]:
        return sorted({row.aspect for row in self.disagreements.values()})

    @cached_property
    def source_titles(self) -> Choices:
        return [(row.slug, row.title) for row in self.sources.values()]

    def in_order(self, keys: Iterable[str]) -> list[StatusCode]:
        """Return the rows with these keys; one that a load has added meanwhile is left out."""
        return [self.codes[key] for key in keys if key in self.codes]

    def class_of(self, registry: str, number: int) -> CodeClass | None:
        found = (row for row in self.classes.values() if row.registry_id == registry)
        return next((row for row in found if row.first <= number <= row.last), None)

    def codes_of(self, code_class: CodeClass) -> list[StatusCode]:
        return [row for row in self.codes.values() if row.code_class_id == code_class.pk]

    def about_class(self, registry: str, class_key: str) -> list[Disagreement]:
        """Return the disagreements about a whole class; "any" stands for all codes of the registry."""
        rows = self.disagreements.values()
        return [row for row in rows if row.registry_id == registry and row.class_key == class_key]


def current() -> Snapshot:
    """Return the catalogue as of the latest load."""
    load = content_version().load
    # Without a release there is no name for what the tables hold.
    return _kept(load) if load else _read()


def _kept(load: LoadVersion) -> Snapshot:
    with _reading:  # after a load many requests ask at once; one of them reads
        return _of_load(load)


@lru_cache(maxsize=2)
def _of_load(_load: LoadVersion) -> Snapshot:
    return _read()


def _read() -> Snapshot:
    registries = {row.pk: row for row in Registry.objects.with_counts()}
    classes = {row.pk: row for row in CodeClass.objects.all()}
    owners = {row.pk: row for row in Owner.objects.all()}
    catalogue = Snapshot(
        registries=registries,
        codes={row.pk: row for row in _codes()},
        classes=classes,
        owners=[(row.slug, row.name) for row in owners.values()],
        sources={row.pk: row for row in _sources()},
        vendors={row.pk: row for row in _vendors()},
        headers={header.slug: header for header in headers()},
        disagreements={row.pk: row for row in Disagreement.objects.all()},
    )
    _join(catalogue, owners)
    return catalogue


def _codes() -> Iterable[StatusCode]:
    rows = StatusCode.objects.in_page_order()
    return rows.prefetch_related(
        Prefetch("meanings", Meaning.objects.prefetch_related("vendors", "headers")), "entries", "disagreements"
    )


def _sources() -> Iterable[Source]:
    return Source.objects.with_counts().prefetch_related(Prefetch("entries", SourceEntry.objects.in_page_order()))


def _vendors() -> Iterable[Vendor]:
    return Vendor.objects.prefetch_related(Prefetch("meanings", Meaning.objects.in_page_order()))


def _join(catalogue: Snapshot, owners: Mapping[str, Owner]) -> None:
    """Join the rows: each is one object, where the database would give a copy of it to each of its neighbours."""
    for class_row in catalogue.classes.values():
        class_row.registry = catalogue.registries[class_row.registry_id]
    for code in catalogue.codes.values():
        code.registry = catalogue.registries[code.registry_id]
        code.code_class = catalogue.classes[code.code_class_id]
        for meaning in code.meanings.all():
            meaning.owner = owners[meaning.owner_id]
        for entry in code.entries.all():
            entry.source = catalogue.sources[entry.source_id]
    for source in catalogue.sources.values():
        for entry in source.entries.all():
            entry.status_code = catalogue.codes[entry.status_code_id]
    for vendor in catalogue.vendors.values():
        for meaning in vendor.meanings.all():
            meaning.status_code = catalogue.codes[meaning.status_code_id]
    for item in catalogue.disagreements.values():
        item.registry = catalogue.registries[item.registry_id]
        item.status_code = catalogue.codes[item.status_code_id] if item.status_code_id else None


def with_notes(rows: Sequence[StatusCode]) -> dict[str, list[Meaning]]:
    """Return the meanings of some codes, each with the current notes of the site, by the key of the code."""
    version = content_version()
    noted = _noted(version) if version.load else _read_notes(current())
    return {row.pk: noted[row.pk] for row in rows if row.pk in noted}


@lru_cache(maxsize=2)
def _noted(_version: ContentVersion) -> Mapping[str, list[Meaning]]:
    return _read_notes(current())


def _read_notes(catalogue: Snapshot) -> Mapping[str, list[Meaning]]:
    """Read all notes, into copies of the meanings: the snapshot's own outlive the notes."""
    rows = catalogue.codes.values()
    noted = {row.pk: [_without_notes(meaning) for meaning in row.meanings.all()] for row in rows}
    meanings = [meaning for own in noted.values() for meaning in own]
    prefetch_related_objects(meanings, Prefetch("local_notes", LocalNote.objects.all()))
    return noted


def _without_notes(meaning: Meaning) -> Meaning:
    own = copy(meaning)
    # Django keeps prefetched rows in this dictionary, which a copy shares with its original.
    own._prefetched_objects_cache = dict(own._prefetched_objects_cache)  # type: ignore[attr-defined]
    return own
