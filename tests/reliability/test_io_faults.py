"""Calls to the kernel that fail, and processes that die in the middle of one (R4, R5, R12).

A real portal is traced; the n-th call of a delivery's thread returns an error, or never returns.
"""

import gzip
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.live import Response
from tests.reliability import processes, tracing
from tests.reliability.portal import OPEN, Portal
from tests.reliability.senders import Parcel, deliver, zipped

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(bool(tracing.unavailable()), reason=tracing.unavailable()),
]

CALLS = ("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "mkdir", "unlink")
ERRORS = ("EIO", "ENOSPC", "EMFILE")
KINDS = ("plain", "gzip", "zip")
#: What a sender may be told when something fails. A success is checked to be one.
ANSWERS = {(200, 0), (500, 999), (503, 999)}
#: The pages of one commit are written by equal calls: of so many the first, the last and some between are enough.
MOST_OF_A_KIND = 6
STATES = 50
_random = random.Random(4)


@dataclass
class Bench:
    """A portal with one thread for each kind of work, and what became of it."""

    portal: Portal
    output: Path
    acknowledged: dict[str, str] = field(default_factory=dict)
    tried: int = 0

    @property
    def thread(self) -> int:
        return self.portal.threads["work"]

    def send(self, kind: str) -> Response | None:
        """One delivery; what is acknowledged is remembered."""
        sent = new_parcel(kind)
        answer = deliver(self.portal, sent)
        if answer is not None and answer.outcome == (200, 0):
            self.acknowledged[answer.text.strip()] = sent.sha256
        return answer

    def count(self, kind: str, call: str) -> list[int]:
        """Which calls of a kind a delivery makes, by number; those that wake a thread are not of the disk."""
        if call == "mkdir":
            return [1, 2]
        self.send(kind)  # the first one of a process makes some more
        with tracing.recording_one(self.thread, self.output, call):
            answer = self.send(kind)
        assert answer is not None
        found = tracing.read(self.output)
        numbers = [number for number, made in enumerate(found, 1) if "anon_inode" not in made.arguments]
        return thinned(numbers, MOST_OF_A_KIND)

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


@pytest.fixture(scope="module")
def bench(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    portal.start("alone")
    bench = Bench(portal, tmp_path_factory.mktemp("faults") / "calls")
    portal.send("/datafeed", {"Feed": "REJECT-FEED"}, b"opens the connection of the counts")
    bench.send("plain")
    time.sleep(1.5)
    yield bench
    portal.kill()


@pytest.fixture(autouse=True)
def explained(bench: Bench) -> Iterator[None]:
    """After every test nothing that was acknowledged is lost, and a new start explains all that is in the store."""
    yield
    if bench.portal.pid:
        bench.portal.kill()
    assert bench.portal.lost(bench.acknowledged) == []
    assert [finding for finding in bench.portal.check() if not finding[2]] == []
    assert bench.portal.check(repair=False) == []
    bench.portal.start("alone")


def fail_once(bench: Bench, kind: str, call: str, number: int, error: str) -> None:
    """One call of one delivery fails: what is answered, what is left, and whether the next delivery works."""
    bench.make_ready(call)
    portal = bench.portal
    descriptors, before = processes.descriptors([portal.pid]), set(portal.files())
    with tracing.failing(bench.thread, bench.output, call, nth=number, error=error):
        answer = bench.send(kind)
    failed = [made for made in tracing.read(bench.output) if made.injected]
    assert len(failed) == 1, "the call was made and failed"
    assert answer is not None
    assert answer.outcome in ANSWERS
    if answer.outcome == (200, 0):
        assert portal.lost({answer.text.strip(): bench.acknowledged[answer.text.strip()]}) == []
        assert not is_promised(failed[0]), "an upload without one of its flushes is no success"
    left = {path for path in set(portal.files()) - before if answer.text.strip() not in path.name}
    assert not left or may_leave(failed[0]), f"{call} {number} {error} left {left}"
    again = bench.send(kind)
    assert again is not None
    assert again.outcome == (200, 0), "the next upload works"
    assert processes.descriptors([portal.pid]) <= descriptors + 2, (
        "a thread may have opened its connection meanwhile"
    )
    bench.tried += 1


def is_promised(call: tracing.Call) -> bool:
    """Whether a call is one of those that a 200 promises."""
    return call.name in {"fsync", "fdatasync", "rename"} and not re.search(r"\.meta|/data$", call.path)


def may_leave(call: tracing.Call) -> bool:
    """A commit whose flush failed may have happened all the same: its file stays for the next start to judge."""
    return call.name == "fdatasync"


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind", ["plain", "zip"])
def test_r04_any_call_of_a_delivery_may_fail_and_nothing_false_is_said_nor_left(
    bench: Bench, kind: str, error: str
) -> None:
    before = bench.tried
    for call in CALLS:
        for number in bench.count(kind, call):
            fail_once(bench, kind, call, number, error)
    assert bench.tried - before >= 15


#: Each flush that a 200 promises: the call, and what it flushes.
FLUSHES = {"file": ("fsync", 1), "directory": ("fsync", 2), "row": ("fdatasync", 1)}


@pytest.mark.parametrize("flushed", FLUSHES)
def test_r05_a_failed_flush_is_never_retried_and_gives_the_upload_up(bench: Bench, flushed: str) -> None:
    call, number = FLUSHES[flushed]
    bench.send("plain")
    with tracing.failing(bench.thread, bench.output, call, nth=number, error="EIO"):
        answer = bench.send("plain")
    assert answer is not None
    assert answer.outcome == ((503, 999) if flushed == "row" else (500, 999))
    made = tracing.read(bench.output)
    (failed,) = (flush for flush in made if flush.injected)
    assert [flush for flush in made if flush.path == failed.path] == [failed], "flushed once, and not again"


@pytest.mark.parametrize("calls", [("fsync",), ("fdatasync",), ("fsync", "fdatasync")], ids="-".join)
def test_r05_readiness_is_false_until_a_fresh_write_and_flush_succeed(bench: Bench, calls: tuple[str, ...]) -> None:
    portal = bench.portal
    portal.wait_until_ready()
    with tracing.all_failing(portal.pid, bench.output, calls, error="EIO"):
        answer = bench.send("plain")
        assert answer is not None
        assert answer.outcome in {(500, 999), (503, 999)}
        assert portal.status() == 503, "at once"
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert portal.status() == 503
            assert portal.status("/livez") == 200
            time.sleep(0.1)
    portal.wait_until_ready(5)
    again = bench.send("plain")
    assert again is not None
    assert again.outcome == (200, 0)


def test_r12_a_process_that_dies_in_any_call_of_a_delivery_leaves_nothing_unexplained(bench: Bench) -> None:
    """Killed in 50 different places; each time a new start sweeps and mends, and the rest is as it was told."""
    portal, died = bench.portal, 0
    for kind, call in [(kind, call) for call in (*CALLS, "ftruncate", "fcntl") for kind in KINDS]:
        bench.make_ready(call)
        for number in bench.count(kind, call):
            bench.make_ready(call)
            with tracing.killing(bench.thread, bench.output, call, nth=number):
                answer = bench.send(kind)
            assert answer is None, "nobody answers any more"
            assert processes.wait(portal.pid, 5)
            died += 1
            unexplained = [finding for finding in portal.check() if not finding[2]]
            assert unexplained == [], f"{kind}: {call} {number}"
            assert portal.lost(bench.acknowledged) == []
            assert not portal.files(".part")
            if died >= STATES:
                return
    raise AssertionError(f"only {died} places were found")
