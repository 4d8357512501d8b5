"""The drill: back up under load, restore elsewhere, and build the rows anew without a database (R23)."""

import gzip
import http.client
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest

from tests.deploy.portal import OPEN, REQUIRED, ROOT, Portal
from tests.feeds.depot import packed

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("backup")]

BODIES = [
    (b"plain data\n" * 20, {}),
    (gzip.compress(b"packed data\n" * 50), {"Compression": "GZIP", "System": "S"}),
    (packed({"1.meta": "System:inner\n", "1.dat": b"a", "2.dat": b"b"}), {"Compression": "ZIP"}),
    (gzip.compress(b"opaque to us\n"), {"GUID": "g"}),
]


class Load:
    """Senders that go on until they are told to stop, and remember what they were promised."""

    def __init__(self, port: int, senders: int = 3) -> None:
        self.acknowledged: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(senders)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, number: int) -> list[str]:
        """What was acknowledged by now, when it is that many."""
        while len(self.acknowledged) < number:
            self._stop.wait(0.01)
        return list(self.acknowledged)

    def _send(self, number: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            while not self._stop.is_set():
                body, headers = BODIES[number % len(BODIES)]
                number += 1
                connection.request("POST", "/datafeed", body, {"Feed": OPEN, **headers})
                answer = connection.getresponse()
                text = answer.read().decode().strip()
                assert answer.status == 200, text
                self.acknowledged.append(text)


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with tempfile.TemporaryDirectory(prefix="portal-backup-") as path, Portal(Path(path) / "data") as running:
        yield running


@pytest.fixture
def elsewhere(portal: Portal) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="portal-restored-") as path:
        yield Path(path)


def manage(data_dir: Path, portal: Portal, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env={**portal.environment, "PORTAL_DATA_DIR": str(data_dir)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


COLUMNS = "receipt_id, feed, bytes, sha256, compression, path, headers, groups, guid, sender_dn"


def rows(data_dir: Path) -> dict[str, tuple[Any, ...]]:
    with closing(sqlite3.connect(data_dir / "portal.sqlite3")) as database:
        found = database.execute(f"SELECT {COLUMNS} FROM feeds_receipt").fetchall()
    parsed = [(*row[:6], json.loads(row[6]), json.loads(row[7]), *row[8:]) for row in found]
    return {row[0]: row for row in parsed}


def test_r23_backup_under_load_restore_elsewhere_and_rebuild(portal: Portal, elsewhere: Path) -> None:
    copy, bare = elsewhere / "copy", elsewhere / "bare"
    with Load(portal.port) as load:
        before = load.wait_for(40)
        portal.manage("backup", str(copy), "--wait")
        load.wait_for(len(before) + 10)

    found = rows(copy)
    assert set(before) <= set(found)
    assert set(found) < set(load.acknowledged), "the load went on"
    summary = json.loads((copy / "backup.json").read_text())
    assert summary["whole"]
    assert summary["receipts"] == len(found)
    check = manage(copy, portal, "check_store", "--hash")
    assert check.returncode == 0, check.stdout + check.stderr
    assert "Every object is explained." in check.stdout
    assert not list(copy.rglob("*.new"))
    assert all(
        path.stat().st_mode & 0o077 == 0 for path in copy.rglob("*") if path.is_file() and path.name != "lock"
    )

    # The same store without its database.
    shutil.copytree(copy / "store", bare / "store")
    assert manage(bare, portal, "migrate", "--verbosity", "0").returncode == 0
    rebuilt = manage(bare, portal, "rebuild_receipts", "--forwarded-before", "2000-01-01")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert rebuilt.stdout.startswith(f"{len(found)} receipts recorded")
    assert rows(bare) == found
    assert manage(bare, portal, "check_store", "--hash").returncode == 0

    # A second backup into the same folder copies what is new and takes out what retention has removed.
    with closing(sqlite3.connect(portal.folder / "portal.sqlite3", timeout=10)) as database, database:
        gone, path = database.execute("SELECT receipt_id, path FROM feeds_receipt LIMIT 1").fetchone()
        database.execute("PRAGMA foreign_keys=OFF")
        database.execute("DELETE FROM feeds_receiptfeed WHERE receipt_id IN (SELECT id FROM feeds_receipt LIMIT 1)")
        database.execute("DELETE FROM feeds_receipt WHERE receipt_id = ?", [gone])
    for suffix in (".dat", ".meta"):
        (portal.folder / "store" / path).with_suffix(suffix).unlink()
    said = portal.manage("backup", str(copy))
    assert f"{len(load.acknowledged) - len(found)} copied now, 2 files of removed receipts taken out" in said
    assert set(rows(copy)) == set(load.acknowledged) - {gone}
    assert manage(copy, portal, "check_store", "--hash").returncode == 0


def test_r23_damaged_data_is_not_backed_up_silently(portal: Portal, elsewhere: Path) -> None:
    with Load(portal.port, senders=1) as load:
        receipt = load.wait_for(1)[0]
    [file] = (portal.folder / "store").rglob(f"{receipt}.dat")
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    try:
        run = manage(portal.folder, portal, "backup", str(elsewhere / "copy"))
    finally:
        file.write_bytes(good)
    assert run.returncode == 1
    assert f"{receipt}.dat is not what was recorded" in run.stderr
    assert "1 receipts could not be copied" in run.stderr
    assert manage(portal.folder, portal, "backup", str(elsewhere / "copy")).returncode == 0


def test_a_folder_that_is_no_backup_is_not_touched(portal: Portal, elsewhere: Path) -> None:
    (elsewhere / "letter").write_text("precious")
    run = manage(portal.folder, portal, "backup", str(elsewhere))
    assert run.returncode == 1
    assert "no backup" in run.stderr
    inside = manage(portal.folder, portal, "backup", str(portal.folder / "copy"))
    assert "would be lost with it" in inside.stderr
    assert sorted(path.name for path in elsewhere.iterdir()) == ["letter"]


def test_the_restored_portal_serves(portal: Portal, elsewhere: Path) -> None:
    """What a backup makes is a data folder: feeds, rules and keys work where it is put."""
    portal.manage("backup", str(elsewhere / "copy"))
    with Portal(elsewhere / "copy", workers=1, fresh=False) as restored:
        connection = http.client.HTTPConnection("127.0.0.1", restored.port, timeout=30)
        for feed, expected in ((OPEN, 200), (REQUIRED, 401)):
            connection.request("POST", "/datafeed", b"after the restore", {"Feed": feed})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected
        connection.close()
