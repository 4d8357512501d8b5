"""Nothing that was acknowledged is lost by SIGKILL of any process (R3), and the store stays explained (R12)."""

import pytest

from tests.reliability.kills import kill_under_load
from tests.reliability.portal import Portal
from tests.reliability.senders import Book

pytestmark = [pytest.mark.server, pytest.mark.slow]

#: In CI two runs of a hundred.
KILLS = 100


@pytest.mark.parametrize("seed", [1, 2])
def test_r03_after_200_kills_under_load_nothing_that_was_acknowledged_is_lost(portal: Portal, seed: int) -> None:
    portal.start("supervisor")
    book = Book()
    assert kill_under_load(portal, book, KILLS, seed, seconds=240) == KILLS
    portal.stop()
    assert book.wrong == []
    assert len(book.acknowledged) >= KILLS // 2 - 1
    assert portal.lost(book.acknowledged) == []
    assert [finding for finding in portal.check() if not finding[2]] == []
    assert portal.check(repair=False) == []
    assert not portal.files(".part")
