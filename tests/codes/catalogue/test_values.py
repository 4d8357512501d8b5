"""The pure part: strict reading, and what follows from what was read."""

from pathlib import Path

import pytest

from codes.catalogue.contradictions import NAME, PRESENCE, silent_contradictions
from codes.catalogue.reader import read_catalogue
from codes.catalogue.toml_table import CatalogueFault
from codes.catalogue.values import Catalogue, Disagreement, Severity

BASE = """
[[registry]]
slug = "http"
name = "HTTP status code"
found_in = "the status line"
min = 100
max = 599

[[class]]
registry = "http"
key = "4xx"
name = "Client Error"
first = 400
last = 499
fallback = 400
summary = "The client erred."
client_rules = []
specs = []

[[owner]]
slug = "ietf"
name = "IETF"
vendors = []

[[owner]]
slug = "nginx"
name = "nginx"
vendors = []

[[code]]
registry = "http"
code = 404
standing = "registered"

[[meaning]]
registry = "http"
code = 404
owner = "ietf"
name = "Not Found"
summary = "Nothing is there."
carried = "wire"
cacheability = "heuristic"
body = "allowed"
what_to_do = { sender = "Check the address." }
specs = [{ document = "RFC 9110", section = "15.5.5", current = true }]
[meaning.retry]
verdict = "after_change"
same_request = false
honours_retry_after = false
idempotent_only = false
source = { document = "RFC 9110", section = "15.5.5" }
"""


def source(slug: str, name: str = "Not Found", extra: str = "", kind: str = "workshop") -> str:
    return f"""
[source]
slug = "{slug}"
title = "{slug}"
kind = "{kind}"
rank = 10
summary = "A document."

[[entry]]
registry = "http"
code = 404
owner = "ietf"
name = "{name}"
summary = "Nothing there."
{extra}
"""


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.toml").write_text(text, encoding="utf-8")
    return directory


def faults(directory: Path) -> str:
    with pytest.raises(CatalogueFault) as caught:
        read_catalogue(directory)
    return "\n".join(caught.value.faults)


def about(catalogue: Catalogue, aspect: str) -> list[Disagreement]:
    return [item for item in catalogue.disagreements if item.aspect == aspect]


def test_a_small_catalogue_is_read(tmp_path: Path) -> None:
    catalogue = read_catalogue(write(tmp_path, base=BASE, one=source("one")))
    assert [meaning.name for meaning in catalogue.meanings] == ["Not Found"]
    assert catalogue.entries[0].source == "one"
    assert catalogue.meanings[0].specs[0].url == "https://www.rfc-editor.org/rfc/rfc9110#section-15.5.5"


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('name = "Not Found"', 'name = "Not Found"\nnmae = "x"', "key 'nmae' is not known here"),
        ('carried = "wire"', 'carried = "pigeon"', "key 'carried' must be one of wire, log, not 'pigeon'"),
        ('carried = "wire"\n', "", "key 'carried' is missing"),
        ('cacheability = "heuristic"', "cacheability = true", "key 'cacheability' must be a text, not True"),
        ("same_request = false", 'same_request = "no"', "key 'same_request' must be true or false"),
        ('summary = "Nothing is there."', 'summary = " "', "key 'summary' is empty"),
        (
            'owner = "ietf"\nname = "Not',
            'owner = "itef"\nname = "Not',
            "key 'owner' names what is not in the catalogue: itef",
        ),
        ("code = 404\nstanding", "code = 104\nstanding", "the number is outside the registry or its classes"),
        (
            '[[code]]\nregistry = "http"\ncode = 404\nstanding = "registered"\n',
            "",
            "key 'code' names what is not in",
        ),
        ("[[code]]", "[[coed]]", "[[coed]] is not known"),
        ("min = 100", "min = true", "key 'min' must be a whole number"),
        ("[[meaning]]", "[[meaning", "is not readable as TOML"),
        ('sender = "Check the address."', 'sender = ""', "key 'sender' is empty"),
        ('source = { document = "RFC 9110"', 'source = { documnt = "RFC 9110"', "key 'documnt' is not known here"),
    ],
)
def test_a_fault_is_named_with_file_and_key(tmp_path: Path, before: str, after: str, complaint: str) -> None:
    assert before in BASE
    assert complaint in faults(write(tmp_path, base=BASE.replace(before, after, 1)))


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    text = BASE.replace('carried = "wire"', 'carried = "pigeon"').replace('body = "allowed"', 'body = "some"')
    found = faults(write(tmp_path, base=text))
    assert "'carried'" in found
    assert "'body'" in found
    assert "base.toml: [[meaning]] number 1 (http 404 ietf Not Found)" in found


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        ('claims = [{ key = "retri", value = "never", level = "is" }]', "key 'key' must be one of"),
        ('claims = [{ key = "retry", value = "often", level = "is" }]', "does not suit the claim 'retry'"),
        ('claims = [{ key = "related", value = true, level = "is" }]', "does not suit the claim 'related'"),
        ('claims = [{ key = "retry", value = "never", level = "shall" }]', "key 'level' must be one of"),
        ("lines = [3, 2]", "key 'lines' must be the first and the last line"),
        ("lines = [2, 3]", "key 'lines' belongs to sources with a seed"),
        ('rfcs = [{ section = "1" }]', "key 'document' is missing"),
    ],
)
def test_an_entry_is_checked_as_strictly(tmp_path: Path, extra: str, complaint: str) -> None:
    assert complaint in faults(write(tmp_path, base=BASE, one=source("one", extra=extra)))


