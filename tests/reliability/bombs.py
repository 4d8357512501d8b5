"""Small data that unpacks to much, in every shape that a receiver may be sent."""

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.reliability.portal import OPEN
from tests.reliability.senders import zipped

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE
_ZEROS = bytes(MEBIBYTE)
#: Nothing, packed.
_NOTHING = b"\x03\x00"


@dataclass(frozen=True)
class Bomb:
    """What is sent, and as what."""

    name: str
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        return self.name


def bombs() -> Iterator[Bomb]:
    """Twenty of them; each unpacks to hundreds of mebibytes or more, or claims to."""
    shapes = {
        "one member": one_member(1024),
        "many members": gzip.compress(_ZEROS * 16) * 64,
        "a member behind a good one": gzip.compress(b"good") + one_member(1024),
        "a name without end": b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * MEBIBYTE,
        "blocks that are not packed": gzip.compress(bytes(range(256)) * (64 * 4096), 0),
    }
    for name, body in shapes.items():
        yield Bomb(f"GZIP, {name}", {**OPEN, "Compression": "GZIP"}, body)
        yield Bomb(f"Content-Encoding, {name}", {**OPEN, "Content-Encoding": "gzip"}, body)
    both = {**OPEN, "Content-Encoding": "gzip", "Compression": "GZIP"}
    yield Bomb("a bomb in a bomb, both undone", both, gzip.compress(one_member(1024)))
    entries = [(b"%d.dat" % number, deflated(16, -15), 16 * MEBIBYTE) for number in range(64)]
    many = [(b"%d.dat" % number, _NOTHING, 0) for number in range(100_001)]
    archives = {
        "one entry": one_entry(1024),
        "an entry that claims little": archive([(b"1.dat", deflated(1024, -15), 5)]),
        "a huge meta entry": archive([(b"1.meta", deflated(1024, -15), GIBIBYTE), (b"1.dat", _NOTHING, 0)]),
        "a huge context": archive([(b"1.ctx", deflated(1024, -15), GIBIBYTE), (b"1.dat", _NOTHING, 0)]),
        "many entries": archive(entries),
        "too many entries": archive(many),
        "one block for many entries": archive(entries[:1], listed=200),
        "blocks that are not packed": zipped(("1.dat", bytes(64 * MEBIBYTE)), stored=True),
    }
    for name, body in archives.items():
        yield Bomb(f"ZIP, {name}", {**OPEN, "Compression": "ZIP"}, body)
    packed = gzip.compress(archives["one entry"])
    yield Bomb("ZIP in Content-Encoding", {**OPEN, "Compression": "ZIP", "Content-Encoding": "gzip"}, packed)


def tame() -> Iterator[Bomb]:
    """What looks like a bomb and unpacks to little: it may be taken, in as little memory."""
    for name, body in {
        "many small members": gzip.compress(b"") * 9_000,
        "a bomb that is only content": gzip.compress(one_member(1024)),
    }.items():
        yield Bomb(f"GZIP, {name}", {**OPEN, "Compression": "GZIP"}, body)
        yield Bomb(f"Content-Encoding, {name}", {**OPEN, "Content-Encoding": "gzip"}, body)
    body = archive([(b"%d.dat" % number, _NOTHING, 0) for number in range(100_000)])
    yield Bomb("ZIP, as many entries as allowed", {**OPEN, "Compression": "ZIP"}, body)
    nested = zipped(("inner.zip", one_entry(1024)))
    yield Bomb("ZIP, a bomb that is only content", {**OPEN, "Compression": "ZIP"}, nested)


def deflated(mebibytes: int, wbits: int) -> bytes:
    """Zeros that are packed once and repeated as packed: quick to make, slow to undo."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    first = packer.compress(_ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(_ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (mebibytes - 1) + packer.flush()


def one_member(mebibytes: int) -> bytes:
    return deflated(mebibytes, 31)


def one_entry(mebibytes: int) -> bytes:
    return archive([(b"1.dat", deflated(mebibytes, -15), mebibytes * MEBIBYTE)])


def long_names(entries: int) -> bytes:
    """A directory that is mostly names of sixty thousand bytes."""
    return archive([(b"%05d" % number + b"n" * 60_000, _NOTHING, 0) for number in range(entries)])


def long_feeds(entries: int) -> bytes:
    """Each entry names another feed that nobody has heard of, in as many letters as are read."""
    metas = ((f"{n}.meta", b"Feed:F%05d" % n + b"X" * 8100) for n in range(entries))
    return zipped(*metas, *((f"{n}.dat", b"x") for n in range(entries)))


def archive(entries: list[tuple[bytes, bytes, int]], listed: int = 0) -> bytes:
    """A ZIP written by hand; with `listed`, its only entry stands so many times in the directory."""
    local, directory = bytearray(), bytearray()
    count = 0
    for name, packed, size in entries:
        fields = (20, 0, 8, 0, 0, 0, len(packed), size, len(name), 0)
        central = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, *fields, 0, 0, 0, 0, len(local))
        local += struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name + packed
        directory += (central + name) * max(1, listed)
        count += max(1, listed)
    most = min(count, 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, most, most, len(directory), len(local), 0)
    if count > 0xFFFF:
        at = len(local) + len(directory)
        end = (
            struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), len(local))
            + struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
            + end
        )
    return bytes(local + directory + end)
