"""Checks between the tables: doubled keys, unknown references, numbers out of place. No Django here."""

from collections.abc import Collection, Hashable, Iterable, Mapping

from codes.catalogue.values import FIRST_HTTP_STATUS, HTTP, LAST_HTTP_STATUS, STROOM, Catalogue, Code, Disagreement


def faults_between(catalogue: Catalogue) -> list[str]:
    """Return the faults that no single table shows: doubled keys, unknown references, numbers out of range."""
    return [*_doubled(catalogue), *_unknown_references(catalogue), *_out_of_place(catalogue)]


def _doubled(catalogue: Catalogue) -> Iterable[str]:
    keyed: Mapping[str, list[Hashable]] = {
        "registry": [r.slug for r in catalogue.registries],
        "class": [(c.registry, c.key) for c in catalogue.classes],
        "vendor": [v.slug for v in catalogue.vendors],
        "owner": [o.slug for o in catalogue.owners],
        "code": [(c.registry, c.code) for c in catalogue.codes],
        "meaning": [(m.registry, m.code, m.owner) for m in catalogue.meanings],
        "header of meaning": [
            (m.registry, m.code, m.owner, h.direction, h.name.lower())
            for m in catalogue.meanings
            for h in m.headers
        ],
        "source": [s.slug for s in catalogue.sources],
        "entry": [(e.source, e.registry, e.code, e.owner) for e in catalogue.entries],
        "disagreement": [(d.registry, d.code, d.owner, d.class_key, d.aspect) for d in catalogue.disagreements],
        "constant": [(c.code, c.language, c.library, c.name) for c in catalogue.constants],
        "over_http3": [note.code for note in catalogue.http3],
    }
    for kind, keys in keyed.items():
        seen: set[Hashable] = set()
        for key in keys:
            if key in seen:
                yield f"{kind} {_words(key)} is given twice"
            seen.add(key)


def _unknown_references(catalogue: Catalogue) -> Iterable[str]:
    codes = {(c.registry, c.code) for c in catalogue.codes}
    vendors = {v.slug for v in catalogue.vendors}
    sources = {s.slug for s in catalogue.sources}
    classes = {(c.registry, c.key) for c in catalogue.classes}
    for owner in catalogue.owners:
        yield from _missing(f"owner {owner.slug}: key 'vendors'", owner.vendors, vendors)
    for code in catalogue.codes:
        statuses = [(HTTP, number) for number in code.http_statuses]
        yield from _missing(f"code {code.registry} {code.code}: key 'http_statuses'", statuses, codes)
    yield from _unknown_in_meanings(catalogue, codes, vendors, sources)
    yield from _unknown_in_sources(catalogue, classes)
    yield from _unknown_in_disagreements(catalogue, codes, classes, sources)
    for constant in catalogue.constants:
        yield from _missing(f"constants.toml: {constant.library} {constant.name}", [(HTTP, constant.code)], codes)
    for note in catalogue.http3:
        yield from _missing("http3.toml: over_http3", [(HTTP, note.code)], codes)
        if not note.sources:
            yield f"http3.toml: over_http3 {note.code}: names no source"


def _unknown_in_meanings(
    catalogue: Catalogue, codes: Collection[tuple[str, int]], vendors: Collection[str], sources: Collection[str]
) -> Iterable[str]:
    owners = {owner.slug for owner in catalogue.owners}
    with_meaning = {(m.registry, m.code) for m in catalogue.meanings}
    for registry, code in sorted(codes):
        if (registry, code) not in with_meaning:
            yield f"code {registry} {code}: has no meaning"
    for m in catalogue.meanings:
        where = f"meaning {m.registry} {m.code} {m.owner}"
        yield from _missing(f"{where}: key 'code'", [(m.registry, m.code)], codes)
        yield from _missing(f"{where}: key 'owner'", [m.owner], owners)
        yield from _missing(f"{where}: key 'vendors'", m.vendors, vendors)
        yield from _missing(f"{where}: key 'related'", [(r.registry, r.code) for r in m.related], codes)
        if "source" in m.retry.source:
            yield from _missing(f"{where}: key 'retry.source'", [m.retry.source["source"]], sources)


