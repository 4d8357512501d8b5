"""ZIP archives for tests: honest ones, and a small writer that can lie."""

import io
import struct
import zipfile
import zlib

TEXT = b"a line of the log\n" * 50


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


class Lie:
    """One entry; what the local header and the central directory say can be set apart."""

    def __init__(self, name: bytes = b"1.dat", data: bytes = TEXT, **changes: object) -> None:
        self.name, self.data = name, data
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        raw = changes.pop("raw", b"")
        assert isinstance(raw, bytes)
        self.packed = raw or packer.compress(data) + packer.flush()
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
        comment = self.value("central", "comment", b"")
        assert isinstance(comment, bytes)
        return (
            struct.pack(
                "<4s6H3L5H2L",
                *(b"PK\1\2", 0x031E, 20, flags, method, 0, 0, crc, packed, size, len(self.name), len(extra)),
                *(len(comment), int(str(self.value("central", "disk", 0))), 0, attributes, at),
            )
            + self.name
            + extra
            + comment
        )


def crafted(*lies: Lie, between: bytes = b"", end: bytes | None = None, count: int | None = None) -> bytes:
    body, central = b"", b""
    for lie in lies:
        central += lie.central(len(body))
        body += lie.local() + between
    number = len(lies) if count is None else count
    record = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(central), len(body), 0)
    return body + central + (record if end is None else end)


CRC, PACKED = zlib.crc32(TEXT), len(Lie().packed)
DESCRIPTOR = struct.pack("<4s3L", b"PK\x07\x08", CRC, PACKED, len(TEXT))
OPEN = {"flags": 8, "local_crc": 0, "local_packed": 0, "local_size": 0}
LARGEST = 0xFFFFFFFF
#: Its checksum is the mark of a descriptor.
MARK_LIKE = bytes.fromhex("ac0a7ad5")
NAME_AGAIN = zlib.crc32(b"1.dat")


def unicode_path(name: bytes, crc: int = NAME_AGAIN) -> bytes:
    """The extra field in which some writers give a name in UTF-8 as well."""
    return struct.pack("<2HBL", 0x7075, 5 + len(name), 1, crc) + name


def in_64_bit(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)
