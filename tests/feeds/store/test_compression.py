"""GZIP is verified to the last byte, whatever the pieces (R9, S7). zlib is the oracle."""

import gzip
import importlib.util
import random
import sys
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds.store import compression
from feeds.store.compression import STEP, Gunzip, GzipCheck, StreamInvalid, TooLarge, inflate_raw

SAMPLE = random.Random(1).randbytes(700) + b"a line of text\n" * 100
PACKED = gzip.compress(SAMPLE, mtime=0)


def check(data: bytes, piece: int | None = None, limit: int | None = None) -> int:
    """The unpacked size."""
    checker = GzipCheck(limit)
    for start in range(0, len(data), piece or len(data) or 1):
        checker.feed(data[start : start + (piece or len(data))])
    checker.finish()
    return checker.inflated


def is_good(data: bytes, piece: int | None = None) -> bool:
    try:
        check(data, piece)
    except StreamInvalid:
        return False
    return True


def zlib_says(data: bytes) -> bool:
    """Whether zlib reads it as exactly one whole member."""
    reader = zlib.decompressobj(31)
    try:
        reader.decompress(data)
    except zlib.error:
        return False
    return reader.eof and not reader.unused_data


@pytest.fixture(params=["the fast engine", "zlib"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test with the fast engine and with the fallback."""
    if request.param == "zlib":
        monkeypatch.setattr(compression, "_engine", zlib)


@pytest.mark.parametrize("piece", [None, 1, 2, 7, 4096])
def test_one_member_and_several_are_whole(piece: int | None) -> None:
    assert check(PACKED, piece) == len(SAMPLE)
    assert check(PACKED * 3, piece) == 3 * len(SAMPLE)
    assert check(gzip.compress(b"") + PACKED + gzip.compress(b""), piece) == len(SAMPLE)


@pytest.mark.parametrize("piece", [None, 61])
def test_r09_every_truncation_is_refused(piece: int | None) -> None:
    for length in range(len(PACKED)):
        assert not is_good(PACKED[:length], piece), length
        if length:
            assert not is_good(PACKED + PACKED[:length], piece), length


def test_r09_every_bit_flip_is_judged_as_zlib_does() -> None:
    differing = []
    for bit in range(len(PACKED) * 8):
        flipped = bytearray(PACKED)
        flipped[bit // 8] ^= 1 << bit % 8
        if is_good(bytes(flipped)) != zlib_says(bytes(flipped)):
            differing.append(bit)
    assert differing == []


@pytest.mark.parametrize("piece", [None, 1, 3])
@pytest.mark.parametrize(
    "tail", [b"x", b"\0x", b"\0" * 600 + b"x", b"\x1f", b"\x1f\x8b", b"\x1f\x8bjunk" * 9, b"PK"]
)
def test_r09_trailing_bytes_are_refused(tail: bytes, piece: int | None) -> None:
    assert not is_good(PACKED + tail, piece)


def test_zero_padding_is_accepted_but_no_member_behind_it() -> None:
    """Java's reader ends at the padding: what comes behind it would be lost."""
    assert check(PACKED + b"\0" * 100_000, 777) == len(SAMPLE)
    assert not is_good(PACKED + b"\0" + PACKED)


def test_padding_alone_is_no_gzip() -> None:
    assert not is_good(b"\0" * 100)
    assert not is_good(b"")


@pytest.mark.parametrize("flag", [0x20, 0x40, 0x80])
def test_reserved_flags_are_refused_also_in_a_later_member_in_pieces(flag: int) -> None:
    wrong = bytearray(PACKED)
    wrong[3] |= flag
    for piece in (None, 1, len(PACKED) + 2):
        assert not is_good(bytes(wrong), piece)
        assert not is_good(PACKED + bytes(wrong), piece)


def test_what_is_not_gzip_is_called_that() -> None:
    with pytest.raises(StreamInvalid, match="The data is not gzip"):
        check(b"hello world, this is text")


def with_header(flags: int) -> bytes:
    """The sample with these optional header fields."""
    header = bytearray(PACKED[:10])
    header[3] = flags
    header += b"\x04\0ab\0d" if flags & 4 else b""
    header += b"name.log\0" if flags & 8 else b""
    header += b"comment\0" if flags & 16 else b""
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") if flags & 2 else b""
    return bytes(header) + PACKED[10:]


@pytest.mark.parametrize("flags", [n for n in range(32) if not n & 1])
def test_optional_header_fields_are_read_wherever_the_pieces_end(flags: int) -> None:
    """The fast engine misreads headers in pieces: each must reach it whole, also that of a later member."""
    data = with_header(flags)
    for cut in range(1, len(data) - len(PACKED) + 14):
        for before in (b"", PACKED):
            checker = GzipCheck()
            checker.feed(before + data[:cut])
            checker.feed(data[cut:])
            checker.finish()
            assert checker.inflated == len(SAMPLE) * (2 if before else 1)
    assert check(data, 1) == len(SAMPLE)


def test_a_member_that_begins_at_the_very_end_of_a_step() -> None:
    for shift in range(30):
        first = gzip.compress(random.Random(2).randbytes(STEP - 60 - shift), mtime=0)
        assert check(first + with_header(0x1E)) == STEP - 60 - shift + len(SAMPLE)


@pytest.mark.parametrize("flags", [8, 16])
def test_s07_a_header_that_does_not_end_is_cut_off(flags: int) -> None:
    header = bytearray(PACKED[:10])
    header[3] = flags
    with pytest.raises(StreamInvalid, match="header does not end"):
        check(bytes(header) + b"x" * 200_000, 1000)


def test_a_wrong_header_checksum_is_refused() -> None:
    data = bytearray(with_header(2))
    data[10] ^= 1
    assert not is_good(bytes(data))
    assert not is_good(bytes(data), 1)


def test_the_limit_counts_unpacked_bytes_of_all_members() -> None:
    assert check(PACKED * 2, limit=2 * len(SAMPLE)) == 2 * len(SAMPLE)
    with pytest.raises(TooLarge):
        check(PACKED * 2, limit=2 * len(SAMPLE) - 1)


def test_s07_a_bomb_takes_constant_memory() -> None:
    bomb = gzip.compress(b"\0" * 60_000_000, 9)
    tracemalloc.start()
    assert check(bomb, 65536) == 60_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000


def test_pieces_are_never_larger_than_a_step() -> None:
    assert max(len(piece) for piece in Gunzip().feed(gzip.compress(b"\0" * 3_000_000))) <= STEP


@given(st.binary(max_size=3000), st.integers(0, 3000), st.integers(1, 500))
@settings(max_examples=60, deadline=None)
def test_whatever_the_pieces_the_result_is_the_data(data: bytes, repeat: int, piece: int) -> None:
    data = data * (1 + repeat % 50)
    packed = gzip.compress(data)
    gunzip = Gunzip()
    pieces = (packed[start : start + piece] for start in range(0, len(packed), piece))
    assert b"".join(out for part in pieces for out in gunzip.feed(part)) == data
    gunzip.finish()


@given(st.binary(min_size=1, max_size=200), st.integers(0, 199), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_r09_nothing_is_accepted_that_zlib_refuses(junk: bytes, at: int, piece: int) -> None:
    damaged = PACKED[:at] + junk + PACKED[at + len(junk) :]
    assert is_good(damaged, piece) == zlib_says(damaged)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131_072, 131_073, 400_000])
def test_a_raw_stream_ends_exactly_where_it_should(size: int) -> None:
    rng = random.Random(size)
    for data in (b"a" * size, rng.randbytes(size)):
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        raw = packer.compress(data) + packer.flush()
        for piece in (997, 65536):
            pieces = [raw[start : start + piece] for start in range(0, len(raw), piece)]
            assert b"".join(inflate_raw(iter(pieces))) == data
        for wrong in (raw[:-1], b"\xff" + raw[1:]):
            with pytest.raises(StreamInvalid):
                list(inflate_raw(iter([wrong])))
        for more in (raw + b"\0", raw + b"x"):
            with pytest.raises(StreamInvalid) as refusal:
                list(inflate_raw(iter([more])))
            assert str(refusal.value) == "an entry has more data than its stream"


def test_where_the_fast_engine_is_not_installed_zlib_does_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    spec = importlib.util.find_spec("feeds.store.compression")
    assert spec is not None
    assert spec.loader is not None
    without = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(without)
    assert without._engine is zlib
    checker = without.GzipCheck()
    checker.feed(PACKED)
    checker.finish()
    assert checker.inflated == len(SAMPLE)
    with pytest.raises(without.StreamInvalid):
        list(without.inflate_raw(iter([b"\xff"])))


BROKEN_GZIP = bytearray(PACKED)
BROKEN_GZIP[-1] ^= 1
REASONS = {
    "no gzip": (b"\x1f\x8b\x09", "The data is not gzip"),
    "reserved flags": (PACKED[:3] + b"\x80" + PACKED[4:], "The data is not valid gzip: reserved flags are set"),
    "endless header": (
        PACKED[:3] + b"\x08" + PACKED[4:10] + b"x" * 80_000,
        "The data is not valid gzip: its header does not end",
    ),
    "wrong length": (bytes(BROKEN_GZIP), "The data is not valid gzip, or its checksum does not match"),
    "cut off": (PACKED[:-1], "The gzip data ends before its end"),
    "nothing": (b"", "The gzip data ends before its end"),
    "more behind padding": (PACKED + b"\0x", "There are bytes behind the end of the gzip data"),
}


@pytest.mark.parametrize("name", REASONS)
def test_r09_the_sender_is_told_what_is_wrong(name: str) -> None:
    data, reason = REASONS[name]
    with pytest.raises(StreamInvalid) as refusal:
        check(data)
    assert str(refusal.value) == reason


def raw_of(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"\xff"], "an entry's data is broken"),
        ([raw_of(SAMPLE)[:-1]], "an entry's data ends before its end"),
        ([], "an entry's data ends before its end"),
        ([raw_of(SAMPLE) + b"x"], "an entry has more data than its stream"),
        ([raw_of(SAMPLE), b"x"], "an entry has more data than its stream"),
    ],
    ids=["broken", "cut off", "nothing", "more", "more in another piece"],
)
def test_r09_an_entry_says_what_is_wrong_with_its_data(pieces: list[bytes], reason: str) -> None:
    with pytest.raises(StreamInvalid) as refusal:
        list(inflate_raw(iter(pieces)))
    assert str(refusal.value) == reason


