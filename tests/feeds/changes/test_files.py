"""Feeds in files: read without guessing, written so that they can be read again."""

import csv
import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.changes.apply import RuleValues
from feeds.changes.files import read_file
from feeds.changes.files_out import write_csv, write_json, write_zip
from feeds.changes.import_rows import UnreadableFile
from feeds.models import CertificateRule, Feed
from portal.text import escape_cell, unescape_cell

DN = "CN=client-a,OU=Test,O=Example,C=GB"
FEED_DOC = {
    "type": "Feed",
    "uuid": "c6ee4f4f-1350-42f4-8839-378892a1a654",
    "name": "PAYROLL-PROD",
    "version": "e334dc8d-c158-42c9-9536-340442453724",
    "createTimeMs": 1,
    "reference": False,
    "streamType": "Raw Events",
    "status": "REJECT",
    "description": None,
}


def make_zip(**entries: str) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), text)
    return output.getvalue()


def damaged_lzma() -> bytes:
    """A ZIP whose only feed is packed by LZMA, the beginning of its data overwritten."""
    name = f"A-FEED.Feed.{FEED_DOC['uuid']}.meta"
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(name, json.dumps(FEED_DOC) * 50)
    data = bytearray(output.getvalue())
    begins = data.index(name.encode()) + len(name)
    data[begins + 12 : begins + 30] = b"\xff" * 18
    return bytes(data)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_feed_doc_is_read_in_stroom_spelling() -> None:
    file = read_file(as_json(FEED_DOC))
    (row,) = file.rows
    assert file.kind == "FeedDoc (JSON)"
    assert (row.name, row.faults, row.rules) == ("PAYROLL-PROD", (), None)
    assert row.values == {"status": "Reject", "reference": False, "stream_type": "Raw Events"}


def test_the_status_of_an_old_feed_doc_is_read_too() -> None:
    doc = {**FEED_DOC, "feedStatus": "DROP"}
    del doc["status"]
    assert read_file(as_json(doc)).rows[0].values["status"] == "Drop"


@pytest.mark.parametrize(
    ("doc", "fault"),
    [
        ({**FEED_DOC, "feedStatsu": "X"}, "unknown key feedStatsu"),
        ({**FEED_DOC, "type": "Pipeline"}, "its type is not Feed"),
        ({**FEED_DOC, "name": ""}, "it has no name"),
        ({**FEED_DOC, "name": 7}, "it has no name"),
        ({**FEED_DOC, "reference": "no"}, "reference is not true or false"),
        ({**FEED_DOC, "streamType": 5}, "stream_type is not text"),
    ],
)
def test_a_feed_doc_with_a_fault_is_named(doc: dict[str, object], fault: str) -> None:
    assert fault in read_file(as_json(doc)).rows[0].faults


def test_a_stroom_export_holds_its_feeds_in_meta_entries_among_much_else() -> None:
    key = FEED_DOC["uuid"]
    data = make_zip(
        **{
            f"Folder_dot_Sub__PAYROLL_PROD.Feed.{key}.meta": json.dumps(FEED_DOC),
            f"Folder_dot_Sub__PAYROLL_PROD.Feed.{key}.node": "name=PAYROLL-PROD",
            f"Pipe.Pipeline.{key}.meta": "{}",
            f"BROKEN.Feed.{key}.meta": "not json",
        }
    )
    good, broken = read_file(data).rows
    assert good.name == "PAYROLL-PROD"
    assert broken.faults == ("it is not JSON",)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no feed"),
        (b"[]", "no feed"),
        (b"name,status\n", "no feed"),
        (make_zip(readme="x"), "no feed"),
        (b"PK\x03\x04 nonsense", "damaged"),
        (damaged_lzma(), "damaged"),
        (make_zip(ä="x").replace("ä".encode(), b"\xff\xfe"), "damaged"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1]", "neither a feed nor a list"),
        (b"{", "not JSON"),
        (b'{"name": "A", "name": "B"}', "twice"),
        (b'[{"name": NaN}]', "not JSON"),
        (b"name,statsu\nA-FEED,Drop\n", "unknown column 'statsu'"),
        (b"status\nDrop\n", "no column name"),
        (b"name,name\nA,B\n", "given twice"),
        (b'name\n"A', "not CSV"),
        (b"x" * (8 * 1024 * 1024 + 1), "larger"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFile, match=reason):
        read_file(data)


