"""Records of a ZIP file, one by one: everything that is written twice must agree (threat model, S8 and S37).

Pure. What some readers take and others do not, or take differently, is refused.
"""

import re
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from feeds.store.compression import StreamInvalid

_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR, _DESCRIPTOR_64 = struct.Struct("<3L"), struct.Struct("<L2Q")
END_MARK, _DESCRIPTOR_MARK = b"PK\x05\x06", b"PK\x07\x08"
MAX_16, MAX_32 = 0xFFFF, 0xFFFFFFFF
ZIP_64_FIELD, UNICODE_PATH_FIELD = 0x0001, 0x7075
#: Extra fields of encrypted entries: PKWARE's strong encryption and WinZip's AES.
_ENCRYPTION_FIELDS = frozenset({0x0017, 0x9901})
#: Bits of the flags. Encrypted means plainly, strongly, or with masked headers.
_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_STREAMED, _PATCH, _UTF_8 = 1 << 3, 1 << 5, 1 << 11
STORED, _DEFLATED = 0, 8

Extra = dict[int, bytes]


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry as the central directory describes it."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


class CentralRecord(NamedTuple):
    """A record of the central directory; the places are those of its parts within the directory."""

    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    disk: int
    attributes: int
    name_at: int
    extra_at: int
    comment_at: int
    end: int


def bad_entry(name: bytes, reason: str) -> StreamInvalid:
    """Make the fault of one entry."""
    return StreamInvalid(f"The ZIP entry {name[:80].decode('ascii', 'replace')}: {reason}")


def read_exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise StreamInvalid("The ZIP ends before its end")
    return data


# The central directory
def central_at(data: bytes, at: int) -> CentralRecord:
    name_at = at + _CENTRAL.size
    if name_at > len(data):
        raise StreamInvalid("The ZIP's central directory is damaged")
    fields = _CENTRAL.unpack_from(data, at)
    mark, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment_size = fields[:13]
    disk, _, attributes, offset = fields[13:]
    extra_at = name_at + name_size
    comment_at = extra_at + extra_size
    end = comment_at + comment_size
    if mark != b"PK\x01\x02" or end > len(data):
        raise StreamInvalid("The ZIP's central directory is damaged")
    places = (name_at, extra_at, comment_at, end)
    return CentralRecord(flags, method, crc, packed, size, offset, disk, attributes, *places)


def check_method(entry: ZipEntry) -> None:
    """Refuse data that is not stored or deflated, or is encrypted."""
    if entry.flags & _ENCRYPTED:
        raise bad_entry(entry.raw_name, "it is encrypted")
    if entry.method not in {STORED, _DEFLATED}:
        raise bad_entry(entry.raw_name, f"compression method {entry.method} is not supported")
    if entry.method == STORED and entry.packed != entry.size:
        raise bad_entry(entry.raw_name, "its two lengths disagree")


def check_record(data: bytes, record: CentralRecord, entry: ZipEntry) -> None:
    """Refuse what is not taken, and what some readers take and others do not."""
    check_method(entry)
    if record.flags & _PATCH:
        raise bad_entry(entry.raw_name, "it is a patch")
    if entry.method == STORED and entry.flags & _STREAMED:
        raise bad_entry(entry.raw_name, "it is stored, and its length follows its data")
    _check_name(entry.raw_name, entry.name)
    kind = stat.S_IFMT(record.attributes >> 16)
    if kind == stat.S_IFLNK:
        raise bad_entry(entry.raw_name, "it is a symbolic link")
    if kind == stat.S_IFDIR and not entry.is_folder:
        raise bad_entry(entry.raw_name, "it is a folder whose name is that of a file")
    if entry.is_folder and entry.size:
        raise bad_entry(entry.raw_name, "a folder has data")
    if END_MARK in data[record.name_at : record.end]:
        raise bad_entry(entry.raw_name, "its record holds the mark of an end record")


def central_sizes(name: bytes, extra: Extra, record: CentralRecord) -> list[int]:
    """Size, packed size and offset. The 64-bit field must hold what the other fields leave open, and nothing else.

    A writer may repeat there what they say; but then all of it, in the order of the format.
    """
    stated = (record.size, record.packed, record.offset)
    wide = [value == MAX_32 for value in stated]
    field = extra.get(ZIP_64_FIELD, b"")
    if record.disk not in {0, MAX_16}:
        raise bad_entry(name, "it lies in another part")
    if not any(wide) and record.disk == 0:
        whole = struct.pack("<3QL", *stated, 0)
        if not whole.startswith(field) or len(field) % 8 not in {0, 4}:
            raise bad_entry(name, "its 64-bit field does not fit its record")
        return list(stated)
    if len(field) != 8 * sum(wide) + 4 * (record.disk == MAX_16) or (record.disk and field[-4:] != bytes(4)):
        raise bad_entry(name, "its 64-bit field does not fit its record")
    values = iter(struct.unpack_from(f"<{sum(wide)}Q", field))
    return [next(values) if is_wide else value for value, is_wide in zip(stated, wide, strict=True)]


