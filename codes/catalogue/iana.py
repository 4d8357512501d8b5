"""Compares a newer list of the IANA registry with what the catalogue says of it. Pure."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from codes.catalogue.values import HTTP, Catalogue, Standing

COLUMNS = ("Value", "Description", "Reference")
SOURCE = "iana"
_VALUE = re.compile(r"[1-9][0-9]{2}")
_RANGE = re.compile(r"[1-9][0-9]{2}-[1-9][0-9]{2}")
# The registry writes its remarks behind the name, as in Not Extended (OBSOLETED).
_REMARK = re.compile(r"(?P<name>.*?)\s*\((?P<remark>TEMPORARY\b[^)]*|OBSOLETED|DEPRECATED)\)", re.IGNORECASE)
_REFERENCE = re.compile(r"\[([^\]]+)\]")


#: The registry's own list as of its last update that the catalogue follows; the date of the update is in the name.
COPIES = Path(__file__).parents[1] / "data" / "iana"
_EXPIRES = re.compile(r"expires (\d{4}-\d{2}-\d{2})")


class NotTheRegistry(Exception):
    """Raised for a file that is not the registry's list of status codes."""


@dataclass(frozen=True)
class Assigned:
    """Entry of one value in the registry."""

    name: str
    remark: str
    references: tuple[str, ...]


def newest_copy() -> Path:
    """Return the newest copy of the registry's list that comes with the portal."""
    return max(COPIES.glob("http-status-codes-1.*.csv"))


def expiry_of(remark: str) -> str:
    """Return the day on which a temporary registration ends, as YYYY-MM-DD; empty for others."""
    match = _EXPIRES.search(remark)
    return match[1] if match else ""


def read_registry(text: str) -> dict[int, Assigned]:
    """Read the registry's own CSV file (`http-status-codes-1.csv`); ranges of unassigned values are left out.

    Raises:
        NotTheRegistry: it has other columns, or a row that does not fit.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise NotTheRegistry(f"its columns are not {', '.join(COLUMNS)}")
    found = {}
    for number, row in enumerate(rows, start=2):
        value, description = (row["Value"] or "").strip(), (row["Description"] or "").strip()
        if description == "Unassigned" and (_RANGE.fullmatch(value) or _VALUE.fullmatch(value)):
            continue
        if not _VALUE.fullmatch(value) or not description:
            raise NotTheRegistry(f"row {number} is not understood: {value[:20]!r}, {description[:60]!r}")
        found[int(value)] = _assigned(description, row["Reference"] or "")
    if not found:
        raise NotTheRegistry("it lists no value")
    return found


def _assigned(description: str, reference: str) -> Assigned:
    match = _REMARK.fullmatch(description)
    name, remark = (match["name"], match["remark"]) if match else (description, "")
    return Assigned(name, remark, tuple(_reference(part) for part in _REFERENCE.findall(reference)))


def _reference(text: str) -> str:
    """Return a reference as the catalogue writes it: "RFC9110, Section 15.2.1" is "RFC 9110 15.2.1"."""
    document, _, section = text.strip().partition(",")
    document = re.sub(r"^RFC\s*(\d+)$", r"RFC \1", document.strip(), flags=re.IGNORECASE)
    place = re.sub(r"^\s*Section\s+", "", section, flags=re.IGNORECASE).strip()
    return f"{document} {place}".strip()


def in_catalogue(catalogue: Catalogue) -> dict[int, Assigned]:
    """Return the same entries from the catalogue."""
    codes = {code.code: code for code in catalogue.codes if code.registry == HTTP}
    found = {}
    for entry in catalogue.entries:
        if entry.source == SOURCE and entry.registry == HTTP:
            code = codes[entry.code]
            references = tuple(f"{cited.document} {cited.section}".strip() for cited in entry.rfcs)
            found[entry.code] = Assigned(entry.name, _remark(code.standing, code.expires), references)
    return found


def _remark(standing: Standing, expires: str) -> str:
    if standing is Standing.TEMPORARY:
        return f"TEMPORARY, expires {expires}"
    return "OBSOLETED" if standing is Standing.OBSOLETED else ""


def differences(ours: Mapping[int, Assigned], theirs: Mapping[int, Assigned]) -> list[str]:
    """Return the changes of the newer list, one line for each value and aspect."""
    return [line for number in sorted({*ours, *theirs}) for line in _of_value(number, ours, theirs)]


def _of_value(number: int, ours: Mapping[int, Assigned], theirs: Mapping[int, Assigned]) -> Iterator[str]:
    old, new = ours.get(number), theirs.get(number)
    if old is None and new is not None:
        yield f"{number}  new: {new.name}{f' ({new.remark})' if new.remark else ''}, {_listed(new.references)}"
    elif new is None and old is not None:
        yield f"{number}  no longer assigned: {old.name}"
    elif old is not None and new is not None:
        if old.name != new.name:
            yield f"{number}  name: {old.name} -> {new.name}"
        if _essence(old.remark) != _essence(new.remark):
            yield f"{number}  remark: {old.remark or 'none'} -> {new.remark or 'none'}"
        if set(old.references) != set(new.references):
            yield f"{number}  reference: {_listed(old.references)} -> {_listed(new.references)}"


def _essence(remark: str) -> tuple[str, ...]:
    """Return the word of a remark and its end."""
    word = re.match(r"\w+", remark)
    return tuple(part.upper() for part in (word and word[0], expiry_of(remark)) if part)


def _listed(references: Iterable[str]) -> str:
    return "; ".join(references) or "no reference"
