"""Measure everything and print one table: `make bench` (two to three minutes)."""

import gzip
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import limits, load
from benchmarks.portal import Portal, free_port, running

ROUNDS = 5
#: What a browser sends with a page; its answers are kept under a key of their own, so it meets an empty cache.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
    "Cookie": "csrftoken=benchmark; theme=dark",
}
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Row:
    """One line of the table: ours, what it is set beside, and the median of the rounds' ratios."""

    what: str
    ours: float
    beside: float
    unit: str
    beside_what: str
    goal: float

    @property
    def ratio(self) -> float:
        return self.ours / self.beside


def alternate(
    what: str,
    ours: Callable[[], float],
    beside: Callable[[], float],
    *,
    unit: str,
    beside_what: str,
    goal: float,
) -> Row:
    """Measure two things turn by turn; other work on the machine then meets both alike."""
    pairs = [(ours(), beside()) for _ in range(ROUNDS)]
    middle = sorted(pairs, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
    row = Row(what, *middle, unit, beside_what, goal)
    print(f"  measured: {what}", file=sys.stderr, flush=True)
    return row


def rate(port: int, message: bytes, status: int = 200) -> float:
    result = load.run(port, message, status=status)
    if result.wrong:
        raise RuntimeError(f"{result.wrong} answers were not {status}")
    return result.rate


def pages(portal: Portal) -> Iterator[Row]:
    """Cached answers in three forms, each beside nginx that does the same with the same bytes.

    The browser asks first: no request in another form may have filled the cache for it.
    """
    for path in ("/codes/http/503/", "/api/v1/codes/http/503/", "/codes/"):
        packed, tag = fetch(portal.port, path, BROWSER)
        with nginx_serving(page=gzip.decompress(packed), packed=packed) as nginx:
            if nginx is None:
                return
            conditional = {**BROWSER, "If-None-Match": tag}
            confirmed = {"If-None-Match": fetch(nginx, "/packed")[1]}
            forms = {
                ", as browsers ask": (BROWSER, "/packed", {}, 200, 0.6),
                ", not modified": (conditional, "/packed", confirmed, 304, 0.6),
                ", without gzip": ({}, "/page", {}, 200, 0.7),
            }
            for form, (headers, file, file_headers, status, goal) in forms.items():
                ours = load.request("GET", path, headers)
                theirs = load.request("GET", file, file_headers)
                yield alternate(
                    f"GET {path}{form}",
                    lambda ours=ours, status=status: rate(portal.port, ours, status),  # type: ignore[misc]
                    lambda theirs=theirs, status=status, nginx=nginx: rate(nginx, theirs, status),  # type: ignore[misc]
                    unit="/s",
                    beside_what="nginx, the same bytes from a file",
                    goal=goal,
                )


def decisions(portal: Portal) -> Iterator[Row]:
    secret = portal.manage("create_token", "admin", "--scopes", "check")
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    known = load.request("POST", "/api/feedStatus/v2/getFeedStatus", headers, b'{"feedName":"BENCH-1"}')
    plain = load.request("GET", "/status")
    yield alternate(
        "getFeedStatus",
        lambda: rate(portal.port, known),
        lambda: rate(portal.port, plain),
        unit="/s",
        beside_what="the same server, constant answer",
        goal=0.3,
    )


def receipts(portal: Portal) -> Iterator[Row]:
    folder = portal.data_dir / "limit"
    small = load.request("POST", "/datafeed", {"Feed": "BENCH-1"}, os.urandom(1024))
    yield alternate(
        "deliveries of 1 KiB",
        lambda: rate(portal.port, small),
        lambda: limits.durable_files(folder),
        unit="/s",
        beside_what="bare durable files, 8 threads",
        goal=0.3,
    )
    packed = sample_gzip()
    yield alternate(
        f"delivery of {len(packed) // MEBIBYTE} MiB gzip",
        lambda: upload(portal.port, packed, {"Feed": "BENCH-1", "Compression": "GZIP"}),
        lambda: limits.inflate_in_memory(packed),
        unit=" MB/s",
        beside_what="the checker alone, in memory",
        goal=0.5,
    )
    plain = os.urandom(64 * MEBIBYTE)
    yield alternate(
        "delivery of 64 MiB plain",
        lambda: upload(portal.port, plain, {"Feed": "BENCH-1"}),
        lambda: durable_write(folder, plain),
        unit=" MB/s",
        beside_what="one durable file of that size",
        goal=0.3,
    )


def upload(port: int, body: bytes, headers: dict[str, str]) -> float:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120, blocksize=256 * 1024)
    connection.request("POST", "/datafeed", body=body, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"the delivery was answered {answer.status}")
    return len(body) / 1e6 / (time.perf_counter() - began)


def durable_write(folder: Path, data: bytes) -> float:
    began = time.perf_counter()
    with (folder / f"{time.monotonic_ns()}.dat").open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return len(data) / 1e6 / (time.perf_counter() - began)


def sample_gzip() -> bytes:
    """About 30 MiB of gzip made of log-like lines."""
    lines = "".join(
        f"2026-02-24T18:10:{n % 60:02d}Z host{n % 31} user{n * 7919 % 4093} GET /p/{n * 104729 % 65537}\n"
        for n in range(400_000)
    ).encode()
    return b"".join(gzip.compress(lines, 6, mtime=n) for n in range(6))


def fetch(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[bytes, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path} was answered {answer.status}")
    return body, answer.headers.get("ETag", "")


@contextmanager
def nginx_serving(**files: bytes) -> Iterator[int | None]:
    """A throw-away nginx with these files, as the limit for pages; None where nginx is not installed."""
    program = shutil.which("nginx")
    if program is None:
        print("  left out: pages, because nginx is not installed", file=sys.stderr)
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="portal-bench-nginx-"))
    for name, content in files.items():
        (folder / name).write_bytes(content)
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"worker_processes 2; pid {folder}/pid; error_log {folder}/error.log; daemon off;\n"
        "events {}\nhttp { access_log off; keepalive_requests 1000000; "
        f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; "
        f"uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; "
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
    )
    folder.chmod(0o755)
    process = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    time.sleep(0.5)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    # What is measured comes from one address.
    with running(PORTAL_ANONYMOUS_RATE="0") as portal:
        portal.manage("shell", "-c", "from feeds.models import Feed; Feed.objects.create(name='BENCH-1')")
        rows = [*pages(portal), *decisions(portal), *receipts(portal)]
    width = max(len(row.what) for row in rows)
    print(f"\n{'':{width}}  {'portal':>14}  {'beside it':>14}  ratio  goal")
    for row in rows:
        print(
            f"{row.what:{width}}  {row.ours:>10,.0f}{row.unit:<4}  {row.beside:>10,.0f}{row.unit:<4}"
            f"  {row.ratio:5.2f}  {row.goal:4.2f}  {row.beside_what}"
        )
    print(f"\nMedian of {ROUNDS} rounds in alternation; {os.cpu_count()} cores, generator and servers share them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
