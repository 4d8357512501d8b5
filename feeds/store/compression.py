"""GZIP verified and undone while it streams, with bounded memory (receipt contract, sections 4 and 7). Pure."""

import re
import time
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

try:
    from isal import isal_zlib as _engine
except ImportError:  # where there is no wheel for the machine; three times slower and otherwise the same
    _engine: ModuleType = zlib  # type: ignore[no-redef]

#: The engine is fed and emptied in steps of this size: larger ones were measured slower, and a step bounds memory.
STEP = 64 * 1024
#: Members that may be tiny, and how many packed bytes each further one stands for: a line of a log, packed alone,
#: takes about 100.
FREE_MEMBERS = 10_000
MEMBER_BYTES = 64
MEMBERS_AT_ONCE = 50
_GZIP = 16 + zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS
#: Longest header of a member: an extra field of 64 KB, and names.
_MAX_HEADER = 80_000
_FIXED_HEADER = 10
_HAS_CHECKSUM, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT, _RESERVED_FLAGS = 0x02, 0x04, 0x08, 0x10, 0xE0
_NOT_ZERO = re.compile(rb"[^\0]")
_FAULTS: Any = (zlib.error, _engine.error)  # the engine says of its class that it is an instance


class StreamInvalid(ValueError):  # named after the outcome in the answer
    """The data is broken, cut off, or not what the request says; the text says how, for the sender."""


class TooLarge(ValueError):  # named after the outcome in the answer
    """The data, as sent or unpacked, is over the configured limit."""


class Gunzip:
    """Undoes gzip: one or more members, then at most zero padding."""

    def __init__(self, *, any_members: bool = False) -> None:
        """Begin.

        Args:
            any_members: take crowds of small members, which earlier releases accepted.
        """
        self._any_members = any_members
        self._member = _engine.decompressobj(_GZIP)
        self._header = bytearray()
        self._header_read = False
        self._in_member = False
        self._padding = False
        self._taken = 0
        self._members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` unpacks to, in pieces of at most STEP bytes.

        Raises:
            StreamInvalid: this is not gzip, or its checksum or length does not match.
        """
        view = memoryview(data)
        for start in range(0, len(view), STEP):
            yield from self._feed_step(bytes(view[start : start + STEP]))

    def finish(self) -> None:
        """Demand that the data ended where a member ended.

        Raises:
            StreamInvalid: the last member has no end, or there is none at all.
        """
        if self._in_member or not self._members:
            raise StreamInvalid("The gzip data ends before its end")

    def _feed_step(self, data: bytes) -> Iterator[bytes]:
        self._taken += len(data)
        output = b""
        # A full step of output may mean that the engine holds more back although its input is used up.
        while data or (self._in_member and len(output) == STEP):
            if self._padding or (self._members and not self._in_member and data[0] == 0):
                self._skip_padding(data)
                return
            self._in_member = True
            if not self._header_read:
                data = self._read_header(data)
                if not data:
                    return
            output, data = self._inflate(data)
            if output:
                yield output

    def _read_header(self, data: bytes) -> bytes:
        """Gather a member's header: the fast engine misreads one that comes in pieces. Empty until it is whole."""
        self._header += data
        if not _is_whole_header(self._header):
            if len(self._header) > _MAX_HEADER:
                raise StreamInvalid("The data is not valid gzip: its header does not end")
            return b""
        self._header_read = True
        whole, self._header = bytes(self._header), bytearray()
        return whole

    def _inflate(self, data: bytes) -> tuple[bytes, bytes]:
        """One call of the engine: what it gave, and the input it has not used."""
        try:
            output: bytes = self._member.decompress(data, STEP)
        except _FAULTS as fault:
            raise StreamInvalid("The data is not valid gzip, or its checksum does not match") from fault
        if not self._member.eof:
            return output, self._member.unconsumed_tail
        rest: bytes = self._member.unused_data
        self._member = _engine.decompressobj(_GZIP)
        self._in_member = self._header_read = False
        self._count_member()
        return output, rest

    def _count_member(self) -> None:
        """Refuse crowds of members that hold next to nothing: each costs as much time as 10 KB of a large one.

        Between them other threads have their turn: what is done for each member never leaves the interpreter.
        """
        self._members += 1
        if not self._any_members and self._members > FREE_MEMBERS + self._taken // MEMBER_BYTES:
            raise StreamInvalid(f"The gzip data has more than {FREE_MEMBERS} members of a few bytes")
        if self._members % MEMBERS_AT_ONCE == 0:
            time.sleep(0)

    def _skip_padding(self, data: bytes) -> None:
        """Zeros behind the last member are harmless; anything behind them would be lost by other readers."""
        self._padding = True
        if _NOT_ZERO.search(data):
            raise StreamInvalid("There are bytes behind the end of the gzip data")


def _is_whole_header(data: bytes | bytearray) -> bool:
    """Whether a member's header (RFC 1952) is complete in what has come so far.

    Raises:
        StreamInvalid: it is none, has reserved flags, which the fast engine lets pass.
    """
    if not b"\x1f\x8b\x08".startswith(data[:3]):
        raise StreamInvalid("The data is not gzip")
    if len(data) < _FIXED_HEADER:
        return False
    flags = data[3]
    if flags & _RESERVED_FLAGS:
        raise StreamInvalid("The data is not valid gzip: reserved flags are set")
    end = _FIXED_HEADER
    if flags & _HAS_EXTRA:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for field in (_HAS_NAME, _HAS_COMMENT):
        if flags & field:
            terminator = data.find(0, end)
            if terminator < 0:
                return False
            end = terminator + 1
    end += 2 if flags & _HAS_CHECKSUM else 0
    return end <= len(data)


class GzipCheck:
    """Reads gzip to its end to see that it is whole, and keeps only the count of unpacked bytes."""

    def __init__(self, limit: int | None = None, *, any_members: bool = False) -> None:
        self._gunzip = Gunzip(any_members=any_members)
        self._limit = limit
        self.inflated = 0

    def feed(self, data: bytes) -> None:
        """Verify the next piece.

        Raises:
            StreamInvalid: the data is broken.
            TooLarge: it unpacks to more than the limit.
        """
        for piece in self._gunzip.feed(data):
            self.inflated += len(piece)
            if self._limit is not None and self.inflated > self._limit:
                raise TooLarge

    def finish(self) -> None:
        """Demand that the data is complete.

        Raises:
            StreamInvalid: it is not.
        """
        self._gunzip.finish()


def inflate_raw(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Undo one deflate stream that must end exactly with the last piece; pieces of at most STEP bytes.

    Raises:
        StreamInvalid: the stream is broken, ends early, or is followed by more.
    """
    stream = _engine.decompressobj(_RAW)
    for piece in pieces:
        data = piece
        while data and not stream.eof:
            try:
                output = stream.decompress(data, STEP)
            except _FAULTS as fault:
                raise StreamInvalid("an entry's data is broken") from fault
            if output:
                yield output
            data = stream.unused_data if stream.eof else stream.unconsumed_tail
        if data:
            raise StreamInvalid("an entry has more data than its stream")
    while not stream.eof:
        # The engine may still hold output back although its input is used up.
        output = stream.decompress(b"", STEP)
        if not output and not stream.eof:
            raise StreamInvalid("an entry's data ends before its end")
        yield output
    if stream.unused_data:
        raise StreamInvalid("an entry has more data than its stream")
