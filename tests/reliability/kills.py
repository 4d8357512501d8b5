"""Sudden ends under load: processes that are killed (R3) and disks that lose their power (R2)."""

import os
import random
import signal
import time

from tests.reliability import processes
from tests.reliability.disk import CutDisk
from tests.reliability.portal import Portal
from tests.reliability.senders import Book, Load

#: One kill in so many hits the supervisor; its workers then end by themselves, beside those of its successor.
SUPERVISOR_EVERY = 10


def kill_under_load(portal: Portal, book: Book, kills: int, seed: int, *, seconds: float) -> int:
    """Kill living processes at random moments; how many were killed in the time.

    Every other kill waits until somebody was served since the one before: on a busy machine processes would
    otherwise die before they have acknowledged anything that could be lost.
    """
    chance = random.Random(seed)
    done = served = 0
    deadline = time.monotonic() + seconds
    with Load(portal, book, seed=seed):
        while done < kills and time.monotonic() < deadline:
            time.sleep(chance.uniform(0.01, 0.15))
            if done % 2 and len(book.acknowledged) == served:
                continue
            if done % SUPERVISOR_EVERY == SUPERVISOR_EVERY - 1:
                done += kill_supervisor(portal)
            else:
                done += kill_one(portal.workers(), chance)
            served = len(book.acknowledged)
        portal.wait_until_ready()
    return done


def kill_one(workers: list[int], chance: random.Random) -> int:
    if not workers:
        return 0
    processes.kill(chance.choice(workers))
    return 1


def kill_supervisor(portal: Portal) -> int:
    """The next one starts while workers of the dead one may still end their uploads."""
    os.kill(portal.pid, signal.SIGKILL)
    processes.wait(portal.pid, 10)
    portal.start("supervisor")
    return 1


def cut_under_load(cutting: CutDisk, portal: Portal, seconds: float, seed: int, **options: bool) -> Book:
    """Start, deliver until one is acknowledged and a moment longer, cut, and give the power back."""
    portal.start("alone", threads=4, **options)
    book = Book()
    with Load(portal, book, seed=seed, largest=100_000, patience=5) as load:
        deadline = time.monotonic() + 20
        while not book.acknowledged and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(seconds)
        # Whoever has power when the disk has none might still be told that a flush has worked.
        processes.freeze(portal.pid)
        cutting.cut()
        portal.kill()
        load.hang_up()
    cutting.unmount()
    cutting.mount()
    return book
