"""Nothing that was acknowledged is lost by SIGKILL of any process (R3), and the store stays explained (R12)."""

import pytest

from tests.helpers.tiers import long
from tests.reliability.kills import kill_under_load
from tests.reliability.portal import Portal
from tests.reliability.senders import Book

pytestmark = [pytest.mark.server]

#: In the long tier two runs of a hundred.
KILLS = 100


@pytest.mark.parametrize(("kills", "seed"), [(10, 0), long(KILLS, 1), long(KILLS, 2)])
def test_r03_after_200_kills_under_load_nothing_that_was_acknowledged_is_lost(
    portal: Portal, kills: int, seed: int
) -> None:
    portal.start("supervisor")
    book = Book()
    assert kill_under_load(portal, book, kills, seed, seconds=240) == kills
    portal.stop()
    assert book.wrong == []
    assert len(book.acknowledged) >= kills // 2 - 1
    assert portal.lost(book.acknowledged) == []
    assert [finding for finding in portal.check() if not finding[2]] == []
    assert portal.check(repair=False) == []
    assert not portal.files(".part")
