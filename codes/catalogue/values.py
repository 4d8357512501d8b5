"""Plain values of the catalogue. No Django here.

`codes.catalogue.reader` makes these values from the TOML files, `codes.loading` writes them into the database.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

HTTP = "http"
STROOM = "stroom"
FIRST_HTTP_STATUS, LAST_HTTP_STATUS = 100, 599
LAST_THREE_DIGITS = 999


class Standing(StrEnum):
    """Standing of a number in its registry today."""

    REGISTERED = "registered"
    TEMPORARY = "temporary"
    DEPRECATED = "deprecated"
    UNUSED = "unused"
    OBSOLETED = "obsoleted"
    VENDOR_ONLY = "vendor-only"


class Verdict(StrEnum):
    """Verdict on a retry: what the sender may do after the answer."""

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
class ReleaseRange:
    """Releases of Stroom that give a number one HTTP status and one message; `last` is empty for the newest."""

    first: str
    last: str
    http_status: int
    name: str


@dataclass(frozen=True)
class Code:
    registry: str
    code: int
    standing: Standing
    registered: str
    expires: str
    note: str
    http_statuses: tuple[int, ...]
    releases: tuple[ReleaseRange, ...]


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
    """Meaning that one owner gives to one number."""

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
    """Statement of one source about one number of one owner."""

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
    """Statement of one source about a class of numbers, or (key "any") about the whole scheme."""

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
class Shown:
    """Words that a client shows in place of a status."""

    client: str
    text: str


@dataclass(frozen=True)
class OverHttp3:
    """Difference that HTTP/3 and QUIC make to an HTTP status: what happens, and what clients show instead."""

    code: int
    text: str
    shown: tuple[Shown, ...]
    sources: tuple[Spec, ...]


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
    http3: tuple[OverHttp3, ...] = ()
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


def rfc_url(document: str, section: str) -> str:
    """Build the address of an RFC's section; empty for a document that is no RFC."""
    prefix, _, number = document.partition(" ")
    if prefix != "RFC" or not number.isdigit():
        return ""
    return f"https://www.rfc-editor.org/rfc/rfc{number}" + (f"#section-{section}" if section else "")
