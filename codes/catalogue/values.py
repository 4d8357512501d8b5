"""The catalogue as plain values: what is in it, what follows from it, where its sources disagree. No Django here.

`codes.catalogue.reader` makes these values from the TOML files, `codes.loading` writes them into the database.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

HTTP = "http"
STROOM = "stroom"
FIRST_HTTP_STATUS, LAST_HTTP_STATUS = 100, 599
LAST_THREE_DIGITS = 999


class Standing(StrEnum):
    """How a number stands in its registry today."""

    REGISTERED = "registered"
    TEMPORARY = "temporary"
    DEPRECATED = "deprecated"
    UNUSED = "unused"
    OBSOLETED = "obsoleted"
    VENDOR_ONLY = "vendor-only"


class Verdict(StrEnum):
    """What a sender may do after the answer, in one word."""

    NOT_NEEDED = "not_needed"
    AS_IS_LATER = "as_is_later"
    AFTER_WAIT = "after_wait"
    AFTER_CHANGE = "after_change"
    AFTER_AUTH = "after_auth"
    ELSEWHERE = "elsewhere"
    OTHER_PROTOCOL = "other_protocol"
    NEVER = "never"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


class SourceKind(StrEnum):
    REGISTRY = "registry"
    STANDARD = "standard"
    VENDOR_DOCUMENTATION = "vendor documentation"
    SOFTWARE = "software"
    LOCAL_API = "local API"
    DOCUMENTATION = "documentation"
    WORKSHOP = "workshop"


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
# "yes" says only that storing is possible; both finer words agree with it.
CACHEABLE_AGREES_WITH_YES = frozenset({"yes", "heuristic", "explicit"})

CodeKey = tuple[str, int]


@dataclass(frozen=True)
class Registry:
    slug: str
    name: str
    found_in: str
    min: int
    max: int
    note: str


@dataclass(frozen=True)
class Spec:
    """A document that defines, or once defined, something."""

    document: str
    section: str
    url: str
    current: bool
    cited_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodeClass:
    registry: str
    key: str
    name: str
    first: int
    last: int
    fallback: int | None
    summary: str
    client_rules: tuple[str, ...]
    specs: tuple[Spec, ...]


@dataclass(frozen=True)
class Vendor:
    slug: str
    name: str
    products: tuple[str, ...]
    url: str


@dataclass(frozen=True)
class Owner:
    slug: str
    name: str
    vendors: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Code:
    registry: str
    code: int
    standing: Standing
    registered: str
    expires: str
    note: str
    http_statuses: tuple[int, ...]


@dataclass(frozen=True)
class FormerName:
    name: str
    until: str


@dataclass(frozen=True)
class HeaderUse:
    name: str
    direction: str
    level: str
    note: str


@dataclass(frozen=True)
class Relation:
    registry: str
    code: int
    kind: str
    when: str


@dataclass(frozen=True)
class Retry:
    verdict: Verdict
    same_request: bool
    honours_retry_after: bool
    idempotent_only: bool
    needs_person: str
    backoff: str
    note: str
    source: Mapping[str, Any]


@dataclass(frozen=True)
class Meaning:
    """What one owner means by one number."""

    registry: str
    code: int
    owner: str
    name: str
    former_names: tuple[FormerName, ...]
    vendors: tuple[str, ...]
    summary: str
    detail: str
    carried: str
    cacheability: str
    body: str
    methods: str
    what_to_do: Mapping[str, str]
    headers: tuple[HeaderUse, ...]
    specs: tuple[Spec, ...]
    related: tuple[Relation, ...]
    retry: Retry


@dataclass(frozen=True)
class Claim:
    key: str
    value: str | int | bool
    level: str


@dataclass(frozen=True)
class Entry:
    """What one source says about one number of one owner."""

    source: str
    registry: str
    code: int
    owner: str
    name: str
    lines: tuple[int, int] | None
    summary: str
    rfcs: tuple[Spec, ...]
    local_note: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class ClassNote:
    """What one source says about a class of numbers, or (key "any") about the whole scheme."""

    registry: str
    key: str
    lines: tuple[int, int] | None
    summary: str
    rfcs: tuple[Spec, ...]


@dataclass(frozen=True)
class Source:
    slug: str
    title: str
    kind: SourceKind
    date: str
    url: str
    licence: str
    seed: str
    checksum: str
    rank: int
    summary: str
    notes: tuple[ClassNote, ...] = ()


@dataclass(frozen=True)
class Position:
    source: str
    lines: tuple[int, int] | None
    text: str
    absent: bool = False


@dataclass(frozen=True)
class Standard:
    document: str
    section: str
    url: str
    text: str


@dataclass(frozen=True)
class Disagreement:
    """Two or more sources differ about one code (or, without a code, about a rule for a class).

    A computed one is about one owner's meaning; an authored one without an owner is about the number as a whole.
    """

    registry: str
    code: int | None
    owner: str
    class_key: str
    aspect: str
    severity: Severity
    positions: tuple[Position, ...]
    standard: Standard | None
    advice: str
    authored: bool


@dataclass(frozen=True)
class Constant:
    """The name that a language or a library gives to an HTTP number."""

    code: int
    language: str
    library: str
    name: str
    since: str
    until: str
    note: str


@dataclass(frozen=True)
class Catalogue:
    """Everything, in the order in which it is shown."""

    registries: tuple[Registry, ...] = ()
    classes: tuple[CodeClass, ...] = ()
    vendors: tuple[Vendor, ...] = ()
    owners: tuple[Owner, ...] = ()
    codes: tuple[Code, ...] = ()
    meanings: tuple[Meaning, ...] = ()
    sources: tuple[Source, ...] = ()
    entries: tuple[Entry, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    constants: tuple[Constant, ...] = ()
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def class_of(self, registry: str, number: int) -> CodeClass | None:
        return next((c for c in self.classes if c.registry == registry and c.first <= number <= c.last), None)

    def meanings_by_code(self) -> Mapping[CodeKey, list[Meaning]]:
        return self._grouped("meanings", self.meanings)

    def entries_by_code(self) -> Mapping[CodeKey, list[Entry]]:
        return self._grouped("entries", self.entries)

    def _grouped(self, name: str, rows: Iterable[Any]) -> Mapping[CodeKey, list[Any]]:
        if name not in self._cache:
            groups: dict[CodeKey, list[Any]] = defaultdict(list)
            for row in rows:
                groups[row.registry, row.code].append(row)
            self._cache[name] = groups
        found: Mapping[CodeKey, list[Any]] = self._cache[name]
        return found


def join(catalogue: Catalogue) -> Catalogue:
    """Add what follows from the files: cited RFCs to the meanings, and the computed disagreements."""
    joined = replace(catalogue, meanings=tuple(_with_citations(catalogue)), _cache={})
    computed = [d for d in _computed(joined) if not any(_covers(by, d) for by in joined.disagreements)]
    return replace(joined, disagreements=(*joined.disagreements, *computed), _cache={})


def _covers(authored: Disagreement, computed: Disagreement) -> bool:
    """One written for the number as a whole covers each owner's difference of that aspect."""
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


