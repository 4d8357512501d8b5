"""ZIP: whole, with nothing hidden, and of no kind that could hurt others (contract section 7; R9, S7, S8)."""

import io
import random
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from feeds.receipt import archive
from feeds.receipt.archive import Contents, read_archive
from feeds.receipt.compression import StreamInvalid, TooLarge

TEXT = b"a line of the log\n" * 50


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Contents]:
    def reader(data: bytes, limit: int | None = None) -> Contents:
        path = tmp_path / "archive"
        path.write_bytes(data)
        return read_archive(path, limit)

    return reader


Read = Callable[..., Contents]


class OneWay(io.RawIOBase):
    """A stream that cannot seek: entries then end with descriptors."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data
        return len(data)


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = 8, streamed: bool = False) -> bytes:
    target = OneWay() if streamed else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content)
    return bytes(target.data) if isinstance(target, OneWay) else target.getvalue()


def names(contents: Contents) -> dict[str, set[str]]:
    return {
        group.name: {kind for kind in ("meta", "context", "manifest") if getattr(group, kind) is not None}
        for group in contents.groups
    }


@pytest.mark.parametrize("method", [0, 8])
@pytest.mark.parametrize("streamed", [False, True])
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
        (["A.dat", "a.meta"], {"A": set()}),
        (["only.meta"], {}),
        ([".dat", ".meta"], {"": {"meta"}}),
        (["noext"], {"noext": set()}),
    ],
)
def test_types_and_base_names(read: Read, entries: list[str], groups: dict[str, set[str]]) -> None:
    assert names(read(zipped(*((name, b"x") for name in entries)))) == groups


@pytest.mark.parametrize(
    "entries",
    [
        ["a.dat", "a"],
        ["a.dat", "a.DAT"],
        ["a.meta", "a.hdr", "a.dat"],
        ["a.ctx", "a.context", "a.dat"],
        ["a.mf", "a.manifest", "a.dat"],
        ["007.foo", "007.bar", "007.ctx"],
        ["007.foo", "007.dat", "007.ctx"],
    ],
)
def test_two_entries_of_one_type_for_one_base_name_are_refused(read: Read, entries: list[str]) -> None:
    with pytest.raises(StreamInvalid, match="there are two"):
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
        with pytest.raises(StreamInvalid, match="1 MiB"):
            read(data)


def test_an_empty_archive_is_empty_but_not_with_a_comment(read: Read) -> None:
    assert read(zipped()).entries == 0
    with pytest.raises(StreamInvalid, match="no entries"):
        read(zipped()[:-2] + b"\x03\0abc")


def test_s07_the_limit_counts_all_entries_together(read: Read) -> None:
    data = zipped(("1", b"\0" * 1000), ("2", b"\0" * 1000))
    assert read(data, 2000).inflated == 2000
    with pytest.raises(TooLarge):
        read(data, 1999)


def test_too_many_entries_are_refused_before_they_are_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    read(zipped(*((str(number), b"") for number in range(3))))
    with pytest.raises(StreamInvalid, match="more than 3 entries"):
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
    for crafted in (junk + data, data + junk):
        with pytest.raises(StreamInvalid):
            read(crafted)


# Crafted archives: a small writer that can lie
class Lie:
    """One entry; what the local header and the central directory say can be set apart."""

    def __init__(self, name: bytes = b"1.dat", data: bytes = TEXT, **changes: object) -> None:
        self.name, self.data = name, data
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.packed = packer.compress(data) + packer.flush()
        self.changes = changes

    def value(self, where: str, key: str, default: object) -> object:
        return self.changes.get(f"{where}_{key}", self.changes.get(key, default))

    def fields(self, where: str) -> tuple[int, int, int, int, int]:
        keys = ("flags", "method", "crc", "packed", "size")
        usual = (0, 8, zlib.crc32(self.data), len(self.packed), len(self.data))
        flags, method, crc, packed, size = (
            int(str(self.value(where, key, default))) for key, default in zip(keys, usual, strict=True)
        )
        return flags, method, crc, packed, size

    def local(self) -> bytes:
        flags, method, crc, packed, size = self.fields("local")
        name = self.value("local", "name", self.name)
        assert isinstance(name, bytes)
        extra = self.value("local", "extra", b"")
        assert isinstance(extra, bytes)
        head = struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 0, crc, packed, size, len(name), len(extra)
        )
        behind = self.value("local", "behind", b"")
        assert isinstance(behind, bytes)
        return head + name + extra + self.packed + behind

    def central(self, offset: int) -> bytes:
        flags, method, crc, packed, size = self.fields("central")
        extra = self.value("central", "extra", b"")
        assert isinstance(extra, bytes)
        attributes = int(str(self.value("central", "attributes", 0)))
        at = int(str(self.value("central", "offset", offset)))
        return (
            struct.pack(
                "<4s6H3L5H2L",
                *(b"PK\1\2", 0x031E, 20, flags, method, 0, 0, crc, packed, size, len(self.name), len(extra)),
                *(0, int(str(self.value("central", "disk", 0))), 0, attributes, at),
            )
            + self.name
            + extra
        )


def crafted(*lies: Lie, between: bytes = b"", end: bytes | None = None, count: int | None = None) -> bytes:
    body, central = b"", b""
    for lie in lies:
        central += lie.central(len(body))
        body += lie.local() + between
    number = len(lies) if count is None else count
    record = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(central), len(body), 0)
    return body + central + (record if end is None else end)


def test_the_writer_of_crafted_archives_can_tell_the_truth(read: Read) -> None:
    assert names(read(crafted(Lie(), Lie(b"2.dat")))) == {"1": set(), "2": set()}


CRC, PACKED = zlib.crc32(TEXT), len(Lie().packed)
DESCRIPTOR = struct.pack("<4s3L", b"PK\x07\x08", CRC, PACKED, len(TEXT))
OPEN = {"flags": 8, "local_crc": 0, "local_packed": 0, "local_size": 0}


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
    assert read(crafted(Lie(local_behind=behind, **OPEN))).inflated == len(TEXT)


UNICODE = struct.pack("<2HBL", 0x7075, 5 + 8, 1, zlib.crc32(b"1.dat")) + b"../x.dat"
HOSTILE: dict[str, bytes] = {
    "encrypted": crafted(Lie(flags=1)),
    "strongly encrypted": crafted(Lie(flags=0x41)),
    "masked headers": crafted(Lie(flags=0x2000)),
    "method 12": crafted(Lie(method=12)),
    "method 9": crafted(Lie(method=9)),
    "method 99": crafted(Lie(method=99)),
    "stored but lengths differ": crafted(Lie(method=0)),
    "symbolic link": crafted(Lie(central_attributes=0xA1FF << 16)),
    "absolute": crafted(Lie(b"/etc/passwd.dat")),
    "drive": crafted(Lie(b"C:x.dat")),
    "parent": crafted(Lie(b"../x.dat")),
    "parent inside": crafted(Lie(b"a/../../x.dat")),
    "only parent": crafted(Lie(b"a/..")),
    "backslash": crafted(Lie(b"a\\x.dat")),
    "NUL": crafted(Lie(b"a.dat\0.meta")),
    "ending in a dot": crafted(Lie(b"a.")),
    "empty name": crafted(Lie(b"")),
    "not UTF-8": crafted(Lie(b"\xff.dat", flags=0x0800)),
    "unicode path hides a parent": crafted(Lie(central_extra=UNICODE)),
    "extra field too long": crafted(Lie(central_extra=b"\x01\0\xff\0xx")),
    "folder with data": crafted(Lie(b"folder/")),
    "crc differs": crafted(Lie(crc=1)),
    "size too small": crafted(Lie(size=len(TEXT) - 1)),
    "size too large": crafted(Lie(size=len(TEXT) + 1)),
    "packed too small": crafted(Lie(packed=PACKED - 1)),
    "packed too large": crafted(Lie(packed=PACKED + 1)),
    "local name differs": crafted(Lie(local_name=b"2.dat")),
    "local flags differ": crafted(Lie(local_flags=2)),
    "local method differs": crafted(Lie(local_method=0)),
    "local crc differs": crafted(Lie(local_crc=1)),
    "local size differs": crafted(Lie(local_size=1)),
    "local crc open without a descriptor": crafted(Lie(local_crc=0, local_packed=0, local_size=0)),
    "descriptor missing": crafted(Lie(**OPEN)),
    "descriptor wrong": crafted(Lie(local_behind=DESCRIPTOR[:-1] + b"\1", **OPEN)),
    "descriptor cut": crafted(Lie(local_behind=DESCRIPTOR[:-1], **OPEN)),
    "gap": crafted(Lie(), Lie(b"2.dat"), between=b"?"),
    "hidden entry": crafted(Lie(local_behind=Lie(b"hidden.dat").local())),
    "two entries share one range": crafted(Lie(), Lie(b"1.dat", central_offset=0)),
    "overlap": crafted(Lie(), Lie(b"2.dat", central_offset=10)),
    "offset behind the end": crafted(Lie(central_offset=10_000_000)),
    "offset in the directory": crafted(Lie(), Lie(b"2.dat", central_offset=len(Lie().local()) * 2)),
    "fewer entries than counted": crafted(Lie(), count=2),
    "more entries than counted": crafted(Lie(), Lie(b"2.dat"), count=1),
    "second disk": crafted(Lie(central_disk=1)),
    "end says second disk": crafted(Lie(), end=struct.pack("<4s4H2LH", b"PK\5\6", 1, 0, 1, 1, 51, 0, 0)),
    "directory before the file": crafted(Lie(), end=struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 9999, 0, 0)),
    "comment too long": crafted(Lie())[:-2] + b"\x05\0",
    "comment too short": crafted(Lie()) + b"abc",
    "no end": crafted(Lie(), end=b""),
    "an end in a comment": crafted(Lie())[:-2] + b"\x16\0" + crafted()[:-2] + b"\x01\0",
    "64-bit locator to nowhere": crafted(Lie())[:-22]
    + struct.pack("<4sLQL", b"PK\6\7", 0, 7, 1)
    + crafted(Lie())[-22:],
    "64-bit size missing": crafted(Lie(central_size=0xFFFFFFFF)),
    "not a zip": b"just text " * 100,
    "only an end mark": b"PK\5\6",
    "rar": b"Rar!\x1a\x07\x01\0" + b"x" * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_s08_a_hostile_archive_is_refused_with_a_reason(read: Read, name: str) -> None:
    with pytest.raises(StreamInvalid) as refusal:
        read(HOSTILE[name])
    assert len(str(refusal.value)) > 15


def test_s08_there_are_enough_hostile_archives() -> None:
    assert len(HOSTILE) + 7 >= 60


def zip_64(entries: int = 1, tail: Callable[[bytes], bytes] = lambda end: end) -> bytes:
    """An archive whose end record leaves everything to the 64-bit one."""
    body = Lie().local()
    central = Lie().central(0)
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, len(central), len(body))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body) + len(central), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + central + tail(end_64 + locator + end)


def test_64_bit_archives_are_read(read: Read) -> None:
    assert read(zip_64()).inflated == len(TEXT)
    with zipfile.ZipFile(io.BytesIO(), "w") as file:
        with file.open("big.dat", "w", force_zip64=True) as entry:
            entry.write(TEXT)
        stream = file.fp
        assert isinstance(stream, io.BytesIO)
        file.close()
        assert read(stream.getvalue()).inflated == len(TEXT)


@pytest.mark.parametrize(
    "tail",
    [
        lambda end: end[:4] + b"\x2d" + end[5:],
        lambda end: b"PK\6\5" + end[4:],
        lambda end: end[:-12] + b"\2\0" + end[-10:],
        lambda end: end[:64] + b"\1" + end[65:],
    ],
)
def test_s08_damaged_64_bit_records_are_refused(read: Read, tail: Callable[[bytes], bytes]) -> None:
    with pytest.raises(StreamInvalid):
        read(zip_64(tail=tail))


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
        data = zipped(*entries, method=rng.choice([0, 8]), streamed=rng.random() < 0.5)
        contents = read(data)
        with (tmp_path / "archive").open("rb") as file:
            seen = {group.data.name: b"".join(archive.read_entry(file, group.data)) for group in contents.groups}
        assert seen == dict(entries)
