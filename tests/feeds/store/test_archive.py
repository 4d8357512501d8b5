"""ZIP: whole, with nothing hidden, and of no kind that could hurt others (contract section 7; R9, S7, S8)."""

import io
import random
import shutil
import struct
import subprocess
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feeds.store import archive, zip_directory
from feeds.store.archive import MAX_META_BYTES, Contents, read_archive
from feeds.store.compression import StreamInvalid, TooLarge
from tests.feeds.store.crafted import (
    CRC,
    DESCRIPTOR,
    LARGEST,
    MARK_LIKE,
    OPEN,
    PACKED,
    TEXT,
    Lie,
    crafted,
    in_64_bit,
    unicode_path,
    zipped,
)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Contents]:
    def reader(data: bytes, limit: int | None = None) -> Contents:
        path = tmp_path / "archive"
        path.write_bytes(data)
        return read_archive(path, limit)

    return reader


Read = Callable[..., Contents]


def names(contents: Contents) -> dict[str, set[str]]:
    return {
        group.name: {kind for kind in ("meta", "context", "manifest") if getattr(group, kind) is not None}
        for group in contents.groups
    }


@pytest.mark.parametrize(("method", "streamed"), [(0, False), (8, False), (8, True)])
def test_whole_archives_are_read(read: Read, method: int, streamed: bool) -> None:
    rng = random.Random(1)
    big = rng.randbytes(300_000)
    data = zipped(
        ("001.dat", TEXT),
        ("001.meta", b"Feed:OTHER-FEED\nKey: value\n"),
        ("dir/", b""),
        ("dir/002.DAT", big),
        ("dir/002.Ctx", b"x"),
        ("003.mf", b""),
        method=method,
        streamed=streamed,
    )
    contents = read(data)
    assert names(contents) == {"001": {"meta"}, "dir/002": {"context"}}
    assert [group.feed for group in contents.groups] == ["OTHER-FEED", None]
    assert contents.inflated == len(TEXT) + 27 + len(big) + 1
    assert contents.entries == 6
    assert contents.notes == ("003.mf: ignored, there is no data entry for it",)


@pytest.mark.parametrize(
    ("entries", "groups"),
    [
        (["a.dat", "a.meta"], {"a": {"meta"}}),
        (["a.meta", "a.dat"], {"a": {"meta"}}),
        (["a.hdr", "a"], {"a": {"meta"}}),
        (["a.HEADER", "a.dat"], {"a": {"meta"}}),
        (["a.met", "a.context", "a.manifest", "a.dat"], {"a": {"meta", "context", "manifest"}}),
        (["2026.02.01", "2026.02.01.meta"], {"2026.02.01": {"meta"}}),
        (["2026.02.01", "2026.02.02"], {"2026.02.01": set(), "2026.02.02": set()}),
        (["007.foo", "007.ctx"], {"007": {"context"}}),
        (["007.foo", "007.foo.ctx", "007.meta"], {"007.foo": {"context"}}),
        (["d.x/a", "d.x/a.meta"], {"d.x/a": {"meta"}}),
        (["d/a.log", "a.meta"], {"d/a.log": set()}),
        (["d.x/a", "d.meta"], {"d.x/a": set()}),
        (["A.dat", "a.meta"], {"A": set()}),
        (["only.meta"], {}),
        ([".dat", ".meta"], {"": {"meta"}}),
        (["noext"], {"noext": set()}),
    ],
)
def test_types_and_base_names(read: Read, entries: list[str], groups: dict[str, set[str]]) -> None:
    assert names(read(zipped(*((name, b"x") for name in entries)))) == groups


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        (["a.dat", "a"], "data"),
        (["a.dat", "a.DAT"], "data"),
        (["a.meta", "a.hdr", "a.dat"], "meta"),
        (["a.ctx", "a.context", "a.dat"], "context"),
        (["a.mf", "a.manifest", "a.dat"], "manifest"),
        (["007.foo", "007.bar", "007.ctx"], "data"),
        (["007.foo", "007.dat", "007.ctx"], "data"),
    ],
)
def test_two_entries_of_one_type_for_one_base_name_are_refused(read: Read, entries: list[str], kind: str) -> None:
    with pytest.raises(StreamInvalid, match=f": there are two {kind} entries for one base name$"):
        read(zipped(*((name, b"x") for name in entries)))


def test_the_same_name_twice_is_refused(read: Read) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zipped(("a.dat", b"1"), ("a.dat", b"2"))
    with pytest.raises(StreamInvalid):
        read(data)


def test_meta_entries_are_read_as_section_7_says(read: Read) -> None:
    meta = b"\xef\xbb\xbfalone\r\n\r\n feed : SPACED-FEED \r\nWhen: 10:30:00\n"
    assert read(zipped(("1.meta", meta), ("1.dat", b"x"))).groups[0].feed == "SPACED-FEED"
    assert read(zipped(("1.meta", b"Feed:\n"), ("1.dat", b"x"))).groups[0].feed is None
    assert read(zipped(("1.meta", b"Feed:A\nfeed:B\n"), ("1.dat", b"x"))).groups[0].feed == "A,B"


