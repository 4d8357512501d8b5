"""A database that cannot be used for a while, and what deliveries are told meanwhile (R13)."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from tests.live import Response
from tests.reliability.portal import OPEN, Portal
from tests.reliability.senders import Parcel, deliver

DATABASE = ("portal.sqlite3", "portal.sqlite3-wal", "portal.sqlite3-shm")


Fault = Callable[[Portal], AbstractContextManager[None]]


@contextlib.contextmanager
def gone(portal: Portal) -> Iterator[None]:
    """Somebody moves the database away, and back."""
    for name in DATABASE:
        (portal.data_dir / name).rename(portal.data_dir / f"{name}.away")
    try:
        yield
    finally:
        for name in DATABASE:
            (portal.data_dir / f"{name}.away").rename(portal.data_dir / name)


@contextlib.contextmanager
def locked(portal: Portal) -> Iterator[None]:
    """Somebody writes and does not end."""
    writer = portal.database()
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        writer.execute("ROLLBACK")
        writer.close()


@contextlib.contextmanager
def with_bad_rules(portal: Portal) -> Iterator[None]:
    """A value that nothing of ours has written."""
    writer = portal.database()
    writer.execute("PRAGMA ignore_check_constraints = ON")
    writer.execute(
        "INSERT INTO feeds_certificaterule (feed_id, action, subject_dn, comment) "
        "SELECT id, 'maybe', 'CN=a', '' FROM feeds_feed"
    )
    writer.close()
    try:
        yield
    finally:
        portal.execute("DELETE FROM feeds_certificaterule")


def ask_status(portal: Portal) -> Response:
    key = (portal.data_dir / "check.token").read_text()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return portal.send("/api/feedStatus/v2/getFeedStatus", headers, json.dumps({"feedName": "OPEN-FEED"}).encode())


def send_many(portal: Portal, number: int) -> Counter[tuple[int, int | None, bool]]:
    """What so many deliveries are answered, four at a time: outcome, and whether it says when to come back."""
    seen: Counter[tuple[int, int | None, bool]] = Counter()

    def send(each: int) -> None:
        for place in range(each):
            answer = deliver(portal, Parcel(OPEN, b"%d" % place, chunked=place % 2 == 0))
            assert answer is not None
            seen[*answer.outcome, answer.header("retry-after") is not None] += 1

    threads = [threading.Thread(target=send, args=(number // 4,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen
