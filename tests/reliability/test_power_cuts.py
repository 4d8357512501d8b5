"""No acknowledged upload is missing or changed after a power cut (R2); nothing is left unexplained (R12)."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.tiers import sizes
from tests.reliability import disk
from tests.reliability.disk import CutDisk, cut_disk
from tests.reliability.kills import cut_under_load
from tests.reliability.portal import Portal

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(disk.unavailable()), reason=disk.unavailable()),
]

CUTS = 20


@pytest.fixture(scope="module")
def cuttable(template: Path) -> Iterator[tuple[CutDisk, Portal]]:
    with cut_disk() as cutting:
        data_dir = cutting.mount_point / "data"
        shutil.copytree(template, data_dir)
        cutting.settle()
        with Portal(data_dir) as portal:
            yield cutting, portal


@pytest.mark.parametrize("cuts", sizes(3, CUTS))
def test_r02_power_cuts_under_load_lose_nothing_that_was_acknowledged(
    cuttable: tuple[CutDisk, Portal], cuts: int
) -> None:
    chance = random.Random(cuts)
    acknowledged: dict[str, str] = {}
    for number in range(cuts):
        book = cut_under_load(*cuttable, chance.uniform(0.02, 0.2), number)
        acknowledged |= book.acknowledged
        portal = cuttable[1]
        assert portal.lost(book.acknowledged) == []
        assert book.wrong == []
        assert [finding for finding in portal.check() if not finding[2]] == []
        assert portal.check(repair=False) == []
    assert len(acknowledged) >= cuts
    assert portal.lost(acknowledged) == []


@pytest.mark.long
def test_r02_a_portal_that_does_not_flush_its_files_is_found_out(cuttable: tuple[CutDisk, Portal]) -> None:
    """The cuts are real: without the flushes uploads are lost."""
    lost = []
    for number in range(5):
        book = cut_under_load(*cuttable, 0.3, 1000 + number, careless=True)
        lost += cuttable[1].lost(book.acknowledged)
        cuttable[1].execute("DELETE FROM feeds_receiptfeed")
        cuttable[1].execute("DELETE FROM feeds_receipt")
        if lost:
            return
    raise AssertionError("nothing was lost although nothing was flushed")