@pytest.mark.parametrize(("size", "good"), [(1_048_576, True), (1_048_577, False)])
def test_a_meta_entry_has_at_most_1_mib(read: Read, size: int, good: bool) -> None:
    data = zipped(("1.meta", b"\n" * size), ("1.dat", b"x"))
    if good:
        read(data)
    else:
        with pytest.raises(StreamInvalid, match=r": a meta entry is larger than 1 MiB$"):
            read(data)


def test_an_empty_archive_is_empty_but_not_with_a_comment(read: Read) -> None:
    assert read(zipped()).entries == 0
    for comment in (b"a", b"abc"):
        with pytest.raises(StreamInvalid, match=r"^The ZIP has no entries$"):
            read(zipped()[:-2] + struct.pack("<H", len(comment)) + comment)


def test_s07_the_limit_counts_all_entries_together(read: Read) -> None:
    data = zipped(("1", b"\0" * 1000), ("2", b"\0" * 1000))
    assert read(data, 2000).inflated == 2000
    with pytest.raises(TooLarge):
        read(data, 1999)


def test_too_many_entries_are_refused_before_they_are_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_directory, "MAX_ENTRIES", 3)
    read(zipped(*((str(number), b"") for number in range(3))))
    with pytest.raises(StreamInvalid, match=r"more than 3 entries$"):
        read(zipped(*((str(number), b"") for number in range(4))))


@pytest.mark.parametrize("method", [0, 8])
@pytest.mark.parametrize("streamed", [False, True])
def test_r09_every_truncation_is_refused(read: Read, method: int, streamed: bool) -> None:
    data = zipped(("1.dat", TEXT[:200]), ("1.meta", b"Feed:X\n"), method=method, streamed=streamed)
    for length in range(len(data)):
        with pytest.raises(StreamInvalid):
            read(data[:length])


@pytest.mark.parametrize("streamed", [False, True])
def test_r09_no_bit_flip_changes_what_is_read(read: Read, streamed: bool) -> None:
    """A flip that is not noticed is in a time, a version or an attribute."""
    data = zipped(("1.dat", TEXT[:60]), ("1.meta", b"Feed:X\n"), method=8, streamed=streamed)
    good = read(data)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            seen = read(bytes(flipped))
        except StreamInvalid:
            continue
        assert names(seen) == names(good), bit
        assert (seen.groups[0].feed, seen.inflated) == ("X", good.inflated), bit


@pytest.mark.parametrize("junk", [b"x", b"\0", b"PK\x05\x06" + b"\0" * 18])
def test_s08_bytes_before_and_behind_are_refused(read: Read, junk: bytes) -> None:
    data = zipped(("1.dat", TEXT))
    for spoiled in (junk + data, data + junk):
        with pytest.raises(StreamInvalid):
            read(spoiled)


def test_the_writer_of_crafted_archives_can_tell_the_truth(read: Read) -> None:
    assert names(read(crafted(Lie(), Lie(b"2.dat")))) == {"1": set(), "2": set()}


@pytest.mark.parametrize(
    "behind",
    [
        DESCRIPTOR,
        DESCRIPTOR[4:],
        struct.pack("<4sL2Q", b"PK\x07\x08", CRC, PACKED, len(TEXT)),
        struct.pack("<L2Q", CRC, PACKED, len(TEXT)),
    ],
)
def test_each_form_of_a_descriptor_is_read(read: Read, behind: bytes) -> None:
    """It has 64 bit where the local header has a field of 64 bit."""
    wide = {"local_extra": in_64_bit(0, 0)} if len(behind) >= 20 else {}
    assert read(crafted(Lie(local_behind=behind, **OPEN, **wide))).inflated == len(TEXT)


def test_s37_a_checksum_that_looks_like_a_mark_does_not_stand_without_one(read: Read) -> None:
    assert zlib.crc32(MARK_LIKE) == int.from_bytes(DESCRIPTOR[:4], "little")
    packed = len(Lie(data=MARK_LIKE).packed)
    bare = DESCRIPTOR[:4] + struct.pack("<2L", packed, 4)
    assert read(crafted(Lie(data=MARK_LIKE, local_behind=DESCRIPTOR[:4] + bare, **OPEN))).inflated == 4
    with pytest.raises(StreamInvalid, match=f"{BEHIND}$"):
        read(crafted(Lie(data=MARK_LIKE, local_behind=bare, **OPEN)))


def ended(*, disk: int = 0, first_disk: int = 0, here: int = 1, size: int = 51, start: int = 0) -> bytes:
    """One entry with an end record that may say something else."""
    return crafted(Lie(), end=struct.pack("<4s4H2LH", b"PK\5\6", disk, first_disk, here, 1, size, start, 0))


def with_central(at: int, changed: bytes) -> bytes:
    """One entry of which these bytes of the central directory are others."""
    data = crafted(Lie())
    at += len(Lie().local())
    return data[:at] + changed + data[at + len(changed) :]


