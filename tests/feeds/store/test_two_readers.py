"""S37: an archive that two readers could read in two ways is refused; one that is taken, all read alike.

The other readers are Python's zipfile and Java's ZipFile and ZipInputStream, as they are installed here.
"""

import hashlib
import io
import random
import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest

from feeds.store.archive import read_archive
from feeds.store.compression import StreamInvalid
from feeds.store.zip_directory import read_directory, read_entry
from tests.feeds.store.crafted import (
    CRC,
    DESCRIPTOR,
    LARGEST,
    MARK_LIKE,
    OPEN,
    PACKED,
    TEXT,
    Lie,
    OneWay,
    crafted,
    in_64_bit,
    unicode_path,
    zipped,
)
from tests.feeds.store.readers import View, seen_by_java, seen_by_python

META = b"Feed:OTHER-FEED\n"
SIZE = len(TEXT)
STORED = {"method": 0, "raw": TEXT, "packed": SIZE}


def with_end(data: bytes, comment: bytes) -> bytes:
    return data[:-2] + struct.pack("<H", len(comment)) + comment


def wide_end(*, beyond: bytes = b"", record: int = 44) -> bytes:
    """An archive with a 64-bit end record, and bytes between it and its locator."""
    data = crafted(Lie(b"a.meta", META), Lie(b"a.dat"))
    body, end = data[:-22], data[-22:]
    fields = struct.unpack("<4s4H2LH", end)
    count, size, start = fields[4], fields[5], fields[6]
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", record, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body), 1)
    small = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, LARGEST, LARGEST, 0)
    return body + end_64 + beyond + locator + small


OTHER = crafted(Lie(b"b.dat", b"other"))

