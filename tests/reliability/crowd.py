"""Many senders at once in one thread: slow ones, fast ones, and a measure of how long each waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.live import Response
from tests.reliability.portal import OPEN, Portal
from tests.reliability.senders import Book, Parcel, whole_answer


@dataclass(frozen=True)
class Waited:
    """One delivery of a crowd: when its answer came, and how long it took, in seconds."""

    at: float
    seconds: float


async def deliver(port: int, sent: Parcel, *, seconds: float = 60) -> Response | None:
    """Send one delivery; None where no whole answer came."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(sent.request())
                return whole_answer(await reader.read(-1))
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None


async def storm(portal: Portal, book: Book, senders: int, size: int) -> list[Waited]:
    """So many senders that all come in the same moment, each with one delivery."""
    return [
        entry for entry in await asyncio.gather(*(_one(portal, book, n, size) for n in range(senders))) if entry
    ]


async def _one(portal: Portal, book: Book, number: int, size: int) -> Waited | None:
    sent = Parcel(OPEN, b"%08d" % number + bytes(size))
    began = time.monotonic()
    answer = await deliver(portal.port, sent)
    book.note(sent, answer)
    ended = time.monotonic()
    return Waited(ended, ended - began) if answer is not None and answer.status == 200 else None


async def steady(portal: Portal, book: Book, senders: int, seconds: float, size: int = 2000) -> list[Waited]:
    """Some senders that deliver one after another for a time."""
    deadline = time.monotonic() + seconds

    async def send(number: int) -> list[Waited]:
        waited = []
        while time.monotonic() < deadline:
            entry = await _one(portal, book, number, size)
            waited += [entry] if entry else []
        return waited

    return [entry for each in await asyncio.gather(*(send(number) for number in range(senders))) for entry in each]


async def with_slow(
    portal: Portal, slow: int, work: Callable[[], Awaitable[list[Waited]]]
) -> tuple[list[Waited], list[Response | None]]:
    """Do something while so many senders announce a large body and send one byte a second."""
    connections = [await asyncio.open_connection("127.0.0.1", portal.port) for _ in range(slow)]
    head = Parcel(OPEN, bytes(100_000)).request()[:-100_000]

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Response | None:
        writer.write(head)
        answering = asyncio.ensure_future(reader.read(-1))
        try:
            while not answering.done():
                writer.write(b"x")
                await asyncio.wait([answering], timeout=1)
            return whole_answer(answering.result())
        except OSError:
            return None
        finally:
            writer.close()

    dripping = [asyncio.ensure_future(drip(*connection)) for connection in connections]
    await asyncio.sleep(0.5)
    waited = await work()
    return waited, list(await asyncio.gather(*dripping))


def percentile(waited: list[Waited], part: float) -> float:
    """The time within which this part of the answers came."""
    ordered = sorted(entry.seconds for entry in waited)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
