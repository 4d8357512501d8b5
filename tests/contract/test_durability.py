"""What is acknowledged is on the disk: the order of system calls, and kills under load (R1, R3)."""

import contextlib
import gzip
import hashlib
import json
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from django.db import connection

from tests.live import parse, read_all, request
from tests.reliability import processes
from tests.serving import Serve

pytestmark = [pytest.mark.server, pytest.mark.both_databases]
STRACE = shutil.which("strace")
#: SQLite flushes in our own process; a server is told to commit, and answers when it has flushed.
COMMITTED = {
    "sqlite": r"f(data)?sync\(\d+<.*portal\.sqlite3-wal>\) += 0",
    "postgresql": r"(write|writev|sendto|sendmsg)\(\d+<.*COMMIT",
}[connection.vendor]
LINE = re.compile(r"^(?P<pid>\d+) +(?P<time>\d+\.\d+) (?P<call>.*)$")


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    serve = Serve(tmp_path_factory.mktemp("durable"))
    serve.start()
    serve.make_feed("OPEN-FEED")
    yield serve
    serve.stop()


@dataclass(frozen=True)
class Told:
    """What a sender was told: status 0 when nothing came, no receipt id where the answer was cut short."""

    status: int = 0
    receipt_id: str = ""


def deliver(serve: Serve, body: bytes, **headers: str) -> Told:
    data = b""
    with contextlib.suppress(OSError), serve.connect() as connection:
        connection.sendall(request("/datafeed", {"Feed": "OPEN-FEED", **headers}, body))
        data = read_all(connection)
    if b"\r\n\r\n" not in data:
        return Told()
    answer = parse(data)
    # A kill may come between the answer's head and its body.
    return Told(answer.status, answer.text.strip() if answer.text.endswith("\n") else "")


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
def test_r01_the_system_calls_of_100_uploads_are_in_the_promised_order(serve: Serve, tmp_path: Path) -> None:
    """fsync(part), rename, fsync(folder), flush of the database's log, and only then the 200."""
    trace = tmp_path / "trace"
    command = [STRACE or "", "-f", "-ttt", "-y", "-s", "200", "-o", str(trace)]
    command += ["-e", "trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg"]
    pids = [word for pid in serve.workers() for word in ("-p", str(pid))]
    ids = []
    tracer = subprocess.Popen([*command, *pids], stderr=subprocess.PIPE)
    try:
        assert tracer.stderr is not None
        for _ in range(len(pids) // 2):
            if b"attached" not in (line := tracer.stderr.readline()):
                pytest.skip(f"strace may not attach here: {line.decode()}")
        for number in range(100):
            body = random.Random(number).randbytes(2000)
            headers = {"Compression": "GZIP"} if number % 2 else {}
            told = deliver(serve, gzip.compress(body) if number % 2 else body, **headers)
            assert told.status == 200
            ids.append(told.receipt_id)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=60)
    calls = list(completed(trace.read_text(errors="replace").splitlines()))
    for receipt_id in ids:
        wanted = [
            rf"fsync\(\d+<.*/{receipt_id}\.part>\) += 0",
            rf'rename\w*\(.*{receipt_id}\.part", .*{receipt_id}\.dat"\) += 0',
            r"fsync\(\d+<.*/received/[\d-]+/\d\d>\) += 0",
            COMMITTED,
            rf"(write|writev|sendto|sendmsg)\(.*(HTTP/1.1 200 OK|{receipt_id})",
        ]
        at = 0
        for pattern in wanted:
            at = next(
                (place + 1 for place in range(at, len(calls)) if re.match(pattern, calls[place])), len(calls) + 1
            )
            assert at <= len(calls), f"{receipt_id}: no {pattern} in its place"
        assert receipt_id in calls[at - 1] or "200 OK" in calls[at - 1]


def completed(lines: list[str]) -> Iterator[str]:
    """Calls in the order in which they returned; strace splits those that others interrupt."""
    unfinished: dict[str, str] = {}
    for line in lines:
        match = LINE.match(line)
        if match is None:
            continue
        pid, call = match["pid"], match["call"]
        if call.endswith("<unfinished ...>"):
            unfinished[pid] = call.removesuffix("<unfinished ...>").rstrip()
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            yield unfinished.pop(pid, "") + resumed[1]
        else:
            yield call


KILLS = 40


class Senders:
    """Four senders that deliver until they are told to stop, and what they were told."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(4)]
        self.acknowledged: list[tuple[Told, str]] = []
        self.statuses: set[int] = set()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, number: int) -> None:
        rng = random.Random(number)
        while not self._stop.is_set():
            body = rng.randbytes(rng.choice([100, 5000, 300_000]))
            told = deliver(self._serve, body)
            self.statuses.add(told.status)
            if told.status == 200:
                self.acknowledged.append((told, hashlib.sha256(body).hexdigest()))


def test_r03_no_acknowledged_upload_is_missing_or_changed_after_kills_under_load(serve: Serve) -> None:
    """Workers are killed 40 times while four senders deliver; every 200 is whole on disk and has its row.

    Each kill comes at a random moment, but not before somebody was served since the last one.
    """
    rng = random.Random(1)
    with Senders(serve) as senders:
        for _ in range(KILLS):
            served = len(senders.acknowledged)
            wait_until(lambda served=served: len(senders.acknowledged) > served)  # type: ignore[misc]
            time.sleep(rng.uniform(0, 0.2))
            wait_until(lambda: len(processes.children(serve.process.pid)) == 2)
            processes.kill(rng.choice(processes.children(serve.process.pid)))
    assert senders.statuses <= {0, 200, 500, 503}
    assert len(senders.acknowledged) >= KILLS
    rows = serve.shell(
        "import json; from feeds.models import Receipt;"
        "print(json.dumps(list(Receipt.objects.values_list('receipt_id', 'sha256', 'path'))))"
    )
    stored: dict[str, tuple[str, str]] = {}
    for receipt_id, digest, path in json.loads(rows):
        content = (serve.data_dir / "store" / path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        stored[digest] = (receipt_id, path)
    for told, digest in senders.acknowledged:
        assert digest in stored, told
        assert told.receipt_id in {"", stored[digest][0]}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_r12_after_the_kills_nothing_in_the_store_is_unexplained(serve: Serve) -> None:
    serve.stop()
    serve.start()
    serve.stop()
    done = serve.shell(
        "from django.conf import settings; from feeds.maintenance.integrity import StoreCheck;"
        "print([str(f) for f in StoreCheck(settings.STORE_DIR, deep=True).run()])"
    )
    assert done == "[]"
    serve.start()
