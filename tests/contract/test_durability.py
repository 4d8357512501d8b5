"""What is acknowledged is on the disk: the order of system calls, and kills under load (R1, R3)."""

import gzip
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import parse, read_all, request
from tests.serving import Serve

pytestmark = pytest.mark.server
STRACE = shutil.which("strace")
LINE = re.compile(r"^(?P<pid>\d+) +(?P<time>\d+\.\d+) (?P<call>.*)$")


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    serve = Serve(tmp_path_factory.mktemp("durable"))
    serve.start()
    serve.make_feed("OPEN-FEED")
    yield serve
    serve.stop()


def deliver(serve: Serve, body: bytes, **headers: str) -> tuple[int, str]:
    """Status and receipt id; status 0 when the connection broke."""
    try:
        with serve.connect() as connection:
            connection.sendall(request("/datafeed", {"Feed": "OPEN-FEED", **headers}, body))
            data = read_all(connection)
    except OSError:
        return 0, ""
    if b"\r\n\r\n" not in data:
        return 0, ""
    answer = parse(data)
    return answer.status, answer.text.strip()


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
def test_r01_the_system_calls_of_100_uploads_are_in_the_promised_order(serve: Serve, tmp_path: Path) -> None:
    """fsync(part), rename, fsync(folder), flush of the database's log, and only then the 200."""
    trace = tmp_path / "trace"
    command = [STRACE or "", "-f", "-ttt", "-y", "-s", "200", "-o", str(trace)]
    command += ["-e", "trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg"]
    pids = [word for pid in serve.workers() for word in ("-p", str(pid))]
    with subprocess.Popen([*command, *pids], stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        if b"attached" not in (first := tracer.stderr.readline()):
            pytest.skip(f"strace may not attach here: {first.decode()}")
        time.sleep(0.5)
        ids = []
        for number in range(100):
            body = random.Random(number).randbytes(2000)
            headers = {"Compression": "GZIP"} if number % 2 else {}
            status, receipt_id = deliver(serve, gzip.compress(body) if number % 2 else body, **headers)
            assert status == 200
            ids.append(receipt_id)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=20)
    calls = list(completed(trace.read_text(errors="replace").splitlines()))
    for receipt_id in ids:
        wanted = [
            rf"fsync\(\d+<.*/{receipt_id}\.part>\) += 0",
            rf'rename\w*\(.*{receipt_id}\.part", .*{receipt_id}\.dat"\) += 0',
            r"fsync\(\d+<.*/received/[\d-]+/\d\d>\) += 0",
            r"f(data)?sync\(\d+<.*portal\.sqlite3-wal>\) += 0",
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


def test_r03_no_acknowledged_upload_is_missing_or_changed_after_kills_under_load(serve: Serve) -> None:
    """Workers are killed 40 times while four senders deliver; every 200 is whole on disk and has its row."""
    acknowledged: dict[str, str] = {}
    stop = threading.Event()

    def send(number: int) -> None:
        rng = random.Random(number)
        while not stop.is_set():
            body = rng.randbytes(rng.choice([100, 5000, 300_000]))
            status, receipt_id = deliver(serve, body)
            assert status in {0, 200, 500, 503}
            if status == 200:
                acknowledged[receipt_id] = hashlib.sha256(body).hexdigest()

    senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for sender in senders:
        sender.start()
    kills, rng = 0, random.Random(1)
    deadline = time.monotonic() + 60
    while kills < 40 and time.monotonic() < deadline:
        time.sleep(rng.uniform(0.05, 0.3))
        workers = serve.workers()
        if len(workers) == 2:
            os.kill(rng.choice(sorted(workers)), signal.SIGKILL)
            kills += 1
    stop.set()
    for sender in senders:
        sender.join()
    assert kills == 40
    assert len(acknowledged) > 50
    rows = serve.shell(
        "import json; from feeds.models import Receipt;"
        "print(json.dumps(dict(Receipt.objects.values_list('receipt_id', 'path'))))"
    )
    paths: dict[str, str] = json.loads(rows)
    for receipt_id, digest in acknowledged.items():
        data = (serve.data_dir / "store" / paths[receipt_id]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest


def test_r12_after_the_kills_nothing_in_the_store_is_unexplained(serve: Serve) -> None:
    serve.stop()
    serve.start()
    serve.stop()
    done = serve.shell(
        "from pathlib import Path; from django.conf import settings; from feeds.integrity import StoreCheck;"
        "print([str(f) for f in StoreCheck(settings.STORE_DIR, deep=True).run()])"
    )
    assert done == "[]"
    serve.start()
