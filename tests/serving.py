"""`manage.py serve` as a process of its own, for tests that stop, kill or trace it."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.live import Response, parse, read_all, request
from tests.postgresql import with_own_database

ROOT = Path(__file__).parents[1]


class Serve:
    """One `manage.py serve` with a data dir and a port of its own."""

    def __init__(self, data_dir: Path, *, command: tuple[str, ...] = (), **settings: str) -> None:
        self.data_dir = data_dir
        self.command = command
        self.port = free_port()
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "DJANGO_"))}
        kept = {
            **keep,
            "PORTAL_DATA_DIR": str(data_dir),
            "PORT": str(self.port),
            "PORTAL_WORKERS": "2",
            "PORTAL_MIN_FREE_BYTES": "0",
            **settings,
        }
        self.environment = with_own_database(kept)
        self.output = ""

    def start(self) -> float:
        """Start and wait until it answers; the seconds that it took."""
        began = time.monotonic()
        # Into a file: nobody reads while it runs, and it would wait for a pipe that is full.
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed when it has stopped
        self.process = subprocess.Popen(
            [*self.command, sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        while time.monotonic() - began < 180:
            if self.process.poll() is not None:
                break
            try:
                if self.send("/readyz", method="GET").status == 200:
                    return time.monotonic() - began
            except (OSError, AssertionError):
                time.sleep(0.02)
        raise AssertionError(self.stop())

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Stop and return all that it printed."""
        workers = self.workers()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(120)
        assert wait_until_gone(workers, 60)
        if not self._log.closed:
            self._log.seek(0)
            self.output += self._log.read()
            self._log.close()
        return self.output

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def send(
        self, path: str, body: bytes = b"", *, method: str = "POST", feed: str = "F", host: str = "a"
    ) -> Response:
        data = request(path, {"Feed": feed}, body, method=method).replace(b"somewhere.example.org", host.encode())
        with self.connect() as connection:
            connection.sendall(data)
            return parse(read_all(connection))

    def shell(self, code: str) -> str:
        """Run a piece of Python in the portal's settings."""
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", code],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=180,
        )
        return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""

    def make_feed(self, name: str) -> None:
        self.shell(f"from feeds.models import Feed; Feed.objects.get_or_create(name={name!r})")

    def stored(self) -> list[Path]:
        return [
            path
            for path in (self.data_dir / "store").rglob("*")
            if path.is_file() and path.name not in {"lock", "health.probe", "store.id"}
        ]

    def cpu_seconds(self) -> float:
        """What the parent and its workers have cost so far."""
        ticks = 0
        for pid in (self.process.pid, *self.workers()):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def workers(self) -> set[int]:
        """Process ids of the children."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, check=False
        )
        return {int(pid) for pid in found.stdout.split()}


def free_port() -> int:
    """A port that stays free until it is used: not one of those that the kernel gives to outgoing connections."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pids: set[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
