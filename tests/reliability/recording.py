"""Uploads as the kernel saw them (R1), and what a power cut at any place would leave of them (R2)."""

import contextlib
import random
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from tests.reliability import tracing
from tests.reliability.portal import Portal
from tests.reliability.replay import Disk
from tests.reliability.senders import Book, deliver, parcel
from tests.reliability.tracing import Call

UPLOADS = 100

#: As the recording shows the body of a success.
ANSWER = re.compile(r'"(\d{13}_\d{4}_P_[\w-]+)\\n"')


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


def record(portal: Portal, folder: Path, *, seed: int = 0, senders: int = 4) -> Recording:
    """Uploads of every kind by some senders at once, the first of which need new folders; then it is dead."""
    # A short log to begin with; on the way it is checkpointed and begun anew.
    portal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    portal.start("alone", threads=4)
    before, output = folder / "before", folder / "calls"
    shutil.copytree(portal.data_dir, before, ignore=shutil.ignore_patterns("*-shm"))
    book = Book()
    with tracing.recording([portal.pid], output):
        threads = [
            threading.Thread(target=send, args=(portal, book, seed * senders + number, UPLOADS // senders))
            for number in range(senders)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    portal.kill()
    assert len(book.acknowledged) == UPLOADS, book
    return Recording(portal.data_dir, before, tracing.read(output), book.acknowledged)


def send(portal: Portal, book: Book, seed: int, times: int) -> None:
    chance = random.Random(seed)
    for _ in range(times):
        sent = parcel(chance, 20_000)
        book.note(sent, deliver(portal, sent))


def after_cuts(
    recorded: Recording, cuts: int, chance: random.Random
) -> Iterator[tuple[dict[str, bytes], set[str]]]:
    """Cut the power at random places: the files that are left each time, and what was acknowledged by then."""
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
        yield files, {receipt_id for receipt_id, at in recorded.answered.items() if at < place}


def simulate(recorded: Recording, folder: Path, cuts: int, *, seed: int = 7) -> Iterator[str]:
    """What was acknowledged before some cut and is lost after it."""
    for files, told in after_cuts(recorded, cuts, random.Random(seed)):
        yield from losses(files, folder, told, recorded.acknowledged)


def losses(files: dict[str, bytes], folder: Path, told: set[str], digests: dict[str, str]) -> Iterator[str]:
    """Acknowledged receipts that are not there, and rows of which the file is not whole."""
    name = "portal.sqlite3"
    for suffix in ("", "-wal"):
        (folder / f"{name}{suffix}").write_bytes(files.get(f"{name}{suffix}", b""))
    try:
        rows = paths_of(folder / name)
    except sqlite3.DatabaseError as fault:
        yield f"the database cannot be read: {fault}"
        return
    yield from (f"{receipt_id}: no row" for receipt_id in told - rows.keys())
    for receipt_id, path in rows.items():
        content = files.get(f"store/{path}")
        if content is None:
            yield f"{receipt_id}: no file"
        elif sha256(content).hexdigest() != digests[receipt_id]:
            yield f"{receipt_id}: not what was sent"


def paths_of(file: Path) -> dict[str, str]:
    """Receipt id and path of every row."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        return dict(database.execute("SELECT receipt_id, path FROM feeds_receipt"))
