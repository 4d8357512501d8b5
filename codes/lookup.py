"""Any number gets an answer: from the catalogue, or by the rule for its class."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codes.catalogue.values import HTTP, STROOM
from codes.models import CodeClass, Disagreement, LocalNote, Meaning, Registry, SourceEntry, StatusCode

# As written in an address: never padded. HTTP has three digits by its grammar; Stroom counts from 0.
NUMBERS = {HTTP: re.compile(r"[1-9][0-9]{2}"), STROOM: re.compile(r"0|[1-9][0-9]{0,2}")}
INVALID = "invalid"
NOT_TAKEN = "A delivery to Stroom: not taken; keep the data."
RULE = "A delivery to Stroom is done only with HTTP 200 and Stroom-Status 0"


@dataclass(frozen=True)
class FoundCode:
    """A number with all that is known about it; `row` is None for one that the catalogue does not have."""

    registry: Registry
    code: int
    code_class: CodeClass | None
    row: StatusCode | None

    @property
    def known(self) -> bool:
        return self.row is not None

    @property
    def valid(self) -> bool:
        return self.code_class is None or self.code_class.slug != INVALID

    @property
    def treat_as(self) -> int | None:
        """The number to act on: an unknown one counts as the first of its class, an invalid one as a 500."""
        if self.known:
            return self.code
        return self.code_class.fallback if self.code_class else None

    @property
    def standing(self) -> str:
        if self.row is not None:
            return self.row.standing
        return "unassigned" if self.valid else INVALID

    @property
    def name(self) -> str:
        return self.row.name if self.row else ""

    @property
    def http_statuses(self) -> list[int]:
        return self.row.http_statuses if self.row else []

    @property
    def releases(self) -> list[dict[str, Any]]:
        """Which releases of Stroom send the code, and with which HTTP status and message."""
        return self.row.releases if self.row else []

    @property
    def constants(self) -> list[dict[str, str]]:
        return self.row.constants if self.row else []

    @property
    def meanings(self) -> list[Meaning]:
        return list(self.row.meanings.all()) if self.row else []

    @property
    def entries(self) -> list[SourceEntry]:
        return list(self.row.entries.all()) if self.row else []

    @property
    def disagreements(self) -> list[Disagreement]:
        return list(self.row.disagreements.all()) if self.row else []

    @property
    def local_notes(self) -> list[LocalNote]:
        return [note for meaning in self.meanings for note in meaning.local_notes.all()]

    @property
    def delivery(self) -> str:
        """What the HTTP status by itself says about a delivery to Stroom; empty for Stroom's own codes."""
        if self.registry.slug != HTTP:
            return ""
        if self.code == 200:
            return f"{RULE}. Until you have seen both, keep the data."
        return NOT_TAKEN

    @property
    def url(self) -> str:
        return f"/codes/{self.registry.slug}/{self.code}/"


@dataclass(frozen=True)
class FoundMeaning(FoundCode):
    """The same, but of one owner alone."""

    owner: str

    @property
    def meanings(self) -> list[Meaning]:
        return [meaning for meaning in super().meanings if meaning.owner_id == self.owner]

    @property
    def entries(self) -> list[SourceEntry]:
        return [entry for entry in super().entries if entry.owner_id == self.owner]

    @property
    def disagreements(self) -> list[Disagreement]:
        return [item for item in super().disagreements if item.owner in {"", self.owner}]


def find_code(registry: str, number: str) -> FoundCode | None:
    """Look a number up as it stands in an address; None where there can be no such number."""
    return find_codes(registry, [number]).get(number)


def find_codes(registry: str, numbers: Sequence[str]) -> dict[str, FoundCode]:
    """The same for several, in as many queries as for one; those that can be no number are left out."""
    pattern = NUMBERS.get(registry)
    possible = [number for number in numbers if pattern and pattern.fullmatch(number)]
    if not possible:
        return {}
    rows = StatusCode.objects.with_meanings().filter(pk__in=[f"{registry}/{number}" for number in possible])
    found = {str(row.code): FoundCode(row.registry, row.code, row.code_class, row) for row in rows}
    if len(found) < len(possible):
        space = Registry.objects.prefetch_related("classes").filter(pk=registry).first()
        for number in possible:
            if space is not None and number not in found:
                found[number] = FoundCode(space, int(number), _class_of(space, int(number)), None)
    return {number: found[number] for number in possible if number in found}


def _class_of(space: Registry, number: int) -> CodeClass | None:
    return next((item for item in space.classes.all() if item.first <= number <= item.last), None)


def find_meaning(registry: str, number: str, owner: str) -> FoundMeaning | None:
    """Look up what one owner means by a number; None where that owner does not use it."""
    found = find_code(registry, number)
    if found is None or found.row is None or owner not in found.row.owners:
        return None
    return FoundMeaning(found.registry, found.code, found.code_class, found.row, owner)
