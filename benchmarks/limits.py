"""What the machine could do at best: the figures that the portal's own are set in relation to."""

import os
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType


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
    checker = engine.decompressobj(wbits=31)
    pending = packed
    while pending and not checker.eof:
        checker.decompress(pending[: 256 * 1024], 64 * 1024)
        while checker.unconsumed_tail:
            checker.decompress(checker.unconsumed_tail, 64 * 1024)
        pending = pending[256 * 1024 :]
    return len(packed) / 1e6 / (time.perf_counter() - began)