#: What at least two of the readers named above see differently, or one of them refuses.
DOUBTS: dict[str, bytes] = {
    "some names marked as UTF-8": crafted(Lie("ü.meta".encode(), META), Lie("ü.dat".encode(), flags=0x800)),
    "not ASCII, in the old code page": crafted(Lie("ü.dat".encode("cp437"))),
    "marked as UTF-8 in the directory alone": crafted(Lie("ü.dat".encode(), central_flags=0x800)),
    "marked as UTF-8 in the local header alone": crafted(Lie("ü.dat".encode(), local_flags=0x800)),
    "another name in the local header": crafted(Lie(b"a.meta", META, local_name=b"b.txt")),
    "another case in the local header": crafted(Lie(b"a.meta", META, local_name=b"A.meta")),
    "a NUL in the name": crafted(Lie(b"a.meta\0.dat", META)),
    "another method in the local header": crafted(Lie(local_method=0)),
    "another size in the local header": crafted(Lie(local_size=SIZE - 1)),
    "another packed size in the local header": crafted(Lie(local_packed=PACKED - 1)),
    "another checksum in the local header": crafted(Lie(local_crc=CRC ^ 1)),
    "another size in the directory": crafted(Lie(central_size=SIZE - 1)),
    "encrypted in the local header alone": crafted(Lie(local_flags=1)),
    "encrypted in the directory alone": crafted(Lie(central_flags=1)),
    "streamed in the local header alone": crafted(Lie(local_flags=8)),
    "stored and streamed": crafted(Lie(**STORED, **OPEN, local_behind=struct.pack("<3L", CRC, SIZE, SIZE))),
    "a descriptor with another checksum": crafted(
        Lie(local_behind=struct.pack("<4s3L", b"PK\7\10", CRC ^ 1, PACKED, SIZE), **OPEN)
    ),
    "a descriptor with another size": crafted(
        Lie(local_behind=struct.pack("<4s3L", b"PK\7\10", CRC, PACKED, SIZE + 1), **OPEN)
    ),
    "a wide descriptor that nothing announces": crafted(
        Lie(local_behind=struct.pack("<4sL2Q", b"PK\7\10", CRC, PACKED, SIZE), **OPEN)
    ),
    "a checksum that looks like a descriptor's mark": crafted(
        Lie(
            data=MARK_LIKE,
            local_behind=struct.pack("<3L", zlib.crc32(MARK_LIKE), len(Lie(data=MARK_LIKE).packed), 4),
            **OPEN,
        )
    ),
    "no descriptor": crafted(Lie(**OPEN)),
    "an entry hidden behind another": crafted(Lie(b"a.dat", local_behind=Lie(b"a.meta", META).local())),
    "an entry hidden before the first": Lie(b"a.meta", META).local()
    + crafted(Lie(b"a.dat", central_offset=len(Lie(b"a.meta", META).local())))[: -22 - 51]
    + Lie(b"a.dat").central(len(Lie(b"a.meta", META).local()))
    + struct.pack(
        "<4s4H2LH",
        *(b"PK\5\6", 0, 0, 1, 1, 51, len(Lie(b"a.meta", META).local() + Lie(b"a.dat").local()), 0),
    ),
    "two entries that share their data": crafted(Lie(b"a.dat"), Lie(b"b.dat", central_offset=0)),
    "a local header that the directory does not name": crafted(Lie(b"a.dat"), Lie(b"b.dat"))[: -22 - 102]
    + Lie(b"a.dat").central(0)
    + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 51, 2 * len(Lie(b"a.dat").local()), 0),
    "junk before": b"#!/bin/sh\n" + crafted(Lie()),
    "another archive before": OTHER + crafted(Lie()),
    "another archive behind": crafted(Lie()) + OTHER,
    "an end record in the comment": with_end(crafted(Lie()), struct.pack("<4s4H2LH", b"PK\5\6", *[0] * 7)),
    "another archive in the comment": with_end(crafted(Lie()), OTHER),
    "an extended 64-bit end record": wide_end(beyond=b"0123456789", record=54),
    "a 64-bit field with another size": crafted(Lie(central_size=LARGEST, central_extra=in_64_bit(SIZE - 1))),
    "a 64-bit field that is too short": crafted(
        Lie(central_size=LARGEST, central_extra=struct.pack("<2HL3x", 1, 7, SIZE))
    ),
    "a 64-bit size in the directory alone, and zero in the local header": crafted(
        Lie(local_size=0, central_size=LARGEST, central_extra=in_64_bit(SIZE))
    ),
    "a patch": crafted(Lie(flags=0x20)),
    "data behind the end of the stream": crafted(Lie(raw=Lie().packed + b"more")),
    "strongly encrypted": crafted(Lie(flags=0x40)),
}
#: What the readers here list alike, and others do not (Commons Compress, Info-ZIP, 7-Zip), or who asks by name.
ELSEWHERE: dict[str, bytes] = {
    "a second name": crafted(
        Lie(b"a.meta", META, extra=unicode_path(b"b.txt", zlib.crc32(b"a.meta"))), Lie(b"a.dat")
    ),
    "a second name in the directory alone": crafted(
        Lie(b"a.meta", META, central_extra=unicode_path(b"b.txt", zlib.crc32(b"a.meta")))
    ),
    "a second name in the local header alone": crafted(
        Lie(b"a.meta", META, local_extra=unicode_path(b"b.txt", zlib.crc32(b"a.meta")))
    ),
    "a second name of another name": crafted(Lie(b"a.meta", META, extra=unicode_path(b"b.txt", 1))),
    "two second names": crafted(Lie(extra=unicode_path(b"1.dat") + unicode_path(b"2.dat"))),
    "an extra field twice": crafted(Lie(extra=b"\x55\x54\1\0\0" * 2)),
    "WinZip's encryption": crafted(Lie(extra=struct.pack("<3H2sBH", 0x9901, 7, 2, b"AE", 3, 8))),
    "PKWARE's encryption": crafted(Lie(extra=struct.pack("<2H8x", 0x17, 8))),
    "a folder by its attributes": crafted(Lie(b"a.dat", central_attributes=0o40755 << 16)),
    "a dot in the path": crafted(Lie(b"x/./a.meta", META), Lie(b"x/a.dat")),
    "an empty part in the path": crafted(Lie(b"x//a.meta", META), Lie(b"x/a.dat")),
    "a path that begins here, and one that does not": crafted(Lie(b"./a.meta", META), Lie(b"a.dat")),
    "an end record in an entry's comment": crafted(
        Lie(central_comment=struct.pack("<4s4H2LH", b"PK\5\6", *[0] * 7))
    ),
    "a 64-bit field that contradicts": crafted(Lie(central_extra=in_64_bit(SIZE + 1, PACKED))),
    "a 64-bit field in the local header that contradicts": crafted(Lie(local_extra=in_64_bit(SIZE + 1, PACKED))),
    "the same data entry twice": crafted(Lie(b"a.dat"), Lie(b"a.dat", b"other")),
    "the same meta entry twice": crafted(Lie(b"a.dat"), Lie(b"a.meta", META), Lie(b"a.meta", b"Feed:X\n")),
    "the same entry without data twice": crafted(Lie(b"a.dat"), Lie(b"b.meta", META), Lie(b"b.meta", b"")),
    "a file and a folder of one name": crafted(Lie(b"a"), Lie(b"a/", b"", method=0, raw=b"", packed=0)),
    "fewer entries than the directory holds": crafted(Lie(b"a.dat"), Lie(b"a.meta", META), count=1),
    "a 64-bit field twice": crafted(Lie(central_size=LARGEST, central_extra=in_64_bit(SIZE) + in_64_bit(SIZE - 1))),
    "a 64-bit field that is too long": crafted(Lie(central_size=LARGEST, central_extra=in_64_bit(SIZE, 7, 7))),
    "a folder with data": crafted(Lie(b"a/", TEXT)),
    "masked headers": crafted(Lie(flags=0x2000)),
}