NOT_A_ZIP = "The data is not a ZIP, or its end is missing: there is no central directory"
DAMAGED = "The ZIP's central directory is damaged"
ENCRYPTED, ABSOLUTE = "it is encrypted", "its name is empty or absolute"
PARTS, SECOND_NAME = "a part of its name is empty or a dot", "it has a second name that differs"
STRANGE, NOT_UTF_8 = "its name has a backslash, a NUL or ..", "its name is not UTF-8"
MISMATCH, OVERLAP = "its length or checksum does not match", "it overlaps with what follows"
MISFIT = "its 64-bit field does not fit its record"
BEHIND, DISAGREES = (
    "bytes behind it belong to no entry",
    "its local header disagrees with the central directory",
)
#: Each with the reason that the sender is told; those in small letters are about the entry.
HOSTILE: dict[str, tuple[bytes, str]] = {
    "encrypted": (crafted(Lie(flags=1)), ENCRYPTED),
    "strongly encrypted": (crafted(Lie(flags=0x41)), ENCRYPTED),
    "strongly encrypted, and not said to be": (crafted(Lie(flags=0x40)), ENCRYPTED),
    "masked headers": (crafted(Lie(flags=0x2000)), ENCRYPTED),
    "method 12": (crafted(Lie(method=12)), "compression method 12 is not supported"),
    "method 9": (crafted(Lie(method=9)), "compression method 9 is not supported"),
    "method 99": (crafted(Lie(method=99)), "compression method 99 is not supported"),
    "stored but lengths differ": (crafted(Lie(method=0)), "its two lengths disagree"),
    "symbolic link": (crafted(Lie(central_attributes=0xA1FF << 16)), "it is a symbolic link"),
    "absolute": (crafted(Lie(b"/x.dat")), ABSOLUTE),
    "drive": (crafted(Lie(b"C:x.dat")), ABSOLUTE),
    "small drive": (crafted(Lie(b"z:x.dat")), ABSOLUTE),
    "empty name": (crafted(Lie(b"")), ABSOLUTE),
    "parent": (crafted(Lie(b"../x.dat")), STRANGE),
    "parent inside": (crafted(Lie(b"a/../../x.dat")), STRANGE),
    "only parent": (crafted(Lie(b"a/..")), STRANGE),
    "backslash": (crafted(Lie(b"a\\x.dat")), STRANGE),
    "NUL": (crafted(Lie(b"a.dat\0.meta")), STRANGE),
    "ending in a dot": (crafted(Lie(b"a.")), "its name ends in a dot"),
    "not UTF-8": (crafted(Lie(b"\xff.dat", flags=0x0800)), NOT_UTF_8),
    "not UTF-8, not marked": (crafted(Lie("ü".encode("cp437"))), NOT_UTF_8),
    "a dot in the path": (crafted(Lie(b"a/./b")), PARTS),
    "an empty part in the path": (crafted(Lie(b"a//b")), PARTS),
    "an empty part at the end": (crafted(Lie(b"a//", b"")), PARTS),
    "only a dot": (crafted(Lie(b".")), PARTS),
    "a dot twice": (crafted(Lie(b"././a")), PARTS),
    "./ before some names": (
        crafted(Lie(b"./a.meta"), Lie(b"a.dat")),
        "The ZIP has names with ./ before them and names without",
    ),
    "a name twice": (crafted(Lie(b"a.meta"), Lie(b"a.meta")), "its name is given twice"),
    "a folder twice": (crafted(Lie(b"a/", b""), Lie(b"a/", b"")), "its name is given twice"),
    "a file and a folder": (crafted(Lie(b"a", b""), Lie(b"a/", b"")), "its name is given twice"),
    "a folder by its attributes": (
        crafted(Lie(central_attributes=0o40755 << 16)),
        "it is a folder whose name is that of a file",
    ),
    "a patch": (crafted(Lie(flags=0x20)), "it is a patch"),
    "stored and streamed": (
        crafted(Lie(method=0, raw=TEXT, packed=len(TEXT), **OPEN)),
        "it is stored, and its length follows its data",
    ),
    "an end record in a comment of an entry": (
        crafted(Lie(central_comment=b"PK\5\6")),
        "its record holds the mark of an end record",
    ),
    "extra field too long": (crafted(Lie(central_extra=b"\x01\0\xff\0xx")), "its extra fields are damaged"),
    "extra field one too long": (crafted(Lie(central_extra=b"\x55\0\3\0xx")), "its extra fields are damaged"),
    "extra field without its data": (crafted(Lie(central_extra=b"\x55\0\1\0")), "its extra fields are damaged"),
    "second extra field too long": (
        crafted(Lie(central_extra=b"\x55\0\2\0xx\x56\0\3\0xx")),
        "its extra fields are damaged",
    ),
    "folder with data": (crafted(Lie(b"folder/")), "a folder has data"),
    "crc differs": (crafted(Lie(crc=1)), MISMATCH),
    "size too small": (crafted(Lie(size=len(TEXT) - 1)), MISMATCH),
    "size too large": (crafted(Lie(size=len(TEXT) + 1)), MISMATCH),
    "packed too small": (crafted(Lie(packed=PACKED - 1)), BEHIND),
    "packed too large": (crafted(Lie(packed=PACKED + 1)), OVERLAP),
    "broken data": (crafted(Lie(raw=b"\xff" * 20)), "an entry's data is broken"),
    "stream ends early": (crafted(Lie(raw=Lie().packed[:-1])), "an entry's data ends before its end"),
    "more behind the stream": (crafted(Lie(raw=Lie().packed + b"x")), "an entry has more data than its stream"),
    "local mark wrong": (b"PK\3\5" + crafted(Lie())[4:], DISAGREES),
    "local name too long": (crafted(Lie())[:26] + b"\xff\xff" + crafted(Lie())[28:], "The ZIP ends before its end"),
    "local name differs": (crafted(Lie(local_name=b"2.dat")), DISAGREES),
    "local flags differ": (crafted(Lie(local_flags=2)), DISAGREES),
    "local method differs": (crafted(Lie(local_method=0)), DISAGREES),
    "local crc differs": (crafted(Lie(local_crc=1)), DISAGREES),
    "local packed differs": (crafted(Lie(local_packed=1)), DISAGREES),
    "local size differs": (crafted(Lie(local_size=1)), DISAGREES),
    "local crc open without a descriptor": (
        crafted(Lie(local_crc=0, local_packed=0, local_size=0)),
        DISAGREES,
    ),
    "streamed, with another crc": (crafted(Lie(local_behind=DESCRIPTOR, **{**OPEN, "local_crc": 1})), DISAGREES),
    "streamed, with another packed": (
        crafted(Lie(local_behind=DESCRIPTOR, **{**OPEN, "local_packed": 1})),
        DISAGREES,
    ),
    "streamed, with another size": (crafted(Lie(local_behind=DESCRIPTOR, **{**OPEN, "local_size": 1})), DISAGREES),
    "64-bit size missing": (crafted(Lie(central_size=LARGEST)), MISFIT),
    "64-bit size one byte short": (
        crafted(Lie(central_size=LARGEST, central_extra=struct.pack("<2HL3x", 1, 7, len(TEXT)))),
        MISFIT,
    ),
    "64-bit field too long": (crafted(Lie(central_size=LARGEST, central_extra=in_64_bit(len(TEXT), 0))), MISFIT),
    "64-bit field contradicts": (crafted(Lie(central_extra=in_64_bit(len(TEXT) + 1))), MISFIT),
    "64-bit field of 9 bytes": (
        crafted(Lie(central_extra=struct.pack("<2HQB", 1, 9, len(TEXT), PACKED))),
        MISFIT,
    ),
    "64-bit field without its disk": (
        crafted(Lie(central_disk=0xFFFF, central_offset=LARGEST, central_extra=in_64_bit(0))),
        MISFIT,
    ),
    "64-bit field with another disk": (
        crafted(Lie(central_disk=0xFFFF, central_extra=struct.pack("<2HL", 1, 4, 1))),
        MISFIT,
    ),
    "64-bit field of the local header too short": (crafted(Lie(local_extra=in_64_bit(len(TEXT)))), DISAGREES),
    "64-bit field of the local header contradicts": (
        crafted(Lie(local_extra=in_64_bit(len(TEXT) + 1, PACKED))),
        DISAGREES,
    ),
    "64-bit field of the local header true, and its size not": (
        crafted(Lie(local_size=1, local_extra=in_64_bit(len(TEXT), PACKED))),
        DISAGREES,
    ),
    "wide descriptor without its field": (
        crafted(Lie(local_behind=struct.pack("<4sL2Q", b"PK\x07\x08", CRC, PACKED, len(TEXT)), **OPEN)),
        BEHIND,
    ),
    "narrow descriptor in spite of its field": (
        crafted(Lie(local_behind=DESCRIPTOR, local_extra=in_64_bit(0, 0), **OPEN)),
        BEHIND,
    ),
    "64-bit size differs in its highest byte": (
        crafted(Lie(central_size=LARGEST, central_extra=in_64_bit(len(TEXT) | 1 << 56))),
        DISAGREES,
    ),
    "descriptor missing": (crafted(Lie(**OPEN)), BEHIND),
    "descriptor wrong": (crafted(Lie(local_behind=DESCRIPTOR[:-1] + b"\1", **OPEN)), BEHIND),
    "descriptor with another crc": (
        crafted(Lie(local_behind=struct.pack("<3L", CRC ^ 1, PACKED, len(TEXT)), **OPEN)),
        BEHIND,
    ),
    "descriptor with another packed": (
        crafted(Lie(local_behind=struct.pack("<3L", CRC, PACKED + 1, len(TEXT)), **OPEN)),
        BEHIND,
    ),
    "descriptor with another mark": (crafted(Lie(local_behind=b"PK\7\7" + DESCRIPTOR[4:], **OPEN)), BEHIND),
    "descriptor cut": (crafted(Lie(local_behind=DESCRIPTOR[:-1], **OPEN)), BEHIND),
    "descriptor and more": (crafted(Lie(local_behind=DESCRIPTOR + bytes(9), **OPEN)), BEHIND),
    "64-bit descriptor and more": (
        crafted(Lie(local_behind=struct.pack("<4sL2Q9x", b"PK\7\10", CRC, PACKED, len(TEXT)), **OPEN)),
        BEHIND,
    ),
    "descriptor that is not announced": (crafted(Lie(local_behind=DESCRIPTOR)), BEHIND),
    "gap": (crafted(Lie(), Lie(b"2.dat"), between=b"?"), BEHIND),
    "hidden entry": (crafted(Lie(local_behind=Lie(b"hidden.dat").local())), BEHIND),
    "offset in the directory": (crafted(Lie(), Lie(b"2.dat", central_offset=len(Lie().local()) * 2)), BEHIND),
    "two entries share one range": (crafted(Lie(), Lie(b"2.dat", central_offset=0)), OVERLAP),
    "overlap": (crafted(Lie(), Lie(b"2.dat", central_offset=10)), OVERLAP),
    "offset behind the end": (crafted(Lie(central_offset=9999)), "The ZIP has bytes that belong to no entry"),
    "bytes before": (
        b"x"
        + crafted(
            Lie(central_offset=1), end=struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 51, 1 + len(Lie().local()), 0)
        ),
        "The ZIP has bytes that belong to no entry",
    ),
    "fewer entries than counted": (crafted(Lie(), count=2), DAMAGED),
    "central mark wrong": (with_central(2, b"\1\3"), DAMAGED),
    "central name too long": (with_central(28, b"\x06"), DAMAGED),
    "central extra too long": (with_central(30, b"\x01"), DAMAGED),
    "central comment too long": (with_central(32, b"\x01"), DAMAGED),
    "more entries than counted": (
        crafted(Lie(), Lie(b"2.dat"), count=1),
        "The ZIP's central directory does not have the size it states",
    ),
    "second disk": (crafted(Lie(central_disk=1)), "it lies in another part"),
    "end says second disk": (ended(disk=1), "The ZIP is one part of several"),
    "end says directory on second disk": (ended(first_disk=1), "The ZIP is one part of several"),
    "end says fewer entries here": (ended(here=0), "The ZIP is one part of several"),
    "directory before the file": (ended(size=9999), "The ZIP's central directory is not where its end record says"),
    "comment too long": (crafted(Lie())[:-2] + b"\x05\0", NOT_A_ZIP),
    "comment too short": (crafted(Lie()) + b"abc", NOT_A_ZIP),
    "no end": (crafted(Lie(), end=b""), NOT_A_ZIP),
    "end cut by one byte": (crafted(Lie())[:-1], NOT_A_ZIP),
    "an end in a comment": (crafted(Lie())[:-2] + b"\x16\0" + crafted()[:-2] + b"\x01\0", NOT_A_ZIP),
    "64-bit locator and nothing before it": (
        struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1) + ended(size=20, start=0)[-22:],
        "The ZIP's 64-bit end record is damaged",
    ),
    "64-bit locator to nowhere": (
        crafted(Lie())[:-22] + struct.pack("<4sLQL", b"PK\6\7", 0, 7, 1) + crafted(Lie())[-22:],
        "The ZIP's 64-bit end record is damaged",
    ),
    "not a zip": (b"just text " * 100, NOT_A_ZIP),
    "nothing": (b"", NOT_A_ZIP),
    "only an end mark": (b"PK\5\6", NOT_A_ZIP),
    "rar": (b"Rar!\x1a\x07\x01\0" + b"x" * 100, NOT_A_ZIP),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_s08_a_hostile_archive_is_refused_with_a_reason(read: Read, name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(StreamInvalid) as refusal:
        read(data)
    entry, colon, told = str(refusal.value).partition(": ")
    of_entry = entry.startswith("The ZIP entry ")
    assert (told if of_entry else entry + colon + told) == reason
    assert of_entry == (reason[0].islower() or reason.startswith("its"))


def test_s08_there_are_enough_hostile_archives() -> None:
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"/" + b"n" * 100, "/" + "n" * 79), ("/üx".encode(), "/\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}x")],
)
def test_s08_the_reason_names_the_entry_briefly(read: Read, name: bytes, shown: str) -> None:
    with pytest.raises(StreamInvalid) as refusal:
        read(crafted(Lie(name, flags=0x800)))
    assert str(refusal.value) == f"The ZIP entry {shown}: {ABSOLUTE}"