def _unknown_in_sources(catalogue: Catalogue, classes: Collection[tuple[str, str]]) -> Iterable[str]:
    meanings = {(m.registry, m.code, m.owner) for m in catalogue.meanings}
    for entry in catalogue.entries:
        key = (entry.registry, entry.code, entry.owner)
        yield from _missing(f"sources/{entry.source}.toml: entry", [key], meanings)
    for source in catalogue.sources:
        wanted = [(note.registry, note.key) for note in source.notes if note.key != "any"]
        yield from _missing(f"sources/{source.slug}.toml: class_note", wanted, classes)


def _unknown_in_disagreements(
    catalogue: Catalogue,
    codes: Collection[tuple[str, int]],
    classes: Collection[tuple[str, str]],
    sources: Collection[str],
) -> Iterable[str]:
    for d in catalogue.disagreements:
        yield from _missing(f"{_place(d)}: key 'positions'", [p.source for p in d.positions], sources)
        if d.code is not None:
            yield from _missing(f"{_place(d)}: key 'code'", [(d.registry, d.code)], codes)
        elif d.class_key != "any":
            yield from _missing(f"{_place(d)}: key 'class_key'", [(d.registry, d.class_key)], classes)


def _missing(where: str, wanted: Iterable[Hashable], known: Collection[Hashable]) -> Iterable[str]:
    for reference in wanted:
        if reference not in known:
            yield f"{where} names what is not in the catalogue: {_words(reference)}"


def _words(key: Hashable) -> str:
    return " ".join(str(part) for part in key if part not in {"", None}) if isinstance(key, tuple) else str(key)


def _place(disagreement: Disagreement) -> str:
    d = disagreement
    return f"disagreements.toml: {d.registry} {d.class_key if d.code is None else d.code} {d.aspect}"


def _out_of_place(catalogue: Catalogue) -> Iterable[str]:
    yield from _codes_out_of_place(catalogue)
    seeded = {source.slug for source in catalogue.sources if source.seed}
    for entry in catalogue.entries:
        if (entry.source in seeded) != (entry.lines is not None):
            where = f"sources/{entry.source}.toml: entry {entry.registry} {entry.code} {entry.owner}"
            yield f"{where}: key 'lines' belongs to sources with a seed, and each entry of them needs it"
    for d in catalogue.disagreements:
        if len({position.source for position in d.positions}) < 2:
            yield f"{_place(d)}: key 'positions' must name at least two sources"
        if (d.code is None) == (d.class_key == ""):
            yield f"{_place(d)}: give either 'code' or 'class_key'"


def _codes_out_of_place(catalogue: Catalogue) -> Iterable[str]:
    registries = {registry.slug: registry for registry in catalogue.registries}
    for code in catalogue.codes:
        registry = registries.get(code.registry)
        where = f"code {code.registry} {code.code}"
        if registry is None:
            yield f"{where}: key 'registry' is not in the catalogue"
        elif not registry.min <= code.code <= registry.max or catalogue.class_of(code.registry, code.code) is None:
            yield f"{where}: the number is outside the registry or its classes"
        if (code.registry == STROOM) != bool(code.http_statuses):
            yield f"{where}: key 'http_statuses' belongs to Stroom codes, and each of them needs it"
        yield from _releases_out_of_place(code, where)
        if not all(FIRST_HTTP_STATUS <= number <= LAST_HTTP_STATUS for number in code.http_statuses):
            yield f"{where}: key 'http_statuses' has a number that is no HTTP status"


def _releases_out_of_place(code: Code, where: str) -> Iterable[str]:
    """Check that releases follow one another, that only the newest is open, and that no HTTP status is missing."""
    if not code.releases:
        return
    if any(not earlier.last for earlier in code.releases[:-1]) or code.releases[-1].last:
        yield f"{where}: key 'releases' must end with the newest releases, and only they have no 'last'"
    ends = [_release_key(release) for span in code.releases for release in (span.first, span.last) if release]
    if ends != sorted(ends):
        yield f"{where}: key 'releases' must name the oldest releases first"
    missing = set(code.http_statuses) - {span.http_status for span in code.releases}
    if missing:
        yield f"{where}: key 'releases' lacks the HTTP statuses {sorted(missing)}"


def _release_key(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".") if part.isdigit())
