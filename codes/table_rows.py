"""Rows of all tables, made from the catalogue's values."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.db import models

from codes import models as tables
from codes.catalogue.toml_table import CatalogueFault
from codes.catalogue.values import HTTP, Catalogue, Disagreement, Meaning, OverHttp3, Severity

Row = dict[str, Any]
Rows = dict[str, Row]


def table_rows(joined: Catalogue) -> Iterator[tuple[type[models.Model], Rows]]:
    """Yield the rows of all tables, in an order in which each refers only to earlier ones."""
    makers: Sequence[tuple[type[models.Model], Callable[[Catalogue], Rows]]] = (
        (tables.Registry, _registries),
        (tables.CodeClass, _classes),
        (tables.Vendor, _vendors),
        (tables.Owner, _owners),
        (tables.StatusCode, _codes),
        (tables.Meaning, _meanings),
        (tables.MeaningVendor, _meaning_vendors),
        (tables.HeaderUse, _headers),
        (tables.Source, _sources),
        (tables.SourceEntry, _entries),
        (tables.Disagreement, _disagreements),
    )
    for model, make in makers:
        yield model, {key: _plain(row) for key, row in make(joined).items()}


def fitting_rows(joined: Catalogue) -> list[tuple[type[models.Model], Rows]]:
    """Return the rows of all tables, each text within its column: SQLite does not check, PostgreSQL fails late.

    Raises:
        CatalogueFault: texts are too long.
    """
    every = list(table_rows(joined))
    faults = [fault for model, rows in every for fault in _too_long(model, rows)]
    if faults:
        raise CatalogueFault(faults)
    return every


def _too_long(model: type[models.Model], rows: Rows) -> Iterator[str]:
    limits = {column.attname: column.max_length for column in model._meta.concrete_fields if column.max_length}
    for key, row in rows.items():
        for name, value in (("key", key), *row.items()):
            limit = limits.get(model._meta.pk.attname if name == "key" else name)
            if limit and isinstance(value, str) and len(value) > limit:
                yield f"{model.__name__} {key[:60]}: {name} is longer than {limit} characters"


def _plain(row: Row) -> Row:
    """Return a row as the database returns it: lists for tuples, plain texts for words of an enumeration."""
    plain: Row = json.loads(json.dumps(row))
    return plain


def _registries(joined: Catalogue) -> Rows:
    return {
        r.slug: {
            "name": r.name,
            "found_in": r.found_in,
            "min": r.min,
            "max": r.max,
            "note": r.note,
            "source_notes": _class_notes(joined, r.slug, "any"),
            "position": position,
        }
        for position, r in enumerate(joined.registries)
    }


def _classes(joined: Catalogue) -> Rows:
    return {
        f"{c.registry}/{c.key}": {
            "registry_id": c.registry,
            "slug": c.key,
            "name": c.name,
            "first": c.first,
            "last": c.last,
            "fallback": c.fallback,
            "summary": c.summary,
            "client_rules": c.client_rules,
            "specs": [asdict(spec) for spec in c.specs],
            "source_notes": _class_notes(joined, c.registry, c.key),
        }
        for c in joined.classes
    }


def _class_notes(joined: Catalogue, registry: str, key: str) -> list[Row]:
    return [
        {"source": source.slug, "title": source.title, "lines": note.lines, "summary": note.summary}
        for source in joined.sources
        for note in source.notes
        if (note.registry, note.key) == (registry, key)
    ]


def _vendors(joined: Catalogue) -> Rows:
    return {
        v.slug: {"name": v.name, "products": v.products, "url": v.url, "position": position}
        for position, v in enumerate(joined.vendors)
    }


def _owners(joined: Catalogue) -> Rows:
    return {
        o.slug: {"name": o.name, "vendors": o.vendors, "note": o.note, "position": position}
        for position, o in enumerate(joined.owners)
    }


def _codes(joined: Catalogue) -> Rows:
    meanings = joined.meanings_by_code()
    constants: dict[int, list[Row]] = {}
    for constant in joined.constants:
        constants.setdefault(constant.code, []).append(asdict(constant))
    http3 = {note.code: _over_http3(note) for note in joined.http3}
    rows: Rows = {}
    for c in joined.codes:
        own = meanings[c.registry, c.code]
        code_class = joined.class_of(c.registry, c.code)
        rows[code_key(c.registry, c.code)] = {
            "registry_id": c.registry,
            "code": c.code,
            "code_class_id": f"{c.registry}/{code_class.key}" if code_class else "",
            "standing": c.standing,
            "registered": c.registered,
            "expires": c.expires,
            "note": c.note,
            "http_statuses": c.http_statuses,
            "releases": [asdict(span) for span in c.releases],
            "constants": constants.get(c.code, []) if c.registry == HTTP else [],
            "http3": http3.get(c.code, []) if c.registry == HTTP else [],
            "name": own[0].name,
            "retry": own[0].retry.verdict,
            "owners": [meaning.owner for meaning in own],
            "disputes": _disputes(joined, c.registry, c.code),
        }
    return rows


def _over_http3(note: OverHttp3) -> list[Row]:
    sources = [{key: value for key, value in asdict(spec).items() if key != "current"} for spec in note.sources]
    return [{"text": note.text, "shown": [asdict(shown) for shown in note.shown], "sources": sources}]


def _disputes(joined: Catalogue, registry: str, code: int) -> int:
    """Count the disagreements that change what to do; lists mark a code that has one."""
    high = [d for d in joined.disagreements if d.severity == Severity.HIGH]
    return sum((d.registry, d.code) == (registry, code) for d in high)


def _meanings(joined: Catalogue) -> Rows:
    rows: Rows = {}
    for meanings in joined.meanings_by_code().values():
        for position, m in enumerate(meanings):
            rows[meaning_key(m)] = {
                "status_code_id": code_key(m.registry, m.code),
                "owner_id": m.owner,
                "position": position,
                "name": m.name,
                "former_names": [asdict(former) for former in m.former_names],
                "summary": m.summary,
                "detail": m.detail,
                "carried": m.carried,
                "cacheability": m.cacheability,
                "body": m.body,
                "methods": m.methods,
                "what_to_do": m.what_to_do,
                "specs": [asdict(spec) for spec in m.specs],
                "related": [asdict(relation) for relation in m.related],
                "retry_verdict": m.retry.verdict,
                "retry": asdict(m.retry),
                "shared_number": len(meanings) > 1,
            }
    return rows


def _meaning_vendors(joined: Catalogue) -> Rows:
    return {
        f"{meaning_key(m)}/{vendor}": {"meaning_id": meaning_key(m), "vendor_id": vendor}
        for m in joined.meanings
        for vendor in m.vendors
    }


def _headers(joined: Catalogue) -> Rows:
    return {
        f"{meaning_key(m)}/{h.direction}/{h.name.lower()}": {
            "meaning_id": meaning_key(m),
            "name": h.name,
            "slug": h.name.lower(),
            "direction": h.direction,
            "level": h.level,
            "note": h.note,
            "position": position,
        }
        for m in joined.meanings
        for position, h in enumerate(m.headers)
    }


def _sources(joined: Catalogue) -> Rows:
    return {
        s.slug: {
            "title": s.title,
            "kind": s.kind,
            "date": s.date,
            "url": s.url,
            "licence": s.licence,
            "seed": s.seed,
            "checksum": s.checksum,
            "rank": s.rank,
            "summary": s.summary,
            "notes": [asdict(note) for note in s.notes],
        }
        for s in joined.sources
    }


def _entries(joined: Catalogue) -> Rows:
    return {
        f"{e.source}/{code_key(e.registry, e.code)}/{e.owner}": {
            "source_id": e.source,
            "status_code_id": code_key(e.registry, e.code),
            "owner_id": e.owner,
            "name": e.name,
            "first_line": e.lines[0] if e.lines else None,
            "last_line": e.lines[1] if e.lines else None,
            "summary": e.summary,
            "rfcs": [asdict(cited) for cited in e.rfcs],
            "local_note": e.local_note,
            "claims": [asdict(claim) for claim in e.claims],
        }
        for e in joined.entries
    }


def _disagreements(joined: Catalogue) -> Rows:
    titles = {source.slug: source.title for source in joined.sources}
    return {_disagreement_key(d): _disagreement(d, titles) for d in joined.disagreements}


def _disagreement(d: Disagreement, titles: Mapping[str, str]) -> Row:
    reference = d.standard and {
        "document": d.standard.document,
        "section": d.standard.section,
        "url": d.standard.url,
    }
    return {
        "registry_id": d.registry,
        "status_code_id": None if d.code is None else code_key(d.registry, d.code),
        "class_key": d.class_key,
        "owner": d.owner,
        "aspect": d.aspect,
        "severity": d.severity,
        "severity_rank": list(Severity).index(d.severity),
        "positions": [{**asdict(position), "title": titles[position.source]} for position in d.positions],
        "source_slugs": f" {' '.join(sorted({position.source for position in d.positions}))} ",
        "standard": d.standard.text if d.standard else "",
        "standard_reference": reference,
        "advice": d.advice,
        "authored": d.authored,
    }


def _disagreement_key(d: Disagreement) -> str:
    place = d.class_key if d.code is None else str(d.code)
    return "/".join(part for part in (d.registry, place, d.owner, d.aspect) if part)


def code_key(registry: str, code: int) -> str:
    return f"{registry}/{code}"


def meaning_key(meaning: Meaning) -> str:
    return f"{code_key(meaning.registry, meaning.code)}/{meaning.owner}"
