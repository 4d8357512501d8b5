"""Handing receipts over: canonical archives, byte for byte, each receipt once, nothing half-written in sight."""

import gzip
import hashlib
import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from feeds.maintenance import handover as export_module
from feeds.maintenance import identity
from feeds.maintenance.handover import Exporter, Limits, Selection
from feeds.maintenance.handover_folders import STAGING, Staging
from feeds.maintenance.handover_journal import Journal
from feeds.maintenance.locks import MaintenanceBusy
from feeds.models import Receipt, ReceiptFeed
from feeds.rules.stored_metadata import parse_meta
from feeds.store.canonical import CanonicalZip, Content, ExportFault, Item, Key
from feeds.store.ids import STORE_ID
from portal.files import claim_folder, stamp_of
from tests.factories import make_feed
from tests.feeds.maintenance.depot import Depot, packed, running_depot
from tests.feeds.maintenance.dying import dies_at

pytestmark = pytest.mark.django_db

FEED, OTHER = "PAYROLL-PROD-EVENTS", "WEB-ACCESS-EVENTS"


@pytest.fixture
def depot(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    make_feed(FEED)
    make_feed(OTHER)
    yield from running_depot(tmp_path / "store", settings, monkeypatch)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "scanned"


def export(output: Path, *arguments: str) -> str:
    out = StringIO()
    call_command("export_receipts", "--output", str(output), *arguments, stdout=out, stderr=out)
    return out.getvalue()


def entries(path: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def archives(output: Path) -> list[Path]:
    """Each in a folder of its own, with its metadata and nothing else."""
    found = sorted(output.glob("*/*.zip"))
    for path in found:
        assert sorted(path.parent.iterdir()) == [path.with_suffix(".meta"), path]
    return found


def staged(folder: Path) -> list[str]:
    """Names in a staging folder, without the files that make it one."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def data_of(output: Path) -> list[bytes]:
    """Every data item in the output folder."""
    return [content for path in archives(output) for name, content in entries(path) if name.endswith(".dat")]


def test_what_another_portal_left_in_the_staging_folder_is_not_ended_here(depot: Depot, output: Path) -> None:
    """Its journals name rows by their keys: here they would mark other receipts as handed over."""
    depot.keep(FEED, b"data")
    work = output.parent / "work"
    identity.link(depot.root)
    export(output, "--staging", str(work))
    journal = work / "another.journal"
    journal.write_bytes(b"{}")
    (depot.root / STORE_ID).write_text(str(uuid.uuid4()))
    with pytest.raises(CommandError, match="is the staging folder of another portal"):
        export(output, "--staging", str(work))
    assert journal.read_bytes() == b"{}"


def test_a_staging_folder_that_names_no_portal_is_taken_over_once(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"data")
    identity.link(depot.root)
    work = output.parent / "work"
    claim_folder(work, f"{STAGING}\n")
    export(output, "--staging", str(work))
    assert str(identity.read_key(depot.root)) in stamp_of(work)


def test_plain_and_gzip_data_come_out_in_order_byte_for_byte(depot: Depot, output: Path) -> None:
    bodies = [b"one\n", bytes(range(256)) * 999, b"three"]
    depot.keep(FEED, bodies[0], System="A", Environment="PROD")
    depot.keep(FEED, gzip.compress(bodies[1][:70_000]) + gzip.compress(bodies[1][70_000:]), "GZIP", System="B")
    depot.keep(FEED, bodies[2], System="C")
    export(output)
    [path] = archives(output)
    found = entries(path)
    assert [name for name, _ in found] == [
        f"{number:010d}.{kind}" for number in (1, 2, 3) for kind in ("meta", "dat")
    ]
    assert [content for name, content in found if name.endswith(".dat")] == bodies
    metas = [parse_meta(content) for name, content in found if name.endswith(".meta")]
    assert [meta["System"] for meta in metas] == ["A", "B", "C"]
    assert [int(meta["StreamSize"]) for meta in metas] == [len(body) for body in bodies]
    assert metas[0]["Environment"] == "PROD"


def test_an_entry_carries_all_that_the_receipt_was_stored_with(depot: Depot, output: Path) -> None:
    receipt = depot.keep(FEED, b"data", GUID="7f", Type="Raw Events")
    export(output)
    meta = parse_meta(dict(entries(archives(output)[0]))["0000000001.meta"])
    assert meta == receipt.headers
    assert meta == parse_meta((depot.data(receipt).with_suffix(".meta")).read_bytes())
    assert {"GUID", "ReceiptId", "ReceiptIdPath", "ReceivedTime", "ReceivedPath", "Feed"} <= set(meta)


def test_the_file_beside_holds_what_all_items_share(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"a", System="S", Environment="ONE")
    depot.keep(FEED, b"b", System="S", Environment="TWO")
    export(output)
    [path] = archives(output)
    beside = parse_meta(path.with_suffix(".meta").read_bytes())
    assert beside["Feed"] == FEED
    assert beside["System"] == "S"
    assert beside["GUID"]
    assert not {"Environment", "ReceiptId", "StreamSize"} & set(beside)


def test_groups_of_a_zip_keep_context_and_their_own_metadata(depot: Depot, output: Path) -> None:
    body = packed(
        {
            "x/2026.02.01": b"no extension of ours",
            "a.meta": "Environment:TEST\nSystem:inner\nReceiptId:forged\n",
            "a.ctx": b"context",
            "a.mf": b"manifest",
            "a.dat": b"data of a",
            "lonely.meta": "Feed:NOWHERE\n",
        }
    )
    receipt = depot.keep(FEED, body, "ZIP", System="outer")
    export(output)
    found = entries(archives(output)[0])
    assert [name for name, _ in found] == [
        "0000000001.meta",
        "0000000001.dat",
        "0000000002.meta",
        "0000000002.ctx",
        "0000000002.dat",
    ]
    content = dict(found)
    assert content["0000000001.dat"] == b"no extension of ours"
    assert content["0000000002.dat"] == b"data of a"
    assert content["0000000002.ctx"] == b"context"
    inner = parse_meta(content["0000000002.meta"])
    assert (inner["System"], inner["Environment"]) == ("inner", "TEST")
    assert inner["ReceiptId"] == receipt.receipt_id
    assert inner["StreamSize"] == "9"


def test_r18_each_feed_of_a_zip_gets_its_own_archive_and_dropped_groups_none(depot: Depot, output: Path) -> None:
    make_feed("NOISE", status="Drop")
    body = packed(
        {
            "1.meta": f"Feed:{OTHER}\n",
            "1.dat": b"for the other",
            "2.dat": b"for the request's",
            "3.meta": "Feed:NOISE\n",
            "3.dat": b"to be dropped",
        }
    )
    receipt = depot.keep(FEED, body, "ZIP")
    export(output, "--feed", OTHER, "--mark", "forwarded")
    by_feed = {
        parse_meta(path.with_suffix(".meta").read_bytes())["Feed"]: [
            content for name, content in entries(path) if name.endswith(".dat")
        ]
        for path in archives(output)
    }
    assert by_feed == {OTHER: [b"for the other"], FEED: [b"for the request's"]}
    receipt.refresh_from_db()
    assert receipt.status == "forwarded"


def test_the_request_own_feed_dropped_meanwhile_in_the_record_is_left_out(depot: Depot, output: Path) -> None:
    receipt = depot.keep(FEED, packed({"1.meta": f"Feed:{OTHER}\n", "1.dat": b"a", "2.dat": b"b"}), "ZIP")
    ReceiptFeed.objects.filter(receipt=receipt, feed=FEED).update(dropped=True)
    export(output)
    assert data_of(output) == [b"a"]


def test_marking_moves_receipts_on_once(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"first")
    export(output, "--mark", "forwarded")
    depot.keep(FEED, b"second")
    export(output, "--mark", "forwarded")
    export(output, "--mark", "forwarded")
    assert sorted(data_of(output)) == [b"first", b"second"]
    assert set(Receipt.objects.values_list("status", flat=True)) == {"forwarded"}
    assert staged(output.parent / ".scanned.staging") == []


def test_without_marking_nothing_changes_and_nothing_is_overwritten(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"data")
    export(output)
    export(output)
    assert data_of(output) == [b"data", b"data"]
    assert Receipt.objects.get().status == "stored"


def test_again_takes_what_was_handed_over(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"data")
    export(output, "--mark", "forwarded")
    assert "0 receipts" in export(output)
    export(output, "--again")
    assert data_of(output) == [b"data", b"data"]


def test_a_dry_run_writes_nothing(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"data")
    assert export(output, "--mark", "forwarded", "--dry-run") == f"{FEED}: 1 receipt, 4 bytes\n"
    assert not output.exists()
    assert Receipt.objects.get().status == "stored"


def test_since_is_inclusive_and_until_is_not(depot: Depot, output: Path) -> None:
    receipts = [depot.keep(FEED, body) for body in (b"1", b"2", b"3")]
    second, third = (receipt.received_at.isoformat() for receipt in receipts[1:])
    export(output, "--since", second, "--until", third)
    assert data_of(output) == [b"2"]


def test_archives_are_split_by_receipts_and_by_bytes(depot: Depot, output: Path) -> None:
    for number in range(5):
        depot.keep(FEED, b"%d" % number * 100)
    export(output, "--max-receipts", "2", "--mark", "forwarded")
    assert [len(entries(path)) // 2 for path in archives(output)] == [2, 2, 1]
    Receipt.objects.update(status="stored")
    export(output, "--max-bytes", "250", "--mark", "forwarded")
    assert [len(entries(path)) // 2 for path in archives(output)] == [2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize("damage", ["flipped", "short", "missing"])
def test_damaged_receipts_are_left_out_loudly_and_stay(depot: Depot, output: Path, damage: str) -> None:
    good, bad = depot.keep(FEED, b"good"), depot.keep(FEED, b"bad data")
    file = depot.data(bad)
    if damage == "flipped":
        file.write_bytes(b"bad dat!")
    elif damage == "short":
        file.write_bytes(b"bad")
    else:
        file.unlink()
    with pytest.raises(CommandError, match="1 receipt was left out"):
        export(output, "--mark", "forwarded")
    assert data_of(output) == [b"good"]
    good.refresh_from_db()
    bad.refresh_from_db()
    assert (good.status, bad.status) == ("forwarded", "failed")


def test_what_is_written_is_read_back_from_disk(
    depot: Depot, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte that changes between writing and reading back keeps everything where it was."""
    depot.keep(FEED, b"precious data " * 1000)
    sync = os.fsync

    def corrupting(descriptor: int) -> None:
        sync(descriptor)
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".zip"):
            os.pwrite(descriptor, b"?", 600)

    monkeypatch.setattr("feeds.store.canonical.os.fsync", corrupting)
    with pytest.raises(CommandError, match="does not read back"):
        export(output, "--mark", "forwarded")
    assert list(output.iterdir()) == []
    assert Receipt.objects.get().status == "stored"
    monkeypatch.undo()
    export(output, "--mark", "forwarded")
    assert data_of(output) == [b"precious data " * 1000]


def test_the_read_back_compares_content_not_only_checksums(tmp_path: Path) -> None:
    archive = CanonicalZip(tmp_path / "a.zip", Key(FEED))
    archive.add(Item(FEED, {"Feed": FEED}, Content(3, lambda: iter([b"abc"]))))
    archive._written[-1] = ("0000000001.dat", 3, hashlib.sha256(b"abd").digest())
    with pytest.raises(ExportFault, match=r"0000000001\.dat"):
        archive.finish()


def test_an_output_folder_that_a_scanner_removed_is_made_again(depot: Depot, output: Path) -> None:
    """A proxy's scanner removes folders that are empty, also while archives are built."""
    depot.keep(FEED, b"data")

    class Scanned(Exporter):
        def _publish(self, journal: Journal) -> None:
            output.rmdir()
            super()._publish(journal)

    Scanned(depot.root, Staging.of(output)).run(Selection())
    assert data_of(output) == [b"data"]


def test_a_foreign_feed_name_cannot_leave_the_folder(depot: Depot, output: Path) -> None:
    receipt = depot.keep(FEED, b"data")
    Receipt.objects.filter(pk=receipt.pk).update(feed="../../etc/X Y")
    export(output)
    [path] = archives(output)
    assert path.name == f"______etc_X_Y_{receipt.receipt_id}.zip"
    assert parse_meta(path.with_suffix(".meta").read_bytes())["Feed"] == "../../etc/X Y"


def test_our_own_receiver_takes_the_archive_back(depot: Depot, output: Path) -> None:
    depot.keep(FEED, gzip.compress(b"round trip"), "GZIP", System="S")
    export(output, "--mark", "forwarded")
    [path] = archives(output)
    common = parse_meta(path.with_suffix(".meta").read_bytes())
    receipt = depot.keep(FEED, path.read_bytes(), "ZIP", GUID=common["GUID"])
    assert receipt.guid == common["GUID"]
    assert [group["feed"] for group in receipt.groups] == [FEED]
    export(output)
    assert data_of(output).count(b"round trip") == 2


def test_two_exports_at_once_are_refused(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"data")
    staging = Staging.of(output)

    def second(_: str) -> None:
        with pytest.raises(MaintenanceBusy):
            Exporter(depot.root, staging).run(Selection())

    report = Exporter(depot.root, staging, tell=second).run(Selection())
    assert report.receipts == 1


def test_staging_inside_the_scanned_folder_is_refused(depot: Depot, output: Path) -> None:
    with pytest.raises(CommandError, match="not be inside"):
        export(output, "--staging", str(output / "work"))


def test_r29_b9_a_staging_folder_with_files_of_others_is_refused_and_untouched(
    depot: Depot, output: Path, tmp_path: Path
) -> None:
    depot.keep(FEED, b"data")
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("payroll.zip", "notes.meta", "half.new"):
        (mine / name).write_text("precious")
    with pytest.raises(CommandError, match=r"mine holds half\.new"):
        export(output, "--staging", str(mine))
    assert sorted(path.name for path in mine.iterdir()) == ["half.new", "notes.meta", "payroll.zip"]


def test_r29_b9_the_output_of_one_export_is_no_staging_folder_of_another(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"data")
    export(output, "--mark", "forwarded")
    depot.keep(FEED, b"more")
    with pytest.raises(CommandError, match="content would be removed"):
        export(output.with_name("other"), "--staging", str(output))
    assert data_of(output) == [b"data"]
    with pytest.raises(CommandError, match="staging folder of another export"):
        export(output.with_name(".scanned.staging"), "--staging", str(output.with_name("new")))


def test_r29_b9_files_put_into_a_staging_folder_later_stay(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"data")
    export(output)
    staging = output.with_name(".scanned.staging")
    (staging / "payroll.zip").write_text("precious")
    left = f"{FEED}_1771960000000_0000_P_test-1.zip"
    (staging / left).write_text("of a run that was killed")
    export(output)
    assert staged(staging) == ["payroll.zip"]


def test_a_staging_folder_left_by_an_older_release_is_taken_over(depot: Depot, output: Path) -> None:
    receipt = depot.keep(FEED, b"data")
    staging = output.with_name(".scanned.staging")
    staging.mkdir()
    (staging / f"{FEED}_{receipt.receipt_id}.zip").write_text("half")
    export(output)
    export(output)
    assert staged(staging) == []


def test_a_batch_that_an_older_release_was_killed_in_is_ended_as_it_would_have(depot: Depot, output: Path) -> None:
    """Its archives lie flat in the staging folder, and its journal names them alone."""
    receipt = depot.keep(FEED, b"data")
    export(output)
    staging, [built] = output.with_name(".scanned.staging"), list(output.iterdir())
    for path in list(built.iterdir()):
        path.rename(staging / path.name)
    built.rmdir()
    journal = {"receipts": [receipt.pk], "marks": True, "ready": [built.name]}
    (staging / f"{receipt.receipt_id}.journal").write_text(json.dumps(journal))
    Receipt.objects.update(status="forwarding")
    export(output, "--mark", "forwarded")
    assert sorted(path.name for path in output.iterdir()) == [f"{built.name}.meta", f"{built.name}.zip"]
    assert Receipt.objects.get().status == "forwarded"
    assert staged(staging) == []


@pytest.mark.parametrize(
    "arguments", [["--mark", "forwarded", "--again"], ["--max-receipts", "0"], ["--since", "yesterday"]]
)
def test_contradictions_are_refused_before_anything_happens(output: Path, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        export(output, *arguments)
    assert not output.exists()


STEPS = range(1, 100)


# Dying here leaves files open that the end of a process would close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_run_that_dies_anywhere_hands_everything_over_exactly_once(
    depot: Depot, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Die at each system call that changes the disk or a row, then run again."""
    bodies = [b"one", b"two", b"three"]
    for body in bodies:
        depot.keep(FEED, body)
    depot.keep(FEED, packed({"1.meta": f"Feed:{OTHER}\n", "1.dat": b"four", "2.dat": b"five"}), "ZIP")
    died = 0
    for step in STEPS:
        folder = output.with_name(f"scanned-{step}")
        Receipt.objects.update(status="stored")
        if not dies_at(step, partial(_run, depot, folder), monkeypatch, _CHANGES):
            break
        died += 1
        taken = data_of(folder)  # a scanner that takes what is there
        for path in folder.glob("*"):
            shutil.rmtree(path)
        _run(depot, folder)
        assert sorted(taken + data_of(folder)) == sorted([*bodies, b"four", b"five"]), f"died at step {step}"
        assert set(Receipt.objects.values_list("status", flat=True)) == {"forwarded"}, f"died at step {step}"
        staging = folder.parent / f".{folder.name}.staging"
        assert staged(staging) == [], f"died at step {step}"
    assert died >= 40


def _run(depot: Depot, output: Path) -> None:
    Exporter(depot.root, Staging.of(output), mark=True, limits=Limits(receipts=2)).run(Selection())


#: All that changes something for a scanner or for the next run.
_CHANGES = (
    (Path, "rename"),
    (Path, "unlink"),
    (Exporter, "_set"),
    (export_module, "CanonicalZip"),
    (os, "fsync"),
    (json, "dump"),
)