def same_name(one: str, other: str) -> bool:
    """Say whether two names differ in nothing but case, blanks and punctuation."""
    return _letters(one) == _letters(other)


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _with_citations(catalogue: Catalogue) -> Iterator[Meaning]:
    """An RFC that a source cites belongs to the meaning; as a former reference unless we name it ourselves."""
    entries = catalogue.entries_by_code()
    for meaning in catalogue.meanings:
        specs = list(meaning.specs)
        for entry in entries.get((meaning.registry, meaning.code), []):
            if entry.owner == meaning.owner:
                for cited in entry.rfcs:
                    _cite(specs, cited, entry.source)
        yield replace(meaning, specs=tuple(specs))


def _cite(specs: list[Spec], cited: Spec, source: str) -> None:
    for index, spec in enumerate(specs):
        if spec.document == cited.document and cited.section in {"", spec.section}:
            if source not in spec.cited_by:
                specs[index] = replace(spec, cited_by=(*spec.cited_by, source))
            return
    specs.append(replace(cited, current=False, cited_by=(source,)))


def _computed(catalogue: Catalogue) -> Iterator[Disagreement]:
    listing = _documents_that_list_http(catalogue)
    standings = {(code.registry, code.code): code.standing for code in catalogue.codes}
    entries = catalogue.entries_by_code()
    for (registry, number), meanings in catalogue.meanings_by_code().items():
        for meaning in meanings:
            said = [entry for entry in entries.get((registry, number), []) if entry.owner == meaning.owner]
            yield from _name_differences(meaning, said)
            yield from _claim_differences(meaning, said)
            if registry == HTTP and standings.get((registry, number)) != Standing.VENDOR_ONLY:
                yield from _presence_differences(meaning, said, listing)


def _documents_that_list_http(catalogue: Catalogue) -> list[Source]:
    """The documents that can be compared for what they leave out.

    A registry lists everything and a standard only its own codes, so that neither can be said to lack one.
    """
    writing = {entry.source for entry in catalogue.entries if entry.registry == HTTP}
    apart = {SourceKind.REGISTRY, SourceKind.STANDARD}
    return [source for source in catalogue.sources if source.slug in writing and source.kind not in apart]


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
    if meaning.owner != "ietf":
        return
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
        advice="A document that leaves a code out says nothing about it: expect the code all the same.",
        authored=False,
    )


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


def rfc_url(document: str, section: str) -> str:
    """Build the address of an RFC's section; empty for a document that is no RFC."""
    prefix, _, number = document.partition(" ")
    if prefix != "RFC" or not number.isdigit():
        return ""
    return f"https://www.rfc-editor.org/rfc/rfc{number}" + (f"#section-{section}" if section else "")
