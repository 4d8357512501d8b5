"""What HTTP/3 and QUIC change to a status: each note has its sources, and its numbers are those of RFC 9114."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client

from codes.catalogue.consistency import faults_between
from codes.catalogue.reader import read_catalogue
from codes.catalogue.toml_table import CatalogueFault
from codes.catalogue.values import Catalogue, OverHttp3
from codes.explain.faults import cause_of
from codes.explain.findings import Vocabulary
from codes.explain.recognise import recognise
from codes.explain.unanswered import NO_STATUS
from codes.loading import DATA_DIRECTORY

# RFC 9114, Section 8.1, in the order of its numbers from 0x100.
ERRORS = (
    "NO_ERROR GENERAL_PROTOCOL_ERROR INTERNAL_ERROR STREAM_CREATION_ERROR CLOSED_CRITICAL_STREAM FRAME_UNEXPECTED "
    "FRAME_ERROR EXCESSIVE_LOAD ID_ERROR SETTINGS_ERROR MISSING_SETTINGS REQUEST_REJECTED REQUEST_CANCELLED "
    "REQUEST_INCOMPLETE MESSAGE_ERROR CONNECT_ERROR VERSION_FALLBACK"
).split()
NUMBERS = {f"H3_{name}": 0x100 + place for place, name in enumerate(ERRORS)}
#: Whose document must be named for what a client shows.
DOCUMENTED_BY = {
    "curl": "curl",
    "quic-go": "quic-go",
    ".NET": "net",
    "Chrome": "chromium",
    "Firefox": "firefox",
}
NOTES = read_catalogue(DATA_DIRECTORY).http3


def texts(note: OverHttp3) -> Iterator[str]:
    yield note.text
    for shown in note.shown:
        yield shown.text


@pytest.mark.parametrize("note", NOTES, ids=lambda note: str(note.code))
def test_each_note_rests_on_a_standard_and_on_what_each_client_documents(note: OverHttp3) -> None:
    documents = [source.document for source in note.sources]
    assert any(re.match(r"RFC 9(?:000|001|114|220)$", document) for document in documents)
    assert all(source.url.startswith("https://") for source in note.sources)
    for shown in note.shown:
        wanted = DOCUMENTED_BY[re.split(r"[ ,]", shown.client)[0]]
        assert any(wanted in document.lower() for document in documents), shown


@pytest.mark.parametrize("note", NOTES, ids=lambda note: str(note.code))
def test_names_and_numbers_of_errors_are_those_of_the_standard(note: OverHttp3) -> None:
    for text in texts(note):
        for name in re.findall(r"\bH3_\w+", text):
            assert name in NUMBERS, name
        for name, number in re.findall(r"'(H3_\w+)' \((0x\w+)\)", text):
            assert NUMBERS[name] == int(number, 16)
        for number in re.findall(r"reset by server \(error (0x\w+)", text):
            assert int(number, 16) in NUMBERS.values()


def test_there_is_a_note_where_no_status_arrives(authored: Catalogue) -> None:
    assert {note.code for note in authored.http3} >= {101, 400, 408, 413, 425, 426, 431, 499, 502, 503, 504, 505}


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("code = 471\ntext = 'x'\nsources = [{ document = 'RFC 9114' }]", "471"),
        ("code = 503\ntext = 'x'\nsources = [{ document = 'RFC 9114' }]", "over_http3 503 is given twice"),
        ("code = 404\ntext = 'x'", "over_http3 404: names no source"),
        ("code = 404\ntext = ''\nsources = [{ document = 'RFC 9114' }]", "text"),
        ("code = 404\ntext = 'x'\nsourcs = []", "sourcs"),
    ],
)
def test_a_wrong_note_is_named(tmp_path: Path, written: str, fault: str) -> None:
    (tmp_path / "own.toml").write_text(f"[[over_http3]]\n{written}\n")
    with pytest.raises(CatalogueFault, match=fault):
        read_catalogue(DATA_DIRECTORY, tmp_path)


def test_the_catalogue_has_no_such_fault(authored: Catalogue) -> None:
    assert faults_between(authored) == []


@pytest.mark.parametrize("shown", sorted({shown.text for note in NOTES for shown in note.shown}))
def test_explain_takes_what_a_client_shows_for_no_status(shown: str) -> None:
    pasted = shown.replace("…", "0")
    found = recognise(pasted, Vocabulary())
    assert {finding.code for finding in found} == {NO_STATUS}
    assert cause_of(found[0].passage)


@pytest.mark.django_db
def test_page_and_api_show_the_note(site: Client) -> None:
    html = site.get("/codes/http/503/").content.decode()
    assert 'id="http3"' in html
    assert "H3_REQUEST_REJECTED" in html
    assert "https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1" in html
    (note,) = site.get("/api/v1/codes/http/503/").json()["http3"]
    assert {"client": "quic-go", "text": "H3_REQUEST_REJECTED"} in note["shown"]
    assert {source["section"] for source in note["sources"] if source["document"] == "RFC 9114"} == {"4.1.1", "5.2"}
    assert 'id="http3"' in site.get("/codes/http/499/").content.decode()
    for page in ("/codes/http/404/", "/codes/stroom/400/", "/codes/http/471/"):
        assert 'id="http3"' not in site.get(page).content.decode()
        assert site.get(f"/api/v1{page}").json()["http3"] == []
