"""Retention removes what is past its policy, oldest first, file and row together, whatever interrupts it (R25)."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.urls import reverse

from feeds.maintenance.findings import FindingKind
from feeds.maintenance.integrity import StoreCheck
from feeds.maintenance.locks import only_one
from feeds.maintenance.retention import REMOVED, Pruner, find_due, finish_removals
from feeds.models import HourlyCount, Receipt, ReceiptFeed, RetentionPolicy
from feeds.store.ids import ReceiptIds
from tests.factories import make_feed
from tests.feeds.admin.admin_client import signed_in
from tests.feeds.maintenance.depot import Depot, packed, running_depot
from tests.feeds.maintenance.dying import dies_at
from tests.postgresql import with_own_database

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

FEED, OTHER = "PAYROLL-PROD-EVENTS", "WEB-ACCESS-EVENTS"
NOW = datetime.now(UTC)


@pytest.fixture
def depot(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    make_feed(FEED)
    make_feed(OTHER)
    yield from running_depot(tmp_path / "store", settings, monkeypatch)


def keep_old(
    depot: Depot,
    days: float,
    body: bytes = b"data",
    *,
    feed: str = FEED,
    status: str = "forwarded",
    zip_of: str = "",
) -> Receipt:
    """A receipt of so many days ago, in the folder of that hour."""
    moment = NOW - timedelta(days=days)
    depot.ids = ReceiptIds(f"test-{depot.slot.number}", clock=lambda: moment.timestamp() + random.random())
    if zip_of:
        body = packed({"1.dat": b"own", "2.meta": f"Feed:{zip_of}\n", "2.dat": b"other"})
    receipt = depot.keep(feed, body, "ZIP" if zip_of else "")
    Receipt.objects.filter(pk=receipt.pk).update(received_at=moment, status=status)
    receipt.refresh_from_db()
    return receipt


def policy(feed: str = "", **fields: Any) -> RetentionPolicy:
    return RetentionPolicy.objects.create(feed=feed, **fields)


def prune(*arguments: str) -> str:
    out = StringIO()
    call_command("prune_receipts", "--pause", "0", *arguments, stdout=out)
    return out.getvalue()


def left(depot: Depot) -> set[str]:
    """Ids of what is there, having made sure that files and rows agree."""
    rows = set(Receipt.objects.values_list("receipt_id", flat=True))
    for suffix in ("dat", "meta"):
        assert {path.stem for path in depot.root.glob(f"received/**/*.{suffix}")} == rows
    away = depot.root / REMOVED
    assert not away.exists() or not list(away.iterdir())
    return rows


def due() -> list[str]:
    return [one.receipt_id for one in find_due(NOW)]


def test_r25_without_a_policy_everything_is_kept(depot: Depot) -> None:
    receipt = keep_old(depot, 4000)
    assert prune() == "Nothing is past its policy.\n"
    assert left(depot) == {receipt.receipt_id}


def test_r25_age_is_counted_to_the_second(depot: Depot) -> None:
    policy(FEED, keep_days=30)
    old = keep_old(depot, 30 + 1 / 86400)
    keep_old(depot, 30 - 1 / 86400)
    assert due() == [old.receipt_id]


def test_r25_a_feed_own_policy_comes_before_the_one_for_all_others(depot: Depot) -> None:
    policy("", keep_days=10)
    policy(FEED, keep_days=100)
    keep_old(depot, 50)
    other = keep_old(depot, 50, feed=OTHER)
    gone = keep_old(depot, 200, feed=OTHER)
    Receipt.objects.filter(pk=gone.pk).update(feed="DELETED-FEED")
    assert due() == [gone.receipt_id, other.receipt_id], "a deleted feed's data has a policy too"


def test_r25_a_policy_without_limits_keeps_everything_of_its_feed(depot: Depot) -> None:
    policy("", keep_days=10)
    policy(FEED)
    keep_old(depot, 50)
    assert due() == []


def handed_over(receipt: Receipt, days: float) -> None:
    Receipt.objects.filter(pk=receipt.pk).update(forwarded_at=NOW - timedelta(days=days))


def test_r25_a12_days_are_counted_from_the_hand_over(depot: Depot) -> None:
    """After a long outage of the way to Stroom the receipts are old when they are handed over."""
    policy(FEED, keep_days=30)
    waited, gone = keep_old(depot, 100), keep_old(depot, 100)
    handed_over(waited, 29)
    handed_over(gone, 30 + 1 / 86400)
    assert due() == [gone.receipt_id]
    prune()
    assert left(depot) == {waited.receipt_id}


def test_r25_a12_what_left_before_its_hand_over_was_recorded_counts_from_its_receipt(depot: Depot) -> None:
    policy(FEED, keep_days=30)
    receipt = keep_old(depot, 31)
    assert due() == [receipt.receipt_id]


def test_r25_a12_where_a_hand_over_does_not_matter_days_are_counted_from_the_receipt(depot: Depot) -> None:
    policy(FEED, keep_days=30, only_forwarded=False)
    receipt = keep_old(depot, 31)
    handed_over(receipt, 1)
    assert due() == [receipt.receipt_id]


def test_r25_a12_another_feed_of_the_archive_keeps_it_from_the_hand_over_on(depot: Depot) -> None:
    policy(FEED, keep_days=1)
    policy(OTHER, keep_days=30)
    receipt = keep_old(depot, 100, zip_of=OTHER)
    handed_over(receipt, 20)
    assert due() == []
    handed_over(receipt, 31)
    assert due() == [receipt.receipt_id]


def test_r25_what_an_export_claims_after_it_was_listed_stays(depot: Depot) -> None:
    policy(FEED, keep_days=30, only_forwarded=False)
    receipt = keep_old(depot, 31, status="stored")
    listed = list(find_due(NOW))
    Receipt.objects.update(status="forwarding")
    report = Pruner(depot.root, pause_seconds=0).run(listed)
    assert report.receipts == {}
    assert left(depot) == {receipt.receipt_id}


def test_old_counts_and_expired_sessions_are_removed_with_the_receipts(depot: Depot) -> None:
    for days in (1, 399, 401, 5000):
        hour = (NOW - timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
        HourlyCount.objects.create(hour=hour, feed=FEED, outcome="refused", http_status=406, stroom_status=110)
    for name, days in (("old", -1), ("new", 1)):
        Session.objects.create(session_key=name, session_data="", expire_date=NOW + timedelta(days=days))
    assert "2 hourly counts would be removed" in prune("--dry-run")
    assert HourlyCount.objects.count() == 4
    assert "2 hourly counts removed" in prune()
    assert HourlyCount.objects.count() == 2
    assert [session.session_key for session in Session.objects.all()] == ["new"]
    assert "1 hourly count removed" in prune("--counts-days", "30")
    with pytest.raises(CommandError, match="counts-days"):
        prune("--counts-days", "0")


def test_r25_by_size_the_oldest_go_until_the_rest_fits(depot: Depot) -> None:
    policy(FEED, keep_bytes=250)
    receipts = [keep_old(depot, days, b"x" * 100) for days in (5, 4, 3, 2)]
    keep_old(depot, 9, b"x" * 999, feed=OTHER)
    assert due() == [receipt.receipt_id for receipt in receipts[:2]]
    policy(OTHER, keep_bytes=999)
    assert len(due()) == 2, "exactly full is not too full"


def test_r25_age_or_size_suffices(depot: Depot) -> None:
    policy(FEED, keep_bytes=150, keep_days=3)
    receipts = [keep_old(depot, days, b"x" * 100) for days in (5, 2, 1)]
    assert due() == [receipt.receipt_id for receipt in receipts[:2]]


@pytest.mark.parametrize(
    ("only_forwarded", "kept"), [(True, {"stored", "failed", "forwarding"}), (False, {"forwarding"})]
)
def test_r25_what_is_not_handed_over_is_kept_unless_the_policy_says_so(
    depot: Depot, only_forwarded: bool, kept: set[str]
) -> None:
    policy(FEED, keep_days=1, only_forwarded=only_forwarded)
    for status in ("stored", "failed", "forwarding", "forwarded"):
        keep_old(depot, 5, status=status)
    prune()
    assert set(Receipt.objects.values_list("status", flat=True)) == kept
    left(depot)


def test_r18_r25_a_zip_of_two_feeds_goes_when_both_let_it_go(depot: Depot) -> None:
    policy(FEED, keep_days=1)
    both = keep_old(depot, 5, zip_of=OTHER)
    assert due() == []
    other = policy(OTHER, keep_days=10)
    assert due() == []
    RetentionPolicy.objects.filter(pk=other.pk).update(keep_days=4)
    assert due() == [both.receipt_id]
    RetentionPolicy.objects.filter(pk=other.pk).update(keep_days=10)
    ReceiptFeed.objects.filter(receipt=both, feed=OTHER).update(dropped=True)
    assert due() == [both.receipt_id], "groups that were dropped have no say"


def test_r25_oldest_first_over_all_feeds(depot: Depot) -> None:
    policy("", keep_days=1)
    days = [3, 9, 5, 7, 2, 8]
    made = {day: keep_old(depot, day, feed=FEED if day % 2 else OTHER).receipt_id for day in days}
    assert due() == [made[day] for day in sorted(days, reverse=True)]
    prune("--limit", "2")
    assert left(depot) == {made[day] for day in (2, 3, 5, 7)}


def test_r25_pages_of_many_receipts_are_walked_through(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feeds.maintenance.retention.PAGE", 2)
    policy(FEED, keep_days=1)
    receipts = [keep_old(depot, days).receipt_id for days in (9, 8, 7, 6, 5)]
    keep_old(depot, 0.5)
    assert due() == receipts


def test_r25_a_dry_run_removes_nothing(depot: Depot) -> None:
    policy(FEED, keep_days=1)
    receipt = keep_old(depot, 5)
    assert prune("--dry-run") == f"{FEED}: 1 receipt, 4 bytes would be removed\n"
    assert left(depot) == {receipt.receipt_id}
    assert prune() == f"{FEED}: 1 receipt, 4 bytes removed\n"
    assert left(depot) == set()


def test_r25_deletes_are_spread(depot: Depot) -> None:
    policy(FEED, keep_days=1)
    for _ in range(5):
        keep_old(depot, 5)
    pauses: list[float] = []
    Pruner(depot.root, batch=2, pause_seconds=0.25, sleep=pauses.append).run(find_due(NOW))
    assert pauses == [0.25] * 3
    assert left(depot) == set()


def test_r25_empty_folders_of_the_past_go_and_young_ones_stay(depot: Depot) -> None:
    policy(FEED, keep_days=1)
    old, young = keep_old(depot, 9), keep_old(depot, 1.2)
    prune()
    assert not depot.data(old).parent.parent.exists()
    assert depot.data(young).parent.exists(), "a receiver may have made sure that it is there"


def test_r25_when_the_database_fails_the_files_come_back(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    policy(FEED, keep_days=1)
    receipt = keep_old(depot, 5)

    def locked(*_: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr("django.db.models.query.QuerySet.delete", locked)
    with pytest.raises(OperationalError):
        Pruner(depot.root).run(find_due(NOW))
    monkeypatch.undo()
    assert left(depot) == {receipt.receipt_id}


def test_r25_a_row_whose_file_is_gone_already_goes_too(depot: Depot) -> None:
    policy(FEED, keep_days=1)
    depot.data(keep_old(depot, 5)).unlink()
    prune()
    assert left(depot) == set()


def test_r25_maintenance_that_runs_already_is_not_disturbed(depot: Depot) -> None:
    with only_one(depot.root), pytest.raises(CommandError, match="is running"):
        prune()


class Pruning:
    """One run, to be interrupted."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self) -> None:
        Pruner(self._root, batch=2, pause_seconds=0).run(find_due(NOW))


