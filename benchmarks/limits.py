"""Limits of the machine, with which the portal's figures are compared."""

import gzip
import os
import tempfile
import time
import zlib
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

from tests.postgresql import PostgreSql


def durable_files(folder: Path, *, threads: int = 8, seconds: float = 2.0, size: int = 1024) -> float:
    """Files a second, each written, flushed, renamed, and its folder flushed."""
    folder.mkdir(exist_ok=True)
    data = os.urandom(size)
    deadline = time.perf_counter() + seconds

    def write(worker: int) -> int:
        done = 0
        handle = os.open(folder, os.O_RDONLY)
        while time.perf_counter() < deadline:
            part = folder / f"{worker}-{done}-{time.monotonic_ns()}.part"
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.rename(part.with_suffix(".dat"))
            os.fsync(handle)
            done += 1
        os.close(handle)
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(write, range(threads)))
    return done / (time.perf_counter() - began)


def inflate_in_memory(packed: bytes) -> float:
    """MB/s of gzip that the fastest checker at hand reads, with nothing else to do."""
    try:
        from isal import isal_zlib

        engine: ModuleType = isal_zlib
    except ImportError:  # pragma: no cover  # zlib is the documented fallback
        engine = zlib
    began = time.perf_counter()
    view = memoryview(packed)
    checker = engine.decompressobj(wbits=31)
    for start in range(0, len(packed), 256 * 1024):
        pending = bytes(view[start : start + 256 * 1024])
        while pending:
            checker.decompress(pending, 64 * 1024)
            pending = checker.unconsumed_tail
            if checker.eof:  # the next member
                pending = checker.unused_data
                checker = engine.decompressobj(wbits=31)
    return len(packed) / 1e6 / (time.perf_counter() - began)


def inflate_on_all_cores(packed: bytes) -> float:
    """MB/s of gzip that one checker a core reads."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as pool:
        return sum(pool.map(inflate_in_memory, [packed] * cores))


def durable_write(folder: Path, data: bytes, step: int = 256 * 1024) -> float:
    """MB/s of one large file that is written and flushed."""
    began = time.perf_counter()
    with (folder / f"{time.monotonic_ns()}.dat").open("wb", buffering=0) as file:
        view = memoryview(data)
        for start in range(0, len(data), step):
            file.write(view[start : start + step])
        os.fsync(file.fileno())
    return len(data) / 1e6 / (time.perf_counter() - began)


def sample_gzip(size: int) -> bytes:
    """Return at least so many bytes of gzip members made of log-like lines."""
    lines = "".join(
        f"2026-02-24T18:10:{n % 60:02d}Z host{n % 31} user{n * 7919 % 4093} GET /p/{n * 104729 % 65537}\n"
        for n in range(400_000)
    ).encode()
    member = gzip.compress(lines, 6, mtime=1)
    return member * -(-size // len(member))


class SingleRows:
    """Rows of 1 KiB that 8 clients commit one by one, by pgbench."""

    def __init__(self, server: PostgreSql) -> None:
        self._server = server
        server.run("psql", *server.who, "-c", "CREATE TABLE bare (id bigserial PRIMARY KEY, body text)", "portal")

    def rate(self) -> float:
        """Commits a second, over one second."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write("INSERT INTO bare (body) VALUES (repeat('x', 1024));\n")
            script.flush()
            output = self._server.run(
                "pgbench", *self._server.who, "-n", "-c8", "-j2", "-T1", "-f", script.name, "portal"
            )
        return float(next(line for line in output.splitlines() if line.startswith("tps")).split()[2])
