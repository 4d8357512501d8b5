"""Look-up of numbers: each gets an answer from the catalogue, or by the rule for its class."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from codes import snapshot
from codes.catalogue.values import HTTP, STROOM
from codes.models import CodeClass, Disagreement, LocalNote, Meaning, Registry, SourceEntry, StatusCode
from codes.snapshot import Snapshot

# As written in an address: never padded. HTTP has three digits by its grammar; Stroom counts from 0.
NUMBERS = {HTTP: re.compile(r"[1-9][0-9]{2}"), STROOM: re.compile(r"0|[1-9][0-9]{0,2}")}
INVALID = "invalid"
NOT_TAKEN = "A delivery to Stroom: not taken; keep the data."
RULE = "A delivery to Stroom is done only with HTTP 200 and Stroom-Status 0"


@dataclass(frozen=True)
class FoundCode:
    """A number with all that is known about it; `row` is None for one that the catalogue does not have.

    `noted` are its meanings with the current notes of the site; `row` belongs to the snapshot, which has no notes.
    """

    registry: Registry
    code: int
    code_class: CodeClass | None
    row: StatusCode | None
    noted: tuple[Meaning, ...] = field(repr=False, compare=False)
    catalogue: Snapshot = field(repr=False, compare=False)

    @property
    def known(self) -> bool:
        return self.row is not None

    @property
    def valid(self) -> bool:
        return self.code_class is None or self.code_class.slug != INVALID

    @property
    def treat_as(self) -> int | None:
        """Return the number to act on: an unknown one counts as the first of its class, an invalid one as 500."""
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
    def http3(self) -> list[dict[str, Any]]:
        """Changes by HTTP/3 and QUIC: a note with what clients show instead, and its sources. At most one."""
        return self.row.http3 if self.row else []

    @property
    def meanings(self) -> list[Meaning]:
        return list(self.noted)

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
        """Return what the HTTP status by itself says about a delivery to Stroom; empty for Stroom's own codes."""
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
    """A number with what one owner means by it."""

    owner: str

    @property
    def name(self) -> str:
        return next((meaning.name for meaning in self.meanings), super().name)

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
    """Look several numbers up in as many queries as one; texts that can be no number are left out."""
    pattern = NUMBERS.get(registry)
    possible = [number for number in numbers if pattern and pattern.fullmatch(number)]
    if not possible:
        return {}
    catalogue = snapshot.current()
    space = catalogue.registries.get(registry)
    if space is None:
        return {}
    rows = {number: catalogue.codes.get(f"{registry}/{number}") for number in possible}
    noted = snapshot.with_notes([row for row in rows.values() if row])
    return {
        number: _known(row, noted[row.pk], catalogue) if row else _unknown(space, int(number), catalogue)
        for number, row in rows.items()
    }


def all_codes() -> list[FoundCode]:
    """Return every number of the catalogue, in page order."""
    catalogue = snapshot.current()
    rows = list(catalogue.codes.values())
    noted = snapshot.with_notes(rows)
    return [_known(row, noted[row.pk], catalogue) for row in rows]


def _known(row: StatusCode, noted: Sequence[Meaning], catalogue: Snapshot) -> FoundCode:
    return FoundCode(row.registry, row.code, row.code_class, row, tuple(noted), catalogue)


def _unknown(space: Registry, number: int, catalogue: Snapshot) -> FoundCode:
    return FoundCode(space, number, catalogue.class_of(space.pk, number), None, (), catalogue)


def of_owner(found: FoundCode, owner: str) -> FoundCode:
    """Narrow a code to what one owner means by it; unchanged where that owner does not use it."""
    if found.row is None or owner not in found.row.owners:
        return found
    return FoundMeaning(
        found.registry, found.code, found.code_class, found.row, found.noted, found.catalogue, owner
    )


def find_meaning(registry: str, number: str, owner: str) -> FoundMeaning | None:
    """Look up what one owner means by a number; None where that owner does not use it."""
    found = find_code(registry, number)
    if found is None or found.row is None or owner not in found.row.owners:
        return None
    narrowed = of_owner(found, owner)
    return narrowed if isinstance(narrowed, FoundMeaning) else None
