"""A batch of a real portal that is cut off, or of which a call fails: what is told, and what is left (R34).

While the test holds the database's write lock one delivery waits for it, in the thread that prepared it, and the
others wait behind it in the committer: once the lock is free, they are one batch.
"""

import contextlib
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.tiers import long
from tests.reliability import processes, tracing
from tests.reliability.portal import OPEN, Portal
from tests.reliability.recording import ANSWER, UPLOADS, record, simulate
from tests.reliability.senders import Book, Load, Parcel, deliver

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(tracing.unavailable()), reason=tracing.unavailable()),
]

SIZE = 8
CUTS = 300
_random = random.Random(34)


@pytest.fixture(autouse=True)
def explained(portal: Portal) -> Iterator[None]:
    """After every test a start explains all that is in the store."""
    yield
    if portal.pid:
        portal.kill()
    assert [finding for finding in portal.check() if not finding[2]] == []
    assert portal.check(repair=False) == []


@contextlib.contextmanager
def one_batch(portal: Portal, book: Book) -> Iterator[None]:
    """Deliveries that are going to be one batch, released by the end of the block, answered after it."""
    before = len(portal.files(".meta"))
    threads = []

    def send() -> None:
        sent = Parcel(OPEN, _random.randbytes(1000))
        book.note(sent, deliver(portal, sent))

    def start(times: int) -> None:
        for _ in range(times):
            threads.append(threading.Thread(target=send))
            threads[-1].start()

    with contextlib.closing(portal.database()) as writer:
        writer.execute("BEGIN IMMEDIATE")
        start(1)
        wait_until(lambda: len(portal.files(".meta")) == before + 1 and not portal.files(".part"))
        start(SIZE)
        wait_until(lambda: len(portal.files(".meta")) == before + 1 + SIZE)
        yield
        writer.execute("ROLLBACK")
    for thread in threads:
        thread.join(60)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def start(portal: Portal) -> Book:
    portal.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that none happens in a batch
    portal.start("alone", threads=4, busy_seconds=20)
    book = Book()
    sent = Parcel(OPEN, _random.randbytes(1000))
    book.note(sent, deliver(portal, sent))  # opens connections and makes folders
    return book


def test_r34_a_batch_is_flushed_once_for_each_kind_and_answered_after_its_commit(
    portal: Portal, tmp_path: Path
) -> None:
    book = start(portal)
    with tracing.recording([portal.pid], tmp_path / "calls"):
        with one_batch(portal, book):
            pass
        assert len(book.acknowledged) == 2 + SIZE, book.outcomes
    calls = [call for call in tracing.read(tmp_path / "calls") if call.succeeded]
    flushes = [call.path for call in calls if call.name in {"fsync", "fdatasync"}]
    assert len([path for path in flushes if path.endswith(".part")]) == 1 + SIZE
    assert len([path for path in flushes if "/received/" in path]) == 2, "two batches: the first, and the others"
    of_log = [
        call
        for call in calls
        if call.name in {"fsync", "fdatasync"}
        and call.path.endswith("-wal")
        and call.thread == portal.threads["committer"]
    ]
    assert len(of_log) == 1
    answered = [call.begun for call in calls if "socket" in call.arguments and ANSWER.search(call.arguments)]
    assert len([begun for begun in answered if begun > of_log[0].ended]) == SIZE
    portal.kill()
    assert portal.lost(book.acknowledged) == []


#: A call of the committer from when the lock is free on, and what the batch is told when it fails. Of the parts it
#: flushes the first one itself.
FAILURES = {
    "a part": ("fsync", 1, {(500, 999): 1, (200, 0): SIZE - 1}),
    "a rename": ("rename", 1, {(500, 999): 1, (200, 0): SIZE - 1}),
    "the folder": ("fsync", 2, {(500, 999): SIZE}),
    "the commit": ("fdatasync", 1, {(503, 999): SIZE}),
}


@pytest.mark.parametrize("error", ["EIO", long("ENOSPC")])
@pytest.mark.parametrize("what", FAILURES)
def test_r34_a_call_that_fails_in_a_batch_refuses_what_it_concerns(
    portal: Portal, tmp_path: Path, what: str, error: str
) -> None:
    call, number, wanted = FAILURES[what]
    book = start(portal)
    with contextlib.ExitStack() as traced, one_batch(portal, book):
        committer = portal.threads["committer"]
        traced.enter_context(tracing.failing(committer, tmp_path / "calls", call, nth=number, error=error))
    outcomes = book.outcomes - Counter({(200, 0): 2})
    assert dict(outcomes) == wanted
    portal.kill()
    assert portal.lost(book.acknowledged) == []


#: Places to die in: around the files, and at several pages of the commit.
DEATHS = [("fsync", 1), ("rename", 1), ("fsync", 2), ("fdatasync", 1)]
DEATHS += [("pwrite64", number) for number in (1, 4, 8, 12)]


@pytest.mark.parametrize(("call", "number"), [DEATHS[1], *(long(*death) for death in (DEATHS[0], *DEATHS[2:]))])
def test_r34_a_process_that_dies_in_a_batch_loses_nothing_that_was_acknowledged(
    portal: Portal, tmp_path: Path, call: str, number: int
) -> None:
    book = start(portal)
    with contextlib.ExitStack() as traced, one_batch(portal, book):
        traced.enter_context(tracing.killing(portal.threads["committer"], tmp_path / "calls", call, nth=number))
    assert processes.wait(portal.pid, 30)
    assert book.unanswered >= SIZE
    assert portal.lost(book.acknowledged) == []
    assert [finding for finding in portal.check() if not finding[2]] == []
    assert portal.lost(book.acknowledged) == []
    assert not portal.files(".part")


@pytest.mark.long
def test_r34_300_simulated_power_cuts_between_the_steps_of_batches_lose_nothing(
    template: Path, tmp_path: Path
) -> None:
    shutil.copytree(template, tmp_path / "data")
    with Portal(tmp_path / "data") as empty:
        recorded = record(empty, tmp_path, seed=34, senders=20)
    commits = [
        call for call in recorded.succeeded if call.name in {"fsync", "fdatasync"} and call.path.endswith("-wal")
    ]
    assert len(commits) < UPLOADS, "some were recorded together"
    (tmp_path / "after").mkdir()
    assert list(simulate(recorded, tmp_path / "after", CUTS)) == []


def test_r34_batches_beside_large_uploads_are_whole(portal: Portal) -> None:
    portal.start("supervisor")
    book = Book()
    with Load(portal, book, senders=8, seed=34, largest=8_000_000):
        wait_until(lambda: len(book.acknowledged) >= 60)
    assert book.wrong == []
    assert portal.lost(book.acknowledged) == []
