"""ZIP read from the spooled file: every entry whole, data items put together with their sidecars (section 7)."""

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from feeds.rules.stored_metadata import parse_meta
from feeds.store.compression import StreamInvalid, TooLarge
from feeds.store.zip_directory import Directory, read_directory, read_entry
from feeds.store.zip_records import ZipEntry, bad_entry
from portal.text import counted

MAX_META_BYTES = 1024 * 1024
#: What reading all meta entries of an archive may cost: bytes, and more for each data item; and what a line
#: counts for. A kilobyte of packed line ends takes seconds otherwise.
META_COST, META_COST_EACH, LINE_COST = 16 * 1024 * 1024, 8 * 1024, 64
#: No feed has a name as long as this, so of a longer one no more is kept.
LONGER_THAN_FEEDS = 256
#: Different feeds that one archive may name: they are held in memory.
MAX_FEEDS = 10_000
#: An archive without entries has exactly this size.
EMPTY_SIZE = 22
MAX_NOTES = 20
#: Data items of an archive that its receipt lists.
MAX_LISTED_GROUPS = 1_000

META, CONTEXT, MANIFEST, DATA = "meta", "context", "manifest", "data"
SIDECARS = (META, CONTEXT, MANIFEST)
_KINDS = {
    **dict.fromkeys((".meta", ".hdr", ".header", ".met"), META),
    **dict.fromkeys((".ctx", ".context"), CONTEXT),
    **dict.fromkeys((".mf", ".manifest"), MANIFEST),
    ".dat": DATA,
}
_LINE_ENDS = re.compile(rb"[\r\n]+")
#: Stands for an entry or a feed that there is not.
_NONE = -1


@dataclass(frozen=True, slots=True)
class DataItem:
    """One data item of an archive with its sidecars. `feed` is what its meta entry names, if it names one."""

    name: str
    data: ZipEntry
    meta: ZipEntry | None
    context: ZipEntry | None
    manifest: ZipEntry | None
    feed: str | None = None


class Groups:
    """The data items of an archive, held as the numbers of their entries: there may be a hundred thousand."""

    def __init__(self, entries: Directory) -> None:
        self.feeds: list[str] = []
        self.max_feeds = MAX_FEEDS
        self._entries = entries
        self._data = array("l")
        self._sidecars = {kind: array("l") for kind in SIDECARS}
        self._feed_of = array("l")
        self._feed_numbers: dict[str, int] = {}

    def add(self, data: int, sidecars: Mapping[str, int]) -> None:
        """Append a data item, by the numbers of its entries."""
        self._data.append(data)
        self._feed_of.append(_NONE)
        for kind, numbers in self._sidecars.items():
            numbers.append(sidecars.get(kind, _NONE))

    def name_feed(self, index: int, feed: str) -> None:
        """Note which feed a data item is for.

        Raises:
            StreamInvalid: there are too many.
        """
        if feed not in self._feed_numbers:
            if len(self.feeds) == self.max_feeds:
                raise StreamInvalid(f"The ZIP names more than {counted(self.max_feeds, 'feed')}")
            self._feed_numbers[feed] = len(self.feeds)
            self.feeds.append(feed)
        self._feed_of[index] = self._feed_numbers[feed]

    @property
    def each_names_a_feed(self) -> bool:
        return _NONE not in self._feed_of

    def owners(self) -> dict[int, int]:
        """The index of the data item that each meta entry belongs to, by the entry's number."""
        return {number: index for index, number in enumerate(self._sidecars[META]) if number != _NONE}

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[DataItem]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> DataItem:
        data = self._entries[self._data[index]]
        numbers = {kind: self._sidecars[kind][index] for kind in SIDECARS}
        own = {kind: self._entries[number] for kind, number in numbers.items() if number != _NONE}
        # A sidecar has the base name for certain: an unknown extension of the data may belong to it or not.
        name, _ = _kind(next(iter(own.values()), data).name)
        feed = self._feed_of[index]
        named = self.feeds[feed] if feed != _NONE else None
        return DataItem(name, data, own.get(META), own.get(CONTEXT), own.get(MANIFEST), named)


@dataclass(frozen=True)
class Contents:
    """A verified archive: its data items in order, the unpacked bytes of all entries, and remarks."""

    groups: Groups
    entries: int
    inflated: int
    notes: tuple[str, ...]


