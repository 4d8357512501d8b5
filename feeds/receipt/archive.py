"""ZIP read from the spooled file through its central directory: every entry whole, nothing hidden (section 7).

Every byte of the file must belong to exactly one entry or to the directory, and both copies of what is said about
an entry must agree. Otherwise two readers could see two different archives, and what we judged would not be what
Stroom unpacks (threat model, S8).
"""

import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from feeds.metadata import parse_meta
from feeds.receipt.compression import STEP, StreamInvalid, TooLarge, inflate_raw

MAX_ENTRIES = 100_000
MAX_META_BYTES = 1024 * 1024
#: Of the central directory, names included: it is held in memory.
MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
#: No feed has a name as long as this, so of a longer one no more is kept.
LONGER_THAN_FEEDS = 256
#: An archive without entries has exactly this size.
EMPTY_SIZE = 22

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_ZIP_64_FIELD, _UNICODE_PATH_FIELD = 0x0001, 0x7075
#: Bits of the flags. Encrypted means plainly, strongly, or with masked headers.
_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_STREAMED, _UTF_8 = 1 << 3, 1 << 11
_DESCRIPTOR, _DESCRIPTOR_64 = struct.Struct("<3L"), struct.Struct("<L2Q")
_DESCRIPTOR_MARK = b"PK\x07\x08"

