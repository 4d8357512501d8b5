"""ZIP records: the central directory, the local headers and the data of each entry, checked against each other.

Every byte of the file must belong to exactly one entry or to the directory, and everything that is written twice
must agree. Otherwise two readers could see two different archives, and what was judged here would not be what
Stroom unpacks (threat model, S8 and S37).
"""

import os
import struct
import zlib
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

from feeds.store.compression import STEP, StreamInvalid, inflate_raw
from feeds.store.zip_records import (
    END_MARK,
    MAX_16,
    MAX_32,
    STORED,
    CentralRecord,
    ZipEntry,
    bad_entry,
    central_at,
    central_sizes,
    check_record,
    decode_name,
    local_sizes,
    marks_name,
    read_exactly,
    read_extra,
    read_local,
)

MAX_ENTRIES = 100_000
#: Of the central directory, names included: it is held in memory.
MAX_DIRECTORY_BYTES = 16 * 1024 * 1024

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")


class Directory:
    """The entries of an archive, unpacked one by one from the bytes of its central directory.

    A hundred thousand entries as objects would take six times the memory of the directory itself.
    """

    def __init__(self, data: bytes, count: int) -> None:
        """Check every record.

        Raises:
            StreamInvalid: the records do not fill the directory, or one is of a kind that is not taken.
        """
        self._data = data
        self._places = array("L")
        self.offsets = array("Q")
        at = 0
        for _ in range(count):
            record = central_at(data, at)
            entry = self._entry(record)
            self._check_record(record, entry)
            self._places.append(at)
            self.offsets.append(entry.offset)
            at = record.end
        if at != len(data):
            raise StreamInvalid("The ZIP's central directory does not have the size it states")
        self._check_names()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[ZipEntry]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> ZipEntry:
        return self._entry(central_at(self._data, self._places[index]))

    def _entry(self, record: CentralRecord) -> ZipEntry:
        raw_name = self._data[record.name_at : record.extra_at]
        extra = read_extra(raw_name, self._data[record.extra_at : record.comment_at])
        size, packed, offset = central_sizes(raw_name, extra, record)
        name = decode_name(raw_name)
        return ZipEntry(name, raw_name, record.flags, record.method, record.crc, packed, size, offset)

    def _check_record(self, record: CentralRecord, entry: ZipEntry) -> None:
        check_record(self._data, record, entry)

    def _check_names(self) -> None:
        """Refuse a name that is given twice, also as a folder and a file, and `./` before some names only.

        Where only some names are marked as UTF-8, a reader that heeds the mark puts other sidecars to other data.
        """
        seen: set[int] = set()
        marks: set[bool | None] = {None}
        dotted = 0
        for entry in self:
            dotted += entry.name.startswith("./")
            key = hash(entry.raw_name.removesuffix(b"/"))  # the names themselves would take ten times the memory
            if key in seen:
                raise bad_entry(entry.raw_name, "its name is given twice")
            seen.add(key)
            marks.add(marks_name(entry.raw_name, entry.flags))
        if len(marks) > 2:  # None, and one of the two
            raise StreamInvalid("The ZIP marks some names as UTF-8 and others not")
        if dotted not in {0, len(self)}:
            raise StreamInvalid("The ZIP has names with ./ before them and names without")


def read_directory(file: BinaryIO) -> Directory:
    """Read the central directory and check that entries and directory cover the file without gap or overlap.

    Raises:
        StreamInvalid: they do not, or an entry is of a kind that is not taken.
    """
    start, size, count = find_directory(file)
    check_limits(size, count)
    file.seek(start)
    directory = Directory(read_exactly(file, size), count)
    _check_cover(file, directory, start)
    return directory


def check_limits(size: int, count: int) -> None:
    """Refuse a central directory that is too large to be held in memory."""
    if count > MAX_ENTRIES:
        raise StreamInvalid(f"The ZIP has more than {MAX_ENTRIES} entries")
    if size > MAX_DIRECTORY_BYTES:
        raise StreamInvalid("The ZIP's central directory is larger than 16 MiB")


