"""Reads one table of a TOML file as the value that it describes; faults are noted with file and key. No Django."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from codes.catalogue.toml_table import Table
from codes.catalogue.values import (
    Claim,
    ClassNote,
    Code,
    CodeClass,
    Constant,
    Disagreement,
    Entry,
    FormerName,
    HeaderUse,
    Meaning,
    OverHttp3,
    Owner,
    Position,
    Registry,
    Relation,
    ReleaseRange,
    Retry,
    Severity,
    Shown,
    Source,
    SourceKind,
    Spec,
    Standard,
    Standing,
    Vendor,
    Verdict,
    rfc_url,
)

LEVELS = ("must", "should", "may", "is")
HEADER_LEVELS = ("must", "should", "may", "related")
DIRECTIONS = ("request", "response")
RELATION_KINDS = ("use_instead", "confused_with", "similar", "former")
CACHEABILITY = ("heuristic", "explicit", "never")
BODY_RULES = ("none", "allowed", "expected")
CARRIERS = ("wire", "log")
RELEASE = re.compile(r"[0-9]+\.[0-9]+")
HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")

FLAG_CLAIMS = ("reserved", "deprecated", "unused", "experimental", "no_rfc", "log_only", "internal", "local_note")
HEADER_CLAIMS = ("requires_header", "request_header", "response_header")
TEXT_CLAIMS = ("follow_method", "typical_method", "protocol", "meaning")
CLAIM_VALUES: Mapping[str, Callable[[object], bool]] = {
    "retry": lambda value: value in list(Verdict),
    "cacheable": lambda value: value in {*CACHEABILITY, "yes"},
    "permanence": lambda value: value in {"permanent", "temporary"},
    "body": lambda value: value in BODY_RULES,
    "method_change_allowed": lambda value: isinstance(value, bool),
    "related": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "use_instead": lambda value: isinstance(value, int) and not isinstance(value, bool),
    **dict.fromkeys(FLAG_CLAIMS, lambda value: isinstance(value, bool)),
    **dict.fromkeys(HEADER_CLAIMS, lambda value: isinstance(value, str) and bool(HEADER_NAME.fullmatch(value))),
    **dict.fromkeys(TEXT_CLAIMS, lambda value: isinstance(value, str) and bool(value)),
}


def _registry(table: Table) -> Registry:
    return Registry(
        slug=table.slug("slug"),
        name=table.filled("name"),
        found_in=table.filled("found_in"),
        min=table.number("min"),
        max=table.number("max"),
        note=table.text("note", ""),
    )


def _class(table: Table) -> CodeClass:
    return CodeClass(
        registry=table.slug("registry"),
        key=table.slug("key"),
        name=table.filled("name"),
        first=table.number("first"),
        last=table.number("last"),
        fallback=table.optional_number("fallback"),
        summary=table.filled("summary"),
        client_rules=table.texts("client_rules"),
        specs=table.tables("specs", _spec),
    )


def _spec(table: Table) -> Spec:
    document, section = table.filled("document"), table.text("section", "")
    url = table.web_address("url", rfc_url(document, section))
    return Spec(document, section, url, current=table.flag("current"))


def _citation(table: Table) -> Spec:
    document, section = table.filled("document"), table.text("section", "")
    return Spec(document, section, table.web_address("url", rfc_url(document, section)), current=False)


def _vendor(table: Table) -> Vendor:
    return Vendor(table.slug("slug"), table.filled("name"), table.texts("products"), table.web_address("url", ""))


def _owner(table: Table) -> Owner:
    return Owner(table.slug("slug"), table.filled("name"), table.texts("vendors"), table.text("note", ""))


def _code(table: Table) -> Code:
    return Code(
        registry=table.slug("registry"),
        code=table.number("code"),
        standing=table.word("standing", Standing),
        registered=table.text("registered", ""),
        expires=table.text("expires", ""),
        note=table.text("note", ""),
        http_statuses=table.numbers("http_statuses"),
        releases=table.tables("releases", _release_range),
    )


def _release_range(table: Table) -> ReleaseRange:
    first, last = table.filled("first"), table.text("last", "")
    for key, release in (("first", first), ("last", last)):
        if release and not RELEASE.fullmatch(release):
            table.fault(key, f"is no release such as 7.2: {release!r}")
    return ReleaseRange(first, last, table.number("http_status"), table.filled("name"))


def _meaning(table: Table) -> Meaning:
    registry = table.slug("registry")
    retry = table.table("retry")
    meaning = Meaning(
        registry=registry,
        code=table.number("code"),
        owner=table.slug("owner"),
        name=table.filled("name"),
        former_names=table.tables("former_names", lambda t: FormerName(t.filled("name"), t.text("until", ""))),
        vendors=table.texts("vendors"),
        summary=table.filled("summary"),
        detail=table.text("detail", ""),
        carried=table.choice("carried", CARRIERS),
        cacheability=table.choice("cacheability", CACHEABILITY),
        body=table.choice("body", BODY_RULES),
        methods=table.text("methods", ""),
        what_to_do=_what_to_do(table.table("what_to_do")),
        headers=table.tables("headers", _header),
        specs=table.tables("specs", _spec),
        related=table.tables("related", lambda t: _relation(t, registry)),
        retry=_retry(retry),
    )
    retry.finish()
    return meaning


def _what_to_do(table: Table) -> Mapping[str, str]:
    advice = {
        "sender": table.filled("sender"),
        "server": table.text("server", ""),
        "administrator": table.text("administrator", ""),
    }
    table.finish()
    return advice


def _header(table: Table) -> HeaderUse:
    name = table.filled("name")
    if name and not HEADER_NAME.fullmatch(name):
        table.fault("name", f"is no header name: {name!r}")
    return HeaderUse(
        name, table.choice("direction", DIRECTIONS), table.choice("level", HEADER_LEVELS), table.text("note", "")
    )


def _relation(table: Table, registry: str) -> Relation:
    return Relation(
        registry=table.text("registry", registry),
        code=table.number("code"),
        kind=table.choice("kind", RELATION_KINDS),
        when=table.filled("when"),
    )


def _retry(table: Table) -> Retry:
    return Retry(
        verdict=table.word("verdict", Verdict),
        same_request=table.flag("same_request"),
        honours_retry_after=table.flag("honours_retry_after"),
        idempotent_only=table.flag("idempotent_only"),
        needs_person=table.text("needs_person", ""),
        backoff=table.text("backoff", ""),
        note=table.text("note", ""),
        source=_retry_source(table.table("source")),
    )


def _retry_source(table: Table) -> Mapping[str, Any]:
    """Read what the verdict is based on: a section of a document, lines of a source, or a judgement of our own."""
    if table.has("judgement"):
        found: dict[str, Any] = {"judgement": table.filled("judgement")}
    elif table.has("source"):
        found = {"source": table.slug("source"), "lines": table.lines()}
    else:
        document, section = table.filled("document"), table.text("section", "")
        found = {
            "document": document,
            "section": section,
            "url": table.web_address("url", rfc_url(document, section)),
        }
    table.finish()
    return found


def read_source(table: Table) -> Source:
    return Source(
        slug=table.slug("slug"),
        title=table.filled("title"),
        kind=table.word("kind", SourceKind),
        date=table.text("date", ""),
        url=table.web_address("url", ""),
        licence=table.text("licence", ""),
        seed=table.text("seed", ""),
        checksum=table.text("checksum", ""),
        rank=table.number("rank"),
        summary=table.filled("summary"),
    )


def _entry(table: Table) -> Entry:
    return Entry(
        source="",
        registry=table.slug("registry"),
        code=table.number("code"),
        owner=table.slug("owner"),
        name=table.filled("name"),
        lines=table.lines(),
        summary=table.filled("summary"),
        rfcs=table.tables("rfcs", _citation),
        local_note=table.text("local_note", ""),
        claims=table.tables("claims", _claim),
    )


def _claim(table: Table) -> Claim:
    key = table.choice("key", sorted(CLAIM_VALUES))
    value = table.raw("value")
    if key in CLAIM_VALUES and not CLAIM_VALUES[key](value):
        table.fault("value", f"does not suit the claim {key!r}: {value!r}")
    return Claim(key, value, table.choice("level", LEVELS))


def _class_note(table: Table) -> ClassNote:
    return ClassNote(
        registry=table.slug("registry"),
        key=table.slug("key"),
        lines=table.lines(),
        summary=table.filled("summary"),
        rfcs=table.tables("rfcs", _citation),
    )


def _disagreement(table: Table) -> Disagreement:
    return Disagreement(
        registry=table.slug("registry"),
        code=table.optional_number("code"),
        owner=table.text("owner", ""),
        class_key=table.text("class_key", ""),
        aspect=table.filled("aspect"),
        severity=table.word("severity", Severity),
        positions=table.tables("positions", lambda t: Position(t.slug("source"), t.lines(), t.filled("text"))),
        standard=_standard(table.table("standard")) if table.has("standard") else None,
        advice=table.filled("advice"),
        authored=True,
    )


def _standard(table: Table) -> Standard:
    document, section = table.filled("document"), table.text("section", "")
    standard = Standard(
        document, section, table.web_address("url", rfc_url(document, section)), table.filled("text")
    )
    table.finish()
    return standard


def _constant(table: Table) -> Constant:
    return Constant(
        code=table.number("code"),
        language=table.filled("language"),
        library=table.filled("library"),
        name=table.filled("name"),
        since=table.text("since", ""),
        until=table.text("until", ""),
        note=table.text("note", ""),
    )


def _over_http3(table: Table) -> OverHttp3:
    return OverHttp3(
        code=table.number("code"),
        text=table.filled("text"),
        shown=table.tables("shown", lambda t: Shown(t.filled("client"), t.filled("text"))),
        sources=table.tables("sources", _citation),
    )


MAKERS: Mapping[str, Callable[[Table], Any]] = {
    "registry": _registry,
    "class": _class,
    "vendor": _vendor,
    "owner": _owner,
    "code": _code,
    "meaning": _meaning,
    "entry": _entry,
    "class_note": _class_note,
    "disagreement": _disagreement,
    "constant": _constant,
    "over_http3": _over_http3,
}
SOURCE_KINDS = frozenset({"entry", "class_note"})