META, CONTEXT, MANIFEST, DATA = "meta", "context", "manifest", "data"
_KINDS = {
    **dict.fromkeys((".meta", ".hdr", ".header", ".met"), META),
    **dict.fromkeys((".ctx", ".context"), CONTEXT),
    **dict.fromkeys((".mf", ".manifest"), MANIFEST),
    ".dat": DATA,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the central directory describes it."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    is_folder: bool


@dataclass(frozen=True, slots=True)
class Group:
    """One data item of an archive with its sidecars. `feed` is what its meta entry names, if it names one."""

    name: str
    data: Entry
    meta: Entry | None
    context: Entry | None
    manifest: Entry | None
    feed: str | None = None


@dataclass(frozen=True)
class Contents:
    """A verified archive: its data items in order, the unpacked bytes of all entries, and remarks."""

    groups: tuple[Group, ...]
    entries: int
    inflated: int
    notes: tuple[str, ...]


def read_archive(path: Path, limit: int | None = None) -> Contents:
    """Verify an archive to the last byte.

    Args:
        path: the spooled file.
        limit: most bytes that all entries together may unpack to.

    Raises:
        StreamInvalid: anything about the archive is wrong.
        TooLarge: it unpacks to more than the limit.
    """
    with path.open("rb") as file:
        entries = read_directory(file)
        if not entries and path.stat().st_size > EMPTY_SIZE:
            raise StreamInvalid("The ZIP has no entries")
        groups, orphans = group_entries([entry for entry in entries if not entry.is_folder])
        owners = {group.meta.offset: index for index, group in enumerate(groups) if group.meta is not None}
        metas = {entry.offset for entry in entries if _kind(entry.name)[1] == META}
        feeds: dict[int, str] = {}
        inflated = 0
        for entry in entries:
            kept = bytearray()
            for piece in read_entry(file, entry):
                inflated += len(piece)
                if limit is not None and inflated > limit:
                    raise TooLarge
                if entry.offset in metas:
                    kept += piece
                    if len(kept) > MAX_META_BYTES:
                        raise _bad(entry.raw_name, "a meta entry is larger than 1 MiB")
            if entry.offset in owners:
                feed = parse_meta(bytes(kept)).get("Feed")
                if feed:
                    feeds[owners[entry.offset]] = feed[:LONGER_THAN_FEEDS]
    named = tuple(_with_feed(group, feeds.get(index)) for index, group in enumerate(groups))
    notes = tuple(f"{entry.name[:200]}: ignored, there is no data entry for it" for entry in orphans[:20])
    return Contents(named, len(entries), inflated, notes)


def read_directory(file: BinaryIO) -> list[Entry]:
    """Read the central directory and check that entries and directory cover the file without gap or overlap.

    Raises:
        StreamInvalid: they do not, or an entry is of a kind that is not taken.
    """
    start, size, count = _find_directory(file)
    if count > MAX_ENTRIES:
        raise StreamInvalid(f"The ZIP has more than {MAX_ENTRIES} entries")
    if size > MAX_DIRECTORY_BYTES:
        raise StreamInvalid("The ZIP's central directory is larger than 16 MiB")
    file.seek(start)
    entries = [_read_central(file, start + size) for _ in range(count)]
    if file.tell() != start + size:
        raise StreamInvalid("The ZIP's central directory does not have the size it states")
    _check_cover(file, entries, start)
    return entries


def group_entries(entries: Sequence[Entry]) -> tuple[list[Group], list[Entry]]:
    """Put each data item together with its sidecars; what has no data is returned beside.

    Raises:
        StreamInvalid: two entries of one kind have the same base name.
    """
    sidecars: dict[str, dict[str, Entry]] = {}
    data: list[Entry] = []
    for entry in entries:
        base, kind = _kind(entry.name)
        if kind == DATA:
            data.append(entry)
        elif kind in sidecars.setdefault(base, {}):
            raise _doubled(entry, kind)
        else:
            sidecars[base][kind] = entry
    groups: dict[str, Group] = {}
    for entry in data:
        base = _data_base(entry.name, sidecars)
        if base in groups:
            raise _doubled(entry, DATA)
        own = sidecars.get(base, {})
        groups[base] = Group(base, entry, own.get(META), own.get(CONTEXT), own.get(MANIFEST))
    orphans = [entry for base, own in sidecars.items() if base not in groups for entry in own.values()]
    return list(groups.values()), orphans


def read_entry(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """Yield an entry's unpacked data, checked against its length and checksum at the end.

    Raises:
        StreamInvalid: the data is broken.
    """
    file.seek(_data_start(file, entry))
    packed = _pieces(file, entry.packed)
    crc = size = 0
    try:
        for piece in packed if entry.method == 0 else inflate_raw(packed):
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            if size > entry.size:
                break
            yield piece
    except StreamInvalid as fault:
        raise _bad(entry.raw_name, str(fault)) from fault
    if size != entry.size or crc != entry.crc:
        raise _bad(entry.raw_name, "its length or checksum does not match")


def _with_feed(group: Group, feed: str | None) -> Group:
    return replace(group, feed=feed) if feed else group


def _bad(name: bytes, reason: str) -> StreamInvalid:
    return StreamInvalid(f"The ZIP entry {name[:80].decode('ascii', 'replace')}: {reason}")


def _doubled(entry: Entry, kind: str) -> StreamInvalid:
    return _bad(entry.raw_name, f"there are two {kind} entries for one base name")


def _exact(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise StreamInvalid("The ZIP ends before its end")
    return data


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        piece = _exact(file, min(size, STEP))
        size -= len(piece)
        yield piece


# The directory
def _find_directory(file: BinaryIO) -> tuple[int, int, int]:
    """Start, size and number of entries of the central directory, which must end where its end record begins."""
    at, end = _find_end(file)
    _, disk, first_disk, here, count, size, start, _ = end
    locator_at = max(0, at - _LOCATOR_64.size)
    file.seek(locator_at)
    locator = _exact(file, _LOCATOR_64.size)
    if locator.startswith(b"PK\x06\x07"):
        at, end_64 = _find_end_64(file, locator, locator_at)
        small = (disk, first_disk, here, count, size, start)
        for stated, maximum, large in zip(
            small, (_MAX_16, _MAX_16, _MAX_16, _MAX_16, _MAX_32, _MAX_32), end_64, strict=True
        ):
            if stated not in {maximum, large}:
                raise StreamInvalid("The two end records of the ZIP disagree")
        disk, first_disk, here, count, size, start = end_64
    if disk or first_disk or here != count:
        raise StreamInvalid("The ZIP is one part of several")
    if start + size != at:
        raise StreamInvalid("The ZIP's central directory is not where its end record says")
    return start, size, count


def _find_end(file: BinaryIO) -> tuple[int, tuple[bytes, int, int, int, int, int, int, int]]:
    """The end record: its comment must reach exactly to the end of the file, and hold no other record's mark."""
    total = file.seek(0, os.SEEK_END)
    tail_start = max(0, total - _END.size - _MAX_16)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if 0 <= at <= len(tail) - _END.size:
        record = _END.unpack_from(tail, at)
        if at + _END.size + record[-1] == len(tail):
            return tail_start + at, record
    raise StreamInvalid("The data is not a ZIP, or its end is missing: there is no central directory")


def _find_end_64(file: BinaryIO, locator: bytes, locator_at: int) -> tuple[int, tuple[int, ...]]:
    _, disk, at, disks = _LOCATOR_64.unpack(locator)
    if disk or disks > 1 or at + _END_64.size > locator_at:
        raise StreamInvalid("The ZIP's 64-bit end record is damaged")
    file.seek(at)
    mark, record_size, _, _, *fields = _END_64.unpack(_exact(file, _END_64.size))
    if mark != b"PK\x06\x06" or at + 12 + record_size != locator_at:
        raise StreamInvalid("The ZIP's 64-bit end record is damaged")
    return at, tuple(fields)


def _read_central(file: BinaryIO, end: int) -> Entry:
    if file.tell() + _CENTRAL.size > end:
        raise StreamInvalid("The ZIP's central directory is damaged")
    fields = _CENTRAL.unpack(_exact(file, _CENTRAL.size))
    mark, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment_size = fields[:13]
    disk, _, attributes, offset = fields[13:]
    if mark != b"PK\x01\x02" or file.tell() + name_size + extra_size + comment_size > end:
        raise StreamInvalid("The ZIP's central directory is damaged")
    raw_name = _exact(file, name_size)
    extra = _exact(file, extra_size)
    file.seek(comment_size, os.SEEK_CUR)
    size, packed, offset = _zip_64(raw_name, extra, size, packed, offset)
    if disk not in {0, _MAX_16}:
        raise _bad(raw_name, "it lies in another part")
    if flags & _ENCRYPTED:
        raise _bad(raw_name, "it is encrypted")
    if method not in {0, 8}:
        raise _bad(raw_name, f"compression method {method} is not supported")
    if method == 0 and packed != size:
        raise _bad(raw_name, "its two lengths disagree")
    name = _name(raw_name, flags, extra)
    if stat.S_ISLNK(attributes >> 16):
        raise _bad(raw_name, "it is a symbolic link")
    is_folder = name.endswith("/")
    if is_folder and size:
        raise _bad(raw_name, "a folder has data")
    return Entry(name, raw_name, flags, method, crc, packed, size, offset, is_folder)


def _zip_64(name: bytes, extra: bytes, *values: int) -> list[int]:
    """Take those values from the 64-bit field that the 32-bit ones leave open."""
    field = _extra_field(name, extra, _ZIP_64_FIELD)
    result = []
    for value in values:
        if value != _MAX_32:
            result.append(value)
        elif len(field) >= 8:
            result.append(int.from_bytes(field[:8], "little"))
            field = field[8:]
        else:
            result.append(value)
    return result


def _extra_field(name: bytes, extra: bytes, wanted: int) -> bytes:
    found = b""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if at + 4 + size > len(extra):
            raise _bad(name, "its extra fields are damaged")
        if kind == wanted:
            found = extra[at + 4 : at + 4 + size]
        at += 4 + size
    return found


def _name(raw: bytes, flags: int, extra: bytes) -> str:
    """Decode and check a name; it is never used as a path, but others may be less careful."""
    try:
        name = raw.decode("utf-8" if flags & _UTF_8 else "cp437")
    except UnicodeDecodeError as fault:
        raise _bad(raw, "its name is not UTF-8") from fault
    field = _extra_field(raw, extra, _UNICODE_PATH_FIELD)
    if len(field) >= 5 and int.from_bytes(field[1:5], "little") == zlib.crc32(raw):
        _check_name(raw, name)
        try:
            name = field[5:].decode()
        except UnicodeDecodeError as fault:
            raise _bad(raw, "its name is not UTF-8") from fault
    _check_name(raw, name)
    return name


def _check_name(raw: bytes, name: str) -> None:
    if not name or name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise _bad(raw, "its name is empty or absolute")
    if "\\" in name or "\0" in name or ".." in name.split("/"):
        raise _bad(raw, "its name has a backslash, a NUL or ..")
    if name.endswith("."):
        raise _bad(raw, "its name ends in a dot")


# The entries
def _check_cover(file: BinaryIO, entries: Sequence[Entry], directory: int) -> None:
    """Each entry must begin where the one before ended, the first at 0, and the last end at the directory."""
    in_order = sorted(entries, key=lambda entry: entry.offset)
    starts = [entry.offset for entry in in_order] + [directory]
    if starts[0] != 0:
        raise StreamInvalid("The ZIP has bytes that belong to no entry")
    for entry, (_, following) in zip(in_order, pairwise(starts), strict=True):
        end = _data_start(file, entry) + entry.packed
        if end > following:
            raise _bad(entry.raw_name, "it overlaps with what follows")
        behind = _descriptors(entry) if entry.flags & _STREAMED else {b""}
        gap = following - end
        file.seek(end)
        if gap not in map(len, behind) or _exact(file, gap) not in behind:
            raise _bad(entry.raw_name, "bytes behind it belong to no entry")


def _descriptors(entry: Entry) -> set[bytes]:
    """What a streamed entry may end with: its checksum and lengths in 32 or 64 bit, with or without a mark."""
    short = _DESCRIPTOR.pack(entry.crc, entry.packed & _MAX_32, entry.size & _MAX_32)
    long = _DESCRIPTOR_64.pack(entry.crc, entry.packed, entry.size)
    return {short, _DESCRIPTOR_MARK + short, long, _DESCRIPTOR_MARK + long}


def _data_start(file: BinaryIO, entry: Entry) -> int:
    """Where an entry's data begins, after its local header has been held against the directory."""
    file.seek(entry.offset)
    mark, _, flags, method, _, _, crc, packed, size, name_size, extra_size = _LOCAL.unpack(
        _exact(file, _LOCAL.size)
    )
    name = _exact(file, name_size)
    extra = _exact(file, extra_size)
    if mark != b"PK\x03\x04" or (name, flags, method) != (entry.raw_name, entry.flags, entry.method):
        raise _bad(entry.raw_name, "its local header disagrees with the central directory")
    size, packed = _zip_64(name, extra, size, packed)
    stated = (crc, packed, size)
    if stated != (entry.crc, entry.packed, entry.size) and not (flags & _STREAMED and _left_open(*stated)):
        raise _bad(entry.raw_name, "its local header disagrees with the central directory")
    return file.tell()


def _left_open(crc: int, packed: int, size: int) -> bool:
    """A streamed entry's local header states nothing yet; with 64 bit the sizes may say so by their maximum."""
    return crc == 0 and packed in {0, _MAX_32} and size in {0, _MAX_32}


# The names
def _kind(name: str) -> tuple[str, str]:
    """Base name and kind by extension; an unknown extension belongs to the base name."""
    stem, extension = _split(name)
    kind = _KINDS.get(extension.lower())
    return (stem, kind) if kind else (name, DATA)


def _split(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    stem, dot, extension = file.rpartition(".")
    return (folder + slash + stem, dot + extension) if dot else (name, "")


def _data_base(name: str, sidecars: dict[str, dict[str, Entry]]) -> str:
    """Base name of a data entry: with an unknown extension, unless a sidecar exists for the shorter name."""
    base, _ = _kind(name)
    shorter, _ = _split(base)
    if base == name and base not in sidecars and shorter in sidecars:
        return shorter
    return base
