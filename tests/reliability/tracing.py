"""What a process asks of the kernel, recorded with strace; and single calls made to fail, or to be its last."""

import ast
import contextlib
import functools
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Calls that change files, make changes durable, or answer somebody.
CHANGES = (
    "openat open creat write pwrite64 writev pwritev fsync fdatasync sync_file_range rename renameat renameat2 "
    "mkdir mkdirat unlink unlinkat rmdir ftruncate truncate fallocate link linkat symlink sendto sendmsg"
).split()
_LONGEST = 2_000_000
_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(.*)")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*?),? <unfinished \.\.\.>")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|\?)(.*)")
_FILE = re.compile(r"(-?\d+)<([^>]*)>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Call:
    """One call; `begun` and `ended` are places in the recording, by which calls of several threads are ordered."""

    begun: int
    ended: int
    thread: int
    name: str
    arguments: str
    result: int
    remark: str

    @functools.cached_property
    def path(self) -> str:
        """The file behind the call's descriptor, or the first path that is named."""
        found = _FILE.match(self.arguments)
        if found:
            return found[2]
        texts = self.paths
        return texts[0] if texts else ""

    @property
    def paths(self) -> list[str]:
        return [text.decode() for text in self.texts]

    @functools.cached_property
    def texts(self) -> list[bytes]:
        return [_unquoted(text) for text in _TEXT.findall(self.arguments)]

    @property
    def data(self) -> bytes:
        """What is written."""
        return b"".join(self.texts)

    @property
    def offset(self) -> int:
        """Where `pwrite64` writes, and to what `ftruncate` cuts."""
        return int(self.arguments.rpartition(", ")[2])

    @property
    def succeeded(self) -> bool:
        return self.result >= 0

    @property
    def injected(self) -> bool:
        return "(INJECTED)" in self.remark


@functools.cache
def unavailable() -> str:
    """Why nothing can be traced here; empty when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return f"strace is not allowed to trace: {done.stderr.strip()}" if done.returncode else ""


@contextlib.contextmanager
def recording(pids: Iterable[int], output: Path) -> Iterator[None]:
    """Record these processes' changes with everything they write, until the block ends."""
    options = ["-f", "-y", "-s", str(_LONGEST), "-e", f"trace={','.join(CHANGES)}", "-e", "signal=none"]
    with _attached(options, pids, output):
        yield


@contextlib.contextmanager
def recording_one(thread: int, output: Path, call: str) -> Iterator[None]:
    """Record one thread's calls of one kind."""
    with _attached(["-y", "-s", "64", "-e", f"trace={call}", "-e", "signal=none"], [thread], output):
        yield


@contextlib.contextmanager
def failing(thread: int, output: Path, call: str, *, nth: int, error: str) -> Iterator[None]:
    """Let one thread's n-th call of a kind fail."""
    inject = f"inject={call}:error={error}:when={nth}"
    with _attached(["-y", "-s", "64", "-e", f"trace={call}", "-e", inject, "-e", "signal=none"], [thread], output):
        yield


@contextlib.contextmanager
def all_failing(pid: int, output: Path, calls: Sequence[str], *, error: str) -> Iterator[None]:
    """Let every one of these calls fail, in all threads of a process, as on a disk that is broken."""
    options = ["-f", "-y", "-s", "64", "-e", f"trace={','.join(calls)}", "-e", "signal=none"]
    inject = [part for call in calls for part in ("-e", f"inject={call}:error={error}")]
    with _attached([*options, *inject], [pid], output):
        yield


@contextlib.contextmanager
def killing(thread: int, output: Path, call: str, *, nth: int) -> Iterator[None]:
    """Kill the process in one thread's n-th call of a kind."""
    inject = f"inject={call}:signal=KILL:when={nth}"
    with _attached(["-y", "-s", "64", "-e", f"trace={call}", "-e", inject, "-e", "signal=none"], [thread], output):
        yield


@contextlib.contextmanager
def _attached(options: Sequence[str], pids: Iterable[int], output: Path) -> Iterator[None]:
    targets = [part for pid in pids for part in ("-p", str(pid))]
    output.unlink(missing_ok=True)
    tracer = subprocess.Popen(["strace", *options, "-o", str(output), *targets], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    for _ in range(len(targets) // 2):
        line = tracer.stderr.readline()
        assert "attached" in line, line
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.communicate()


def read(output: Path) -> list[Call]:
    """Every call of a recording, in the order in which they ended; those that never did are last."""
    calls: list[Call] = []
    begun: dict[tuple[int, str], tuple[int, str]] = {}
    for place, line in enumerate(output.read_text(errors="surrogateescape").splitlines()):
        whole = _WHOLE.fullmatch(line if line[:1].isdigit() else f"0 {line}")
        ended = _ENDED.fullmatch(line) if whole is None or "resumed>" in line[:40] else None
        if ended:
            thread, name, rest, result, remark = ended.groups()
            started, arguments = begun.pop((int(thread), name), (place, ""))
            calls.append(Call(started, place, int(thread), name, arguments + rest, _number(result), remark))
        elif whole:
            thread, name, arguments, result, remark = whole.groups()
            calls.append(Call(place, place, int(thread), name, arguments, _number(result), remark))
        elif started_only := _BEGUN.fullmatch(line):
            begun[int(started_only[1]), started_only[2]] = (place, started_only[3])
    for (thread_id, name), (place, arguments) in begun.items():
        calls.append(Call(place, 10**9, thread_id, name, arguments, -1, "never ended"))
    return calls


def wait_for(output: Path, text: str, seconds: float = 5.0) -> bool:
    """Wait until something is recorded."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if output.exists() and text in output.read_text(errors="replace"):
            return True
        time.sleep(0.01)
    return False


def _number(result: str) -> int:
    return -1 if result == "?" else int(result)


def _unquoted(text: str) -> bytes:
    return bytes(ast.literal_eval(f'b"{text}"'))