def test_a_table_says_only_what_its_columns_say() -> None:
    (row,) = read_file(b"\xef\xbb\xbfname,owner\r\nPAYROLL-PROD,Payroll team\r\n").rows
    assert (row.place, row.name, row.values, row.rules) == (
        "line 2",
        "PAYROLL-PROD",
        {"owner": "Payroll team"},
        None,
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("A-FEED,perhaps,,", "reference is not true or false"),
        ("A-FEED,true,[1],", "labels is not a list of words"),
        ("A-FEED,true,,nothing", "certificate_rules is not a list"),
        ('A-FEED,true,,"[{""dn"": 1}]"', "certificate rule 1: it has other keys"),
        ('A-FEED,true,,"[{""action"": 1}]"', "certificate rule 1: its values are not text"),
        ('A-FEED,true,,"[{""action"": ""allow"", ""expires"": ""soon""}]"', "certificate rule 1: its expiry"),
        ("A-FEED,true", "it has 2 cells, the header 4"),
    ],
)
def test_a_line_with_a_fault_is_named(line: str, fault: str) -> None:
    (row,) = read_file(f"name,reference,labels,certificate_rules\n{line}\n".encode()).rows
    assert any(reason.startswith(fault) for reason in row.faults)


@given(st.text())
def test_an_escaped_cell_is_never_a_formula_and_always_read_back(text: str) -> None:
    escaped = escape_cell(text)
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\0"))
    assert unescape_cell(escaped) == text


def make_feeds() -> list[Feed]:
    feed = Feed.objects.create(
        name="PAYROLL-PROD",
        status="Drop",
        owner="=cmd|' /C calc'!A0",
        description='quotes " and\nlines, and ü',
        labels=["gold, really", "=pci"],
        certificate_policy="restricted",
        reference=True,
    )
    CertificateRule.objects.create(
        feed=feed, subject_dn=DN, expires=datetime(2027, 1, 31, 12, 30, 0, 5, tzinfo=UTC), comment="-1+1"
    )
    CertificateRule.objects.create(feed=feed, subject_dn=r"CN=x\, y", action="deny")
    Feed.objects.create(name="OTHER-FEED")
    return list(Feed.objects.prefetch_related("certificate_rules"))


@pytest.mark.django_db
@pytest.mark.parametrize("write", [write_csv, write_json])
def test_what_was_exported_reads_back_whole(write: Any) -> None:
    feeds = make_feeds()
    rows = {row.name: row for row in read_file(write(feeds)).rows}
    for feed in feeds:
        row = rows[feed.name]
        assert row.faults == ()
        assert row.values == {name: getattr(feed, name) for name in row.values}
        assert "owner" in row.values
        assert row.rules == tuple(RuleValues.of(rule) for rule in feed.certificate_rules.all())


@pytest.mark.django_db
def test_no_exported_cell_is_a_formula() -> None:
    for line in csv.reader(io.StringIO(write_csv(make_feeds()).decode())):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in line)


@pytest.mark.django_db
def test_an_export_for_stroom_is_the_same_each_time_and_reads_back_but_for_the_guard() -> None:
    feeds = make_feeds()
    data = write_zip(feeds)
    assert data == write_zip(feeds)
    rows = {row.name: row for row in read_file(data).rows}
    row = rows["PAYROLL-PROD"]
    assert row.faults == ()
    assert (row.values["status"], row.values["reference"], row.rules) == ("Drop", True, None)
    assert "certificate_policy" not in row.values


def test_a_row_is_named_by_the_line_on_which_it_begins() -> None:
    file = read_file(b'name,description\n\nFIRST-FEED,"two\nlines"\nSECOND-FEED,x\n')
    assert [(row.place, row.name) for row in file.rows] == [("line 3", "FIRST-FEED"), ("line 5", "SECOND-FEED")]


def test_a_feed_with_a_thousand_rules_reads_back_from_its_table() -> None:
    rules = [
        {"action": "allow", "subject_dn": f"CN=client-{number:04},{'OU=A long unit,' * 8}C=GB"}
        for number in range(1000)
    ]
    table = io.StringIO()
    csv.writer(table).writerows([["name", "certificate_rules"], ["PAYROLL-PROD", json.dumps(rules)]])
    (row,) = read_file(table.getvalue().encode()).rows
    assert (row.faults, len(row.rules or ())) == ((), 1000)


@pytest.mark.parametrize("expires", [False, 0, [], {}])
def test_a_rule_never_gets_for_ever_from_a_value_that_is_no_time(expires: object) -> None:
    rule = {"action": "allow", "subject_dn": DN, "expires": expires}
    (row,) = read_file(as_json([{"name": "A-FEED", "certificate_rules": [rule]}])).rows
    assert row.faults == ("certificate rule 1: its values are not text",)


@pytest.mark.parametrize("labels", [["a"] * 51, ["a" * 101], [""], [" "], ["a", 1]])
def test_labels_that_no_page_could_save_again_are_refused(labels: list[object]) -> None:
    (row,) = read_file(as_json([{"name": "A-FEED", "labels": labels}])).rows
    assert row.faults == ("labels is not a list of words, at most 50 of 100 characters",)