def test_r25_dying_anywhere_loses_nothing_and_the_next_run_ends_it(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Die at every change that a run makes; look at the store as it then is; run again."""
    policy(FEED, keep_days=1)
    kept = {keep_old(depot, 0.5).receipt_id, keep_old(depot, 5, feed=OTHER).receipt_id}
    died = 0
    for step in range(1, 80):
        depot.start_again()
        past = {keep_old(depot, days).receipt_id for days in (9, 8, 7)}
        if not dies_at(step, Pruning(depot.root), monkeypatch):
            break
        died += 1
        rows = set(Receipt.objects.values_list("receipt_id", flat=True))
        assert kept <= rows <= kept | past
        in_place = {path.stem for path in depot.root.glob("received/**/*.dat")}
        away = {path.stem for path in depot.root.glob(f"{REMOVED}/*")}
        assert in_place <= rows, "a file in its place has its row"
        assert rows <= in_place | away, "a row has its file, in its place or on its way out"
        if step % 2:
            depot.close()
            assert {finding.kind for finding in StoreCheck(depot.root, repair=True).run()} <= {FindingKind.REMOVING}
            depot.start_again()
        prune()
        assert left(depot) == kept, f"died at step {step}"
    assert died >= 30


def test_r25_interrupted_removals_are_ended_before_anything_else(depot: Depot) -> None:
    receipt = keep_old(depot, 5)
    away = depot.root / REMOVED
    away.mkdir()
    depot.data(receipt).rename(away / depot.data(receipt).name)
    assert finish_removals(depot.root) == 1
    assert left(depot) == set()


def test_r25_a_killed_process_leaves_nothing_half_done(tmp_path: Path) -> None:
    """Real SIGKILLs at random moments of a run, on a database and a store of their own."""
    environment = {
        **os.environ,
        "PORTAL_DATA_DIR": str(tmp_path / "data"),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    (tmp_path / "data").mkdir()
    script = Path(__file__).with_name("retention_kills.py")
    run = subprocess.run(
        [sys.executable, str(script), "50"],
        env=with_own_database(environment),
        cwd=script.parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) == 50, "so many were killed before their end"


def test_a_policy_of_no_days_is_refused_in_words() -> None:
    client = signed_in(superuser=True)
    form = {"feed": "PAYROLL-PROD", "keep_days": "0", "only_forwarded": "on"}
    page = client.post(reverse("admin:feeds_retentionpolicy_add"), form).content.decode()
    assert "Keep one day at least" in page
    assert "retention_days_positive" not in page
    assert not RetentionPolicy.objects.exists()
