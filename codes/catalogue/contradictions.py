"""Computed disagreements between sources: names, listing, claims that cannot both hold. No Django here."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from codes.catalogue.values import (
    HTTP,
    STROOM,
    Catalogue,
    Claim,
    Disagreement,
    Entry,
    Meaning,
    Position,
    Severity,
    Source,
    SourceKind,
    Standard,
    Standing,
)

NAME, PRESENCE = "name", "presence"

# Of these a code has one value at a time, so that two sources giving two values contradict each other.
# The other claim keys (headers, related codes) add up instead.
COMPARABLE_CLAIMS = frozenset(
    {
        "retry",
        "cacheable",
        "reserved",
        "deprecated",
        "unused",
        "experimental",
        "no_rfc",
        "log_only",
        "internal",
        "permanence",
        "follow_method",
        "method_change_allowed",
        "typical_method",
        "body",
        "protocol",
        "meaning",
    }
)
# A registry lists every HTTP code and a standard only its own, so neither can be said to lack one. Stroom's numbers
# are compared between its documentation and its source code: a site's own document about a few of them lacks none.
COMPARED_KINDS: Mapping[str, frozenset[SourceKind]] = {
    HTTP: frozenset(SourceKind) - {SourceKind.REGISTRY, SourceKind.STANDARD},
    STROOM: frozenset({SourceKind.DOCUMENTATION, SourceKind.SOFTWARE}),
}
LISTED_OWNERS = frozenset({"ietf", "stroom"})
# "yes" says only that storing is possible; both finer words agree with it.
CACHEABLE_AGREES_WITH_YES = frozenset({"yes", "heuristic", "explicit"})


def covers(authored: Disagreement, computed: Disagreement) -> bool:
    """Return whether it covers a difference: one about the whole number covers each owner's of that aspect."""
    same_place = (authored.registry, authored.code) == (computed.registry, computed.code)
    return same_place and authored.aspect == computed.aspect and authored.owner in {"", computed.owner}


def silent_contradictions(joined: Catalogue) -> list[str]:
    """Name every comparable claim in which sources differ and which no authored disagreement explains."""
    return [
        f"{d.registry} {d.code}: sources differ about {d.aspect!r} ("
        + "; ".join(f"{p.source}: {p.text}" for p in d.positions)
        + ") and disagreements.toml does not explain it"
        for d in joined.disagreements
        if not d.authored and d.aspect in COMPARABLE_CLAIMS
    ]


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def computed_disagreements(catalogue: Catalogue) -> Iterator[Disagreement]:
    listing = {registry: _documents_that_list(catalogue, registry) for registry in COMPARED_KINDS}
    standings = {(code.registry, code.code): code.standing for code in catalogue.codes}
    entries = catalogue.entries_by_code()
    for (registry, number), meanings in catalogue.meanings_by_code().items():
        for meaning in meanings:
            said = [entry for entry in entries.get((registry, number), []) if entry.owner == meaning.owner]
            yield from _name_differences(meaning, said)
            yield from _claim_differences(meaning, said)
            if meaning.owner in LISTED_OWNERS and standings.get((registry, number)) != Standing.VENDOR_ONLY:
                yield from _presence_differences(meaning, said, listing.get(registry, []))


def _documents_that_list(catalogue: Catalogue, registry: str) -> list[Source]:
    """Return the documents that can be compared for the codes that they leave out."""
    writing = {entry.source for entry in catalogue.entries if entry.registry == registry}
    kinds = COMPARED_KINDS[registry]
    return [source for source in catalogue.sources if source.slug in writing and source.kind in kinds]


def _name_differences(meaning: Meaning, said: Sequence[Entry]) -> Iterator[Disagreement]:
    if len({_letters(entry.name) for entry in said}) < 2:
        return
    yield Disagreement(
        registry=meaning.registry,
        code=meaning.code,
        owner=meaning.owner,
        class_key="",
        aspect=NAME,
        severity=Severity.LOW,
        positions=tuple(Position(e.source, e.lines, f"calls it “{e.name}”") for e in said),
        standard=_standard(meaning, f"the name is “{meaning.name}”"),
        advice=_name_advice(meaning),
        authored=False,
    )


def _name_advice(meaning: Meaning) -> str:
    if meaning.registry == STROOM:
        return f"Act on the number: the wording changed between versions of Stroom. We call it “{meaning.name}”."
    if meaning.owner == "ietf":
        return f"Write “{meaning.name}”, and act on the number: the phrase may be any text, or missing."
    return f"Act on the number. We call it “{meaning.name}”."


def _presence_differences(
    meaning: Meaning, said: Sequence[Entry], listing: Sequence[Source]
) -> Iterator[Disagreement]:
    by_source = {entry.source: entry for entry in said}
    present = [source for source in listing if source.slug in by_source]
    if not present or len(present) == len(listing):
        return
    yield Disagreement(
        registry=meaning.registry,
        code=meaning.code,
        owner=meaning.owner,
        class_key="",
        aspect=PRESENCE,
        severity=Severity.INFO,
        positions=tuple(_presence(source, by_source.get(source.slug)) for source in listing),
        standard=_standard(meaning, f"defines it as “{meaning.name}”"),
        advice=_presence_advice(meaning),
        authored=False,
    )


def _presence_advice(meaning: Meaning) -> str:
    if meaning.registry == STROOM:
        return "Stroom sends more numbers than its documentation lists: expect this one, and keep the data."
    return "A document that leaves a code out says nothing about it: expect the code all the same."


def _presence(source: Source, entry: Entry | None) -> Position:
    if entry is None:
        return Position(source.slug, None, "does not list it", absent=True)
    return Position(source.slug, entry.lines, f"lists it as “{entry.name}”")


def _claim_differences(meaning: Meaning, said: Sequence[Entry]) -> Iterator[Disagreement]:
    by_key: dict[str, list[tuple[Entry, Claim]]] = defaultdict(list)
    for entry in said:
        for claim in entry.claims:
            if claim.key in COMPARABLE_CLAIMS:
                by_key[claim.key].append((entry, claim))
    for key, claims in by_key.items():
        if not _agree(key, [claim.value for _, claim in claims]) and len({e.source for e, _ in claims}) > 1:
            yield Disagreement(
                registry=meaning.registry,
                code=meaning.code,
                owner=meaning.owner,
                class_key="",
                aspect=key,
                severity=Severity.MEDIUM,
                positions=tuple(Position(e.source, e.lines, claim_words(claim)) for e, claim in claims),
                standard=None,
                advice="Follow the standard named on the code's page.",
                authored=False,
            )


def _agree(key: str, values: Sequence[str | int | bool]) -> bool:
    distinct = set(values)
    if key == "cacheable" and "yes" in distinct:
        return distinct <= CACHEABLE_AGREES_WITH_YES and len(distinct - {"yes"}) < 2
    return len(distinct) == 1


def claim_words(claim: Claim) -> str:
    """Put a claim into a few words."""
    value = ("yes" if claim.value else "no") if isinstance(claim.value, bool) else str(claim.value)
    level = "" if claim.level == "is" else f" ({claim.level})"
    return f"{claim.key.replace('_', ' ')}: {value.replace('_', ' ')}{level}"


def _standard(meaning: Meaning, text: str) -> Standard | None:
    spec = next((spec for spec in meaning.specs if spec.current), None)
    return Standard(spec.document, spec.section, spec.url, text) if spec else None
