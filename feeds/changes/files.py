"""Feeds in files, read without guessing: Stroom's export ZIP, its FeedDoc JSON, our JSON and CSV.

Reading gives rows and never touches the database (`import_plan` does). What a file does not say stays as it
is. An unknown column or key is refused by name, so that a misspelt one is never silently left out.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from feeds.changes.apply import GIVEN
from feeds.changes.feed_docs import feed_doc_row, read_export
from feeds.changes.import_rows import (
    COLUMNS,
    MAX_FILE,
    MAX_ROWS,
    ImportFile,
    ImportRow,
    UnreadableFile,
    checked_row,
    own_row,
    read_rules,
)
from portal.strict_json import read_json
from portal.text import counted, unescape_cell

# A cell with all rules of a feed is longer than csv's own limit, and no cell is longer than its file.
csv.field_size_limit(MAX_FILE)


def read_file(data: bytes) -> ImportFile:
    """Detect the kind of file by its content, and read it.

    Raises:
        UnreadableFile: it is none of the kinds, damaged, too large, or has unknown columns.
    """
    if len(data) > MAX_FILE:
        raise UnreadableFile(f"it is larger than {MAX_FILE // 1024 // 1024} MiB")
    if data.startswith(b"PK"):
        return _limited(read_export(data))
    text = _decode(data)
    if text.lstrip().startswith(("{", "[")):
        return _limited(_read_json(text))
    return _limited(ImportFile("CSV", tuple(_read_csv(text))))


def _limited(file: ImportFile) -> ImportFile:
    if not file.rows:
        raise UnreadableFile("there is no feed in it")
    if len(file.rows) > MAX_ROWS:
        raise UnreadableFile(f"it has more than {MAX_ROWS} feeds")
    return file


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise UnreadableFile("it is not UTF-8 text") from fault


def _read_json(text: str) -> ImportFile:
    try:
        value = read_json(text)
    except ValueError as fault:
        raise UnreadableFile(f"it is not JSON: {str(fault)[:200]}") from fault
    items = value.get("results", [value]) if isinstance(value, dict) else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UnreadableFile("it is neither a feed nor a list of feeds")
    if any("type" in item for item in items):
        return ImportFile(
            "FeedDoc (JSON)", tuple(feed_doc_row(f"item {n}", item) for n, item in enumerate(items, 1))
        )
    return ImportFile("feeds (JSON)", tuple(own_row(f"item {n}", item) for n, item in enumerate(items, 1)))


def _read_csv(text: str) -> Iterable[ImportRow]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = list(_numbered(reader))
    except csv.Error as fault:
        raise UnreadableFile(f"it is not CSV: {fault}") from fault
    if not lines:
        return
    header = [column.strip() for column in lines[0][1]]
    unknown = [column for column in header if column not in COLUMNS and column not in GIVEN]
    if unknown or "name" not in header or len(set(header)) < len(header):
        raise UnreadableFile(_header_fault(header, unknown))
    for line_number, cells in lines[1:]:
        yield _csv_row(f"line {line_number}", header, cells)


def _numbered(reader: Any) -> Iterable[tuple[int, list[str]]]:
    """Rows that say something, each with the line on which it begins; a quoted cell may go over several."""
    begins = 1
    for cells in reader:
        if cells:
            yield begins, cells
        begins = reader.line_num + 1


def _header_fault(header: Sequence[str], unknown: Sequence[str]) -> str:
    if unknown:
        named = ", ".join(repr(column[:60]) for column in unknown[:10])
        return f"unknown column {named}; the columns are {', '.join(COLUMNS)}"
    return "there is no column name" if "name" not in header else "a column is given twice"


def _csv_row(place: str, header: Sequence[str], cells: Sequence[str]) -> ImportRow:
    if len(cells) != len(header):
        return ImportRow(place, faults=(f"it has {counted(len(cells), 'cell')}, the header {len(header)}",))
    texts = {column: unescape_cell(cell) for column, cell in zip(header, cells, strict=True) if column not in GIVEN}
    faults: list[str] = []
    values: dict[str, Any] = {key: text for key, text in texts.items() if key != "certificate_rules"}
    if "reference" in texts:
        values["reference"] = {"true": True, "false": False, "": False}.get(texts["reference"].lower())
    if "labels" in texts:
        values["labels"] = _labels(texts["labels"])
    rules = None
    if "certificate_rules" in texts:
        rules, faults = read_rules(_json_list(texts["certificate_rules"]))
    return checked_row(place, values, rules, faults)


def _labels(text: str) -> Any:
    if text.startswith("["):
        return _json_list(text)
    return [word.strip() for word in text.split(",") if word.strip()]


def _json_list(text: str) -> Any:
    try:
        return json.loads(text) if text else []
    except (ValueError, RecursionError):
        return None