def test_a_header_may_be_as_long_as_the_format_allows_and_no_longer() -> None:
    """The longest extra field, and a name of some length; what is still not whole after 80,000 bytes is refused."""
    extra = PACKED[:3] + b"\x0c" + PACKED[4:10] + b"\xff\xff" + b"e" * 65_535
    named = extra + b"n" * (80_000 - len(extra) - 1) + b"\0"
    assert check(named + PACKED[10:]) == len(SAMPLE)
    checker = GzipCheck()
    checker.feed(named[:-1] + b"n")
    with pytest.raises(StreamInvalid, match="header does not end"):
        checker.feed(b"n")


def test_a_step_is_64_kib() -> None:
    assert STEP == 65_536


def test_distances_of_a_whole_window_are_undone() -> None:
    block = random.Random(3).randbytes(32_000)
    packed = gzip.compress(block * 2)
    assert len(packed) < 33_000
    assert b"".join(Gunzip().feed(packed)) == block * 2


def test_a_member_behind_padding_is_refused_also_when_it_comes_later() -> None:
    checker = GzipCheck()
    checker.feed(PACKED + b"\0")
    with pytest.raises(StreamInvalid, match="bytes behind the end"):
        checker.feed(PACKED)


@pytest.mark.parametrize("flags", range(32))
def test_a_header_is_whole_with_its_last_byte_and_not_before(flags: int) -> None:
    data = with_header(flags)
    header = data[: len(data) - len(PACKED) + 10]
    for length in range(len(header)):
        assert compression._is_whole_header(header[:length]) is False, length
    assert compression._is_whole_header(header) is True
    assert compression._is_whole_header(data) is True
    long = PACKED[:3] + b"\x04" + PACKED[4:10] + b"\x2c\x01" + b"e" * 300
    assert compression._is_whole_header(long[:-1]) is False
    assert compression._is_whole_header(long) is True