def test_s08_the_limits_are_those_of_the_contract() -> None:
    assert (zip_directory.MAX_ENTRIES, archive.MAX_META_BYTES) == (100_000, 1_048_576)
    assert (zip_directory.MAX_DIRECTORY_BYTES, archive.LONGER_THAN_FEEDS) == (16_777_216, 256)


@pytest.mark.parametrize(("most", "good"), [(102, True), (101, False)])
def test_s08_a_directory_that_takes_too_much_memory_is_refused(
    read: Read, monkeypatch: pytest.MonkeyPatch, most: int, good: bool
) -> None:
    monkeypatch.setattr(zip_directory, "MAX_DIRECTORY_BYTES", most)
    data = crafted(Lie(), Lie(b"2.dat"))
    if good:
        assert read(data).entries == 2
        return
    with pytest.raises(StreamInvalid) as refusal:
        read(data)
    assert str(refusal.value) == "The ZIP's central directory is larger than 16 MiB"


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (unicode_path("zażółć.dat".encode()), SECOND_NAME),
        (b"\x55\x54\5\0\3time" + unicode_path(b"other.dat"), SECOND_NAME),
        (unicode_path(b"other.dat") + b"\x55\x54\5\0\3time", SECOND_NAME),
        (unicode_path(b"other.dat", crc=1), SECOND_NAME),
        (unicode_path(b"1.dat", crc=1), SECOND_NAME),
        (unicode_path(b"1.dat").replace(b"\1", b"\2", 1), SECOND_NAME),
        (b"\x75\x70\4\0\1abc", SECOND_NAME),
        (unicode_path(b"1.dat") * 2, "it has an extra field twice"),
        (b"\x55\x54\0\0" * 2, "it has an extra field twice"),
        (b"\x01\x99\7\0\2\0AE\3\x08\0", ENCRYPTED),
        (b"\x17\0\0\0", ENCRYPTED),
        (unicode_path(b"1.dat"), None),
        (bytes(8), None),
        (b"\x55\x54\2\0xx" + b"abc", None),
    ],
)
@pytest.mark.parametrize("where", ["local_extra", "central_extra", "extra"])
def test_s37_an_extra_field_gives_no_second_name_and_is_given_once(
    read: Read, where: str, extra: bytes, reason: str | None
) -> None:
    data = crafted(Lie(**{where: extra}))
    if reason is None:
        assert list(names(read(data))) == ["1"]
    else:
        with pytest.raises(StreamInvalid, match=f": {reason}$"):
            read(data)


