"""`manage.py serve` as a process of its own: quick starts, graceful stops, nothing left behind (interface, 1)."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings

from portal.http.client import TrustedProxies
from portal.management.commands.serve import Command
from portal.server.sockets import open_listener
from tests.live import parse, read_all, request
from tests.serving import ROOT, Serve, alive, wait_until_gone

pytestmark = [pytest.mark.server, pytest.mark.both_databases]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data dir that has served once, with a feed."""
    data_dir = tmp_path_factory.mktemp("prepared")
    serve = Serve(data_dir)
    serve.start()
    output = serve.stop()
    password = re.search(r"Password \(shown this once\): (\S{16,})", output)
    assert password, output
    assert f"http://127.0.0.1:{serve.port}" in output
    assert serve.process.returncode == 0
    serve.make_feed("OPEN-FEED")
    return data_dir


@pytest.fixture
def serve(prepared: Path) -> Iterator[Serve]:
    serve = Serve(prepared)
    yield serve
    serve.stop(signal.SIGKILL)
    for path in serve.stored():
        path.unlink()


def test_a_second_start_takes_under_3_seconds_and_prints_no_password(serve: Serve) -> None:
    seconds = serve.start()
    # Where the machine is busy with other work, what the start costs by itself is what counts.
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    assert (serve.cpu_seconds() if busy else seconds) < 3
    output = serve.stop()
    assert "Password" not in output
    assert serve.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_that_was_started(serve: Serve, number: int) -> None:
    serve.start()
    workers = serve.workers()
    assert len(workers) == 2
    began = time.monotonic()
    serve.stop(number)
    assert time.monotonic() - began < 5
    assert serve.process.returncode == 0
    assert not any(alive(pid) for pid in workers)
    with pytest.raises(ConnectionRefusedError):
        serve.connect()


def test_r21_a_stop_finishes_running_uploads_and_refuses_new_ones(serve: Serve) -> None:
    serve.start()
    with serve.connect() as running:
        running.sendall(request("/datafeed", {"Feed": "OPEN-FEED"}, b"x" * 100_000)[:50_000])
        time.sleep(0.3)
        serve.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        refused = [serve.send("/datafeed", b"data", feed="OPEN-FEED") for _ in range(6)]
        running.sendall(request("/datafeed", {"Feed": "OPEN-FEED"}, b"x" * 100_000)[50_000:])
        answer = parse(read_all(running))
    assert answer.outcome == (200, 0)
    # The worker without an upload may have stopped already; nobody was told a wrong thing.
    assert {response.outcome for response in refused} == {(503, 999)}
    serve.stop()
    assert serve.process.returncode == 0
    (data,) = (path for path in serve.stored() if path.suffix == ".dat")
    assert data.read_bytes() == b"x" * 100_000


def test_kill_9_of_the_parent_takes_the_workers_along(serve: Serve) -> None:
    serve.start()
    workers = serve.workers()
    serve.process.kill()
    assert wait_until_gone(workers, 10)


def test_r03_a_killed_worker_is_replaced_and_its_upload_is_not_kept(serve: Serve) -> None:
    serve.start()
    before = serve.workers()
    with serve.connect() as running:
        running.sendall(request("/datafeed", {"Feed": "OPEN-FEED"}, b"x" * 1_900_000)[:1_500_000])
        time.sleep(0.5)
        assert [path.suffix for path in serve.stored()] == [".part"]
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert read_all(running) == b""
    deadline = time.monotonic() + 10
    while len(serve.workers() - before) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    answer = serve.send("/datafeed", b"data", feed="OPEN-FEED")
    assert answer.outcome == (200, 0)
    serve.stop()
    assert sorted(path.suffix for path in serve.stored()) == [".dat", ".meta"]


def test_r12_a_whole_file_without_a_row_is_adopted_at_the_next_start(serve: Serve) -> None:
    serve.start()
    receipt_id = serve.send("/datafeed", b"data", feed="OPEN-FEED").lines[0]
    serve.stop()
    serve.shell(f"from feeds.models import Receipt; Receipt.objects.filter(receipt_id='{receipt_id}').delete()")
    serve.start()
    assert receipt_id in serve.stop()
    recovered = serve.shell(
        f"from feeds.models import Receipt; r = Receipt.objects.get(receipt_id='{receipt_id}');"
        "print(r.recovered, r.feed, r.bytes)"
    )
    assert recovered == "True OPEN-FEED 4"


def test_receipt_ids_of_two_workers_have_two_node_ids(serve: Serve) -> None:
    serve.start()
    nodes = set()
    for _ in range(200):
        nodes.add(serve.send("/datafeed", b"data", feed="OPEN-FEED").lines[0].rpartition("_P_")[2])
        if len(nodes) == 2:
            break
    assert {node.rpartition("-")[2] for node in nodes} == {"1", "2"}


def test_r22_a_taken_port_is_named_with_the_remedy(prepared: Path) -> None:
    serve = Serve(prepared)
    with socket.socket() as other:
        other.bind(("127.0.0.1", serve.port))
        other.listen()
        done = subprocess.run(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=serve.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode != 0
    assert f"Cannot listen on 127.0.0.1:{serve.port}" in done.stderr
    assert "Set HOST or PORT" in done.stderr


def test_s38_the_start_says_that_unix_means_nothing_on_tcp_and_idle_connections_end_in_their_time(
    prepared: Path,
) -> None:
    serve = Serve(prepared, PORTAL_TRUSTED_PROXIES="unix", PORTAL_KEEPALIVE_SECONDS="1", PORTAL_WORKERS="1")
    serve.start()
    with serve.connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200")
    output = serve.stop()
    assert f"names unix, but the portal listens on http://127.0.0.1:{serve.port}: unix counts on" in output


@pytest.mark.parametrize(
    ("listens", "trusted", "said"),
    [
        ("unix", TrustedProxies(unix=True), ""),
        ("unix", TrustedProxies(), "PORTAL_TRUSTED_PROXIES does not name unix"),
        ("tcp", TrustedProxies(unix=True), "unix counts on a Unix socket only"),
        ("tcp", TrustedProxies(), ""),
    ],
)
def test_s38_a_start_names_a_trust_that_cannot_be_meant(
    tmp_path: Path, listens: str, trusted: TrustedProxies, said: str
) -> None:
    environment = replace(settings.ENVIRONMENT, trusted_proxies=trusted)
    output = io.StringIO()
    host = f"unix:{tmp_path}/s" if listens == "unix" else "127.0.0.1"
    with open_listener(host, 0, 5, {}) as listener:
        Command(stdout=output)._say_who_is_trusted(environment, listener)
    assert said in output.getvalue()
    assert bool(said) == bool(output.getvalue())