def seen_by_us(path: Path) -> View:
    try:
        read_archive(path)
        with path.open("rb") as file:
            return [
                (entry.name, hashlib.sha256(b"".join(read_entry(file, entry))).hexdigest())
                for entry in read_directory(file)
            ]
    except StreamInvalid:
        return None


def as_utf_8(view: View) -> View:
    """The view with the names that zipfile takes for the old code page, where they are not marked, as UTF-8."""
    return view and [(_as_utf_8(name), content) for name, content in view]


def _as_utf_8(name: str) -> str:
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readers")


def views(archives: dict[str, bytes], work: Path, name: str) -> dict[str, tuple[View, View, View]]:
    """What zipfile, ZipFile and ZipInputStream see in each of these."""
    if shutil.which("java") is None:
        pytest.skip("Java is not installed")
    folder = work / name
    folder.mkdir()
    files = {f"{number:06}": key for number, key in enumerate(archives)}
    for file, key in files.items():
        (folder / file).write_bytes(archives[key])
    java = seen_by_java(folder, work)
    return {key: (seen_by_python(folder / file), *java[file]) for file, key in files.items()}


@pytest.mark.parametrize("name", [*DOUBTS, *ELSEWHERE])
def test_s37_an_archive_that_two_readers_could_read_in_two_ways_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "archive"
    path.write_bytes({**DOUBTS, **ELSEWHERE}[name])
    with pytest.raises(StreamInvalid):
        read_archive(path)


def test_s37_there_are_30_constructions() -> None:
    assert len(DOUBTS) >= 30


def test_s37_the_doubts_are_doubts(work: Path) -> None:
    """Two of the readers differ in each of them; otherwise it would be refused for nothing."""
    for name, seen in views(DOUBTS, work, "doubts").items():
        assert len({str(sorted(view)) if view is not None else None for view in seen}) > 1, name


def python_zip(*entries: tuple[str, bytes], wide: bool = False, streamed: bool = False) -> bytes:
    """What zipfile writes; with 64-bit fields if it is to be ready for large entries."""
    target = OneWay() if streamed else io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            with file.open(name, "w", force_zip64=wide) as entry:
                entry.write(content)
    return bytes(target.data) if isinstance(target, OneWay) else target.getvalue()


