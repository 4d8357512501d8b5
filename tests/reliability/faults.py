"""A portal with one thread for each kind of work, of which the n-th call fails or is the last (R4, R12)."""

import gzip
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.live import Response
from tests.reliability import processes, tracing
from tests.reliability.portal import OPEN, Portal
from tests.reliability.senders import Parcel, deliver, zipped

CALLS = ("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "mkdir", "unlink")
KINDS = ("plain", "gzip", "zip")
#: What a sender may be told when something fails. A success is checked to be one.
ANSWERS = {(200, 0), (500, 999), (503, 999)}
#: The pages of one commit are written by equal calls: of so many the first, the last and some between are enough.
MOST_OF_A_KIND = 6
#: Deliveries differ in how many pages they change, and now and then one copies the database's log into it. A call
#: that this many deliveries do not make is none of theirs.
MOST_TRIES = 50


_random = random.Random(4)


@dataclass
class Bench:
    """A portal with one thread for each kind of work, and what became of it."""

    portal: Portal
    output: Path
    acknowledged: dict[str, str] = field(default_factory=dict)
    tried: int = 0

    #: Whose calls are counted: the thread that writes a delivery, or the one that makes it durable.
    role: str = "writer"

    def thread(self, kind: str) -> int:
        """The thread of the role for a kind of delivery: an archive is written where large bodies are."""
        writer = "work" if kind == "zip" else "small"
        return self.portal.threads[writer if self.role == "writer" else "committer"]

    def send(self, kind: str) -> Response | None:
        """One delivery; what is acknowledged is remembered."""
        sent = new_parcel(kind)
        answer = deliver(self.portal, sent)
        if answer is not None and answer.outcome == (200, 0):
            self.acknowledged[answer.text.strip()] = sent.sha256
        return answer

    def count(self, kind: str, call: str, most: int = MOST_OF_A_KIND) -> list[int]:
        """Which calls of a kind a delivery makes, by number; those that wake a thread are not of the disk."""
        if call == "mkdir":
            return [1, 2] if self.role == "writer" else []
        self.send(kind)  # the first one of a process makes some more
        return thinned(min((self._numbers(kind, call) for _ in range(2)), key=len), most)

    def _numbers(self, kind: str, call: str) -> list[int]:
        with tracing.recording_one(self.thread(kind), self.output, call):
            answer = self.send(kind)
        assert answer is not None
        found = tracing.read(self.output)
        return [number for number, made in enumerate(found, 1) if "anon_inode" not in made.arguments]

    def make_ready(self, call: str) -> None:
        """A new folder is only made by a process that has not used it yet."""
        if call == "mkdir":
            self.portal.kill()
            self.forget_folders()
            self.portal.start("alone")
        elif not processes.is_alive(self.portal.pid):
            self.portal.start("alone")

    def forget_folders(self) -> None:
        """Begin with an empty store, rows included."""
        self.portal.execute("DELETE FROM feeds_receiptfeed")
        self.portal.execute("DELETE FROM feeds_receipt")
        for path in sorted((self.portal.store / "received").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        self.acknowledged.clear()


def new_parcel(kind: str) -> Parcel:
    content = _random.randbytes(1000)
    if kind == "zip":
        return Parcel({**OPEN, "Compression": "ZIP"}, zipped(("1.dat", content)))
    if kind == "gzip":
        return Parcel({**OPEN, "Compression": "GZIP"}, gzip.compress(content))
    return Parcel(OPEN, content)


def thinned(numbers: list[int], most: int) -> list[int]:
    """The first, the last, and evenly some between."""
    if len(numbers) <= most:
        return numbers
    return sorted({numbers[round(place * (len(numbers) - 1) / (most - 1))] for place in range(most)})


def fail_once(bench: Bench, kind: str, call: str, number: int, error: str) -> None:
    """One call of one delivery fails: what is answered, what is left, and whether the next delivery works."""
    portal = bench.portal
    for _ in range(MOST_TRIES):
        bench.make_ready(call)
        descriptors, before = processes.descriptors([portal.pid]), set(portal.files())
        with tracing.failing(bench.thread(kind), bench.output, call, nth=number, error=error):
            answer = bench.send(kind)
        failed = [made for made in tracing.read(bench.output) if made.injected]
        assert answer is not None
        if failed:
            break
        assert answer.outcome == (200, 0), "a delivery that does not make this call has no reason to fail"
    (call_that_failed,) = failed
    assert answer.outcome in ANSWERS  # type: ignore[operator]
    if answer.outcome == (200, 0):
        assert portal.lost({answer.text.strip(): bench.acknowledged[answer.text.strip()]}) == []
        assert not is_promised(call_that_failed), "an upload without one of its flushes is no success"
    left = {path for path in set(portal.files()) - before if answer.text.strip() not in path.name}
    assert not left or may_leave(call_that_failed), f"{call} {number} {error} left {left}"
    again = bench.send(kind)
    assert again is not None
    assert again.outcome == (200, 0), "the next upload works"
    # Two more, for a thread may have opened its connection meanwhile.
    assert settles(lambda: processes.descriptors([portal.pid]) <= descriptors + 2), "descriptors leak"
    bench.tried += 1


def die_once(bench: Bench, kind: str, call: str, number: int) -> None:
    """The process is killed in one call of one delivery: its sender hears nothing."""
    for _ in range(MOST_TRIES):
        bench.make_ready(call)
        with tracing.killing(bench.thread(kind), bench.output, call, nth=number):
            answer = bench.send(kind)
        if answer is None:
            assert processes.wait(bench.portal.pid, 30)
            return
        assert answer.outcome == (200, 0), "a delivery that does not make this call has no reason to fail"
    raise AssertionError(f"no {kind} delivery makes so many calls of {call}: {number}")


def settles(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether something becomes true, given time: an answered connection is closed a moment later."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_promised(call: tracing.Call) -> bool:
    """Whether a call is one of those that a 200 promises."""
    return call.name in {"fsync", "fdatasync", "rename"} and not re.search(r"\.meta|/data$", call.path)


def may_leave(call: tracing.Call) -> bool:
    """A commit whose flush failed may have happened all the same: its file stays for the next start to judge."""
    return call.name == "fdatasync"
