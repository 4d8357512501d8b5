"""Beginning of stored data for people: unpacked, as text or as a hexadecimal dump, and the members of a ZIP.

Pure. At most PREVIEW_BYTES are unpacked, whatever the size of the file.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from feeds.store.archive import kind_of
from feeds.store.compression import STEP, Gunzip, StreamInvalid
from feeds.store.stored_zip import read_stored_directory
from feeds.store.zip_directory import read_entry

PREVIEW_BYTES = 64 * 1024
#: Members of an archive that a page lists.
LISTED = 200
_LINE = 16
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: Control characters that text does not have. Tab, line ends, form feed and escape may stand in a log.
_NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True)
class Excerpt:
    """The first bytes of some data.

    Attributes:
        data: at most PREVIEW_BYTES, unpacked.
        whole: whether this is all of it.
        fault: why it could not be unpacked to the end; empty if it could.
    """

    data: bytes
    whole: bool
    fault: str = ""


@dataclass(frozen=True)
class ArchiveMember:
    """An entry of an archive; `kind` is data, meta, context or manifest, or folder."""

    number: int
    name: str
    kind: str
    size: int


@dataclass(frozen=True)
class Listing:
    """Some members of an archive, in its order, and how many there are in all."""

    members: list[ArchiveMember]
    total: int


def read_excerpt(path: Path, compression: str) -> Excerpt:
    """Read the beginning of a stored file; GZIP is unpacked, anything else is taken as it is.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with path.open("rb") as file:
        pieces: Iterable[bytes] = iter(lambda: file.read(STEP), b"")
        return _first(_unpacked(pieces) if compression == "GZIP" else pieces)


def read_member(path: Path, number: int) -> tuple[ArchiveMember, Excerpt]:
    """Read the beginning of an archive's member.

    Raises:
        FileNotFoundError: there is no such file.
        IndexError: the archive has no member of this number.
        StreamInvalid: the archive cannot be read.
    """
    with path.open("rb") as file:
        directory = read_stored_directory(file)
        if not 0 <= number < len(directory):
            raise IndexError(number)
        entry = directory[number]
        return _member(number, entry.name, entry.size), _first(read_entry(file, entry))


def list_members(path: Path, first: int = 0) -> Listing:
    """List at most LISTED members of an archive, from the given one on.

    Raises:
        FileNotFoundError: there is no such file.
        StreamInvalid: the archive cannot be read.
    """
    with path.open("rb") as file:
        directory = read_stored_directory(file)
        numbers = range(max(0, first), min(len(directory), max(0, first) + LISTED))
        entries = ((number, directory[number]) for number in numbers)
        return Listing([_member(number, entry.name, entry.size) for number, entry in entries], len(directory))


def _member(number: int, name: str, size: int) -> ArchiveMember:
    return ArchiveMember(number, name, "folder" if name.endswith("/") else kind_of(name), size)


def _unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    engine = Gunzip(any_members=True)
    for piece in pieces:
        yield from engine.feed(piece)
    engine.finish()


def _first(pieces: Iterable[bytes]) -> Excerpt:
    """Take the first bytes of what may end in a fault."""
    data = bytearray()
    try:
        for piece in pieces:
            data += piece
            if len(data) > PREVIEW_BYTES:
                return Excerpt(bytes(data[:PREVIEW_BYTES]), whole=False)
    except StreamInvalid as fault:
        return Excerpt(bytes(data), whole=False, fault=str(fault))
    return Excerpt(bytes(data), whole=True)


def decode_text(data: bytes, encoding: str = "", *, whole: bool = True) -> str | None:
    """Decode the beginning of a text; None where it is none.

    Args:
        data: its first bytes.
        encoding: what it is said to be in. A byte order mark and valid UTF-8 come before it.
        whole: whether `data` is all of it; otherwise a character that is cut off at the end is left out.
    """
    marked = next((name for mark, name in _BOMS if data.startswith(mark)), None)
    for name in filter(None, (marked, "utf-8", encoding)):
        try:
            text = codecs.getincrementaldecoder(name)("strict").decode(data, whole)
        except (LookupError, UnicodeError, ValueError):
            continue
        if not _NOT_TEXT.search(text):
            return text
    return None


def hex_dump(data: bytes) -> str:
    """Format bytes as offset, sixteen bytes, and the characters that are printable ASCII."""
    return "\n".join(_dump_lines(data))


def _dump_lines(data: bytes) -> Iterator[str]:
    for at in range(0, len(data), _LINE):
        line = data[at : at + _LINE]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
        yield f"{at:08x}  {line[:8].hex(' '):23}  {line[8:].hex(' '):23}  {shown}"