def test_a_comment_may_be_as_long_as_the_format_allows(read: Read) -> None:
    assert read(crafted(Lie())[:-2] + b"\xff\xff" + b"c" * 65535).entries == 1


def test_entries_may_have_comments(read: Read) -> None:
    data = with_central(32, b"\3")
    end = len(Lie().local()) + 51
    record = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 54, len(Lie().local()), 0)
    assert read(data[:end] + b"abc" + record).entries == 1


def test_entries_may_lie_in_another_order_than_they_are_listed(read: Read) -> None:
    first, second = Lie(), Lie(b"2.dat")
    body = first.local() + second.local()
    central = second.central(len(first.local())) + first.central(0)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(central), len(body), 0)
    assert list(names(read(body + central + end))) == ["2", "1"]


def test_data_that_nothing_belongs_to_is_told_briefly(read: Read) -> None:
    orphans = [(f"{number:02}{'n' * 300}.meta", b"x") for number in range(25)]
    notes = read(zipped(*orphans, ("1.dat", b"x"))).notes
    assert notes == tuple(f"{number:02}{'n' * 198}: ignored, there is no data entry for it" for number in range(20))


def test_a_feed_that_cannot_exist_is_kept_only_in_part(read: Read) -> None:
    for size, kept in ((255, 255), (256, 256), (257, 256)):
        meta = b"Feed:" + b"F" * size
        assert read(zipped(("1.meta", meta), ("1.dat", b"x"))).groups[0].feed == "F" * kept


