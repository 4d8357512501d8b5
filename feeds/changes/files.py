"""Feeds in files, read without guessing: Stroom's export ZIP, its FeedDoc JSON, our JSON and CSV.

Reading gives rows and never touches the database (`import_plan` does). What a file does not say stays as it
is. An unknown column or key is refused by name, so that a misspelt one is never silently left out.
"""

import csv
import difflib
import io
import json
import lzma
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from feeds.changes.apply import GIVEN, MAX_RULES, WRITABLE, RuleValues
from feeds.models import MAX_LABEL, MAX_LABELS, Feed
from feeds.rules.arguments import parse_time
from feeds.store.stroom_packs import (
    FEED,
    MAX_UUID,
    META,
    NODE,
    LeftOut,
    PackedDocument,
    is_node,
    is_safe_uuid,
    read_pack,
)
from portal.strict_json import read_json
from portal.text import counted, unescape_cell

MAX_FILE = 8 * 1024 * 1024
MAX_INFLATED = 32 * 1024 * 1024
# A cell with all rules of a feed is longer than csv's own limit, and no cell is longer than its file.
csv.field_size_limit(MAX_FILE)
MAX_ROWS = 10_000
MAX_ENTRIES = 100_000
RULE_KEYS = ("action", "subject_dn", "expires", "comment")
COLUMNS = ("name", *WRITABLE[:5], "certificate_rules", *WRITABLE[5:])

#: Stroom's FeedDoc (its names) to ours. Old exports call the status feedStatus.
FEED_DOC = {
    "name": "name",
    "status": "status",
    "feedStatus": "status",
    "description": "description",
    "classification": "classification",
    "encoding": "encoding",
    "contextEncoding": "context_encoding",
    "reference": "reference",
    "streamType": "stream_type",
    "dataFormat": "data_format",
    "schema": "schema",
    "schemaVersion": "schema_version",
}
#: What Stroom's FeedDocs say that we have no use for: kept with the feed, and written again for Stroom.
FEED_DOC_KEPT = frozenset(
    "version createTime createTimeMs updateTime updateTimeMs createUser updateUser retentionDayAge "
    "contextFormat volumeGroup ingestType data uniqueName plugin".split()
)
_FEED_DOC_OWN = frozenset({*FEED_DOC, "type", "uuid"})
# What a .node says of the feed itself; the rest is kept as it is.
_IN_NODE = frozenset({"name", "type", "uuid"})
MAX_KEPT = 64 * 1024
# From here on an unknown key is taken for a misspelt one.
_ALIKE = 0.85
FEED_DOC_STATUS = {status.value.upper(): status.value for status in Feed.Status}
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class UnreadableFile(ValueError):
    """The file as a whole cannot be used; the message says why."""


@dataclass(frozen=True)
class ImportRow:
    """One feed of a file. `rules` is None where the file says nothing of them; `faults` make it unusable.

    `stroom` has what Stroom needs to know the feed again: its uuid, and what only Stroom has a use for. `notes` say
    what is remarkable, or kept without a use for it here.
    """

    place: str
    name: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[RuleValues, ...] | None = None
    faults: tuple[str, ...] = ()
    stroom: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportFile:
    """Content of a file: its kind in words, its rows in the file's order, and the parts that make no row."""

    kind: str
    rows: tuple[ImportRow, ...]
    left_out: tuple[LeftOut, ...] = ()


def read_file(data: bytes) -> ImportFile:
    """Detect the kind of file by its content, and read it.

    Raises:
        UnreadableFile: it is none of the kinds, damaged, too large, or has unknown columns.
    """
    if len(data) > MAX_FILE:
        raise UnreadableFile(f"it is larger than {MAX_FILE // 1024 // 1024} MiB")
    if data.startswith(b"PK"):
        return _limited(_read_zip(data))
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


# --- JSON ---


def _read_json(text: str) -> ImportFile:
    try:
        value = read_json(text)
    except ValueError as fault:
        raise UnreadableFile(f"it is not JSON: {str(fault)[:200]}") from fault
    items = value.get("results", [value]) if isinstance(value, dict) else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UnreadableFile("it is neither a feed nor a list of feeds")
    if any("type" in item for item in items):
        return ImportFile("FeedDoc (JSON)", tuple(_feed_doc(f"item {n}", item) for n, item in enumerate(items, 1)))
    return ImportFile("feeds (JSON)", tuple(_our_row(f"item {n}", item) for n, item in enumerate(items, 1)))


