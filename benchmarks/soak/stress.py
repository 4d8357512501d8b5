"""Too much, too slow, at the wrong moment: the portal degrades and never lies.

R6, R10, R15, R16 and R26.
"""

import asyncio
import contextlib
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.soak import stage
from benchmarks.soak.faults import in_threads
from benchmarks.soak.trial import LeftOut, Run
from tests.live import parse, read_all, request
from tests.reliability import crowd, disk, processes
from tests.reliability.disk import cut_disk
from tests.reliability.portal import OPEN, Portal
from tests.reliability.refusing import be_refused, database_bytes
from tests.reliability.senders import Book, Load, Parcel, deliver

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE


# The disk is full.


def fill_disk(run: Run) -> None:
    """R6: under load the disk becomes full to the last block, and has room again."""
    if reason := disk.unavailable():
        raise LeftOut(reason)
    slowest = 0.0
    with cut_disk(256 * MEBIBYTE) as small:
        mark = {"PORTAL_MIN_FREE_BYTES": str(16 * MEBIBYTE)}
        with stage.portal(run, at=small.mount_point, **mark) as portal:
            while run.more():
                portal.start("supervisor")
                book = Book()
                with Load(portal, book, senders=3, seed=run.chance.randrange(10**6), largest=60_000):
                    for _ in range(10):
                        if run.more():
                            slowest = max(slowest, full_cycle(run, portal, small.mount_point / "ballast"))
                            run.count()
                portal.stop()
                run.note_wrong(*book.wrong)
                stage.judge(run, portal, book.acknowledged)
                stage.empty(portal)
                small.settle()
    run.demand("slowest return", f"{slowest:.1f} s", met=slowest <= 5)


def full_cycle(run: Run, portal: Portal, ballast: Path) -> float:
    """Fill, look, and free; the seconds until deliveries are taken again."""
    time.sleep(run.chance.uniform(0.1, 0.5))
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        step = 8 * MEBIBYTE
        while step > 4096:
            try:
                os.posix_fallocate(file.fileno(), file.tell(), step)
                file.seek(step, os.SEEK_CUR)
            except OSError:
                step //= 4
    time.sleep(0.2)
    run.note_wrong(*refusal_faults(portal))
    if portal.status("/livez") != 200:
        run.note_wrong("a full disk ended /livez")
    ballast.unlink()
    began = time.monotonic()
    while (answer := deliver(portal, Parcel(OPEN, b"after"))) is None or answer.outcome != (200, 0):
        if time.monotonic() - began > 30:
            run.note_wrong("30 s after there was room nothing is taken")
            break
        time.sleep(0.05)
    return time.monotonic() - began


def refusal_faults(portal: Portal) -> Iterator[str]:
    """Return what is wrong with the refusal of a large delivery on a full disk: at once, and before its body."""
    lines = [b"POST /datafeed HTTP/1.1", b"Host: a", b"Feed: OPEN-FEED", b"Expect: 100-continue"]
    with portal.connect() as connection:
        connection.sendall(b"\r\n".join([*lines, b"Content-Length: 10000000000", b"", b""]))
        data = read_all(connection)
    answer = parse(data)
    if b"100 Continue" in data:
        yield "a body was asked for"
    if answer.outcome != (503, 999) or not 30 <= int(answer.header("retry-after") or 0) <= 90:
        yield f"a full disk is answered {answer.outcome}, Retry-After {answer.header('retry-after')}"


# Memory stays flat.