@pytest.mark.parametrize(
    "stated",
    [
        {"local_packed": LARGEST, "local_size": LARGEST},
        {"local_packed": LARGEST},
        {"local_size": LARGEST},
        {"local_size": len(TEXT)},
        {"local_crc": CRC, "local_packed": PACKED, "local_size": len(TEXT)},
    ],
    ids=["both at their most", "packed at its most", "size at its most", "the size", "everything"],
)
def test_a_streamed_entry_may_state_its_sizes_or_leave_them_open(read: Read, stated: dict[str, object]) -> None:
    assert read(crafted(Lie(local_behind=DESCRIPTOR, **{**OPEN, **stated}))).inflated == len(TEXT)


@pytest.mark.parametrize(
    "stated",
    [
        {"central_size": LARGEST, "central_extra": in_64_bit(len(TEXT))},
        {"central_packed": LARGEST, "central_extra": in_64_bit(PACKED)},
        {"size": LARGEST, "packed": LARGEST, "extra": in_64_bit(len(TEXT), PACKED)},
        {"central_offset": LARGEST, "central_extra": in_64_bit(0)},
        {"central_disk": 0xFFFF, "central_offset": LARGEST, "central_extra": struct.pack("<2HQL", 1, 12, 0, 0)},
        {"central_extra": in_64_bit(len(TEXT))},
        {"extra": in_64_bit(len(TEXT), PACKED)},
        {
            "central_size": LARGEST,
            "central_packed": LARGEST,
            "central_offset": LARGEST,
            "central_extra": b"\x55\x54\1\0x" + in_64_bit(len(TEXT), PACKED, 0),
        },
    ],
    ids=[
        "size",
        "packed",
        "both, in both headers",
        "offset",
        "offset and disk",
        "size again",
        "all sizes again",
        "everything",
    ],
)
def test_64_bit_values_stand_for_those_that_are_left_open(read: Read, stated: dict[str, object]) -> None:
    contents = read(crafted(Lie(**stated)))
    assert contents.inflated == len(TEXT)


