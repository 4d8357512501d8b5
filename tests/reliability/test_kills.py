"""Nothing that was acknowledged is lost by SIGKILL of any process (R3), and the store stays explained (R12)."""

import os
import random
import signal
import time

import pytest

from tests.reliability import processes
from tests.reliability.portal import Portal
from tests.reliability.senders import Book, Load

pytestmark = [pytest.mark.server, pytest.mark.slow]

#: In CI two runs of a hundred.
KILLS = 100
#: One kill in so many hits the supervisor; its workers then end by themselves, beside those of its successor.
SUPERVISOR_EVERY = 10


def kill_under_load(portal: Portal, book: Book, kills: int, seed: int, *, seconds: float) -> int:
    """Kill living processes at random moments; how many were killed in the time."""
    chance = random.Random(seed)
    done = 0
    deadline = time.monotonic() + seconds
    with Load(portal, book, seed=seed):
        while done < kills and time.monotonic() < deadline:
            time.sleep(chance.uniform(0.01, 0.15))
            if done % SUPERVISOR_EVERY == SUPERVISOR_EVERY - 1:
                done += kill_supervisor(portal)
            else:
                done += kill_one(portal.workers(), chance)
        portal.wait_until_ready()
    return done


def kill_one(workers: list[int], chance: random.Random) -> int:
    if not workers:
        return 0
    os.kill(chance.choice(workers), signal.SIGKILL)
    return 1


def kill_supervisor(portal: Portal) -> int:
    """The next one starts while workers of the dead one may still end their uploads."""
    os.kill(portal.pid, signal.SIGKILL)
    processes.wait(portal.pid, 10)
    portal.start("supervisor")
    return 1


@pytest.mark.parametrize("seed", [1, 2])
def test_r03_after_200_kills_under_load_nothing_that_was_acknowledged_is_lost(portal: Portal, seed: int) -> None:
    portal.start("supervisor")
    book = Book()
    assert kill_under_load(portal, book, KILLS, seed, seconds=60) == KILLS
    portal.stop()
    assert book.wrong == []
    assert len(book.acknowledged) > KILLS // 4
    assert portal.lost(book.acknowledged) == []
    assert [finding for finding in portal.check() if not finding[2]] == []
    assert portal.check(repair=False) == []
    assert not portal.files(".part")
