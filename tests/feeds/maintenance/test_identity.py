"""Database and store know each other, and a program its schema: each mismatch is refused before a write (R30)."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from feeds.maintenance import identity
from feeds.maintenance.identity import WrongStore, demand_own_store
from feeds.models import Feed, Receipt, Store
from feeds.models import feed as feed_models
from feeds.monitoring.rehearsal import Rehearsal
from feeds.receipt.policies import read_policy
from portal.audit.record import HEADS_FILE, record
from portal.database import threads
from portal.database.threads import DatabaseRefused, Unavailable
from portal.server import guard
from tests.factories import make_feed
from tests.feeds.maintenance.depot import Depot, running_depot

pytestmark = pytest.mark.django_db

FEED = "PAYROLL-PROD-EVENTS"


@pytest.fixture
def depot(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(feed_models, "_seen_feeds", [])
    make_feed(FEED)
    yield from running_depot(tmp_path / "store", settings, monkeypatch)


def test_r30_the_first_start_gives_both_a_key_and_every_later_one_finds_it(depot: Depot) -> None:
    depot.keep(FEED, b"data")
    demand_own_store(depot.root)
    identity.link(depot.root)
    key = identity.read_key(depot.root)
    assert [key] == identity.known_keys()
    identity.link(depot.root)
    assert [key] == identity.known_keys()
    demand_own_store(depot.root)


def test_r30_a_database_that_lost_its_feeds_is_not_ready(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every delivery is 503 then: a balancer must not send more."""
    depot.keep(FEED, b"data")
    Rehearsal("one").run()
    monkeypatch.setattr(feed_models, "_seen_feeds", [])
    Feed.objects.all().delete()
    Feed.history.all().delete()
    with pytest.raises(DatabaseRefused, match="never was a feed"):
        Rehearsal("one").run()


def test_r30_a_store_with_a_key_gives_it_to_a_restored_database_without_one(depot: Depot) -> None:
    identity.link(depot.root)
    key = identity.read_key(depot.root)
    Store.objects.all().delete()
    depot.keep(FEED, b"data")
    demand_own_store(depot.root)
    identity.link(depot.root)
    assert [key] == identity.known_keys()


def test_r30_another_store_and_one_that_is_not_mounted_are_refused(depot: Depot, tmp_path: Path) -> None:
    identity.link(depot.root)
    with pytest.raises(WrongStore, match=r"has no store\.id; is a volume not mounted"):
        demand_own_store(tmp_path / "unmounted")
    (depot.root / "store.id").write_text(f"{uuid.uuid4()}\n")
    with pytest.raises(WrongStore, match=r"The database belongs to the store .* is the store "):
        demand_own_store(depot.root)
    (depot.root / "store.id").write_text("")
    with pytest.raises(WrongStore, match="holds no key"):
        demand_own_store(depot.root)


def test_r30_a_store_that_lost_only_its_key_gets_it_back(
    depot: Depot, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    identity.link(depot.root)
    (depot.root / "store.id").unlink()
    with pytest.raises(WrongStore):
        demand_own_store(depot.root)  # nothing says that this database has worked with this folder
    with django_capture_on_commit_callbacks(execute=True):
        record("changed", kind="feed", key=1, name=FEED)
    assert (tmp_path / HEADS_FILE).is_file()
    demand_own_store(depot.root)
    identity.link(depot.root)
    assert [identity.read_key(depot.root)] == identity.known_keys()


def test_r30_without_keys_the_newest_receipts_must_have_their_files(depot: Depot, tmp_path: Path) -> None:
    for _ in range(3):
        depot.keep(FEED, b"data")
    demand_own_store(depot.root)
    with pytest.raises(WrongStore, match="None of the newest 3 receipts"):
        demand_own_store(tmp_path / "unmounted")


def test_r30_a_database_that_holds_nothing_beside_a_store_with_data(depot: Depot) -> None:
    depot.keep(FEED, b"data")
    for model in (Receipt, Feed, Feed.history.model):
        model.objects.all().delete()  # type: ignore[misc]
    with pytest.raises(WrongStore, match="senders would get 110"):
        demand_own_store(depot.root)
    demand_own_store(depot.root, may_be_blank=True)
    shutil.rmtree(depot.root / "received")
    demand_own_store(depot.root)  # a first start that was killed


def test_r30_a_feed_that_was_deleted_is_no_lost_database(depot: Depot) -> None:
    depot.keep(FEED, b"data")
    Receipt.objects.all().delete()
    Feed.objects.get(name=FEED).delete()
    demand_own_store(depot.root)
    assert read_policy(FEED) is None


def test_r30_after_a_rebuild_an_unknown_feed_waits_and_is_not_told_110(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.keep(FEED, b"data")
    Feed.objects.all().delete()
    Feed.history.model.objects.all().delete()
    # The receiver would try again with a new connection.
    monkeypatch.setattr(BaseDatabaseWrapper, "close", lambda _: None)
    with pytest.raises(Unavailable, match="never was a feed"):
        read_policy(FEED)
    make_feed("ANOTHER-FEED")
    assert read_policy(FEED) is None


def test_a_new_portal_says_110_before_its_first_feed(depot: Depot) -> None:
    Feed.objects.all().delete()
    Feed.history.model.objects.all().delete()
    assert read_policy(FEED) is None


def test_r30_a_file_of_another_portal_in_the_place_of_the_database_is_not_used(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a file")
    identity.link(depot.root)
    monkeypatch.setattr(threads, "_own_file", {"file": (0, 0)})
    monkeypatch.setattr(BaseDatabaseWrapper, "close", lambda _: None)
    assert read_policy(FEED) is not None
    found = os.stat(connection.settings_dict["NAME"])
    assert threads._own_file == {"file": (found.st_dev, found.st_ino)}
    Store.objects.update(key=uuid.uuid4())
    monkeypatch.setattr(threads, "_own_file", {"file": (0, 0)})
    for _ in range(2):
        with pytest.raises(DatabaseRefused, match="belongs to the store"):
            read_policy(FEED)


def test_r30_a_store_is_adopted_by_a_command_that_leaves_an_entry(depot: Depot) -> None:
    Store.objects.create()
    call_command("adopt_store", "--reason", "the disk burned")
    demand_own_store(depot.root)
    assert Store.objects.count() == 1


WRITERS = (
    "create_token createsuperuser export_receipts prune_receipts rebuild_receipts check_store migrate loaddata"
)


@pytest.mark.parametrize("command", WRITERS.split())
def test_r30_no_command_that_writes_runs_on_a_newer_schema(command: str) -> None:
    MigrationRecorder(connection).record_applied("feeds", "0099_from_the_future")
    MigrationRecorder(connection).record_applied("auth", "0099_of_a_newer_django")
    with pytest.raises(guard.Refused) as refused:
        guard.check_command(["manage.py", command])
    said = str(refused.value)
    assert "does not know auth.0099_of_a_newer_django, feeds.0099_from_the_future" in said
    assert "manage.py migrate auth 0012_alter_user_first_name_max_length; manage.py migrate feeds 00" in said
    guard.check_command(["manage.py", command, "--help"])
    guard.check_command(["manage.py", "check"])


@pytest.mark.parametrize("command", ["prune_receipts", "check_store", "backup", "export_receipts"])
def test_r30_no_command_of_the_store_runs_on_the_database_of_another(depot: Depot, command: str) -> None:
    identity.link(depot.root)
    guard.check_command(["manage.py", command])
    Store.objects.update(key=uuid.uuid4())
    with pytest.raises(guard.Refused, match="The database belongs to the store"):
        guard.check_command(["manage.py", command])