USUAL_64 = {
    "mark": b"PK\6\6",
    "record": 44,
    "disk_64": 0,
    "first_disk_64": 0,
    "here_64": 1,
    "count_64": 1,
    "size_64": 51,
    "start_64": len(Lie().local()),
    "cut": 0,
    "beyond": b"",
    "locator_mark": b"PK\6\7",
    "locator_disk": 0,
    "at": len(Lie().local()) + 51,
    "disks": 1,
    "disk": 0,
    "first_disk": 0,
    "here": 0xFFFF,
    "count": 0xFFFF,
    "size": LARGEST,
    "start": LARGEST,
}


def zip_64(**changes: object) -> bytes:
    """An archive whose end record leaves everything to the 64-bit one, unless it is changed."""
    value: dict[str, Any] = {**USUAL_64, **changes}
    end_64 = struct.pack(
        "<4sQ2H2L4Q",
        *(value["mark"], value["record"], 45, 45, value["disk_64"], value["first_disk_64"]),
        *(value["here_64"], value["count_64"], value["size_64"], value["start_64"]),
    )
    locator = struct.pack("<4sLQL", value["locator_mark"], value["locator_disk"], value["at"], value["disks"])
    end = struct.pack(
        "<4s4H2LH",
        *(b"PK\5\6", value["disk"], value["first_disk"], value["here"], value["count"]),
        *(value["size"], value["start"], 0),
    )
    return Lie().local() + Lie().central(0) + end_64[: 56 - value["cut"]] + value["beyond"] + locator + end


TRUE_32 = {"here": 1, "count": 1, "size": 51, "start": len(Lie().local())}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        TRUE_32,
        *({name: value} for name, value in TRUE_32.items()),
        {"disk": 0xFFFF, "first_disk": 0xFFFF},
        {"disks": 0},
    ],
)
def test_64_bit_archives_are_read(read: Read, changes: dict[str, object]) -> None:
    assert read(zip_64(**changes)).inflated == len(TEXT)


def test_a_64_bit_entry_of_pythons_writer_is_read(read: Read) -> None:
    with zipfile.ZipFile(io.BytesIO(), "w") as file:
        with file.open("big.dat", "w", force_zip64=True) as entry:
            entry.write(TEXT)
        stream = file.fp
        assert isinstance(stream, io.BytesIO)
        file.close()
        assert read(stream.getvalue()).inflated == len(TEXT)


DAMAGED_64 = "The ZIP's 64-bit end record is damaged"
DISAGREE_64 = "The two end records of the ZIP disagree"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mark": b"PK\6\5"}, DAMAGED_64),
        ({"record": 45}, DAMAGED_64),
        ({"record": 43}, DAMAGED_64),
        ({"beyond": b"x"}, DAMAGED_64),
        ({"record": 54, "beyond": b"0123456789"}, DAMAGED_64),
        ({"record": 43, "cut": 1}, DAMAGED_64),
        ({"locator_disk": 1}, DAMAGED_64),
        ({"disks": 2}, DAMAGED_64),
        ({"at": USUAL_64["at"] + 1}, DAMAGED_64),  # type: ignore[operator]
        ({"at": USUAL_64["at"] - 1}, DAMAGED_64),  # type: ignore[operator]
        ({"at": 2**63}, DAMAGED_64),
        ({"disk": 1}, DISAGREE_64),
        ({"first_disk": 1}, DISAGREE_64),
        ({"here": 2}, DISAGREE_64),
        ({"count": 2}, DISAGREE_64),
        ({"size": 50}, DISAGREE_64),
        ({"start": 1}, DISAGREE_64),
        ({"disk": 0xFFFF, "disk_64": 1}, "The ZIP is one part of several"),
        ({"first_disk": 0xFFFF, "first_disk_64": 1}, "The ZIP is one part of several"),
        ({"here_64": 2}, "The ZIP is one part of several"),
        ({"size_64": 52}, "The ZIP's central directory is not where its end record says"),
        ({"locator_mark": b"PK\6\5"}, "The ZIP's central directory is not where its end record says"),
    ],
)
def test_s08_damaged_64_bit_records_are_refused(read: Read, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(StreamInvalid) as refusal:
        read(zip_64(**changes))
    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    "command", ["zip -q out.zip a.log b.meta", "zip -q - a.log b.meta > out.zip", "jar cfM out.zip a.log b.meta"]
)
def test_archives_of_common_tools_are_read(tmp_path: Path, command: str) -> None:
    if shutil.which(command.split(maxsplit=1)[0]) is None:
        pytest.skip(f"{command.split(maxsplit=1)[0]} is not installed")
    (tmp_path / "a.log").write_bytes(TEXT * 1000)
    (tmp_path / "b.meta").write_bytes(b"Feed:X\n")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert [group.name for group in read_archive(tmp_path / "out.zip").groups] == ["a.log"]


