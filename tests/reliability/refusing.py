"""Refusals one behind another, as fast as they can be told (R26)."""

import threading

from tests.reliability.portal import Portal


def be_refused(portal: Portal, sender: int, number: int) -> None:
    """Refusals one behind another on one connection, each for a feed that nobody has heard of."""
    reader_done = threading.Event()
    with portal.connect() as connection:

        def read() -> None:
            mark = b"HTTP/1.1 406"
            seen, rest = 0, b""
            while seen < number and (data := connection.recv(262_144)):
                seen += (rest + data).count(mark)
                rest = (rest + data)[1 - len(mark) :]  # a status line may come in two parts
            if seen == number:
                reader_done.set()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        for start in range(0, number, 100):
            connection.sendall(
                b"".join(
                    b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: MADE-UP-%d-%d\r\nContent-Length: 0\r\n\r\n"
                    % (sender, n)
                    for n in range(start, start + 100)
                )
            )
        assert reader_done.wait(120)
        thread.join()


def database_bytes(portal: Portal) -> int:
    database = portal.database()
    ((pages,),), ((size,),) = database.execute("PRAGMA page_count"), database.execute("PRAGMA page_size")
    database.close()
    return int(pages * size)
