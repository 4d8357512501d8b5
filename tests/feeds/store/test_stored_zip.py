"""Archives that release 0.1.0 accepted and a later one refuses: stored ones are handed over and recovered."""

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from feeds.models import Receipt, ReceiptFeed
from feeds.store.archive import read_archive
from feeds.store.compression import FREE_MEMBERS, GzipCheck, StreamInvalid
from feeds.store.stored_zip import read_stored_archive
from tests.factories import make_feed
from tests.feeds.maintenance.depot import Depot, packed, running_depot
from tests.feeds.store.crafted import TEXT, Lie, crafted, in_64_bit, unicode_path
from tests.feeds.store.test_archive import HOSTILE
from tests.feeds.store.test_two_readers import DOUBTS, ELSEWHERE, HONEST

FEED, OTHER = "PAYROLL-PROD-EVENTS", "OTHER-FEED"
EVERY = {**{name: data for name, (data, _) in HOSTILE.items()}, **DOUBTS, **ELSEWHERE}
#: Found by running both releases over all of EVERY.
NEWLY_REFUSED = (
    "some names marked as UTF-8",
    "not ASCII, in the old code page",
    "a wide descriptor that nothing announces",
    "a checksum that looks like a descriptor's mark",
    "an extended 64-bit end record",
    "a patch",
    "a second name",
    "a second name in the directory alone",
    "a second name in the local header alone",
    "a second name of another name",
    "two second names",
    "an extra field twice",
    "WinZip's encryption",
    "PKWARE's encryption",
    "a folder by its attributes",
    "a dot in the path",
    "an empty part in the path",
    "a path that begins here, and one that does not",
    "an end record in an entry's comment",
    "a 64-bit field that contradicts",
    "a 64-bit field in the local header that contradicts",
    "a 64-bit field that is too long",
    "an empty part at the end",
    "a dot twice",
    "./ before some names",
    "a folder twice",
    "a file and a folder",
    "an end record in a comment of an entry",
    "64-bit field too long",
    "64-bit field contradicts",
    "64-bit field of 9 bytes",
    "64-bit field without its disk",
    "64-bit field with another disk",
    "64-bit field of the local header too short",
    "64-bit field of the local header contradicts",
    "wide descriptor without its field",
    "narrow descriptor in spite of its field",
    "an end in a comment",
)
#: How 0.1.0 read those whose names or feeds are in question: name, size of the data, feed of the meta entry.
READ_AS = {
    "some names marked as UTF-8": [("ü", 900, None)],
    "not ASCII, in the old code page": [("ü", 900, None)],
    "a second name": [("b.txt", 16, None), ("a", 900, None)],
    "a second name in the directory alone": [("b.txt", 16, None)],
    "a second name in the local header alone": [],
    "a second name of another name": [],
    "two second names": [("2", 900, None)],
    "a dot in the path": [("x/a", 900, None)],
    "an empty part in the path": [("x/a", 900, None)],
    "a path that begins here, and one that does not": [("a", 900, None)],
    "./ before some names": [("a", 900, None)],
    "an empty part at the end": [],
    "a folder twice": [],
    "an extended 64-bit end record": [("a", 900, OTHER)],
}


def written(folder: Path, data: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", NEWLY_REFUSED)
def test_s37_what_an_older_release_stored_is_read_and_what_comes_now_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, EVERY[name])
    with pytest.raises(StreamInvalid):
        read_archive(path)
    found = [(group.name, group.data.size, group.feed) for group in read_stored_archive(path).groups]
    assert found == READ_AS.get(name, found)
    assert found or name in READ_AS


@pytest.mark.parametrize("name", HONEST)
def test_what_is_taken_now_is_read_in_the_same_way_from_the_store(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, HONEST[name])
    now, later = read_archive(path), read_stored_archive(path)
    assert list(now.groups) == list(later.groups)
    assert (now.entries, now.inflated, now.notes) == (later.entries, later.inflated, later.notes)


