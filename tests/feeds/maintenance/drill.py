"""Backup, restore and rebuild of a portal under load, as one drill (R23)."""

import gzip
import http.client
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from tests.deploy.portal import OPEN, ROOT, Portal
from tests.feeds.maintenance.depot import packed

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


def back_up_and_restore(portal: Portal, elsewhere: Path) -> None:
    """All of it once; the portal is a fresh one, elsewhere an empty folder."""
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
