"""The drill of docs/operating.md with a real PostgreSQL: back up under load, restore elsewhere, serve (R23)."""

import http.client
import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests import postgresql
from tests.deploy import portal as portals
from tests.deploy.portal import OPEN, REQUIRED, ROOT, Portal
from tests.postgresql import PostgreSql

pytestmark = [
    pytest.mark.server,
    pytest.mark.long,
    pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable()),
]

SENDERS = 3
ENOUGH = 40


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with PostgreSql() as running:
        yield running


def portal_on(folder: Path, url: str) -> Portal:
    portal = Portal(folder, fresh=False)
    portal.environment["DATABASE_URL"] = url
    return portal


@pytest.fixture(scope="module")
def portal(server: PostgreSql, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    made = portal_on(tmp_path_factory.mktemp("data"), server.url())
    made._run("-c", portals._SETUP)
    with made as running:
        yield running


def send(port: int, feed: str, body: bytes) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/datafeed", body, {"Feed": feed})
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()


class Load:
    """Senders that go on until they are told to stop, and remember what they were promised."""

    def __init__(self, port: int) -> None:
        self.acknowledged: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self, number: int) -> None:
        while not self._stop.is_set():
            status, text = send(self._port, OPEN, b"%d of %d" % (len(self.acknowledged), number))
            assert status == 200, text
            self.acknowledged.append(text)

    def wait_for(self, number: int) -> list[str]:
        while len(self.acknowledged) < number:
            self._stop.wait(0.01)
        return list(self.acknowledged)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def receipts(url: str) -> dict[str, bool]:
    """Receipt ids of a database, and whether they were recovered."""
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT receipt_id, recovered FROM feeds_receipt").fetchall())


def the_commands() -> list[list[str]]:
    """What the page says to run for a restore."""
    page = (ROOT / "docs/operating.md").read_text().partition("## Restore")[2]
    block = next(found for found in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "pg_restore" in found)
    return [shlex.split(line) for line in block.splitlines()]


def run_the_commands(server: PostgreSql, copy: Path, portal: Portal) -> str:
    """Run them as they are written, but for the addresses; what the last one printed."""
    there = f"postgres://{postgresql.USER}@127.0.0.1:{server.port}"
    said = ""
    for command in the_commands():
        words = [word.replace("postgres://portal@db.example.org", there) for word in command]
        settings = [word.partition("=")[::2] for word in words if word.startswith("DATABASE_URL=")]
        words = [word for word in words if not word.startswith("DATABASE_URL=")]
        words = [word.replace("--host=db.example.org", f"--host=127.0.0.1\0--port={server.port}") for word in words]
        words = [part for word in words for part in word.split("\0")]
        if words[0] in {"createdb", "pg_restore"}:
            words[0] = str(server.programs / words[0])
        words = [str(copy / word) if word == "portal.pgdump" else word for word in words]
        done = subprocess.run(
            [sys.executable if word == ".venv/bin/python" else word for word in words],
            cwd=ROOT,
            env={**portal.environment, "PORTAL_DATA_DIR": str(copy), **dict(settings)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said = done.stdout
    return said


def test_r23_backup_under_load_restore_elsewhere_and_serve(
    portal: Portal, server: PostgreSql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal.environment["PATH"] = f"{server.programs}:{portal.environment['PATH']}"
    load = Load(portal.port)
    try:
        before = load.wait_for(ENOUGH)
        said = portal.manage("backup", str(tmp_path / "copy"), "--wait")
        after = load.wait_for(len(load.acknowledged) + ENOUGH)
    finally:
        load.stop()
    copy = tmp_path / "copy"
    summary = json.loads((copy / "backup.json").read_text())
    assert summary["whole"]
    assert summary["faults"] == []
    assert said.startswith(f"{summary['receipts']} receipts")
    assert (copy / "portal.pgdump").stat().st_mode & 0o077 == 0
    assert (copy / "secret_key").read_bytes() == (portal.folder / "secret_key").read_bytes()

    said = run_the_commands(server, copy, portal)
    restored = receipts(server.url("portal_restored"))
    assert set(before) <= {receipt for receipt, recovered in restored.items() if not recovered}
    assert set(restored) < set(after), "the load went on"
    assert len(restored) == summary["receipts"] == len(list(copy.rglob("*.dat")))
    with portal_on(copy, server.url("portal_restored")) as again:
        assert again.manage("check_store", "--hash").endswith("Every object is explained.\n")
        assert send(again.port, OPEN, b"after the restore")[0] == 200
        assert send(again.port, REQUIRED, b"rules are back too")[0] == 401


def test_r23_a_second_backup_copies_what_is_new(portal: Portal, server: PostgreSql, tmp_path: Path) -> None:
    portal.environment["PATH"] = f"{server.programs}:{portal.environment['PATH']}"
    send(portal.port, OPEN, b"the first")
    portal.manage("backup", str(tmp_path / "copy"))
    assert send(portal.port, OPEN, b"the second")[0] == 200
    assert ": 1 copied now, 0 files of removed" in portal.manage("backup", str(tmp_path / "copy"))


def test_r23_without_pg_dump_it_says_so_and_the_folder_says_that_it_is_none(
    portal: Portal, server: PostgreSql, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    lacking = {**portal.environment, "PATH": str(tmp_path / "bin")}
    command = [sys.executable, "manage.py", "backup", str(tmp_path / "copy")]
    done = subprocess.run(command, cwd=ROOT, env=lacking, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pg_dump is not installed" in done.stderr
    assert not json.loads((tmp_path / "copy/backup.json").read_text())["whole"]
