"""Beginning of stored data: unpacked within a limit, decoded as text or dumped, and the members of an archive."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from feeds.store.compression import StreamInvalid
from feeds.store.preview import (
    LISTED,
    PREVIEW_BYTES,
    decode_text,
    hex_dump,
    list_members,
    read_excerpt,
    read_member,
)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "data"
    path.write_bytes(data)
    return path


def archive(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in members:
            target.writestr(name, data)
    return buffer.getvalue()


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    excerpt = read_excerpt(written(tmp_path, b"one\ntwo\n"), "NONE")
    assert (excerpt.data, excerpt.whole, excerpt.fault) == (b"one\ntwo\n", True, "")


@pytest.mark.parametrize("size", [PREVIEW_BYTES, PREVIEW_BYTES + 1])
def test_no_more_than_the_limit_is_kept(tmp_path: Path, size: int) -> None:
    excerpt = read_excerpt(written(tmp_path, b"x" * size), "NONE")
    assert len(excerpt.data) == PREVIEW_BYTES
    assert excerpt.whole == (size == PREVIEW_BYTES)


def test_gzip_is_unpacked_over_its_members(tmp_path: Path) -> None:
    excerpt = read_excerpt(written(tmp_path, gzip.compress(b"one\n") + gzip.compress(b"two\n")), "GZIP")
    assert (excerpt.data, excerpt.whole) == (b"one\ntwo\n", True)


def test_s8_a_gzip_bomb_unpacks_no_further_than_the_limit(tmp_path: Path) -> None:
    excerpt = read_excerpt(written(tmp_path, gzip.compress(b"\0" * 50_000_000)), "GZIP")
    assert (len(excerpt.data), excerpt.whole, excerpt.fault) == (PREVIEW_BYTES, False, "")


def test_what_could_be_read_of_broken_gzip_is_shown_with_the_fault(tmp_path: Path) -> None:
    excerpt = read_excerpt(written(tmp_path, gzip.compress(b"some data\n" * 100)[:-10]), "GZIP")
    assert excerpt.data.startswith(b"some data\n")
    assert not excerpt.whole
    assert "gzip" in excerpt.fault


def test_members_are_listed_by_kind_and_opened_by_number(tmp_path: Path) -> None:
    path = written(tmp_path, archive(("001.meta", b"Feed:A-B\n"), ("001.dat", b"data\n"), ("001.ctx", b"")))
    listing = list_members(path)
    assert [(member.name, member.kind, member.size) for member in listing.members] == [
        ("001.meta", "meta", 9),
        ("001.dat", "data", 5),
        ("001.ctx", "context", 0),
    ]
    member, excerpt = read_member(path, 1)
    assert (member.name, excerpt.data, excerpt.whole) == ("001.dat", b"data\n", True)
    for number in (-1, 3):
        with pytest.raises(IndexError):
            read_member(path, number)


def test_a_long_listing_comes_in_steps(tmp_path: Path) -> None:
    path = written(tmp_path, archive(*((f"{number:04}.dat", b"x") for number in range(LISTED + 5))))
    assert (len(list_members(path).members), list_members(path).total) == (LISTED, LISTED + 5)
    assert [member.number for member in list_members(path, LISTED).members] == list(range(LISTED, LISTED + 5))
    assert list_members(path, 10_000).members == []


def test_what_is_no_archive_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(StreamInvalid):
        list_members(written(tmp_path, b"no archive"))


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        (b"plain\tand\r\n", "", "plain\tand\r\n"),
        ("gr\u00fc\u00dfe".encode(), "", "gr\u00fc\u00dfe"),
        ("\ufeffmarked".encode(), "", "marked"),
        ("wide".encode("utf-16"), "", "wide"),
        ("wide".encode("utf-16-le"), "UTF-16LE", "wide"),
        (b"caf\xe9", "ISO-8859-1", "caf\xe9"),
        (b"caf\xe9 ", "", None),
        (b"caf\xe9 ", "no-such-encoding", None),
        (b"\x00\x01\x02", "UTF-8", None),
        (b"\x1b[31mred\x1b[0m", "", "\x1b[31mred\x1b[0m"),
    ],
)
def test_text_is_decoded_by_its_mark_as_utf_8_or_as_the_feed_says(data: bytes, encoding: str, text: str) -> None:
    assert decode_text(data, encoding) == text


def test_a_character_that_the_limit_cuts_is_left_out() -> None:
    assert decode_text("cut \u20ac".encode()[:-1], whole=False) == "cut "
    assert decode_text("cut \u20ac".encode()[:-1]) is None


def test_a_dump_has_offsets_bytes_and_characters() -> None:
    assert hex_dump(bytes(range(0x40, 0x52)) + b"\0").splitlines() == [
        "00000000  40 41 42 43 44 45 46 47  48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO",
        "00000010  50 51 00                                          PQ.",
    ]