def split_extra(name: bytes, extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield extra fields with their ids."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        end = at + 4 + size
        if end > len(extra):
            raise bad_entry(name, "its extra fields are damaged")
        yield kind, extra[at + 4 : end]
        at = end


def read_extra(name: bytes, extra: bytes) -> Extra:
    """Read extra fields by their id. Of a repeated one some readers take the first, others the last."""
    fields: Extra = {}
    for kind, field in split_extra(name, extra):
        if kind in fields and (kind or field):  # zeros are padding
            raise bad_entry(name, "it has an extra field twice")
        fields[kind] = field
    if not _ENCRYPTION_FIELDS.isdisjoint(fields):
        raise bad_entry(name, "it is encrypted")
    path = fields.get(UNICODE_PATH_FIELD)
    if path is not None and path != b"\1" + zlib.crc32(name).to_bytes(4, "little") + name:
        raise bad_entry(name, "it has a second name that differs")
    return fields


# The names
def decode_name(raw: bytes) -> str:
    """Decode a name as UTF-8, marked as such or not.

    Info-ZIP and fastjar write UTF-8 without the mark. Readers that take it for an old code page see other letters,
    but no other `.`, `/` or extension, so the same data items. Other bytes Java refuses.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as fault:
        raise bad_entry(raw, "its name is not UTF-8") from fault


def marks_name(raw: bytes, flags: int) -> bool | None:
    """Whether a name is marked as UTF-8; None where it is ASCII, which all readers decode alike."""
    return None if raw.isascii() else bool(flags & _UTF_8)


def _check_name(raw: bytes, name: str) -> None:
    """Refuse names that mean different files to different readers; none is used as a path here."""
    if not name or name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise bad_entry(raw, "its name is empty or absolute")
    parts = name.removeprefix("./").removesuffix("/").split("/")
    if "\\" in name or "\0" in name or ".." in parts:
        raise bad_entry(raw, "its name has a backslash, a NUL or ..")
    if name != "./" and ("" in parts or "." in parts):
        raise bad_entry(raw, "a part of its name is empty or a dot")
    if name.endswith("."):
        raise bad_entry(raw, "its name ends in a dot")


# The local headers
def local_sizes(file: BinaryIO) -> tuple[int, int]:
    """Return the lengths of name and extra fields of the local header here, after its fixed part."""
    name_size, extra_size = _LOCAL.unpack(read_exactly(file, _LOCAL.size))[-2:]
    return name_size, extra_size


def read_local(file: BinaryIO, entry: ZipEntry) -> set[bytes]:
    """Hold a local header against the directory; return what may follow the data, where the file then is."""
    file.seek(entry.offset)
    mark, _, flags, method, _, _, crc, packed, size, name_size, extra_size = _LOCAL.unpack(
        read_exactly(file, _LOCAL.size)
    )
    name = read_exactly(file, name_size)
    extra = read_exactly(file, extra_size)
    if mark != b"PK\x03\x04" or (name, flags, method) != (entry.raw_name, entry.flags, entry.method):
        raise _disagrees(entry)
    field = read_extra(name, extra).get(ZIP_64_FIELD)
    stated = [(crc, packed, size)]
    if field is not None:
        if len(field) != 16:
            raise _disagrees(entry)
        wide_size, wide_packed = struct.unpack("<2Q", field)
        stated = [(crc, wide_packed, wide_size)] + [(crc, packed, size)] * ((packed, size) != (MAX_32, MAX_32))
    streamed = bool(flags & _STREAMED)
    if not all(_fits(values, entry, streamed=streamed) for values in stated):
        raise _disagrees(entry)
    return _descriptors(entry, wide=field is not None) if streamed else {b""}


def _disagrees(entry: ZipEntry) -> StreamInvalid:
    return bad_entry(entry.raw_name, "its local header disagrees with the central directory")


def _fits(values: tuple[int, int, int], entry: ZipEntry, *, streamed: bool) -> bool:
    """Whether a local header states what the directory does.

    That of a streamed entry may leave open, by 0 or the maximum, what is not known yet: Info-ZIP knows the size.
    """
    crc, packed, size = values
    open_crc, open_size = ({0}, {0, MAX_32}) if streamed else (set[int](), set[int]())
    return (
        crc in {entry.crc, *open_crc} and packed in {entry.packed, *open_size} and size in {entry.size, *open_size}
    )


def _descriptors(entry: ZipEntry, *, wide: bool) -> set[bytes]:
    """Return the possible ends of a streamed entry: its checksum and lengths, with or without a mark.

    They have 64 bit where the local header has the 64-bit field, or where they do not fit in less. A checksum that
    looks like the mark cannot stand without it.
    """
    if wide or max(entry.packed, entry.size) >= MAX_32:
        bare = _DESCRIPTOR_64.pack(entry.crc, entry.packed, entry.size)
    else:
        bare = _DESCRIPTOR.pack(entry.crc, entry.packed, entry.size)
    return {_DESCRIPTOR_MARK + bare} | ({bare} if not bare.startswith(_DESCRIPTOR_MARK) else set())
