"""A portal in processes of its own, seen from outside: its socket, its files, its rows, its processes."""

import hashlib
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.live import Response, parse, read_all, request
from tests.reliability import processes

ROOT = Path(__file__).parents[2]
ZYGOTE = (
    "from portal import command_line; command_line.start_serving(); import django; django.setup(); "
    "from tests.reliability import zygote; zygote.main()"
)
OPEN = {"Feed": "OPEN-FEED"}
Headers = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Row:
    """What the database holds of one receipt."""

    path: str
    bytes: int
    sha256: str


class Portal:
    """Starts, stops and kills portals on one data dir; the address stays the same from one to the next."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.store = data_dir / "store"
        self.pid = 0
        self.threads: dict[str, int] = {}
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "DJANGO_"))
        }
        # Never beside the data: an open file would keep a disk busy whose power is cut.
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the portal
        self._zygote = subprocess.Popen(
            [sys.executable, "-c", ZYGOTE],
            cwd=ROOT,
            env={
                **environment,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "PORTAL_DATA_DIR": str(data_dir),
                "PORTAL_WORKERS": "2",
                "PORTAL_MIN_FREE_BYTES": "0",
                "PORTAL_NODE_ID": "test",
                **settings,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.port = int(self._answer()["port"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything, at once."""
        if self.pid:
            self.kill()
        self._zygote.kill()
        self._zygote.communicate()
        self._log.close()

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()

    # Life and death
    def prepare(self) -> Self:
        assert self._call("prepare") == "prepared", self.log()
        return self

    def start(self, kind: str = "supervisor", *, wait: bool = True, **options: Any) -> float:
        """Start and wait until a delivery would be taken; the seconds that it took."""
        began = time.monotonic()
        self._say(kind, options)
        self.pid, threads = self._answer()
        self.threads = threads or {}
        assert threads is not None, self.log()
        if wait:
            self.wait_until_ready()
        return time.monotonic() - began

    def wait_until_ready(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while self.status() != 200:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def status(self, path: str = "/readyz") -> int:
        """The status of a GET; 0 where nobody answers."""
        try:
            return self.send(path, method="GET").status
        except (OSError, AssertionError):
            return 0

    def workers(self) -> list[int]:
        return processes.children(self.pid)

    def kill(self) -> None:
        """The supervisor first, so that it replaces nobody; wait until all are gone."""
        workers = self.workers()
        for pid in (self.pid, *workers):
            processes.kill(pid)
        for pid in (self.pid, *workers):
            processes.wait(pid, 10)
        self.pid = 0

    def stop(self, seconds: float = 60) -> None:
        """As a service manager would."""
        os.kill(self.pid, signal.SIGTERM)
        assert processes.wait(self.pid, seconds), "it does not stop"
        self.pid = 0

    def check(self, *, repair: bool = True) -> list[list[Any]]:
        """Everything that is found wrong: kind, path, whether it was repaired."""
        return list(self._call("check", repair=repair))

    def start_up(self) -> list[list[Any]]:
        """What a start does about a crash, without starting."""
        return list(self._call("start_up"))

    def _call(self, command: str, **options: Any) -> Any:
        self._say(command, options)
        return self._answer()[1]

    def _say(self, command: str, options: dict[str, Any]) -> None:
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps([command, options]) + "\n")
        self._zygote.stdin.flush()

    def _answer(self) -> Any:
        assert self._zygote.stdout is not None
        ready, _, _ = select.select([self._zygote.stdout], [], [], 120)
        line = self._zygote.stdout.readline() if ready else ""
        assert line, self.log()
        return json.loads(line)

    # Requests
    def connect(self, timeout: float = 30) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def send(
        self,
        path: str = "/datafeed",
        headers: Headers = (),
        body: bytes = b"",
        *,
        method: str = "POST",
        chunked: bool = False,
        host: str = "localhost",
    ) -> Response:
        data = request(path, headers, body, method=method, chunked=chunked)
        with self.connect() as connection:
            connection.sendall(data.replace(b"somewhere.example.org", host.encode(), 1))
            return parse(read_all(connection))

    # What it keeps
    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.data_dir / "portal.sqlite3", timeout=30, isolation_level=None)

    def rows(self) -> dict[str, Row]:
        connection = self.database()
        try:
            query = "SELECT receipt_id, path, bytes, sha256 FROM feeds_receipt"
            return {receipt_id: Row(*rest) for receipt_id, *rest in connection.execute(query)}
        finally:
            connection.close()

    def execute(self, statement: str, *values: object) -> None:
        """Change the database behind the portal's back, as another process would; committed on return."""
        connection = self.database()
        try:
            connection.execute(statement, values)
        finally:
            connection.close()

    def files(self, suffix: str = "") -> list[Path]:
        """What lies in the store but for locks and probes."""
        found = self.store.rglob(f"*{suffix}")
        return sorted(path for path in found if path.is_file() and path.name not in {"lock", "health.probe"})

    def lost(self, acknowledged: Mapping[str, str]) -> list[str]:
        """Which of the acknowledged deliveries (receipt id to SHA-256) are missing or changed, and how."""
        rows = self.rows()
        return [
            f"{receipt_id}: {how}"
            for receipt_id, digest in acknowledged.items()
            if (how := self._loss(rows, receipt_id, digest))
        ]

    def _loss(self, rows: Mapping[str, Row], receipt_id: str, digest: str) -> str:
        row = rows.get(receipt_id)
        if row is None:
            return "no row"
        if row.sha256 != digest:
            return "the row's checksum is not what was sent"
        try:
            content = (self.store / row.path).read_bytes()
        except FileNotFoundError:
            return "no file"
        return "" if hashlib.sha256(content).hexdigest() == digest else "the file is not what was sent"
