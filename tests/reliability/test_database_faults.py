"""A database that cannot be used never makes an answer that a proxy takes for final (R13), and is told of (R27)."""

import json
import sqlite3
import time
from collections.abc import Iterator

import pytest

from tests.helpers.tiers import some
from tests.reliability.broken import (
    DATABASE,
    Fault,
    ask_status,
    gone,
    locked,
    send_many,
    with_bad_rules,
)
from tests.reliability.portal import OPEN, Portal
from tests.reliability.senders import Parcel, deliver

pytestmark = [pytest.mark.server]

REQUESTS = 100
FLIP_SECONDS = 5.0


@pytest.fixture(scope="module")
def running(portal: Portal) -> Iterator[Portal]:
    """Busy timeouts are short here: a hundred requests to a locked database would take minutes."""
    portal.start("alone", threads=4, busy_seconds=0.3)
    yield portal
    portal.kill()


@pytest.mark.parametrize("fault", some([gone, with_bad_rules, locked], quick=1))
def test_r13_a_passing_fault_is_told_as_one_100_times_of_100(running: Portal, fault: Fault) -> None:
    rows = running.rows()
    with fault(running):
        assert send_many(running, REQUESTS) == {(503, 999, True): REQUESTS}
        if fault is not locked:  # reading goes on while somebody writes
            assert ask_status(running).status == 503
    assert running.rows() == rows
    assert send_many(running, 4) == {(200, 0, False): 4}
    assert json.loads(ask_status(running).body) == {"status": "Receive"}
    assert running.check(repair=False) == []


@pytest.mark.long
def test_r13_a_database_that_can_only_be_read(portal: Portal, running: Portal) -> None:
    running.kill()
    running.start("alone", threads=4, read_only=True, wait=False)
    try:
        assert send_many(running, REQUESTS) == {(503, 999, True): REQUESTS}
        assert json.loads(ask_status(running).body) == {"status": "Receive"}, "reading is enough for this"
        assert running.send("/datafeed", {"Feed": "REJECT-FEED"}, b"x").outcome == (406, 110)
        assert running.status() == 503
    finally:
        running.kill()
        running.start("alone", threads=4, busy_seconds=0.3)
    assert running.check(repair=False) == []


def test_r13_a_database_that_was_replaced_is_used_from_then_on(running: Portal) -> None:
    """A backup is put in its place while the portal runs: nothing more is written into the old file."""
    source = running.database()
    copy = sqlite3.connect(running.data_dir / "copy")
    source.backup(copy)
    source.close()
    copy.close()
    for name in DATABASE:
        (running.data_dir / name).unlink()
    (running.data_dir / "copy").rename(running.data_dir / DATABASE[0])
    answer = deliver(running, Parcel(OPEN, b"after the change"))
    assert answer is not None
    assert answer.outcome == (200, 0)
    assert answer.text.strip() in running.rows()


@pytest.mark.parametrize("fault", some([gone, locked], quick=1))
def test_r27_readiness_flips_within_5_seconds_and_back_and_liveness_needs_no_database(
    portal: Portal, running: Portal, fault: Fault
) -> None:
    running.kill()
    running.start("supervisor")
    with fault(running):
        assert seconds_until(running, 503) < FLIP_SECONDS
        began = time.monotonic()
        assert running.status("/livez") == 200
        assert running.status() == 503
        assert time.monotonic() - began < 4, "both tell a result that is at hand"
    assert seconds_until(running, 200) < FLIP_SECONDS
    running.kill()
    running.start("alone", threads=4, busy_seconds=0.3)


def seconds_until(portal: Portal, status: int) -> float:
    """How long it takes until two answers after another, of whichever worker, have this status."""
    began = time.monotonic()
    in_a_row = 0
    while in_a_row < 6:
        in_a_row = in_a_row + 1 if portal.status() == status else 0
        assert time.monotonic() - began < 30
        time.sleep(0.02)
    return time.monotonic() - began
