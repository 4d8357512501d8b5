"""A backup belongs to one portal, and nothing that it holds is destroyed by a later run (R29)."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from feeds.maintenance.backup_database import copy_name
from feeds.maintenance.locks import only_one
from feeds.models import Receipt
from feeds.store import prune_log
from portal.audit import triggers
from portal.audit.record import record
from portal.models import AuditRecord
from tests import postgresql
from tests.factories import make_feed
from tests.feeds.maintenance.depot import Depot, running_depot

pytestmark = pytest.mark.django_db(transaction=True)

FEED = "PAYROLL-PROD-EVENTS"
RECEIPTS = 12


@pytest.fixture
def depot(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    if connection.vendor == "postgresql":
        programs = postgresql.programs()
        assert programs
        monkeypatch.setenv("PATH", str(programs), prepend=":")
    settings.DATA_DIR = tmp_path / "data"
    make_feed(FEED)
    begin_record()
    for depot in running_depot(tmp_path / "data/store", settings, monkeypatch):
        for number in range(RECEIPTS):
            depot.keep(FEED, b"number %d" % number)
        yield depot


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def begin_record() -> None:
    """An audit record as another portal, or a new database, would have it."""
    triggers.remove(connection)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM portal_auditrecord")
    for number in range(3):
        record("changed", kind="feed", key=number, name=FEED)


def backup(copy: Path, *arguments: str) -> str:
    out = StringIO()
    call_command("backup", str(copy), *arguments, stdout=out, stderr=out)
    return out.getvalue()


def summary(copy: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((copy / "backup.json").read_text())
    return found


def held(copy: Path) -> dict[str, bytes]:
    """Every file of the backup, without what says when it was made."""
    files = (path for path in copy.rglob("*") if path.is_file())
    return {str(path.relative_to(copy)): path.read_bytes() for path in files}


def data_of(copy: Path) -> dict[str, bytes]:
    return {name: content for name, content in held(copy / "store").items() if name.startswith("received")}


def lose_receipts(number: int, depot: Depot) -> list[Receipt]:
    """As a lost table or an older database would: rows and files go, and retention knows nothing of it."""
    gone = list(Receipt.objects.order_by("receipt_id")[:number])
    for receipt in gone:
        receipt.delete()
        depot.data(receipt).unlink()
        depot.data(receipt).with_suffix(".meta").unlink()
    return gone


def prune(number: int) -> None:
    Receipt.objects.update(status="forwarded")
    oldest = Receipt.objects.order_by("receipt_id")[:number].values_list("pk", flat=True)
    Receipt.objects.filter(pk__in=list(oldest)).update(received_at=datetime.now(UTC) - timedelta(days=9))
    from feeds.models import RetentionPolicy

    RetentionPolicy.objects.create(feed=FEED, keep_days=5)
    call_command("prune_receipts", "--pause", "0", stdout=StringIO())


def test_r29_another_portal_cannot_overwrite_a_backup(depot: Depot, copy: Path) -> None:
    backup(copy)
    before = held(copy)
    assert summary(copy)["portal"] == AuditRecord.objects.get(number=1).digest
    begin_record()
    with pytest.raises(CommandError, match="is the backup of another portal"):
        backup(copy)
    assert held(copy) == before


def test_r29_an_emptied_portal_cannot_overwrite_a_backup(depot: Depot, copy: Path) -> None:
    backup(copy)
    before = held(copy)
    Receipt.objects.all().delete()
    shutil.rmtree(depot.root / "received")
    with pytest.raises(CommandError, match=f"no longer has {RECEIPTS} of the {RECEIPTS} receipts"):
        backup(copy)
    begin_record()
    with pytest.raises(CommandError, match="another portal"):
        backup(copy)
    assert held(copy) == before


def test_r29_a_shorter_database_cannot_overwrite_a_newer_backup(depot: Depot, copy: Path) -> None:
    record("changed", kind="feed", key=4, name=FEED)
    backup(copy)
    before = held(copy)
    AuditRecord.objects.filter(number=4).delete()
    with pytest.raises(CommandError, match="entry 4 of its audit record is not in this one"):
        backup(copy)
    record("changed", kind="feed", key=4, name="ANOTHER")  # another entry of the same number
    with pytest.raises(CommandError, match="entry 4 of its audit record is not in this one"):
        backup(copy)
    assert held(copy) == before


def test_r29_the_head_of_a_backup_by_an_older_release_is_read_from_its_database(depot: Depot, copy: Path) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a dump cannot be asked")
    backup(copy)
    (copy / "backup.json").write_text('{"whole": true, "made": "", "receipts": 12, "bytes": 1}')
    before = held(copy)
    begin_record()
    with pytest.raises(CommandError, match="entry 3 of its audit record is not in this one"):
        backup(copy)
    assert held(copy) == before


def test_r29_receipts_that_vanished_without_being_pruned_are_kept(depot: Depot, copy: Path) -> None:
    backup(copy)
    before = data_of(copy)
    [gone] = lose_receipts(1, depot)
    assert "2 files of receipts that are no longer in the database" in backup(copy)
    [kept] = (copy / "previous").glob(f"*/store/{gone.path}")
    assert kept.read_bytes() == before[gone.path]
    for _ in range(3):
        depot.keep(FEED, b"more")
        backup(copy, "--keep", "1")
    assert kept.is_file(), "a generation that holds the only copy of data stays"


def test_r29_many_that_vanished_stop_the_backup_until_somebody_says_so(depot: Depot, copy: Path) -> None:
    backup(copy)
    before = held(copy)
    lost = lose_receipts(4, depot)
    with pytest.raises(CommandError, match="no longer has 4 of the 12 receipts"):
        backup(copy)
    assert held(copy) == before
    backup(copy, "--force")
    assert all(list((copy / "previous").glob(f"*/store/{receipt.path}")) for receipt in lost)
    assert list((copy / "previous").glob(f"*/{copy_name()}"))


def test_r29_what_retention_removed_is_taken_out_and_said(depot: Depot, copy: Path) -> None:
    backup(copy)
    prune(8)
    said = backup(copy)
    assert "16 files of removed receipts taken out" in said
    assert summary(copy)["removed"] == 16
    assert len(data_of(copy)) == 2 * (RECEIPTS - 8)
    assert not list((copy / "previous").rglob("*.dat"))
    call_command("check_store", stdout=StringIO())


def test_r29_a_file_that_lost_only_its_row_stays_in_its_place(depot: Depot, copy: Path) -> None:
    backup(copy)
    receipt = Receipt.objects.earliest("receipt_id")
    receipt.delete()
    backup(copy)
    assert (copy / "store" / receipt.path).is_file()


DAMAGE = {
    "zeros of the same length": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "one byte": lambda file: file.write_bytes(b"?" + file.read_bytes()[1:]),
    "emptied": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
    "metadata emptied": lambda file: file.with_suffix(".meta").write_bytes(b""),
    "metadata of the same length": lambda file: file.with_suffix(".meta").write_bytes(
        file.with_suffix(".meta").read_bytes().replace(b"Feed", b"Food")
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_r29_b8_damage_in_the_backup_is_found_and_repaired(depot: Depot, copy: Path, damage: str) -> None:
    backup(copy)
    before = data_of(copy)
    file = copy / "store" / Receipt.objects.earliest("receipt_id").path
    DAMAGE[damage](file)
    said = backup(copy)
    assert data_of(copy) == before
    assert summary(copy)["whole"]
    assert damage == "gone" or f"{file.name} was damaged in the backup" in said
    assert damage == "gone" or "1 repaired" in said


def test_r29_b8_damage_that_cannot_be_repaired_is_reported(depot: Depot, copy: Path) -> None:
    backup(copy)
    receipt = Receipt.objects.earliest("receipt_id")
    (copy / "store" / receipt.path).write_bytes(bytes(receipt.bytes))
    depot.data(receipt).unlink()
    for _ in range(2):
        with pytest.raises(CommandError, match="1 receipt could not be copied"):
            backup(copy)
        assert not summary(copy)["whole"]
        assert summary(copy)["faults"] == [receipt.path]


def test_r29_b8_good_data_in_the_backup_outlives_damage_in_the_store(depot: Depot, copy: Path) -> None:
    backup(copy)
    before = data_of(copy)
    receipt = Receipt.objects.earliest("receipt_id")
    depot.data(receipt).write_bytes(bytes(receipt.bytes))
    backup(copy)
    assert data_of(copy) == before


def test_r29_files_are_read_again_in_turn_within_the_limit(depot: Depot, copy: Path) -> None:
    backup(copy)
    read = []
    for _ in range(4):
        backup(copy, "--verify-bytes", "30")  # of 8 or 9 bytes each
        read.append((summary(copy)["verified"], bool(summary(copy)["verified_to"])))
    assert read == [(4, True), (4, True), (4, False), (4, True)]
    backup(copy, "--verify-bytes", "0")
    assert summary(copy)["verified"] == 0
    backup(copy, "--verify")
    assert summary(copy)["verified"] == RECEIPTS


def test_r29_after_a_run_that_was_cut_off_everything_is_read_again(depot: Depot, copy: Path) -> None:
    backup(copy)
    before = data_of(copy)
    left = summary(copy) | {"whole": False}
    (copy / "backup.json").write_text(json.dumps(left))
    newest = copy / "store" / Receipt.objects.latest("receipt_id").path
    newest.write_bytes(bytes(newest.stat().st_size))  # a power cut left its size and not its content
    newest.with_suffix(".dat.new").write_bytes(b"half")
    backup(copy, "--verify-bytes", "1")
    assert data_of(copy) == before


def test_r29_a_run_that_fails_leaves_the_earlier_database_in_place(
    depot: Depot, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(copy)
    database = (copy / copy_name()).read_bytes()
    depot.keep(FEED, b"more")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("feeds.maintenance.backup.Backup._copy_data", full)
        with pytest.raises(CommandError, match="No space left"):
            backup(copy)
    assert (copy / copy_name()).read_bytes() == database
    assert not summary(copy)["whole"]
    assert summary(copy)["portal"], "whose it is stays known"
    backup(copy)
    assert summary(copy)["whole"]


def test_r29_earlier_databases_are_kept(depot: Depot, copy: Path) -> None:
    for _ in range(5):
        depot.keep(FEED, b"more")
        backup(copy, "--keep", "2")
    generations = sorted((copy / "previous").iterdir())
    assert len(generations) == 2 == summary(copy)["generations"]
    assert all((generation / copy_name()).stat().st_size for generation in generations)


def test_r29_a_data_folder_in_use_is_no_backup(depot: Depot, copy: Path) -> None:
    backup(copy)
    (copy / "prepare.lock").touch()
    before = held(copy)
    with pytest.raises(CommandError, match="a data folder in use"):
        backup(copy)
    assert held(copy) == before


def test_r29_two_backups_at_once_into_one_folder_are_refused(depot: Depot, copy: Path) -> None:
    with only_one(copy), pytest.raises(CommandError, match="is running"):
        backup(copy)
    backup(copy)


def test_r29_a_damaged_summary_does_not_open_the_folder_to_others(depot: Depot, copy: Path) -> None:
    backup(copy)
    (copy / "backup.json").write_text("{")
    Receipt.objects.all().delete()
    with pytest.raises(CommandError, match="no longer has 12 of the 12"):
        backup(copy)


def test_the_log_of_removals_forgets_after_a_while(tmp_path: Path) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    prune_log.note_removals(tmp_path, ["a", "b"], now - timedelta(days=101))
    prune_log.note_removals(tmp_path, ["c"], now)
    assert prune_log.removed_among(tmp_path, {"a", "c", "d"}) == {"a", "c"}
    prune_log.forget_old(tmp_path, now)
    assert prune_log.removed_among(tmp_path, {"a", "c", "d"}) == {"c"}
