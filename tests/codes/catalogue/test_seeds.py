"""Every heading of the five documents has its entry, and nothing is invented."""

import hashlib

import pytest

from codes.catalogue.values import Catalogue, Entry
from tests.codes.catalogue.seed_parsers import PARSERS, SEEDS, headings_of

# Counted by hand in the documents, so that a parser that finds nothing cannot pass.
HEADINGS = {
    "stroom-response-codes": 8,
    "http-status-workshop": 83,
    "vendor-status-codes": 41,
    "kafka-status-codes": 42,
    "api-response-codes": 54,
}


def entries_of(authored: Catalogue, slug: str) -> list[Entry]:
    return [entry for entry in authored.entries if entry.source == slug]


@pytest.mark.parametrize("slug", HEADINGS)
def test_every_heading_of_a_document_has_its_entry_with_exact_name_owner_and_lines(
    authored: Catalogue, slug: str
) -> None:
    wanted = sorted((h.registry, h.code, h.owner, h.name, h.lines) for h in headings_of(slug))
    present = sorted((e.registry, e.code, e.owner, e.name, e.lines) for e in entries_of(authored, slug))
    assert len(wanted) == HEADINGS[slug]
    assert present == wanted


@pytest.mark.parametrize("slug", HEADINGS)
def test_a_source_names_its_document_and_the_checksum_of_it(authored: Catalogue, slug: str) -> None:
    source = next(source for source in authored.sources if source.slug == slug)
    assert source.seed == PARSERS[slug][0]
    assert source.checksum == hashlib.sha256((SEEDS / source.seed).read_bytes()).hexdigest()


@pytest.mark.parametrize("slug", HEADINGS)
def test_notes_on_classes_point_into_the_document(authored: Catalogue, slug: str) -> None:
    source = next(source for source in authored.sources if source.slug == slug)
    length = len((SEEDS / source.seed).read_text(encoding="utf-8").splitlines())
    for note in source.notes:
        assert note.lines is not None
        assert note.lines[1] <= length


@pytest.mark.parametrize("slug", HEADINGS)
def test_no_sentence_of_a_document_is_copied_into_the_catalogue(authored: Catalogue, slug: str) -> None:
    """Eleven words in a row are a sentence; names, facts and protocol strings are shorter."""
    text = (SEEDS / PARSERS[slug][0]).read_text(encoding="utf-8")
    theirs = runs_of_words(text)
    ours = [entry.summary for entry in authored.entries] + [meaning.summary for meaning in authored.meanings]
    ours += [meaning.detail for meaning in authored.meanings]
    copied = {run for summary in ours for run in runs_of_words(summary) & theirs}
    assert copied == set()


def runs_of_words(text: str, length: int = 11) -> set[str]:
    words = "".join(c.lower() if c.isalnum() else " " for c in text).split()
    return {" ".join(words[start : start + length]) for start in range(len(words) - length + 1)}


def test_values_that_only_look_like_codes_are_no_entries(authored: Catalogue) -> None:
    numbers = {(entry.registry, entry.code) for entry in authored.entries}
    assert not {("http", 214), ("http", 471), ("http", 195)} & numbers


def test_typing_slips_stay_in_the_entry_and_the_meaning_has_the_right_name(authored: Catalogue) -> None:
    slips = {201: "Create", 308: "Permanent Redirct", 426: "Upgrade Requierd", 428: "Precindition Required"}
    entries = {e.code: e.name for e in entries_of(authored, "api-response-codes")}
    names = {m.code: m.name for m in authored.meanings if m.registry == "http" and m.owner == "ietf"}
    assert {code: entries[code] for code in slips} == slips
    assert [names[code] for code in slips] == [
        "Created",
        "Permanent Redirect",
        "Upgrade Required",
        "Precondition Required",
    ]


def test_the_documented_http_status_of_each_stroom_code_comes_first(authored: Catalogue) -> None:
    lines = (SEEDS / PARSERS["stroom-response-codes"][0]).read_text(encoding="utf-8").splitlines()
    documented = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) == 4 and cells[0].isdigit():
            documented[int(cells[1])] = int(cells[0])
    first = {code.code: code.http_statuses[0] for code in authored.codes if code.registry == "stroom"}
    assert documented == {number: first[number] for number in documented}
    assert len(documented) == 8