def _feed_doc(place: str, item: Mapping[str, Any], node: Mapping[str, str] | None = None) -> ImportRow:
    """Read a FeedDoc; in an export its `.node` gives name and uuid, as for Stroom."""
    if item.get("type") != FEED:
        return ImportRow(place, str(item.get("name", ""))[:200], faults=("its type is not Feed",))
    node = node or {}
    values = {FEED_DOC[key]: value for key, value in item.items() if key in FEED_DOC and value is not None}
    notes = _told_otherwise(item, node)
    values |= {"name": node["name"]} if node.get("name") else {}
    status = values.get("status")
    if status is not None:
        values["status"] = FEED_DOC_STATUS.get(str(status).upper(), status)
    kept = {key: value for key, value in item.items() if key not in _FEED_DOC_OWN}
    faults = [f"unknown key {key}" for key in kept if key not in FEED_DOC_KEPT and _is_misspelt(key)]
    new = sorted(key for key in kept if key not in FEED_DOC_KEPT)
    notes += [f"kept for Stroom, without a use here: {', '.join(key[:60] for key in new[:20])}"] if new else []
    stroom, stroom_faults = _stroom_values(node.get("uuid") or item.get("uuid"), kept, node)
    row = _checked(place, values, None, [*faults, *stroom_faults])
    return replace(row, stroom=stroom, notes=tuple(notes))


def _told_otherwise(item: Mapping[str, Any], node: Mapping[str, str]) -> list[str]:
    return [
        f"its .meta has the {key} {str(item[key])[:100]!r}; its .node counts, as for Stroom"
        for key in ("name", "uuid")
        if node.get(key) and item.get(key) and item[key] != node[key]
    ]


def _is_misspelt(key: str) -> bool:
    return bool(difflib.get_close_matches(key, [*FEED_DOC, *FEED_DOC_KEPT], n=1, cutoff=_ALIKE))