def test_s34_a_crowd_of_empty_members_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "FREE_MEMBERS", 100)
    monkeypatch.setattr(compression, "MEMBERS_AT_ONCE", 7)
    empty = gzip.compress(b"")
    few = GzipCheck()
    few.feed(empty * 100)
    few.finish()
    assert few.inflated == 0
    for piece in (empty, gzip.compress(b"x")):
        with pytest.raises(StreamInvalid, match=r"more than 100 members of a few bytes$"):
            GzipCheck().feed(piece * 200)


def test_s34_many_members_of_ordinary_size_stay_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of a log packed one by one, and the blocks of bgzip, the last of which is empty."""
    monkeypatch.setattr(compression, "FREE_MEMBERS", 10)
    rng = random.Random(5)
    lines = [rng.randbytes(60) for _ in range(3000)]
    check = GzipCheck()
    check.feed(b"".join(gzip.compress(line) for line in lines))
    check.finish()
    assert check.inflated == 3000 * 60
    block = gzip.compress(bytes(60_000))
    check.feed(block * 50 + gzip.compress(b""))
    check.finish()


def test_s34_the_bounds_of_members() -> None:
    assert (compression.FREE_MEMBERS, compression.MEMBER_BYTES, compression.MEMBERS_AT_ONCE) == (10_000, 64, 50)


def test_s34_other_threads_have_their_turn_between_members(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[float] = []
    monkeypatch.setattr(time, "sleep", turns.append)
    GzipCheck().feed(gzip.compress(b"") * 500)
    assert turns == [0] * 10
