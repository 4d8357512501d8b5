"""A newer list of the IANA registry against the catalogue."""

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from codes.catalogue.iana import (
    Assigned,
    NotTheRegistry,
    differences,
    expiry_of,
    in_catalogue,
    newest_copy,
    read_registry,
)
from codes.catalogue.values import Catalogue

# As the registry writes its file; the whole of it, update of 2025-09-15.
REMARKS = {
    104: " (TEMPORARY - registered 2024-11-13, extension registered 2025-09-15, expires 2026-11-13)",
    510: " (OBSOLETED)",
}
UNASSIGNED = "105-199 209-225 227-299 309-399 419-420 427 430 432-450 452-499 509 512-599".split()


def registry_file(catalogue: Catalogue) -> str:
    """The registry's CSV with what the catalogue's source says."""
    lines = ["Value,Description,Reference"]
    for number, assigned in in_catalogue(catalogue).items():
        cited = []
        for reference in assigned.references:
            rfc, _, section = reference.partition(" ")[2].partition(" ")
            written = f"RFC{rfc}" + (f", Section {section}" if section else "")
            cited.append(f"[{written if reference.startswith('RFC ') else reference}]")
        lines.append(f'{number},"{assigned.name}{REMARKS.get(number, "")}","{"".join(cited)}"')
    lines += [f"{values},Unassigned," for values in UNASSIGNED]
    return "\r\n".join(lines) + "\r\n"


def changed(catalogue: Catalogue, before: str, after: str) -> list[str]:
    text = registry_file(catalogue)
    assert before in text
    return differences(in_catalogue(catalogue), read_registry(text.replace(before, after, 1)))


def test_the_registry_of_today_is_the_catalogues(authored: Catalogue) -> None:
    theirs = read_registry(registry_file(authored))
    assert len(theirs) == 64
    assert differences(in_catalogue(authored), theirs) == []


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("105-199,Unassigned,", '105,"Fast Lane","[RFC9999, Section 3]"', "105  new: Fast Lane, RFC 9999 3"),
        ("427,Unassigned,", '427,"Gone Fishing (TEMPORARY - registered 2026-12-01, expires 2027-12-01)",[draft-x]',
         "427  new: Gone Fishing (TEMPORARY - registered 2026-12-01, expires 2027-12-01), draft-x"),
        ("Not Found", "Nowhere", "404  name: Not Found -> Nowhere"),
        ("expires 2026-11-13", "expires 2027-11-13", "104  remark: TEMPORARY, expires 2026-11-13 -> TEMPORARY - "
         "registered 2024-11-13, extension registered 2025-09-15, expires 2027-11-13"),
        (" (OBSOLETED)", "", "510  remark: OBSOLETED -> none"),
        ("Use Proxy", "Use Proxy (DEPRECATED)", "305  remark: none -> DEPRECATED"),
        ("RFC9110, Section 15.5.5", "RFC9999, Section 1", "404  reference: RFC 9110 15.5.5 -> RFC 9999 1"),
    ],
)  # fmt: skip
def test_each_change_is_one_line(authored: Catalogue, before: str, after: str, line: str) -> None:
    assert changed(authored, before, after) == [line]


def test_a_value_that_lost_its_assignment_is_told(authored: Catalogue) -> None:
    ours = in_catalogue(authored)
    theirs = {number: assigned for number, assigned in ours.items() if number != 418}
    assert differences(ours, theirs) == ["418  no longer assigned: (Unused)"]


def test_references_and_remarks_are_read_as_the_registry_writes_them() -> None:
    text = (
        'Value,Description,Reference\n510,Not Extended (OBSOLETED),"[RFC2774][status-change-http-experiments]"\n'
        '306,(Unused),"[RFC9110, Section 15.4.7]"\n'
    )
    assert read_registry("\ufeff" + text) == {
        510: Assigned("Not Extended", "OBSOLETED", ("RFC 2774", "status-change-http-experiments")),
        306: Assigned("(Unused)", "", ("RFC 9110 15.4.7",)),
    }


@pytest.mark.parametrize(
    "text",
    ["", "<html>", "Value,Name\n1,2\n", "Value,Description,Reference\n", "Value,Description,Reference\n12,X,\n",
     "Value,Description,Reference\n404,,\n", "Value,Description,Reference\nabc,Unassigned,\n"],
)  # fmt: skip
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(NotTheRegistry):
        read_registry(text)


def test_the_command_prints_the_differences_and_fails(authored: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "http-status-codes-1.csv"
    path.write_text(registry_file(authored))
    output = io.StringIO()
    call_command("catalogue_diff_iana", path, stdout=output)
    assert output.getvalue().startswith("No difference to http-status-codes-1.csv: 64 values.\n")
    path.write_text(registry_file(authored).replace("Not Found", "Nowhere"))
    output = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("catalogue_diff_iana", path, stdout=output)
    assert ended.value.code == 1
    assert output.getvalue().startswith("404  name: Not Found -> Nowhere\n")


def test_the_command_names_a_file_that_it_cannot_use(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be used"):
        call_command("catalogue_diff_iana", tmp_path / "nothing.csv")
    (tmp_path / "odd.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match="cannot be used"):
        call_command("catalogue_diff_iana", tmp_path / "odd.csv")


def test_the_kept_copy_of_the_registry_is_the_catalogues(authored: Catalogue) -> None:
    copy = newest_copy()
    source = next(source for source in authored.sources if source.slug == "iana")
    assert copy.name == f"http-status-codes-1.{source.date}.csv"
    theirs = read_registry(copy.read_text(encoding="utf-8"))
    assert len(theirs) == 64
    assert differences(in_catalogue(authored), theirs) == []


def test_the_command_compares_with_the_kept_copy_and_names_what_has_expired() -> None:
    output = io.StringIO()
    call_command("catalogue_diff_iana", stdout=output)
    assert output.getvalue().startswith(f"No difference to {newest_copy().name}: 64 values.")
    assert "104 Upload Resumption Supported was registered until 2026-11-13." in output.getvalue()


@pytest.mark.parametrize(
    ("remark", "end"),
    [("TEMPORARY - registered 2024-11-13, expires 2026-11-13", "2026-11-13"), ("OBSOLETED", ""), ("", "")],
)
def test_the_end_of_a_temporary_registration_is_read(remark: str, end: str) -> None:
    assert expiry_of(remark) == end
