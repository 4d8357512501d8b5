"""The catalogue with everything that follows from its files. No Django here."""

from collections.abc import Iterator
from dataclasses import replace

from codes.catalogue.contradictions import computed_disagreements, covers
from codes.catalogue.values import Catalogue, Meaning, Spec


def join(catalogue: Catalogue) -> Catalogue:
    """Add what follows from the files: cited RFCs to the meanings, and the computed disagreements."""
    joined = replace(catalogue, meanings=tuple(_with_citations(catalogue)), _cache={})
    computed = [d for d in computed_disagreements(joined) if not any(covers(by, d) for by in joined.disagreements)]
    return replace(joined, disagreements=(*joined.disagreements, *computed), _cache={})


def _with_citations(catalogue: Catalogue) -> Iterator[Meaning]:
    """Add the RFCs that sources cite to the meaning; as former references unless we name them ourselves."""
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
