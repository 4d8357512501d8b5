"""Calls to the kernel that fail, and processes that die in the middle of one (R4, R5, R12).

A real portal is traced; the n-th call of a delivery's thread returns an error, or never returns.
"""

import time
from collections.abc import Iterator

import pytest

from tests.helpers.tiers import long, sizes
from tests.reliability import tracing
from tests.reliability.faults import CALLS, KINDS, Bench, die_once, fail_once, settles
from tests.reliability.portal import Portal

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(tracing.unavailable()), reason=tracing.unavailable()),
]

ERRORS = ("EIO", "ENOSPC", "EMFILE")
OTHER_FAULTS = [long("plain", error) for error in ERRORS[1:]] + [long("zip", error) for error in ERRORS]
STATES = 50
ROLES = ("writer", "committer")


@pytest.fixture(scope="module")
def bench(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    portal.start("alone")
    bench = Bench(portal, tmp_path_factory.mktemp("faults") / "calls")
    portal.send("/datafeed", {"Feed": "REJECT-FEED"}, b"opens the connection of the counts")
    bench.send("plain")
    assert settles(lambda: has_counted(portal))
    yield bench
    portal.kill()


def has_counted(portal: Portal) -> bool:
    database = portal.database()
    try:
        return bool(database.execute("SELECT EXISTS (SELECT 1 FROM feeds_hourlycount)").fetchone()[0])
    finally:
        database.close()


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


@pytest.mark.parametrize(("kind", "error"), [("plain", "EIO"), *OTHER_FAULTS])
def test_r04_any_call_of_a_delivery_may_fail_and_nothing_false_is_said_nor_left(
    bench: Bench, kind: str, error: str
) -> None:
    before = bench.tried
    for bench.role in ROLES:
        for call in CALLS:
            for number in bench.count(kind, call):
                fail_once(bench, kind, call, number, error)
    assert bench.tried - before >= 12


#: Each flush that a 200 promises, in the thread that records a lone delivery: the call, and what it flushes.
FLUSHES = {"file": ("fsync", 1), "directory": ("fsync", 2), "row": ("fdatasync", 1)}


@pytest.mark.parametrize("flushed", FLUSHES)
def test_r05_a_failed_flush_is_never_retried_and_gives_the_upload_up(bench: Bench, flushed: str) -> None:
    call, number = FLUSHES[flushed]
    bench.role = "writer"
    bench.send("plain")
    with tracing.failing(bench.thread("plain"), bench.output, call, nth=number, error="EIO"):
        answer = bench.send("plain")
    assert answer is not None
    assert answer.outcome == ((503, 999) if flushed == "row" else (500, 999))
    made = tracing.read(bench.output)
    (failed,) = (flush for flush in made if flush.injected)
    assert [flush for flush in made if flush.path == failed.path] == [failed], "flushed once, and not again"


@pytest.mark.parametrize("calls", [("fsync", "fdatasync"), long(("fsync",)), long(("fdatasync",))], ids="-".join)
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
    portal.wait_until_ready()
    again = bench.send("plain")
    assert again is not None
    assert again.outcome == (200, 0)


@pytest.mark.parametrize("states", sizes(5, STATES))
def test_r12_a_process_that_dies_in_any_call_of_a_delivery_leaves_nothing_unexplained(
    bench: Bench, states: int
) -> None:
    """Killed in 50 different places; each time a new start sweeps and mends, and the rest is as it was told."""
    portal, died = bench.portal, 0
    calls = (*CALLS, "ftruncate", "fcntl")
    for bench.role, kind, call in [(role, kind, call) for call in calls for role in ROLES for kind in KINDS]:
        bench.make_ready(call)
        for number in bench.count(kind, call):
            die_once(bench, kind, call, number)
            died += 1
            unexplained = [finding for finding in portal.check() if not finding[2]]
            assert unexplained == [], f"{kind}: {call} {number}"
            assert portal.lost(bench.acknowledged) == []
            assert not portal.files(".part")
            if died >= states:
                return
    raise AssertionError(f"only {died} places were found")