def test_what_pythons_reader_sees_is_what_we_see(read: Read, tmp_path: Path) -> None:
    rng = random.Random(9)
    for _ in range(50):
        entries = [(f"{number}.dat", rng.randbytes(rng.randrange(5000))) for number in range(rng.randrange(1, 9))]
        method = rng.choice([0, 8])
        data = zipped(*entries, method=method, streamed=method == 8 and rng.random() < 0.5)
        contents = read(data)
        with (tmp_path / "archive").open("rb") as file:
            seen = {
                group.data.name: b"".join(zip_directory.read_entry(file, group.data)) for group in contents.groups
            }
        assert seen == dict(entries)


def test_an_archive_names_a_limited_number_of_feeds(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """How often it names one does not matter."""
    monkeypatch.setattr(archive, "MAX_FEEDS", 2)
    feeds = [b"A", b"B", b"A", b"B"]
    data = [(f"{number}.{kind}", b"Feed:" + feed) for number, feed in enumerate(feeds) for kind in ("meta", "dat")]
    contents = read(zipped(*data))
    assert [group.feed for group in contents.groups] == ["A", "B", "A", "B"]
    assert contents.groups.feeds == ["A", "B"]
    assert contents.groups.each_names_a_feed
    assert not read(zipped(*data, ("5.dat", b""))).groups.each_names_a_feed
    with pytest.raises(StreamInvalid, match=r"^The ZIP names more than 2 feeds$"):
        read(zipped(*data, ("5.meta", b"Feed:C"), ("5.dat", b"")))


def many_entries(count: int, width: int) -> bytes:
    """Empty data and meta entries in turn, with names of this length."""
    packed = Lie(data=b"").packed
    body, central = bytearray(), bytearray()
    for number in range(count):
        name = b"%0*d.%s" % (width - 5, number // 2, b"meta" if number % 2 else b"data")
        head = (0, 8, 0, 0, 0, len(packed), 0, len(name))
        central += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, *head, 0, 0, 0, 0, 0, len(body)) + name
        body += struct.pack("<4s5H3L2H", b"PK\3\4", 20, *head, 0) + name + packed
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(central), len(body))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body) + len(central), 1)
    small = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, LARGEST, LARGEST, 0)
    return bytes(body + central + end + locator + small)


def test_r10_a_hundred_thousand_entries_fit_into_32_mib(tmp_path: Path) -> None:
    """Measured with a part of them: the directory itself may have 16 MiB, so 167 bytes are left for each entry."""
    count, width = 6000, 121
    path = tmp_path / "archive"
    path.write_bytes(many_entries(count, width))
    tracemalloc.start()
    try:
        contents = read_archive(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(contents.groups) == count // 2
    fixed = 512 * 1024
    assert peak - fixed <= count * (46 + width) + 167 * count


@pytest.mark.parametrize("line", [b"\n", b"\r", b"a:\n", b"Feed:A\n", b"\r\n", b"x"])
def test_s39_many_meta_entries_of_many_lines_cost_no_minutes(tmp_path: Path, line: bytes) -> None:
    """A kilobyte of packed lines took two seconds, and an archive has a hundred thousand entries."""
    meta = (line * MAX_META_BYTES)[:MAX_META_BYTES]
    path = tmp_path / "archive"
    path.write_bytes(
        zipped(
            *(
                (f"{number}.{kind}", meta if kind == "meta" else b"")
                for number in range(40)
                for kind in ("meta", "dat")
            )
        )
    )
    began = time.process_time()
    if line.strip():
        with pytest.raises(StreamInvalid, match="too many lines or bytes"):
            read_archive(path)
    else:  # cheap, and taken
        assert len(read_archive(path).groups) == 40
    assert time.process_time() - began < 20


def test_archives_of_many_honest_meta_entries_are_taken(tmp_path: Path) -> None:
    meta = b"".join(b"%s:%s\n" % (name, b"value" * 5) for name in (b"Header-%d" % number for number in range(60)))
    entries = (
        (f"{number}.{kind}", meta if kind == "meta" else b"x") for number in range(3000) for kind in ("dat", "meta")
    )
    path = tmp_path / "archive"
    path.write_bytes(zipped(*entries))
    assert len(read_archive(path).groups) == 3000