ENTRIES = (("a.dat", TEXT), ("a.meta", META), ("x/b.log", b"b"), ("empty.dat", b""))
HONEST: dict[str, bytes] = {
    "zipfile": zipped(*ENTRIES),
    "zipfile, stored": zipped(*ENTRIES, method=0),
    "zipfile, folders": zipped(("x/", b""), *ENTRIES),
    "zipfile, names in UTF-8": zipped(("zażółć/日本.dat", TEXT), ("zażółć/日本.meta", META)),
    "zipfile, streamed": zipped(*ENTRIES, streamed=True),
    "zipfile, ready for large entries": python_zip(*ENTRIES, wide=True),
    "zipfile, streamed, ready for large entries": python_zip(*ENTRIES, wide=True, streamed=True),
    "a descriptor without a mark": crafted(Lie(local_behind=DESCRIPTOR[4:], **OPEN)),
    "a 64-bit end record": wide_end(),
    "a 64-bit field that repeats": crafted(Lie(extra=in_64_bit(SIZE, PACKED))),
    "a comment": with_end(crafted(Lie()), b"written by hand"),
    "a second name that is the same": crafted(Lie(extra=unicode_path(b"1.dat"))),
    "every name begins here": crafted(Lie(b"./", b""), Lie(b"./a.dat")),
}
WIDE_DESCRIPTORS = {"Info-ZIP, from a pipe to a pipe", "zipfile, streamed, ready for large entries"}
COMMANDS = {
    "Info-ZIP": "zip -q out.zip a.dat a.meta",
    "Info-ZIP, stored": "zip -q0 out.zip a.dat a.meta",
    "Info-ZIP, a folder": "zip -qr out.zip x",
    "Info-ZIP, names in UTF-8": "zip -qr out.zip ü.dat ü.meta x",
    "Info-ZIP, from a pipe": "cat a.dat | zip -q out.zip -",
    "Info-ZIP, to a pipe": "zip -q - a.dat a.meta | cat > out.zip",
    "Info-ZIP, from a pipe to a pipe": "cat a.dat | zip -q | cat > out.zip",
    "Info-ZIP, with 64-bit fields": "zip -q -fz out.zip a.dat a.meta",
    "Java": "jar cf out.zip a.dat a.meta x ü.dat ü.meta",
    "Java, no manifest, stored": "jar c0fM out.zip a.dat a.meta ./x",
    "fastjar": "fastjar cf out.zip a.dat a.meta x ü.dat",
    "7-Zip": "7z a -tzip out.zip a.dat a.meta x ü.dat",
    "bsdtar": "bsdtar -a -cf out.zip a.dat a.meta x",
}


@pytest.fixture(scope="module")
def honest(work: Path) -> dict[str, bytes]:
    """Archives of every writer that is installed."""
    found = dict(HONEST)
    for number, (name, command) in enumerate(COMMANDS.items()):
        if shutil.which(command.replace("cat a.dat | ", "").split(maxsplit=1)[0]) is None:
            continue
        folder = work / f"honest-{number}"
        (folder / "x").mkdir(parents=True)
        for file, content in (
            ("a.dat", TEXT),
            ("a.meta", META),
            ("ü.dat", b"u"),
            ("ü.meta", META),
            ("x/b.log", b"b"),
        ):
            (folder / file).write_bytes(content)
        subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True, timeout=60)
        found[name] = (folder / "out.zip").read_bytes()
    return found


def test_s37_what_honest_writers_write_is_taken_and_all_read_it_alike(honest: dict[str, bytes], work: Path) -> None:
    for name, seen in views(honest, work, "honest").items():
        path = work / "archive"
        path.write_bytes(honest[name])
        ours = seen_by_us(path)
        assert ours, name
        for other in seen:
            # Java 17's ZipInputStream knows no descriptor of 64 bit behind a small entry; later ones do.
            assert other is not None or (name in WIDE_DESCRIPTORS and other is seen[2]), name
            assert other is None or sorted(as_utf_8(other) or []) == sorted(ours), name


def spoil(data: bytes, rng: random.Random) -> bytes:
    """Change one to three fields of a record, or copy a record over another place."""
    spoiled = bytearray(data)
    marks = [at for at in range(len(data) - 4) if data[at : at + 2] == b"PK"]
    for _ in range(rng.randrange(1, 4)):
        at = rng.choice(marks) + rng.randrange(4, 50)
        if at + 2 > len(spoiled):
            continue
        spoiled[at] = rng.choice([spoiled[at] ^ 1 << rng.randrange(8), 0, 0xFF, spoiled[at] + 1 & 0xFF])
    return bytes(spoiled)


def test_s37_whatever_is_changed_what_is_taken_all_read_alike(honest: dict[str, bytes], work: Path) -> None:
    """A reader may know no version as high as an entry says it needs: that it refuses is no second archive."""
    rng = random.Random(37)
    spoiled = {f"{name} {number}": spoil(data, rng) for name, data in honest.items() for number in range(25)}
    for name, seen in views(spoiled, work, "spoiled").items():
        path = work / "archive"
        path.write_bytes(spoiled[name])
        ours = seen_by_us(path)
        if ours is not None:
            assert all(other is None or sorted(as_utf_8(other) or []) == sorted(ours) for other in seen), name
