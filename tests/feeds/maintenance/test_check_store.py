"""Every object in the store is explained, whatever was cut off where (R12)."""

import gzip
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections

from feeds.maintenance import store_walk, takeover
from feeds.maintenance.findings import Finding, FindingKind
from feeds.maintenance.integrity import StoreCheck
from feeds.maintenance.locks import only_one
from feeds.maintenance.takeover import NEWEST_HOURS, Takeover
from feeds.models import Receipt
from feeds.receipt.recording import Recorder
from feeds.receipt.results import CommitUnknown
from feeds.store.ids import data_path
from tests.factories import make_feed
from tests.feeds.maintenance.depot import Depot, packed, running_depot
from tests.feeds.maintenance.dying import dies_at

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

FEED, OTHER = "PAYROLL-PROD-EVENTS", "WEB-ACCESS-EVENTS"


@pytest.fixture
def depot(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    make_feed(FEED)
    make_feed(OTHER)
    yield from running_depot(tmp_path / "store", settings, monkeypatch)


def examine(depot: Depot, *, deep: bool = False, repair: bool = False, alive: bool = False) -> list[Finding]:
    """Check after the writer has died, or beside it."""
    if not alive:
        depot.close()
    try:
        return list(StoreCheck(depot.root, deep=deep, repair=repair).run())
    finally:
        if not alive:
            depot.start_again()


def kinds(findings: list[Finding]) -> list[FindingKind]:
    return [finding.kind for finding in findings]


def check_store(*arguments: str) -> str:
    out = StringIO()
    call_command("check_store", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_r12_a_healthy_store_is_explained(depot: Depot) -> None:
    depot.keep(FEED, b"one")
    depot.keep(FEED, packed({"1.dat": b"a"}), "ZIP")
    assert examine(depot, deep=True) == []
    assert "Every object is explained." in check_store("--hash")


def test_r12_an_empty_store_is_explained(tmp_path: Path) -> None:
    assert list(StoreCheck(tmp_path / "nothing").run()) == []


def test_r12_one_flipped_byte_is_always_found(depot: Depot) -> None:
    receipt = depot.keep(FEED, bytes(range(64)))
    file = depot.data(receipt)
    good = file.read_bytes()
    for at in range(len(good)):
        file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert kinds(examine(depot, deep=True)) == [FindingKind.DAMAGED]
    assert examine(depot) == [], "without --hash sizes are compared"


def test_r12_a_missing_and_a_shortened_file_are_losses_and_stay_so(depot: Depot) -> None:
    missing, short = depot.keep(FEED, b"gone"), depot.keep(FEED, b"shortened")
    depot.data(missing).unlink()
    depot.data(short).write_bytes(b"short")
    with pytest.raises(CommandError, match="2 objects"):
        check_store("--repair")
    assert sorted(kinds(examine(depot, repair=True))) == sorted([FindingKind.MISSING, FindingKind.DAMAGED])
    assert Receipt.objects.count() == 2


def test_r12_a_row_whose_whole_folder_is_gone_is_missing(depot: Depot) -> None:
    receipt = depot.keep(FEED, b"gone")
    for path in (depot.data(receipt), depot.data(receipt).with_suffix(".meta")):
        path.unlink()
    depot.data(receipt).parent.rmdir()
    assert kinds(examine(depot)) == [FindingKind.MISSING]


def test_r12_strange_objects_are_named_and_never_touched(depot: Depot) -> None:
    receipt = depot.keep(FEED, b"data")
    folder = depot.data(receipt).parent
    wrong_place = depot.root / "received/2020-01-01/00"
    wrong_place.mkdir(parents=True)
    (depot.root / "parts/old").mkdir()
    strange = [
        depot.root / "notes.txt",
        depot.root / "received/readme",
        depot.root / "parts/readme",
        depot.root / "parts/old",
        depot.root / "parts/old/1.part",
        folder / "core.1234",
        folder / "sub",
        folder / "link.dat",
        wrong_place / depot.data(receipt).name,
    ]
    for path in strange:
        path.write_bytes(b"x") if path.name not in {"sub", "link.dat", "old"} else None
    (folder / "sub").mkdir()
    (folder / "link.dat").symlink_to(depot.data(receipt))
    findings = examine(depot, repair=True)
    assert set(kinds(findings)) == {FindingKind.UNEXPLAINED}
    assert {finding.path for finding in findings} == {str(path.relative_to(depot.root)) for path in strange}
    assert all(path.exists() for path in strange)
    assert not any(finding.repaired for finding in findings)


@pytest.mark.parametrize("state", ["missing", "empty", "changed"])
def test_r12_metadata_is_rewritten_from_the_row(depot: Depot, state: str) -> None:
    receipt = depot.keep(FEED, b"data", System="S")
    meta = depot.data(receipt).with_suffix(".meta")
    good = meta.read_bytes()
    meta.unlink() if state == "missing" else meta.write_bytes(b"" if state == "empty" else b"Feed:FORGED\n")
    assert kinds(examine(depot, deep=state == "changed", repair=True)) == [FindingKind.METADATA]
    assert meta.read_bytes() == good
    assert examine(depot, deep=True) == []


BODIES: dict[str, tuple[bytes, str]] = {
    "plain": (b"plain data", ""),
    "gzip": (gzip.compress(b"packed data" * 50), "GZIP"),
    "gzip kept as it is": (gzip.compress(b"opaque to us" * 50), ""),
    "zip": (packed({"1.dat": b"a", "2.meta": f"Feed:{OTHER}\n", "2.dat": b"b"}), "ZIP"),
    "zip kept as it is": (packed({"1.dat": b"a"}), ""),
}


@pytest.mark.parametrize(("body", "compression"), BODIES.values(), ids=BODIES.keys())
def test_r12_a_file_without_a_row_gets_the_row_it_had(depot: Depot, body: bytes, compression: str) -> None:
    lost = depot.keep(FEED, body, compression, System="S", GUID="g1")
    before = {name: value for name, value in vars(lost).items() if name not in {"id", "_state"}}
    feeds = set(lost.feed_links.values_list("feed", "dropped"))
    Receipt.objects.all().delete()
    assert kinds(examine(depot, repair=True)) == [FindingKind.UNRECORDED]
    found = Receipt.objects.get()
    assert found.recovered
    assert set(found.feed_links.values_list("feed", "dropped")) == feeds
    for name in ("receipt_id", "feed", "bytes", "sha256", "compression", "path", "headers", "groups", "guid"):
        assert getattr(found, name) == before[name], name
    assert abs((found.received_at - before["received_at"]).total_seconds()) < 60
    assert examine(depot, deep=True) == []


def test_r12_a_recovered_group_of_a_drop_feed_is_marked(depot: Depot) -> None:
    make_feed("NOISE", status="Drop")
    depot.keep(FEED, packed({"1.dat": b"a", "2.meta": "Feed:NOISE\n", "2.dat": b"b"}), "ZIP")
    Receipt.objects.all().delete()
    examine(depot, repair=True)
    assert set(Receipt.objects.get().feed_links.values_list("feed", "dropped")) == {(FEED, False), ("NOISE", True)}


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_r12_a_file_alone_is_kept_and_says_so(depot: Depot, compression: str) -> None:
    body = gzip.compress(b"x" * 99) if compression else b"plain"
    lost = depot.keep(FEED, body, compression)
    depot.data(lost).with_suffix(".meta").unlink()
    Receipt.objects.all().delete()
    examine(depot, repair=True)
    found = Receipt.objects.get()
    assert (found.feed, found.compression, found.bytes) == ("", compression or "NONE", len(body))
    assert "its metadata file is missing" in found.notes
    assert examine(depot, deep=True) == [], "and is not missed again at every check"


def test_r12_what_a_living_writer_is_making_is_left_alone(depot: Depot) -> None:
    kept = depot.keep(FEED, b"about to be recorded")
    Receipt.objects.all().delete()
    (depot.slot.folder / "1.part").write_bytes(b"being received")
    (depot.slot.folder / "2.part").write_bytes(b"being received")
    waiting = depot.root / data_path(depot.ids.next()).with_suffix(".meta")
    waiting.write_bytes(b"Feed:X\n")
    assert examine(depot, repair=True, alive=True) == []
    assert depot.data(kept).exists()
    assert waiting.exists()
    assert sorted(kinds(examine(depot, repair=True))) == sorted(
        [FindingKind.UNRECORDED, FindingKind.HALF_WRITTEN, FindingKind.HALF_WRITTEN, FindingKind.HALF_WRITTEN]
    )
    assert examine(depot) == []


def test_r12_a_crash_anywhere_in_an_upload_is_explained_and_mended(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Die at every change that an upload makes; then nothing is unexplained and every row is whole."""
    died = 0
    for compression, body in (("", b"plain"), ("GZIP", gzip.compress(b"packed")), ("ZIP", packed({"a": b"b"}))):
        for step in range(1, 60):
            if not dies_at(step, partial(depot.send, FEED, body, compression), monkeypatch):
                break
            died += 1
            examine(depot, repair=True)
            assert examine(depot, deep=True) == [], f"{compression} at step {step}"
            assert not list(depot.slot.folder.glob("*.part"))
            for receipt in Receipt.objects.filter(recovered=True):
                assert depot.data(receipt).read_bytes() in {body, *(body for body, _ in BODIES.values())}
                receipt.delete()
                depot.data(receipt).unlink()
                depot.data(receipt).with_suffix(".meta").unlink()
    assert died >= 30


def test_the_newest_hours_alone_are_looked_at_when_the_portal_starts(depot: Depot) -> None:
    old = depot.root / "received/2020-01-01/00"
    old.mkdir(parents=True)
    (old / "strange").write_bytes(b"")
    depot.keep(FEED, b"data")
    Receipt.objects.all().delete()
    depot.close()
    findings = list(StoreCheck(depot.root, repair=True, newest=1).run())
    assert kinds(findings) == [FindingKind.UNRECORDED]
    assert Receipt.objects.get().recovered


HOUR_MILLIS = 3_600_000


def leave_behind(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> str:
    """An upload that began five hours ago dies in its commit, and four later hours have deliveries of their own."""
    now = int(time.time() * 1000)

    def one_from(hours_ago: int) -> str:
        return f"{now - hours_ago * HOUR_MILLIS:013d}_0000_P_test-{depot.slot.number}"

    def die_in_the_commit(*_: object) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Recorder, "_insert", insert)
            for hours_ago in (4, 3, 2, 1):
                assert depot.send(FEED, b"later", receipt_id=one_from(hours_ago)).decision.accepted
        raise CommitUnknown("the process is killed here")

    insert = Recorder._insert
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "_insert", die_in_the_commit)
        assert not depot.send(FEED, b"five hours long", receipt_id=one_from(5)).decision.accepted
    return one_from(5)


def test_r12_a_start_records_what_an_upload_of_five_hours_left_when_it_died(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is in the folder of the hour in which it began, which is none of the newest."""
    left = leave_behind(depot, monkeypatch)
    os.close(depot.slot.descriptor)
    depot._running = False
    findings = list(StoreCheck(depot.root, repair=True, newest=NEWEST_HOURS).run())
    assert kinds(findings) == [FindingKind.UNRECORDED]
    assert [receipt.receipt_id for receipt in Receipt.objects.filter(recovered=True)] == [left]


@pytest.mark.parametrize("die", [Depot.die, Depot.start_again], ids=["killed", "stopped after a lost commit"])
def test_r12_a_successor_records_what_an_upload_of_five_hours_left(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, die: Callable[[Depot], None]
) -> None:
    left = leave_behind(depot, monkeypatch)
    time.sleep(0.002)
    die(depot)
    monkeypatch.setattr(connections, "close_all", lambda: None)  # the test's own
    Takeover(depot.root, depot.slot).run()
    assert [receipt.receipt_id for receipt in Receipt.objects.filter(recovered=True)] == [left]
    depot.start_again()
    assert not depot.slot.inherited, "there is nothing left to look for"


def test_r17_what_was_left_before_the_clock_was_set_back_is_recorded_when_it_can_be_told(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its id it could be the successor's own; only when it has been there for long is it the dead one's."""
    left = depot.keep(FEED, b"whole, and never recorded")
    Receipt.objects.all().delete()
    with monkeypatch.context() as patch:
        now = time.time()
        patch.setattr(time, "time", lambda: now - 60)
        depot.die()
    monkeypatch.setattr(connections, "close_all", lambda: None)  # the test's own
    successor = Takeover(depot.root, depot.slot)

    def wait(_: float) -> None:
        assert not Receipt.objects.exists()
        monkeypatch.setattr(store_walk, "IN_FLIGHT_SECONDS", 0)

    monkeypatch.setattr(successor._stop_asked, "wait", wait)
    successor.run()
    assert left.receipt_id in {receipt.receipt_id for receipt in Receipt.objects.filter(recovered=True)}


def test_maintenance_that_runs_already_is_not_disturbed(depot: Depot) -> None:
    with only_one(depot.root), pytest.raises(CommandError, match="is running"):
        check_store()


def test_r12_thousands_of_objects_in_less_than_their_share_of_ten_seconds(depot: Depot) -> None:
    """100,000 objects have 10 s; here are 6,000."""
    rows = []
    for _ in range(3000):
        path = data_path(receipt_id := depot.ids.next())
        (depot.root / path).parent.mkdir(parents=True, exist_ok=True)
        (depot.root / path).write_bytes(b"1")
        (depot.root / path).with_suffix(".meta").write_bytes(b"Feed:X\n")
        rows.append(
            Receipt(
                receipt_id=receipt_id,
                feed=FEED,
                bytes=1,
                sha256="",
                path=str(path),
                received_at="2026-01-01T00:00Z",
            )
        )
    Receipt.objects.bulk_create(rows)
    started = time.process_time()
    assert examine(depot) == []
    assert time.process_time() - started < 0.6


def test_r12_what_a_predecessor_left_is_told_from_what_is_being_made_now(depot: Depot) -> None:
    """The number has a living owner again, who made neither; a moment later it has one of its own under way."""
    left = depot.keep(FEED, b"whole, and never recorded")
    orphan = depot.root / data_path(depot.ids.next()).with_suffix(".meta")
    orphan.write_bytes(b"Feed:X\n")
    Receipt.objects.all().delete()
    time.sleep(0.002)
    depot.die()
    assert depot.slot.inherited
    made = depot.keep(FEED, b"being recorded")
    Receipt.objects.filter(pk=made.pk).delete()
    waiting = depot.root / data_path(depot.ids.next()).with_suffix(".meta")
    waiting.write_bytes(b"Feed:X\n")
    findings = list(StoreCheck(depot.root, repair=True).recover())
    assert sorted((finding.kind, finding.path) for finding in findings) == sorted(
        [
            (FindingKind.UNRECORDED, left.path),
            (FindingKind.HALF_WRITTEN, str(orphan.relative_to(depot.root))),
        ]
    )
    assert [receipt.receipt_id for receipt in Receipt.objects.all()] == [left.receipt_id]
    assert waiting.exists()
    assert not orphan.exists()
    assert depot.data(made).exists()


def test_a_number_that_was_given_back_is_not_inherited(depot: Depot) -> None:
    depot.start_again()
    assert not depot.slot.inherited


def test_a_successor_mends_beside_its_deliveries_and_tries_again(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.keep(FEED, b"whole, and never recorded")
    Receipt.objects.all().delete()
    time.sleep(0.002)
    depot.die()
    faults: list[Exception] = [OperationalError("database is locked"), OSError(5, "Input/output error")]
    real = StoreCheck.recover

    def recover(check: StoreCheck) -> Iterator[Finding]:
        if faults:
            raise faults.pop()
        return real(check)

    monkeypatch.setattr(StoreCheck, "recover", recover)
    monkeypatch.setattr(takeover, "TRY_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(connections, "close_all", lambda: None)  # the test's own
    Takeover(depot.root, depot.slot).run()
    assert Receipt.objects.get().recovered
    assert not faults


def test_without_a_dead_predecessor_nothing_is_looked_at(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoreCheck, "recover", lambda _: pytest.fail("it looks"))
    monkeypatch.setattr(connections, "close_all", lambda: None)
    depot.start_again()
    Takeover(depot.root, depot.slot).run()
