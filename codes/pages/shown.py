"""Parts of a code's page that are derived from its meanings: examples, related codes by name, references by age."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codes.catalogue.values import HTTP, Severity
from codes.labels import aspect_words
from codes.lookup import FoundCode
from codes.models import Meaning
from codes.pages.samples import http_sample, stroom_sample
from codes.snapshot import Snapshot

MOST_COMPARED = 5


@dataclass(frozen=True)
class ShownRelation:
    registry: str
    code: int
    name: str
    kind: str
    when: str
    tone: str

    @property
    def url(self) -> str:
        return f"/codes/{self.registry}/{self.code}/"


@dataclass(frozen=True)
class ShownMeaning:
    meaning: Meaning
    samples: tuple[str, ...]
    relations: tuple[ShownRelation, ...]
    current_specs: tuple[Mapping[str, Any], ...]
    former_specs: tuple[Mapping[str, Any], ...]
    comparable: str


@dataclass(frozen=True)
class Weighty:
    """Disagreement that matters before the reader acts."""

    aspect: str
    owner: str

    @property
    def words(self) -> str:
        return aspect_words(self.aspect)


def show_meanings(found: FoundCode) -> list[ShownMeaning]:
    meanings = found.meanings
    return [
        ShownMeaning(
            meaning=meaning,
            samples=tuple(_samples(found, meaning)),
            relations=tuple(_relation(relation, found.catalogue) for relation in meaning.related),
            current_specs=tuple(spec for spec in meaning.specs if spec["current"]),
            former_specs=tuple(spec for spec in meaning.specs if not spec["current"]),
            comparable=_comparable(found, meaning),
        )
        for meaning in meanings
    ]


def weighty(found: FoundCode) -> list[Weighty]:
    """Return the disagreements whose severity is high or medium."""
    high = {Severity.HIGH, Severity.MEDIUM}
    return [Weighty(item.aspect, item.owner) for item in found.disagreements if item.severity in high]


def _samples(found: FoundCode, meaning: Meaning) -> list[str]:
    if found.registry.slug == HTTP:
        sample = http_sample(found.code, meaning)
        return [sample] if sample else []
    return [stroom_sample(status, found.code, meaning.name) for status in found.http_statuses[:1]]


def _relation(relation: Mapping[str, Any], catalogue: Snapshot) -> ShownRelation:
    registry, code = relation["registry"], relation["code"]
    row = catalogue.codes.get(f"{registry}/{code}")
    return ShownRelation(
        registry=registry,
        code=code,
        name=row.name if row else "",
        kind=relation["kind"],
        when=relation["when"],
        tone=f"c{code // 100}" if registry == HTTP else "stroom",
    )


def _comparable(found: FoundCode, meaning: Meaning) -> str:
    """Return the query that compares a code with its relations in the same registry; empty where there are none."""
    registry = found.registry.slug
    others = [relation["code"] for relation in meaning.related if relation["registry"] == registry]
    if not others:
        return ""
    numbers = ",".join(str(number) for number in [found.code, *others[: MOST_COMPARED - 1]])
    return f"codes={numbers}" if registry == HTTP else f"registry={registry}&codes={numbers}"