def read_entry(file: BinaryIO, entry: ZipEntry) -> Iterator[bytes]:
    """Yield an entry's unpacked data, checked against its length and checksum at the end.

    Raises:
        StreamInvalid: the data is broken.
    """
    file.seek(entry.offset)
    file.seek(sum(local_sizes(file)), os.SEEK_CUR)
    packed = _pieces(file, entry.packed)
    crc = size = 0
    try:
        for piece in packed if entry.method == STORED else inflate_raw(packed):
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            if size > entry.size:
                break
            yield piece
    except StreamInvalid as fault:
        raise bad_entry(entry.raw_name, str(fault)) from fault
    if size != entry.size or crc != entry.crc:
        raise bad_entry(entry.raw_name, "its length or checksum does not match")


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        piece = read_exactly(file, min(size, STEP))
        size -= len(piece)
        yield piece


# The end records
def find_directory(file: BinaryIO, *, strict: bool = True) -> tuple[int, int, int]:
    """Find start, size and number of entries of the central directory, which must end where its end record begins.

    Not strictly, an end record may lie in the archive's comment, and a 64-bit end record may have further fields.
    """
    at, end = _find_end(file, strict=strict)
    _, disk, first_disk, here, count, size, start, _ = end
    locator_at = max(0, at - _LOCATOR_64.size)
    file.seek(locator_at)
    locator = read_exactly(file, _LOCATOR_64.size)
    if locator.startswith(b"PK\x06\x07"):
        at, end_64 = _find_end_64(file, locator, locator_at, strict=strict)
        small = (disk, first_disk, here, count, size, start)
        for stated, maximum, large in zip(
            small, (MAX_16, MAX_16, MAX_16, MAX_16, MAX_32, MAX_32), end_64, strict=True
        ):
            if stated not in {maximum, large}:
                raise StreamInvalid("The two end records of the ZIP disagree")
        disk, first_disk, here, count, size, start = end_64
    if disk or first_disk or here != count:
        raise StreamInvalid("The ZIP is one part of several")
    if start + size != at:
        raise StreamInvalid("The ZIP's central directory is not where its end record says")
    return start, size, count


def _find_end(file: BinaryIO, *, strict: bool) -> tuple[int, tuple[bytes, int, int, int, int, int, int, int]]:
    """Find the end record: its comment must reach to the end of the file and, strictly, hold no record's mark."""
    total = file.seek(0, os.SEEK_END)
    tail_start = max(0, total - _END.size - MAX_16)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(END_MARK)
    while at >= 0:
        record = _END.unpack_from(tail, at) if at <= len(tail) - _END.size else None
        if record and at + _END.size + record[-1] == len(tail):
            return tail_start + at, record
        at = -1 if strict else tail.rfind(END_MARK, 0, at)
    raise StreamInvalid("The data is not a ZIP, or its end is missing: there is no central directory")


def _find_end_64(file: BinaryIO, locator: bytes, locator_at: int, *, strict: bool) -> tuple[int, tuple[int, ...]]:
    """Read the 64-bit end record.

    Strictly, it must lie directly before its locator: some readers look only there, others where it points.
    """
    _, disk, at, disks = _LOCATOR_64.unpack(locator)
    gap = locator_at - at - _END_64.size
    if disk or disks > 1 or gap < 0 or (strict and gap):
        raise StreamInvalid("The ZIP's 64-bit end record is damaged")
    file.seek(at)
    mark, record_size, _, _, *fields = _END_64.unpack(read_exactly(file, _END_64.size))
    if mark != b"PK\x06\x06" or at + 12 + record_size != locator_at:
        raise StreamInvalid("The ZIP's 64-bit end record is damaged")
    return at, tuple(fields)


# What the entries say together
def _check_cover(file: BinaryIO, directory: Directory, end: int) -> None:
    """Each entry must begin where the one before ended, the first at 0, and the last end at the directory."""
    order = array("L", sorted(range(len(directory)), key=directory.offsets.__getitem__))
    starts = array("Q", [directory.offsets[index] for index in order])
    starts.append(end)
    if starts[0] != 0:
        raise StreamInvalid("The ZIP has bytes that belong to no entry")
    for index, (_, following) in zip(order, pairwise(starts), strict=True):
        entry = directory[index]
        behind = read_local(file, entry)
        data_end = file.tell() + entry.packed
        if data_end > following:
            raise bad_entry(entry.raw_name, "it overlaps with what follows")
        gap = following - data_end
        file.seek(data_end)
        if gap not in map(len, behind) or read_exactly(file, gap) not in behind:
            raise bad_entry(entry.raw_name, "bytes behind it belong to no entry")
