"""Stored receipts as Stroom's own archive: numbered .meta, .ctx and .dat (receipt contract, section 8.5).

A manifest (.mf) that came with an item is left out: a stroom-proxy takes one as the first entry of an archive only.

Pure. Data passes through in pieces; what an archive holds in memory is one checksum for each of its entries.
"""

import contextlib
import hashlib
import os
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from feeds.rules.stored_metadata import format_meta, merge_entry, parse_meta
from feeds.store.archive import DataItem, group_entries
from feeds.store.compression import Gunzip, StreamInvalid
from feeds.store.stored_zip import read_stored_directory
from feeds.store.zip_directory import read_directory, read_entry
from feeds.store.zip_records import ZipEntry

STEP = 256 * 1024
#: From this size on an entry gets 64-bit lengths, as its packed form could be a little larger than itself.
_LARGE = 2_000_000_000

Pieces = Callable[[], Iterator[bytes]]


class ExportFault(Exception):  # named after what it stops
    """Stored data is not what its record says, or an archive does not read back as it was written."""


@dataclass(frozen=True)
class Content:
    """Bytes on their way into an archive; `pieces` reads them again on each call."""

    size: int
    pieces: Pieces


@dataclass(frozen=True, order=True)
class Key:
    """A feed and a type of data, by which Stroom sorts and a stroom-proxy judges. One archive holds one of them."""

    feed: str
    type: str = ""

    def __str__(self) -> str:
        return f"{self.feed} ({self.type})" if self.type else self.feed


@dataclass(frozen=True)
class Item:
    """One data item with its sidecars. `metadata` is what its .meta entry will hold."""

    feed: str
    metadata: Mapping[str, str]
    data: Content
    context: Content | None = None

    @property
    def key(self) -> "Key":
        """Key that Stroom sorts data by."""
        return Key(self.feed, self.metadata.get("Type", "").strip())


@dataclass(frozen=True)
class Stored:
    """A stored receipt as its record describes it; `feed` is the request's."""

    path: Path
    feed: str
    compression: str
    bytes: int
    sha256: str
    metadata: Mapping[str, str]


def demand_unchanged(stored: Stored) -> None:
    """Compare the file with its record.

    Raises:
        ExportFault: it is missing, or its length or checksum differ.
    """
    try:
        with stored.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as fault:
        raise ExportFault(f"its file cannot be read ({fault.strerror})") from fault
    if (size, digest) != (stored.bytes, stored.sha256):
        raise ExportFault("its file does not match the recorded length and SHA-256")


def items_of(stored: Stored) -> Iterator[Item]:
    """Take a receipt apart into its data items. Use each item before asking for the next.

    Everything that a release has ever accepted is read, also where the rules of receipt are stricter now.

    Raises:
        ExportFault: the data is not what the record says.
        StreamInvalid: the data is broken.
    """
    with stored.path.open("rb") as file:
        if stored.compression == "ZIP":
            groups, _ = group_entries(read_stored_directory(file))
            for group in groups:
                yield _item_of_group(stored, file, group)
            return
        gzip = stored.compression == "GZIP"
        pieces = partial(_inflated if gzip else _plain, file)
        size = _inflated_size(stored, pieces) if gzip else stored.bytes
        yield Item(stored.feed, {**stored.metadata, "StreamSize": str(size)}, Content(size, pieces))


def _item_of_group(stored: Stored, file: BinaryIO, group: DataItem) -> Item:
    own = parse_meta(b"".join(read_entry(file, group.meta))) if group.meta else {}
    feed = own.get("Feed") or stored.feed
    metadata = merge_entry(stored.metadata, {**own, "Feed": feed}, size=group.data.size)
    return Item(feed, metadata, _content(file, group.data), _sidecar(file, group.context))


def _content(file: BinaryIO, entry: ZipEntry) -> Content:
    return Content(entry.size, partial(read_entry, file, entry))


def _sidecar(file: BinaryIO, entry: ZipEntry | None) -> Content | None:
    return _content(file, entry) if entry else None


def _plain(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(STEP):
        yield piece


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    gunzip = Gunzip(any_members=True)
    for piece in _plain(file):
        yield from gunzip.feed(piece)
    gunzip.finish()


def _inflated_size(stored: Stored, pieces: Pieces) -> int:
    """As noted when it was received; counted where the note is missing (a recovered receipt)."""
    noted = stored.metadata.get("StreamSize", "")
    return int(noted) if re.fullmatch(r"\d{1,18}", noted) else sum(len(piece) for piece in pieces())


class CanonicalZip:
    """Writes one archive of one feed and type. Nothing of it may be used before `finish` has read it back."""

    def __init__(self, path: Path, key: Key) -> None:
        """Begin a new file; `path` must not exist."""
        self.path = path
        self.key = key
        self._guid = str(uuid.uuid4())
        self.items = 0
        self.bytes = 0
        self._written: list[tuple[str, int, bytes]] = []
        self._common: dict[str, str] | None = None
        # Readable by the owner alone until it appears in the output folder.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "w+b")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)

    def add(self, item: Item) -> None:
        """Append an item as the next number.

        Raises:
            ExportFault: it does not have the size it was said to have.
            StreamInvalid: its data is broken.
        """
        self.items += 1
        base = f"{self.items:010d}"
        meta = format_meta(item.metadata)
        self._write(f"{base}.meta", Content(len(meta), lambda: iter([meta])))
        if item.context is not None:
            self._write(f"{base}.ctx", item.context)
        self._write(f"{base}.dat", item.data)
        self._keep_common(item.metadata)

    def common_metadata(self) -> dict[str, str]:
        """Metadata that all items share, for the file next to the archive. Its GUID lets a repeat be recognised."""
        common = {name: value for name, value in (self._common or {}).items() if name != "StreamSize"}
        return {**common, "GUID": common.get("GUID") or self._guid, "Feed": self.key.feed}

    def finish(self) -> None:
        """Close the archive, flush it to disk, and read it back from there.

        Raises:
            ExportFault: it does not hold what was written.
        """
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        # Read from the disk, not from memory, as far as the system allows to ask for it.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            self._compare()
        except StreamInvalid as fault:
            raise ExportFault(f"{self.path.name} does not read back: {fault}") from fault
        finally:
            self._file.close()

    def discard(self) -> None:
        """Remove the file, whatever state it is in."""
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()
        with contextlib.suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, name: str, content: Content) -> None:
        digest = hashlib.sha256()
        size = 0
        with self._zip.open(name, "w", force_zip64=content.size > _LARGE) as entry:
            for piece in content.pieces():
                size += len(piece)
                digest.update(piece)
                entry.write(piece)
        if size != content.size:
            raise ExportFault(f"it holds {size} bytes where {content.size} are recorded")
        self.bytes += size
        self._written.append((name, size, digest.digest()))

    def _keep_common(self, metadata: Mapping[str, str]) -> None:
        if self._common is None:
            self._common = dict(metadata)
        self._common = {name: value for name, value in self._common.items() if metadata.get(name) == value}

    def _compare(self) -> None:
        entries = read_directory(self._file)
        if [entry.name for entry in entries] != [name for name, _, _ in self._written]:
            raise ExportFault(f"{self.path.name} does not list what was written")
        for entry, (_, size, digest) in zip(entries, self._written, strict=True):
            read = hashlib.sha256()
            for piece in read_entry(self._file, entry):
                read.update(piece)
            if (entry.size, read.digest()) != (size, digest):
                raise ExportFault(f"{self.path.name} does not read back as written: {entry.name}")
