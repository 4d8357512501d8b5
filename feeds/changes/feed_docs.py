"""FeedDocs of Stroom as rows: their JSON, and the ZIP in which Stroom exports them."""

import difflib
import io
import json
import lzma
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from feeds.changes.import_rows import (
    MAX_FILE,
    MAX_ROWS,
    UNSTORABLE,
    ImportFile,
    ImportRow,
    UnreadableFile,
    checked_row,
    is_text,
)
from feeds.models import Feed
from feeds.store.stroom_packs import (
    FEED,
    MAX_UUID,
    META,
    NODE,
    PackedDocument,
    is_node,
    is_safe_uuid,
    read_pack,
)
from portal.strict_json import read_json

MAX_INFLATED = 32 * 1024 * 1024
MAX_ENTRIES = 100_000

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


def feed_doc_row(place: str, item: Mapping[str, Any], node: Mapping[str, str] | None = None) -> ImportRow:
    """Read a FeedDoc; in an export its `.node` gives name and uuid, as for Stroom."""
    if item.get("type") != FEED:
        return ImportRow(place, str(item.get("name", ""))[:200], faults=("its type is not Feed",))
    node = node or {}
    values = {FEED_DOC[key]: value for key, value in item.items() if key in FEED_DOC and value is not None}
    notes = _differences(item, node)
    values |= {"name": node["name"]} if node.get("name") else {}
    status = values.get("status")
    if status is not None:
        values["status"] = FEED_DOC_STATUS.get(str(status).upper(), status)
    kept = {key: value for key, value in item.items() if key not in _FEED_DOC_OWN}
    faults = [f"unknown key {key}" for key in kept if key not in FEED_DOC_KEPT and _is_misspelt(key)]
    new = sorted(key for key in kept if key not in FEED_DOC_KEPT)
    notes += [f"kept for Stroom, without a use here: {', '.join(key[:60] for key in new[:20])}"] if new else []
    stroom, stroom_faults = _stroom_values(node.get("uuid") or item.get("uuid"), kept, node)
    row = checked_row(place, values, None, [*faults, *stroom_faults])
    return replace(row, stroom=stroom, notes=tuple(notes))


def _differences(item: Mapping[str, Any], node: Mapping[str, str]) -> list[str]:
    """Return one note for each of name and uuid that the `.meta` and the `.node` of a feed state differently."""
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
    if not is_text(key) or not is_safe_uuid(key):
        return {}, (f"its uuid is not text of 1 to {MAX_UUID} characters without slashes and control characters",)
    try:
        text = json.dumps(stroom, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return {}, ("a number in it is none that can be kept",)
    if len(text) > MAX_KEPT or "\\u0000" in text or UNSTORABLE.search(text):
        return {}, (f"what only Stroom knows of it is over {MAX_KEPT // 1024} KiB, or holds what is no text",)
    return {"stroom_uuid": key, "stroom": stroom}, ()


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


def read_export(data: bytes) -> ImportFile:
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
    row = feed_doc_row(place, item, document.node)
    return replace(row, notes=(*document.notes, *row.notes))