def upload_much(run: Run) -> None:
    """R10: one upload of many gibibytes, chunked."""
    if shutil.disk_usage(run.folder).free < (run.goal + 2) * GIBIBYTE:
        raise LeftOut(f"there are no {run.goal} GiB of free space")
    block = run.chance.randbytes(MEBIBYTE)
    piece = b"%x\r\n%b\r\n" % (len(block), block)
    with stage.portal(run, PORTAL_WORKERS="1") as portal:
        portal.start("alone", threads=4)
        deliver(portal, Parcel(OPEN, block * 4, chunked=True))
        before = most = processes.resident_bytes([portal.pid])
        with portal.connect(600) as connection:
            connection.sendall(request("/datafeed", OPEN, chunked=True).removesuffix(b"0\r\n\r\n"))
            while run.more(spare=15):
                for _ in range(64):
                    for _ in range(GIBIBYTE // MEBIBYTE // 64):
                        connection.sendall(piece)
                    most = max(most, processes.resident_bytes([portal.pid]))
                run.count()
            connection.sendall(b"0\r\n\r\n")
            answer = parse(read_all(connection))
        if answer.outcome != (200, 0):
            run.note_wrong(answer)
        portal.kill()
        sizes = [row.bytes for row in portal.rows().values()]
        if run.done * GIBIBYTE not in sizes:
            run.note_wrong(f"not stored as sent: {sizes}")
    added = (most - before) / MEBIBYTE
    run.demand("added RSS", f"{added:.1f} MiB", met=added <= 32)


def load_for_long(run: Run) -> None:
    """R10: mixed deliveries and pages; how memory and descriptors move once all threads are warm."""
    seen: list[tuple[float, float, int]] = []
    acknowledged: dict[str, str] = {}
    with stage.portal(run) as portal:
        portal.start("supervisor")
        while run.more(spare=5):
            book = Book()
            with Load(portal, book, senders=3, seed=run.chance.randrange(10**6), largest=100_000):
                until = time.monotonic() + min(20.0, max(1.0, run.left - 5))
                while time.monotonic() < until:
                    time.sleep(0.5)
                    for path in ("/codes/http/404/", "/api/v1/codes/", "/admin/login/"):
                        portal.status(path)
            run.note_wrong(*book.wrong)
            acknowledged |= book.acknowledged
            workers = portal.workers()
            time.sleep(0.2)  # connections are closed by now
            memory = processes.resident_bytes(workers) / len(workers) / MEBIBYTE
            seen.append((run.passed, memory, processes.descriptors(workers)))
            run.done = int(run.passed)
            run.count(0)
        portal.stop()
        stage.judge(run, portal, acknowledged)
    run.figures["uploads"] = f"{len(acknowledged):,}"
    warm = seen[len(seen) // 3 :]
    if len(warm) > 3:
        slope, doubt = slope_of([(at / 3600, memory) for at, memory, _ in warm])
        # A short run cannot tell a slope of one MiB an hour from noise: it fails where the doubt is not enough.
        run.demand("RSS slope", f"{slope:+.1f} ± {2 * doubt:.1f} MiB/h a worker", met=slope - 2 * doubt <= 1)
        counts = [descriptors for _, _, descriptors in warm]
        run.demand(
            "descriptors", f"{counts[0]} to {counts[-1]}", met=counts[-1] <= max(counts[: len(counts) // 2]) + 2
        )


def slope_of(points: list[tuple[float, float]]) -> tuple[float, float]:
    """The slope of the line through these points, and its standard error."""
    fitted = statistics.linear_regression(*zip(*points, strict=True))
    middle = statistics.fmean(x for x, _ in points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    rest = sum((y - fitted.intercept - fitted.slope * x) ** 2 for x, y in points)
    return fitted.slope, (rest / (len(points) - 2) / spread) ** 0.5


# Crowds.


def storm(run: Run) -> None:
    """R15: five hundred senders after a stop, and in turn two hundred on a portal of 64 descriptors."""
    shares, returns = [], []
    with stage.portal(run) as portal:
        while run.more():
            book, calm = Book(), Book()
            portal.start("supervisor", held_open=True)
            asyncio.run(crowd.steady(portal, calm, 16, 2.0))
            if run.done % 2:
                portal.stop()
                portal.start("supervisor", descriptors=64)
                asyncio.run(crowd.storm(portal, book, 200, 100_000))
            else:
                portal.stop()
                waited = asyncio.run(come_back(portal, book))
                times = sorted(entry.at for entry in waited)
                rate = (len(times) - 1) / max(0.001, times[-1] - times[0])
                shares.append(rate / (len(calm.acknowledged) / 2.0))
            returns.append(seconds_to_return(run, portal))
            run.note_wrong(*book.wrong)
            if len(book.acknowledged) < 0.5 * book.sent:
                run.note_wrong(f"only {len(book.acknowledged)} of {book.sent} were taken: {book.outcomes}")
            portal.stop()
            stage.judge(run, portal, book.acknowledged | calm.acknowledged)
            stage.empty(portal)
            run.count()
    if shares:
        share = statistics.median(shares)
        run.demand("goodput of the storm, of normal", f"{share:.0%} (median)", met=share >= 0.8)
    run.demand("slowest recovery", f"{max(returns):.1f} s", met=max(returns) <= 5)


async def come_back(portal: Portal, book: Book) -> list[crowd.Waited]:
    """They queue while no process serves, as after a stop of a minute, and come all at once."""
    storming = asyncio.ensure_future(crowd.storm(portal, book, 500, 2000))
    await asyncio.sleep(1.0)
    await asyncio.to_thread(lambda: portal.start("supervisor", wait=False))
    return await storming


def seconds_to_return(run: Run, portal: Portal) -> float:
    """Return the seconds until a single delivery is accepted."""
    began = time.monotonic()
    while (answer := deliver(portal, Parcel(OPEN, b"again"))) is None or answer.outcome != (200, 0):
        if time.monotonic() - began > 30:
            run.note_wrong("after the storm nothing is taken")
            break
        time.sleep(0.05)
    return time.monotonic() - began


def with_slow_senders(run: Run) -> None:
    """R16: rounds of five hundred senders at a byte a second next to a few normal ones."""
    ratios, cut_off, slow = [], 0, 0
    with stage.portal(run) as portal:
        portal.start("supervisor", rate_window=8.0)
        book = Book()
        asyncio.run(crowd.steady(portal, book, 4, 1.0))
        while run.more():
            alone = asyncio.run(crowd.steady(portal, book, 4, 5.0))
            loaded, answers = asyncio.run(crowd.with_slow(portal, 500, lambda: crowd.steady(portal, book, 4, 5.0)))
            ratios.append(crowd.percentile(loaded, 0.99) / crowd.percentile(alone, 0.99))
            outcomes = [answer.outcome for answer in answers if answer is not None]
            run.note_wrong(*(f"a slow sender got {outcome}" for outcome in outcomes if outcome != (500, 999)))
            cut_off += len(outcomes)
            slow += len(answers)
            run.count()
        portal.stop()
        run.note_wrong(*book.wrong)
        stage.judge(run, portal, book.acknowledged)
    ratio = statistics.median(ratios)
    run.demand("p99 next to them, of alone", f"{ratio:.1f} × (median)", met=ratio <= 2)
    run.demand("cut off with an answer", f"{cut_off:,} of {slow:,}", met=cut_off >= 0.9 * slow)


def refuse(run: Run) -> None:
    """R26: unknown names, as fast as they can be refused."""
    with stage.portal(run) as portal:
        portal.start("supervisor")
        before = database_bytes(portal)
        while run.more():
            each = min(10_000, max(100, (run.goal - run.done) // 4))
            in_threads([partial(be_refused, portal, run.chance.randrange(10**9), each) for _ in range(4)])
            run.count(4 * each)
        portal.stop()
        grown = (database_bytes(portal) - before) / MEBIBYTE
        database = portal.database()
        ((counted,),) = database.execute("SELECT sum(count) FROM feeds_hourlycount WHERE stroom_status = 110")
        ((rows,),) = database.execute("SELECT count(*) FROM feeds_hourlycount")
        database.close()
        if counted != run.done:
            run.note_wrong(f"{run.done} were refused and {counted} counted")
    run.demand("database grew by", f"{grown:.1f} MiB", met=grown <= 50)
    run.figures["rows of counts"] = f"{rows:,}"
    run.figures["refusals a second"] = f"{run.done / run.passed:,.0f}"