def read_archive(
    path: Path,
    limit: int | None = None,
    *,
    read: Callable[[BinaryIO], Directory] = read_directory,
    max_feeds: int | None = None,
) -> Contents:
    """Verify an archive to the last byte.

    Args:
        path: the spooled file.
        limit: most bytes that all entries together may unpack to.
        read: reader of the central directory.
        max_feeds: most feeds that the archive may name; MAX_FEEDS unless given.

    Raises:
        StreamInvalid: anything about the archive is wrong.
        TooLarge: it unpacks to more than the limit.
    """
    with path.open("rb") as file:
        entries = read(file)
        if not entries and path.stat().st_size > EMPTY_SIZE:
            raise StreamInvalid("The ZIP has no entries")
        groups, orphans = group_entries(entries)
        groups.max_feeds = max_feeds or MAX_FEEDS
        owners = groups.owners()
        cost = _MetaCost(len(groups)) if max_feeds is None else None  # what is stored is read in any case
        inflated = 0
        for number, entry in enumerate(entries):
            kept = bytearray()
            is_meta = not entry.is_folder and _kind(entry.name)[1] == META
            for piece in _within(read_entry(file, entry), limit, inflated):
                inflated += len(piece)
                if is_meta:
                    kept += piece
                    if len(kept) > MAX_META_BYTES:
                        raise bad_entry(entry.raw_name, "a meta entry is larger than 1 MiB")
            meta = _LINE_ENDS.sub(b"\n", kept)
            if cost:
                cost.add(meta)
            feed = parse_meta(meta).get("Feed") if number in owners else None
            if feed:
                groups.name_feed(owners[number], feed[:LONGER_THAN_FEEDS])
    return Contents(groups, len(entries), inflated, _notes(entries, orphans))


class _MetaCost:
    """Cost of reading all meta entries of an archive."""

    def __init__(self, items: int) -> None:
        self._left = META_COST + META_COST_EACH * items

    def add(self, meta: bytes) -> None:
        """Count an entry.

        Raises:
            StreamInvalid: it is too much.
        """
        self._left -= len(meta) + LINE_COST * meta.count(b"\n")
        if self._left < 0:
            raise StreamInvalid("The ZIP's meta entries have too many lines or bytes together")


def _notes(entries: Directory, orphans: Sequence[int]) -> tuple[str, ...]:
    names = (entries[number].name[:200] for number in orphans[:MAX_NOTES])
    return tuple(f"{name}: ignored, there is no data entry for it" for name in names)


def group_entries(entries: Directory) -> tuple[Groups, Sequence[int]]:
    """Put each data item together with its sidecars; the numbers of what has no data are returned with them.

    Raises:
        StreamInvalid: two entries of one kind have the same base name.
    """
    sidecars, data = _by_base(entries)
    groups = Groups(entries)
    taken: set[int] = set()
    for number in data:
        entry = entries[number]
        base = _data_base(entry.name, sidecars)
        if base in taken:
            raise _doubled(entry, DATA)
        taken.add(base)
        groups.add(number, {kind: bases[base] for kind, bases in sidecars.items() if base in bases})
    orphans = sorted(number for bases in sidecars.values() for base, number in bases.items() if base not in taken)
    return groups, array("l", orphans)


def _by_base(entries: Directory) -> tuple[dict[str, dict[int, int]], Sequence[int]]:
    """Numbers of the sidecars by kind and base name, and of the data entries; folders are neither.

    The hash stands for the name, which would take ten times the memory; it is keyed against
    made collisions.
    """
    sidecars: dict[str, dict[int, int]] = {kind: {} for kind in SIDECARS}
    data = array("l")
    for number, entry in enumerate(entries):
        base, kind = _kind(entry.name)
        if entry.is_folder:
            continue
        if kind == DATA:
            data.append(number)
        elif hash(base) in sidecars[kind]:
            raise _doubled(entry, kind)
        else:
            sidecars[kind][hash(base)] = number
    return sidecars, data


def _data_base(name: str, sidecars: Mapping[str, Mapping[int, int]]) -> int:
    """Base name of a data entry: with an unknown extension, unless a sidecar exists for the shorter name."""
    base, _ = _kind(name)
    shorter, _ = _split(base)
    whole, short = hash(base), hash(shorter)
    if base == name and not _exists(whole, sidecars) and _exists(short, sidecars):
        return short
    return whole


def _exists(base: int, sidecars: Mapping[str, Mapping[int, int]]) -> bool:
    return any(base in bases for bases in sidecars.values())


def _within(pieces: Iterator[bytes], limit: int | None, before: int) -> Iterator[bytes]:
    """Pass pieces on as long as they and the bytes before them are within the limit."""
    total = before
    for piece in pieces:
        total += len(piece)
        if limit is not None and total > limit:
            raise TooLarge
        yield piece


def _doubled(entry: ZipEntry, kind: str) -> StreamInvalid:
    return bad_entry(entry.raw_name, f"there are two {kind} entries for one base name")


def kind_of(name: str) -> str:
    """Return what an entry is by its name: data, meta, context or manifest."""
    return _kind(name)[1]


def _kind(name: str) -> tuple[str, str]:
    """Base name and kind by extension; an unknown extension belongs to the base name."""
    stem, extension = _split(name)
    kind = _KINDS.get(extension.lower())
    return (stem, kind) if kind else (name, DATA)


def _split(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    stem, dot, extension = file.rpartition(".")
    return (folder + slash + stem, dot + extension) if dot else (name, "")