def _stroom_values(
    key: Any, kept: Mapping[str, Any], node: Mapping[str, str]
) -> tuple[dict[str, Any], Sequence[str]]:
    """Return the stored part of a feed's identity in Stroom, or why it cannot be stored."""
    others = {name: value for name, value in node.items() if name not in _IN_NODE}
    stroom: dict[str, Any] = {name: part for name, part in (("doc", dict(kept)), ("node", others)) if part}
    if key is None:
        return {"stroom": stroom} if stroom else {}, ()
    if not _is_text(key) or not is_safe_uuid(key):
        return {}, (f"its uuid is not text of 1 to {MAX_UUID} characters without slashes and control characters",)
    try:
        text = json.dumps(stroom, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return {}, ("a number in it is none that can be kept",)
    if len(text) > MAX_KEPT or "\\u0000" in text or _UNSTORABLE.search(text):
        return {}, (f"what only Stroom knows of it is over {MAX_KEPT // 1024} KiB, or holds what is no text",)
    return {"stroom_uuid": key, "stroom": stroom}, ()


def _our_row(place: str, item: Mapping[str, Any]) -> ImportRow:
    unknown = [key for key in item if key not in COLUMNS and key not in GIVEN]
    faults = [f"unknown key {key}" for key in unknown]
    rules = None
    if "certificate_rules" in item:
        rules, rule_faults = _rules(item["certificate_rules"])
        faults += rule_faults
    values = {key: value for key, value in item.items() if key in ("name", *WRITABLE)}
    return _checked(place, values, rules, faults)


def _rules(value: Any) -> tuple[tuple[RuleValues, ...], list[str]]:
    if not isinstance(value, list) or len(value) > MAX_RULES:
        return (), [f"certificate_rules is not a list of at most {MAX_RULES} rules"]
    rules, faults = [], []
    for number, item in enumerate(value, 1):
        rule, fault = _rule(item)
        if rule is None:
            faults.append(f"certificate rule {number}: {fault}")
        else:
            rules.append(rule)
    return tuple(rules), faults


def _rule(item: Any) -> tuple[RuleValues | None, str]:
    if not isinstance(item, dict) or not all(key in RULE_KEYS for key in item):
        return None, f"it has other keys than {', '.join(RULE_KEYS)}"
    if not all(item.get(key) is None or _is_text(item[key]) for key in RULE_KEYS):
        return None, "its values are not text"
    expires = None
    if item.get("expires"):
        expires = parse_time(item["expires"])
        if expires is None:
            return None, "its expiry is not a time such as 2027-01-31T00:00:00Z"
    return RuleValues(
        item.get("action") or "", item.get("subject_dn") or "", expires, item.get("comment") or ""
    ), ""


def _checked(
    place: str, values: dict[str, Any], rules: tuple[RuleValues, ...] | None, faults: Sequence[str]
) -> ImportRow:
    """Take the name out and hold every value to its type; a value of another type is never converted."""
    problems = list(faults)
    name = values.pop("name", "")
    if not _is_text(name) or not name:
        problems.append("it has no name")
        name = ""
    for key, value in values.items():
        wanted = _TYPES.get(key, _is_text)
        if not wanted(value):
            problems.append(f"{key} is not {_TYPE_WORDS.get(key, 'text')}")
    return ImportRow(place, name, values, rules, tuple(problems))


def _is_text(value: Any) -> bool:
    """Text that every database takes: no NUL, no half of a surrogate pair."""
    return isinstance(value, str) and _UNSTORABLE.search(value) is None


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_words(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MAX_LABELS:
        return False
    return all(_is_text(word) and word.strip() and len(word) <= MAX_LABEL for word in value)


_TYPES: dict[str, Callable[[Any], bool]] = {"reference": _is_flag, "labels": _is_words}
_TYPE_WORDS = {
    "reference": "true or false",
    "labels": f"a list of words, at most {MAX_LABELS} of {MAX_LABEL} characters",
}


# --- CSV ---


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
        rules, faults = _rules(_json_list(texts["certificate_rules"]))
    return _checked(place, values, rules, faults)


def _labels(text: str) -> Any:
    if text.startswith("["):
        return _json_list(text)
    return [word.strip() for word in text.split(",") if word.strip()]


def _json_list(text: str) -> Any:
    try:
        return json.loads(text) if text else []
    except (ValueError, RecursionError):
        return None


# --- ZIP ---

#: What `zipfile` and what unpacks for it raise at a file that is damaged, encrypted or packed in an odd way; a
#: ValueError is, among others, a name that is not in the encoding it claims.
_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


def _read_zip(data: bytes) -> ImportFile:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            _refuse_doubtful(archive.infolist())
            nodes = {place: _content(archive, entry) for place, entry in entries.items() if is_node(place)}
            pack = read_pack(list(entries), nodes)
            if len(pack.feeds) > MAX_ROWS:
                raise UnreadableFile(f"it has more than {MAX_ROWS} feeds")
            rows = tuple(_zip_row(archive, document) for document in pack.feeds)
            return ImportFile("Stroom export (ZIP)", rows, pack.left_out)
    except UnreadableFile:
        raise
    except _ZIP_FAULTS as fault:
        raise UnreadableFile(f"the ZIP is damaged or encrypted: {str(fault)[:200]}") from fault


def _refuse_doubtful(entries: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse what would take too much, or what two readers could read in two ways."""
    read = [entry for entry in entries if entry.filename.endswith((NODE, META))]
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in read) > MAX_INFLATED:
        raise UnreadableFile("it is too large when unpacked")
    for name, times in Counter(entry.filename for entry in entries).items():
        if times > 1:
            raise UnreadableFile(f"the entry {name[:200]!r} is in it twice")


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:
        # The directory may lie about the size; what is read is bounded all the same.
        return file.read(MAX_FILE + 1)


def _zip_row(archive: zipfile.ZipFile, document: PackedDocument) -> ImportRow:
    place, name = document.place.rsplit("/", 1)[-1][:200], document.node.get("name", "")[:200]
    if document.meta is None:
        return ImportRow(place, name, faults=document.faults, notes=document.notes)
    place = document.meta.rsplit("/", 1)[-1][:200]
    raw = _content(archive, archive.getinfo(document.meta))
    try:
        item = read_json(raw.decode("utf-8-sig"))
    except ValueError:
        return ImportRow(place, name, faults=("it is not JSON",), notes=document.notes)
    if not isinstance(item, dict):
        return ImportRow(place, name, faults=("it is not a document",), notes=document.notes)
    row = _feed_doc(place, item, document.node)
    return replace(row, notes=(*document.notes, *row.notes))
