"""Tolerant reader of ZIP archives that are already in the store, for the hand-over and for recovery.

An archive that was answered with 200 must be handed over, also after the rules of receipt have become stricter
(`zip_records`). This reader takes every archive that an earlier release took and sees in it what that release saw:
the names, the second names and the lengths of the central directory. Nothing is extracted by name, and what is
handed over is written again under names of our own, so the next reader cannot see something else. The limits and
the checks of lengths and checksums are those of receipt.

Pure.
"""

import os
import struct
import zlib
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from feeds.store.archive import Contents, read_archive
from feeds.store.zip_directory import MAX_ENTRIES, Directory, check_limits, find_directory
from feeds.store.zip_records import (
    MAX_16,
    MAX_32,
    UNICODE_PATH_FIELD,
    ZIP_64_FIELD,
    CentralRecord,
    Extra,
    ZipEntry,
    bad_entry,
    check_method,
    local_sizes,
    marks_name,
    read_exactly,
    split_extra,
)


class StoredDirectory(Directory):
    """The entries of a stored archive. What two readers could read in two ways is read as it was when received."""

    #: Earlier releases read names without the mark in this code page.
    _unmarked = "cp437"

    def _entry(self, record: CentralRecord) -> ZipEntry:
        raw_name = self._data[record.name_at : record.extra_at]
        extra = dict(split_extra(raw_name, self._data[record.extra_at : record.comment_at]))
        size, packed, offset = _sizes(extra, record)
        name = self._name(raw_name, extra, record.flags)
        return ZipEntry(name, raw_name, record.flags, record.method, record.crc, packed, size, offset)

    def _check_record(self, record: CentralRecord, entry: ZipEntry) -> None:
        if record.disk not in {0, MAX_16}:
            raise bad_entry(entry.raw_name, "it lies in another part")
        if "\0" in entry.name:  # no release has taken it, and PostgreSQL stores no NUL
            raise bad_entry(entry.raw_name, "its name has a NUL")
        check_method(entry)

    def _check_names(self) -> None:
        """Take any names: none is used as a path. Only decide how unmarked ones are decoded."""
        strange = [entry for entry in self if marks_name(entry.raw_name, entry.flags) is not None]
        if not any(marks_name(entry.raw_name, entry.flags) for entry in strange):
            self._unmarked = "utf-8" if all(_is_utf_8(entry.raw_name) for entry in strange) else "cp437"

    def _name(self, raw: bytes, extra: Extra, flags: int) -> str:
        """Decode a name: the second name where it has one, else as UTF-8 where it is marked so."""
        path = extra.get(UNICODE_PATH_FIELD, b"")
        if len(path) >= 5 and int.from_bytes(path[1:5], "little") == zlib.crc32(raw):
            return _utf_8(raw, path[5:])
        return raw.decode(self._unmarked) if marks_name(raw, flags) is False else _utf_8(raw, raw)


def read_stored_directory(file: BinaryIO) -> Directory:
    """Read the central directory of a stored archive; its entries must lie in the file and not overlap.

    Raises:
        StreamInvalid: they do not, the archive is over a limit, or an entry is of a kind that was never taken.
    """
    start, size, count = find_directory(file, strict=False)
    check_limits(size, count)
    file.seek(start)
    directory = StoredDirectory(read_exactly(file, size), count)
    _check_overlaps(file, directory, start)
    return directory


def read_stored_archive(path: Path) -> Contents:
    """Verify a stored archive to the last byte of its entries.

    Raises:
        StreamInvalid: it is no archive that any release has taken.
    """
    return read_archive(path, read=read_stored_directory, max_feeds=MAX_ENTRIES)


def _check_overlaps(file: BinaryIO, directory: Directory, end: int) -> None:
    """Refuse entries that share data: few bytes would unpack to far more than any release took."""
    order = sorted(range(len(directory)), key=directory.offsets.__getitem__)
    starts = [*(directory.offsets[index] for index in order), end]
    for index, (start, following) in zip(order, pairwise(starts), strict=True):
        entry = directory[index]
        file.seek(start)
        file.seek(sum(local_sizes(file)), os.SEEK_CUR)
        if file.tell() + entry.packed > following:
            raise bad_entry(entry.raw_name, "it overlaps with what follows")


def _sizes(extra: Extra, record: CentralRecord) -> list[int]:
    """Read size, packed size and offset: what the record leaves open is in the 64-bit field, in order."""
    field = extra.get(ZIP_64_FIELD, b"")
    sizes = []
    for value in (record.size, record.packed, record.offset):
        wide = value == MAX_32 and len(field) >= 8
        sizes.append(struct.unpack_from("<Q", field)[0] if wide else value)
        field = field[8:] if wide else field
    return sizes


def _is_utf_8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _utf_8(raw: bytes, name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as fault:
        raise bad_entry(raw, "its name is not UTF-8") from fault
