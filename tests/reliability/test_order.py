"""What is done before a 200, seen from the kernel (R1), and what a power cut would leave of it (R2)."""

import random
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import pytest

from tests.reliability import tracing
from tests.reliability.portal import Portal
from tests.reliability.replay import Disk
from tests.reliability.senders import Book, deliver, parcel
from tests.reliability.tracing import Call

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(tracing.unavailable()), reason=tracing.unavailable()),
]

#: As the recording shows the body of a success.
ANSWER = re.compile(r'"(\d{13}_\d{4}_P_[\w-]+)\\n"')
UPLOADS = 100
CUTS = 300


@dataclass(frozen=True)
class Recording:
    """A hundred uploads as the kernel saw them."""

    root: Path
    before: Path
    calls: list[Call]
    acknowledged: dict[str, str]

    @cached_property
    def succeeded(self) -> list[Call]:
        return [call for call in self.calls if call.succeeded]

    @cached_property
    def answered(self) -> dict[str, int]:
        """Where each answer began to be sent."""
        answers = ((call.begun, ANSWER.search(call.arguments)) for call in self.calls if "socket" in call.arguments)
        return {found[1]: place for place, found in answers if found}


@pytest.fixture(scope="module")
def recorded(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Uploads of every kind by four senders at once, the first of which need new folders."""
    folder = tmp_path_factory.mktemp("recording")
    # A short log to begin with; on the way it is checkpointed and begun anew.
    portal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    portal.start("alone", threads=4)
    before, output = folder / "before", folder / "calls"
    shutil.copytree(portal.data_dir, before, ignore=shutil.ignore_patterns("*-shm"))
    book = Book()
    with tracing.recording([portal.pid], output):
        senders = [threading.Thread(target=send, args=(portal, book, number)) for number in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    portal.kill()
    assert len(book.acknowledged) == UPLOADS, book
    return Recording(portal.data_dir, before, tracing.read(output), book.acknowledged)


def send(portal: Portal, book: Book, number: int) -> None:
    chance = random.Random(number)
    for _ in range(UPLOADS // 4):
        sent = parcel(chance, 20_000)
        book.note(sent, deliver(portal, sent))


def test_r01_every_one_of_100_uploads_is_made_durable_in_the_promised_order(recorded: Recording) -> None:
    for receipt_id in recorded.acknowledged:
        check_order(recorded, receipt_id)


def check_order(recorded: Recording, receipt_id: str) -> None:
    """Each step must have ended, and well, before the next begins."""
    part = f"{receipt_id}.part"
    calls = recorded.succeeded
    of_part = [call for call in calls if part in call.arguments]
    written = [call.ended for call in of_part if call.name == "write"]
    (flushed,) = (call for call in of_part if call.name == "fsync")
    (renamed,) = (call for call in calls if call.name == "rename" and call.paths[0].endswith(part))
    target = Path(renamed.paths[1])
    assert target.name == f"{receipt_id}.dat"
    assert max(written) < flushed.begun
    assert flushed.ended < renamed.begun
    folder_flushed = first(calls, "fsync", str(target.parent), after=renamed.ended)
    logged = [
        call
        for call in calls
        if call.name == "pwrite64" and receipt_id in call.arguments and call.path.endswith("-wal")
    ]
    committing = [call for call in logged if call.begun > folder_flushed.ended]
    assert committing, "the row is written only after the directory was flushed"
    assert not [call for call in logged if call.begun < folder_flushed.ended]
    committed = min(
        call.ended
        for call in calls
        if call.name in {"fsync", "fdatasync"}
        and call.path.endswith("-wal")
        and call.thread == committing[0].thread
        and call.begun > committing[0].ended
    )
    assert committed < recorded.answered[receipt_id]


def first(calls: Sequence[Call], name: str, path: str, *, after: int) -> Call:
    """The first flush of a path by anyone that began after a place."""
    return next(call for call in calls if call.name == name and call.path == path and call.begun > after)


def test_r01_new_folders_are_flushed_into_their_parents_before_anything_in_them_is_acknowledged(
    recorded: Recording,
) -> None:
    calls = recorded.succeeded
    made = {call.paths[0]: call for call in calls if call.name == "mkdir"}
    assert len(made) >= 3, "received, its day and its hour"
    for path, making in made.items():
        flushed = first(calls, "fsync", str(Path(path).parent), after=making.ended)
        renames = [call.paths for call in calls if call.name == "rename" and ".part" in call.arguments]
        answers = [recorded.answered[Path(new).stem] for _, new in renames if new.startswith(path)]
        assert flushed.ended < min(answers)


def simulate(recorded: Recording, folder: Path, cuts: int, *, seed: int = 7) -> Iterator[str]:
    """Cut the power at random places; what was acknowledged by then and is lost."""
    chance = random.Random(seed)
    last = max(call.begun for call in recorded.calls)
    calls = sorted(recorded.calls, key=lambda call: call.ended)
    disk, done = Disk(recorded.root, recorded.before), 0
    for place in sorted(chance.randrange(last + 2) for _ in range(cuts)):
        ended = done
        while ended < len(calls) and calls[ended].ended < place:
            ended += 1
        disk.run(calls[done:ended])
        done = ended
        files = disk.after_a_cut(chance if chance.random() < 0.5 else None)
        told = {receipt_id for receipt_id, at in recorded.answered.items() if at < place}
        yield from losses(files, folder, told, recorded.acknowledged)


def losses(files: dict[str, bytes], folder: Path, told: set[str], digests: dict[str, str]) -> Iterator[str]:
    """Acknowledged receipts that are not there, and rows of which the file is not whole."""
    name = "portal.sqlite3"
    for suffix in ("", "-wal"):
        (folder / f"{name}{suffix}").write_bytes(files.get(f"{name}{suffix}", b""))
    database = sqlite3.connect(folder / name)
    rows = dict(database.execute("SELECT receipt_id, path FROM feeds_receipt"))
    database.close()
    yield from (f"{receipt_id}: no row" for receipt_id in told - rows.keys())
    for receipt_id, path in rows.items():
        content = files.get(f"store/{path}")
        if content is None:
            yield f"{receipt_id}: no file"
        elif sha256(content).hexdigest() != digests[receipt_id]:
            yield f"{receipt_id}: not what was sent"


def test_r02_300_simulated_power_cuts_lose_nothing(recorded: Recording, tmp_path: Path) -> None:
    assert list(simulate(recorded, tmp_path, CUTS)) == []


@pytest.mark.parametrize("forgotten", [".part", "/received/", "-wal"])
def test_r02_the_simulation_finds_each_flush_that_is_forgotten(
    recorded: Recording, tmp_path: Path, forgotten: str
) -> None:
    def is_forgotten(call: Call) -> bool:
        return call.name in {"fsync", "fdatasync"} and forgotten in call.path

    careless = replace(recorded, calls=[call for call in recorded.calls if not is_forgotten(call)])
    assert list(simulate(careless, tmp_path, 20))