def test_an_entry_without_a_meaning_is_a_fault(tmp_path: Path) -> None:
    text = source("one").replace('owner = "ietf"', 'owner = "nginx"')
    assert "sources/one.toml: entry names what is not in the catalogue: http 404 nginx" in faults(
        write(tmp_path, base=BASE, one=text)
    )


def test_a_doubled_natural_key_is_a_fault(tmp_path: Path) -> None:
    found = faults(write(tmp_path, base=BASE, one=source("one"), two=source("one")))
    assert "entry one http 404 ietf is given twice" in found
    assert "source one is given twice" in found


def test_sources_that_name_a_code_differently_disagree_about_its_name(tmp_path: Path) -> None:
    files = {"one": source("one", "NotFound"), "two": source("two", "Missing"), "three": source("three")}
    (item,) = about(read_catalogue(write(tmp_path, base=BASE, **files)), NAME)
    assert item.severity == Severity.LOW
    assert {position.source for position in item.positions} == {"one", "two", "three"}
    assert item.standard is not None
    assert item.standard.section == "15.5.5"


def test_case_and_blanks_make_no_disagreement(tmp_path: Path) -> None:
    files = {"one": source("one", "NotFound"), "two": source("two", "Not found")}
    assert read_catalogue(write(tmp_path, base=BASE, **files)).disagreements == ()


def test_a_document_that_leaves_a_registered_code_out_is_told_apart(tmp_path: Path) -> None:
    other = BASE.replace("404", "410").split("[[code]]")[1]
    lacking = source("two").replace("404", "410")
    files = {"base": BASE + "[[code]]" + other, "one": source("one"), "two": lacking}
    items = about(read_catalogue(write(tmp_path, **files)), PRESENCE)
    assert {item.code for item in items} == {404, 410}
    assert {item.severity for item in items} == {Severity.INFO}
    absent = [position.source for position in items[0].positions if position.absent]
    assert absent == ["two"]


def test_a_registry_is_never_said_to_lack_a_code(tmp_path: Path) -> None:
    other = BASE.replace("404", "410").split("[[code]]")[1]
    lacking = source("two", kind="registry").replace("404", "410")
    files = {"base": BASE + "[[code]]" + other, "one": source("one"), "two": lacking}
    assert about(read_catalogue(write(tmp_path, **files)), PRESENCE) == []


CLAIM = 'claims = [{{ key = "{key}", value = {value}, level = "is" }}]'


@pytest.mark.parametrize(
    ("key", "one", "other", "differ"),
    [
        ("retry", '"never"', '"after_wait"', True),
        ("retry", '"never"', '"never"', False),
        ("cacheable", '"yes"', '"heuristic"', False),
        ("cacheable", '"yes"', '"never"', True),
        ("cacheable", '"heuristic"', '"explicit"', True),
        ("experimental", "true", "false", True),
        ("response_header", '"Allow"', '"Retry-After"', False),
        ("related", "410", "403", False),
    ],
)
def test_claims_that_can_be_compared_are_compared(
    tmp_path: Path, key: str, one: str, other: str, differ: bool
) -> None:
    files = {
        "one": source("one", extra=CLAIM.format(key=key, value=one)),
        "two": source("two", extra=CLAIM.format(key=key, value=other)),
    }
    catalogue = read_catalogue(write(tmp_path, base=BASE, **files))
    assert bool(about(catalogue, key)) is differ
    assert bool(silent_contradictions(catalogue)) is differ


EXPLAINED = """
[[disagreement]]
registry = "http"
code = 404
aspect = "retry"
severity = "high"
positions = [{ source = "one", text = "never" }, { source = "two", text = "later" }]
standard = { document = "RFC 9110", section = "15.5.5", text = "leaves it open" }
advice = "Try later."
"""


def test_an_authored_disagreement_takes_the_place_of_the_computed_one(tmp_path: Path) -> None:
    files = {
        "one": source("one", extra=CLAIM.format(key="retry", value='"never"')),
        "two": source("two", extra=CLAIM.format(key="retry", value='"after_wait"')),
    }
    catalogue = read_catalogue(write(tmp_path, base=BASE, disagreements=EXPLAINED, **files))
    (item,) = about(catalogue, "retry")
    assert item.authored
    assert silent_contradictions(catalogue) == []


def test_a_disagreement_of_one_source_is_a_fault(tmp_path: Path) -> None:
    text = EXPLAINED.replace('source = "two"', 'source = "one"')
    found = faults(write(tmp_path, base=BASE, one=source("one"), disagreements=text))
    assert "disagreements.toml: http 404 retry: key 'positions' must name at least two sources" in found


def test_what_a_source_cites_is_among_the_references_of_the_meaning(tmp_path: Path) -> None:
    cites = 'rfcs = [{ document = "RFC 2616", section = "10.4.5" }, { document = "RFC 9110", section = "" }]'
    meaning = read_catalogue(write(tmp_path, base=BASE, one=source("one", extra=cites))).meanings[0]
    assert [(spec.document, spec.current, spec.cited_by) for spec in meaning.specs] == [
        ("RFC 9110", True, ("one",)),
        ("RFC 2616", False, ("one",)),
    ]


def test_no_source_of_the_catalogue_contradicts_silently(authored: Catalogue) -> None:
    assert silent_contradictions(authored) == []


def test_each_disagreement_names_two_sources_and_two_owners_are_none(authored: Catalogue) -> None:
    for item in authored.disagreements:
        assert len({position.source for position in item.positions}) >= 2, item
    assert [item for item in authored.disagreements if (item.registry, item.code) == ("http", 499)] == []