BROKEN = {
    "crc differs": crafted(Lie(crc=1)),
    "size too small": crafted(Lie(size=len(TEXT) - 1)),
    "size too large": crafted(Lie(size=len(TEXT) + 1)),
    "broken data": crafted(Lie(raw=b"\xff" * 20)),
    "overlap": crafted(Lie(), Lie(b"2.dat", central_offset=10)),
    "shared data": crafted(Lie(), Lie(b"2.dat", central_offset=0)),
    "offset behind the end": crafted(Lie(central_offset=9999)),
    "encrypted": crafted(Lie(flags=1)),
    "another method": crafted(Lie(method=12)),
    "stored with two lengths": crafted(Lie(method=0)),
    "a second disk": crafted(Lie(central_disk=1)),
    "a name that is not UTF-8": crafted(Lie(b"\xff.dat", flags=0x0800)),
    "a second name that is not UTF-8": crafted(Lie(extra=unicode_path(b"\xff.dat"))),
    "a NUL": crafted(Lie(b"a.dat\0.meta")),
    "a size beyond the file": crafted(
        Lie(central_packed=0xFFFFFFFF, central_extra=in_64_bit(1 << 60), local_packed=1)
    ),
    "fewer entries than counted": crafted(Lie(), count=2),
    "more entries than counted": crafted(Lie(), Lie(b"2.dat"), count=1),
    "damaged extra fields": crafted(Lie(central_extra=b"\x01\0\xff\0xx")),
    "two data entries of one name": crafted(Lie(b"a.dat"), Lie(b"a.dat")),
    "no directory": b"just text " * 100,
    "nothing": b"",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_no_release_has_taken_is_not_read_from_the_store_either(tmp_path: Path, name: str) -> None:
    with pytest.raises(StreamInvalid):
        read_stored_archive(written(tmp_path, BROKEN[name]))


def test_every_truncation_and_bit_flip_ends_in_a_reason_or_the_same_data(tmp_path: Path) -> None:
    data = crafted(Lie(b"a.meta", b"Feed:X\n"), Lie("ü.dat".encode(), TEXT[:60]))
    spoiled = [data[:length] for length in range(len(data))]
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        spoiled.append(bytes(flipped))
    sums = {zlib.crc32(b"Feed:X\n"), zlib.crc32(TEXT[:60])}
    for one in spoiled:
        try:
            contents = read_stored_archive(written(tmp_path, one))
        except StreamInvalid:
            continue
        assert {group.data.crc for group in contents.groups} <= sums


@pytest.fixture
def depot(db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    make_feed(FEED)
    make_feed(OTHER)
    yield from running_depot(tmp_path / "store", settings, monkeypatch)


def store(depot: Depot, data: bytes, compression: str = "ZIP") -> Receipt:
    """Store data as the release did that accepted it."""
    valid = packed({"1.dat": b"x"}) if compression == "ZIP" else gzip.compress(b"x")
    receipt = depot.keep(FEED, valid, compression)
    depot.data(receipt).write_bytes(data)
    receipt.bytes, receipt.sha256 = len(data), hashlib.sha256(data).hexdigest()
    receipt.save()
    return receipt


def export(output: Path) -> str:
    out = StringIO()
    call_command("export_receipts", "--output", str(output), "--mark", "forwarded", stdout=out, stderr=out)
    return out.getvalue()


def handed_over(output: Path) -> list[bytes]:
    """Return every data item in the output folder, with the feed that its archive is for."""
    found = []
    for path in output.glob("*/*.zip"):
        with zipfile.ZipFile(path) as archive:
            found += [archive.read(name) for name in archive.namelist() if name.endswith(".dat")]
    return sorted(found)


def test_archives_that_were_accepted_once_are_handed_over(depot: Depot, tmp_path: Path) -> None:
    expected = []
    for name in NEWLY_REFUSED:
        receipt = store(depot, EVERY[name])
        with depot.data(receipt).open("rb") as file:
            groups = list(read_stored_archive(Path(file.name)).groups)
        expected += [group.data.crc for group in groups]
    export(tmp_path / "out")
    assert sorted(map(zlib.crc32, handed_over(tmp_path / "out"))) == sorted(expected)
    assert set(Receipt.objects.values_list("status", flat=True)) == {Receipt.Status.FORWARDED}


def test_archives_that_were_accepted_once_are_recovered_as_archives(depot: Depot) -> None:
    stored = {store(depot, EVERY[name]).receipt_id: name for name in NEWLY_REFUSED}
    Receipt.objects.all().delete()
    depot.close()
    call_command("rebuild_receipts", stdout=StringIO())
    assert Receipt.objects.count() == len(stored)
    for receipt in Receipt.objects.all():
        assert receipt.compression == "ZIP", stored[receipt.receipt_id]
    links = set(ReceiptFeed.objects.values_list("feed", flat=True))
    assert links == {FEED, OTHER}


def test_gzip_of_many_small_members_that_was_accepted_once_is_handed_over_and_recovered(
    depot: Depot, tmp_path: Path
) -> None:
    data = gzip.compress(b"") * (FREE_MEMBERS + 20_000) + gzip.compress(b"a line")
    with pytest.raises(StreamInvalid):
        GzipCheck().feed(data)
    receipt = store(depot, data, "GZIP")
    receipt.headers = {**receipt.headers, "StreamSize": "6"}
    receipt.save()
    depot.data(receipt).with_suffix(".meta").write_text(f"Feed:{FEED}\nStreamSize:6\n")
    export(tmp_path / "out")
    assert handed_over(tmp_path / "out") == [b"a line"]
    Receipt.objects.all().delete()
    depot.close()
    call_command("rebuild_receipts", stdout=StringIO())
    assert Receipt.objects.get().compression == "GZIP"


def test_what_cannot_be_read_is_set_to_failed_with_its_reason_and_its_file(depot: Depot, tmp_path: Path) -> None:
    good = store(depot, packed({"1.dat": b"good"}))
    receipt = store(depot, BROKEN["crc differs"])
    out = StringIO()
    with pytest.raises(CommandError):
        call_command(
            "export_receipts", "--output", str(tmp_path / "out"), "--mark", "forwarded", stdout=out, stderr=out
        )
    receipt.refresh_from_db()
    good.refresh_from_db()
    assert good.status == Receipt.Status.FORWARDED
    assert handed_over(tmp_path / "out") == [b"good"]
    assert receipt.status == Receipt.Status.FAILED
    assert "its length or checksum does not match" in out.getvalue()
    assert str(depot.data(receipt)) in out.getvalue()
