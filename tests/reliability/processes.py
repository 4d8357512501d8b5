"""Processes as the kernel sees them: who lives, what they hold, how much memory they took."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path


def children(pid: int) -> list[int]:
    """The living children of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in task.read_text().split()]
    return [child for child in found if is_alive(child)]


def tree(pid: int) -> list[int]:
    """A process and everything below it."""
    return [pid, *(below for child in children(pid) for below in tree(child))]


def is_alive(pid: int) -> bool:
    try:
        return _state(Path(f"/proc/{pid}")) not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal, to nobody if it has ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def freeze(pid: int) -> None:
    """Stop a process in its tracks, all threads of it; those in a call to the kernel stop when it returns."""
    kill(pid, signal.SIGSTOP)
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while _state(task) not in "TtDZX":
                time.sleep(0.001)


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def wait(pid: int, seconds: float) -> bool:
    """Wait for the end of a process that need not be ours; whether it came."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def descriptors(pids: Iterable[int]) -> int:
    """How many files, sockets and pipes they have open together."""
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def cpu_seconds(pids: Iterable[int]) -> float:
    """The time that processors have worked for them, all together."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def reset_peak(pids: Iterable[int]) -> None:
    """Let the kernel measure the highest memory use anew from here."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pids: Iterable[int]) -> int:
    """The highest resident memory of each since the reset, added up."""
    return sum(_status(pid, "VmHWM") for pid in pids)


def resident_bytes(pids: Iterable[int]) -> int:
    return sum(_status(pid, "VmRSS") for pid in pids)


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return 0
