"""A rule changes while uploads run (R19)."""

import contextlib
import socket
import threading
import time

from tests.live import parse, read_all
from tests.reliability.portal import Portal


def race(portal: Portal, pause: float = 0.05) -> None:
    """Six uploads of which three end while the rule changes, and three after it: those are judged by the new one.

    Args:
        portal: runs, and its OTHER-FEED receives.
        pause: seconds for the uploads to have begun in their workers.
    """
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(portal.connect()) for _ in range(6)]
        for connection in connections:
            connection.sendall(b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: OTHER-FEED\r\nConnection: close\r\n")
            connection.sendall(b"Content-Length: 4\r\n\r\nabc")
        time.sleep(pause)
        early, late = connections[:3], connections[3:]
        racing = threading.Thread(target=finish, args=(early,))
        racing.start()
        portal.execute("UPDATE feeds_feed SET status = 'Reject', version = version + 1 WHERE name = 'OTHER-FEED'")
        finish(late)
        racing.join()
        told = [parse(read_all(connection)).outcome for connection in connections]
        assert set(told[:3]) <= {(200, 0), (406, 110)}, told
        assert set(told[3:]) == {(406, 110)}, f"ended after the change: {told}"
        portal.execute("UPDATE feeds_feed SET status = 'Receive', version = version + 1 WHERE name = 'OTHER-FEED'")
    again = {portal.send("/datafeed", {"Feed": "OTHER-FEED"}, b"x").outcome for _ in range(4)}
    assert again == {(200, 0)}, f"and back again, in whichever worker: {again}"


def finish(connections: list[socket.socket]) -> None:
    for connection in connections:
        # Who was still to be let in when the rule changed may have been answered already.
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"d")
