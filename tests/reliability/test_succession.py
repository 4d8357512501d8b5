"""What a killed worker left is recorded by its successor, while its neighbours go on (R3, R12)."""

import re
import threading
import time
from pathlib import Path

import pytest

from tests.live import Response
from tests.reliability import processes
from tests.reliability.portal import OPEN, Portal
from tests.reliability.senders import Parcel, deliver

pytestmark = [pytest.mark.server, pytest.mark.long]

#: So many deliveries wait for the database that each of the two workers has one.
SENDERS = 12


def waiting_files(portal: Portal) -> dict[int, list[Path]]:
    """Data that is in its place, by the number of the worker that took it."""
    found: dict[int, list[Path]] = {}
    for path in portal.files(".dat"):
        match = re.fullmatch(r".*_P_test-(\d+)", path.stem)
        assert match, path
        found.setdefault(int(match[1]), []).append(path)
    return found


def pid_of(portal: Portal, number: int) -> int:
    return int(re.findall(r"^(\d+) on ", (portal.store / "parts" / str(number) / "lock").read_text(), re.M)[-1])


def recovered(portal: Portal) -> set[str]:
    database = portal.database()
    try:
        return {row[0] for row in database.execute("SELECT receipt_id FROM feeds_receipt WHERE recovered")}
    finally:
        database.close()


def wait_for(what: str, found: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not found():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_r12_the_file_of_a_killed_worker_is_recorded_by_its_successor_and_no_other(portal: Portal) -> None:
    portal.start("supervisor")
    answers: list[Response | None] = []
    senders = [
        threading.Thread(target=lambda n=n: answers.append(deliver(portal, Parcel(OPEN, b"%d" % n * 100))))
        for n in range(SENDERS)
    ]
    writer = portal.database()
    writer.execute("BEGIN IMMEDIATE")  # deliveries are in their place now, and wait to be recorded
    try:
        for sender in senders:
            sender.start()
        wait_for("both workers have files", lambda: {1, 2} <= waiting_files(portal).keys())
        killed = pid_of(portal, 1)
        processes.kill(killed)
        processes.wait(killed, 10)
        left = {path.stem for path in waiting_files(portal)[1]}
        (portal.store / "parts/1/0000000000000_0000_P_test-1.part").write_bytes(b"half of something")
        wait_for("a successor has taken the number", lambda: pid_of(portal, 1) != killed)
    finally:
        writer.execute("ROLLBACK")
        writer.close()
    for sender in senders:
        sender.join()
    wait_for("the successor records what was left", lambda: left <= recovered(portal))
    acknowledged = {answer.text.strip() for answer in answers if answer is not None and answer.status == 200}
    assert acknowledged, "the neighbour's deliveries were recorded by itself"
    assert not acknowledged & recovered(portal)
    assert recovered(portal) == left
    assert all(answer is None or answer.status in {200, 503} for answer in answers)
    later = deliver(portal, Parcel(OPEN, b"later"))
    assert later is not None
    assert later.outcome == (200, 0)
    assert "a killed worker left a file without row" in portal.log()
    wait_for("nothing else is left", lambda: portal.check(repair=False) == [])
    portal.stop()
    assert portal.check(repair=False) == []
    assert set(portal.rows()) == left | acknowledged | {later.text.strip()}
