"""Workloads of deliveries and of questions for a feed's status: P1 to P5, P8 and P9."""

import http.client
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from benchmarks import limits, load
from benchmarks.portal import Portal, running
from benchmarks.table import ROUNDS, Row, alternate, median
from tests.postgresql import PostgreSql, unavailable

MEBIBYTE = 1024 * 1024
CHUNK = 256 * 1024
FEED = "BENCH-1"
SENDERS = 64
DELIVERY = load.request("POST", "/datafeed", {"Feed": FEED}, load.NUMBER + os.urandom(1016))
MAKE_FEED = f"from feeds.models import Feed; Feed.objects.create(name='{FEED}')"

#: Columns of a copied feed or rule that are its own.
_OF_COPY = {
    "id": "n + 1000",
    "feed_id": "n + 1000",
    "name": "printf('F%08d', n)",
    "stroom_uuid": "printf('%036d', n)",
}


@contextmanager
def portal_with_feed(**settings: str) -> Iterator[Portal]:
    """Start a portal with one feed."""
    with running(PORTAL_ANONYMOUS_RATE="0", **settings) as portal:
        portal.manage("shell", "-c", MAKE_FEED)
        yield portal


def small_deliveries() -> Iterator[Row]:
    """P1 and P2: 64 senders at once."""
    with portal_with_feed() as portal:
        folder = portal.data_dir / "limit"
        rounds: list[load.Load] = []

        def ours() -> float:
            rounds.append(load.run(portal.port, DELIVERY, connections=SENDERS))
            return rounds[-1].rate

        ours()  # processes and disk are warm
        rounds.clear()
        rate, bare = alternate(ours, lambda: limits.durable_files(folder, seconds=1.0))
        yield Row(
            "P1", "1 KiB deliveries, 64 senders", f"{rate:,.0f}/s", f"{bare:,.0f} durable files/s", rate / bare, 0.7
        )
        tail = sorted(rounds, key=lambda found: found.p99 / found.p50)[ROUNDS // 2]
        ratio = tail.p99 / tail.p50
        yield Row("P2", "their p99 ÷ p50", f"{tail.p99:.0f} ms", f"{tail.p50:.0f} ms", ratio, 5, at_most=True)


def one_sender() -> Iterator[Row]:
    """P3: one delivery after the other."""
    with portal_with_feed() as portal:
        folder = portal.data_dir / "limit"
        ours, bare = alternate(
            lambda: 1000 / load.run(portal.port, DELIVERY, connections=1).rate,
            lambda: 1000 / limits.durable_files(folder, threads=1, seconds=1.0),
        )
        yield Row(
            "P3", "one sender", f"{ours:.2f} ms", f"{bare:.2f} ms a durable file", ours / bare, 2.5, at_most=True
        )


def on_postgresql() -> Iterator[Row]:
    """P4: 64 senders, with a PostgreSQL that flushes."""
    if reason := unavailable():
        raise Missing(reason)
    with PostgreSql(durable=True) as server, portal_with_feed(DATABASE_URL=server.url()) as portal:
        commits = limits.SingleRows(server)
        load.run(portal.port, DELIVERY, connections=SENDERS)
        rate, bare = alternate(lambda: load.run(portal.port, DELIVERY, connections=SENDERS).rate, commits.rate)
        yield Row(
            "P4", "the same, PostgreSQL", f"{rate:,.0f}/s", f"{bare:,.0f} commits/s, 8 clients", rate / bare, 1.0
        )


class Missing(RuntimeError):
    """A program that a row needs is not installed."""


# Feed status
def questions() -> Iterator[Row]:
    """P5: with a real token, rules, and names in no order."""
    with portal_with_feed() as few, portal_with_feed() as many:
        _fill_feeds(few, 10)
        _fill_feeds(many, 1_000_000)
        ask_few, ask_many = _asking(few, 10), _asking(many, 1_000_000)
        status = load.request("GET", "/status")
        rate, plain = alternate(ask_few, lambda: load.run(few.port, status).rate)
        yield Row("P5", "getFeedStatus ÷ /status", f"{rate:,.0f}/s", f"{plain:,.0f}/s", rate / plain, 0.35)
        large, small = alternate(ask_many, ask_few)
        yield Row("P5", "1,000,000 feeds ÷ 10 feeds", f"{large:,.0f}/s", f"{small:,.0f}/s", large / small, 0.87)


def _asking(portal: Portal, feeds: int) -> Callable[[], float]:
    secret = portal.manage("create_token", "admin", "--scopes", "check")
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    body = b'{"feedName":"F' + load.NUMBER + b'","attributeMap":{"RemoteDN":"CN=bench,O=Example"}}'
    question = load.request("POST", "/api/feedStatus/v2/getFeedStatus", headers, body)
    return lambda: load.run(portal.port, question, below=feeds).rate


def _fill_feeds(portal: Portal, number: int) -> None:
    """Copy the first feed so often, each with one rule."""
    code = "CertificateRule.objects.create(feed=Feed.objects.get(), subject_dn='CN=bench,O=Example')"
    portal.manage("shell", "-c", f"from feeds.models import CertificateRule, Feed; {code}")
    with sqlite3.connect(portal.data_dir / "portal.sqlite3", timeout=60) as database:
        database.execute("PRAGMA synchronous = OFF")
        for table in ("feeds_feed", "feeds_certificaterule"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(_OF_COPY.get(column, f"t.{column}") for column in columns)
            names = ", ".join(f'"{column}"' for column in columns)
            database.execute(
                "WITH RECURSIVE numbers(n) AS "
                f"(SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {number}) "
                f"INSERT INTO {table} ({names}) SELECT {values} FROM numbers, (SELECT * FROM {table} LIMIT 1) AS t"
            )
    database.close()


# Large bodies
def packed_deliveries() -> Iterator[Row]:
    """P8: gzip, read to its last byte."""
    headers = {"Feed": FEED, "Compression": "GZIP"}
    large, middle = limits.sample_gzip(200 * MEBIBYTE), limits.sample_gzip(32 * MEBIBYTE)
    with portal_with_feed() as portal:
        ours, bare = alternate(
            lambda: upload(portal, large, headers), lambda: limits.inflate_in_memory(large), rounds=3
        )
        yield Row(
            "P8", "gzip, 200 MiB, checked", f"{ours:,.0f} MB/s", f"{bare:,.0f} MB/s in memory", ours / bare, 0.7
        )
        ours, bare = alternate(
            lambda: _several(portal, middle, headers), lambda: limits.inflate_on_all_cores(middle), rounds=3
        )
        yield Row("P8", "8 × 32 MiB at once", f"{ours:,.0f} MB/s", f"{bare:,.0f} MB/s, all cores", ours / bare, 0.7)


def _several(portal: Portal, body: bytes, headers: dict[str, str], number: int = 8) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(number) as pool:
        list(pool.map(lambda _: upload(portal, body, headers), range(number)))
    return number * len(body) / 1e6 / (time.perf_counter() - began)


def plain_deliveries() -> Iterator[Row]:
    """P9: plain data, in both framings."""
    body = os.urandom(256 * MEBIBYTE)
    with portal_with_feed() as portal:
        folder = portal.data_dir
        for what, chunked in (("with length", False), ("chunked", True)):
            ours, bare = alternate(
                lambda chunked=chunked: upload(portal, body, {"Feed": FEED}, chunked=chunked),  # type: ignore[misc]
                lambda: limits.durable_write(folder, body),
                rounds=3,
            )
            yield Row(
                "P9", f"256 MiB plain, {what}", f"{ours:,.0f} MB/s", f"{bare:,.0f} MB/s a file", ours / bare, 0.9
            )


def upload(portal: Portal, body: bytes, headers: dict[str, str], *, chunked: bool = False) -> float:
    """Send one body; MB/s until its answer."""
    pieces = (body[start : start + CHUNK] for start in range(0, len(body), CHUNK))
    connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=120, blocksize=CHUNK)
    began = time.perf_counter()
    connection.request("POST", "/datafeed", pieces if chunked else body, headers, encode_chunked=chunked)
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - began
    connection.close()
    if answer.status != 200:
        raise load.WrongAnswers(f"the delivery was answered {answer.status}")
    return len(body) / 1e6 / took


# Memory
def memory() -> Iterator[Row]:
    """P11: two workers that are idle, and how much they grow over four large uploads."""
    with portal_with_feed() as portal:
        idle = median(lambda: portal.memory() / 1e6)
        yield Row("P11", "memory, idle, 2 workers", f"{idle:.0f} MB", "", idle, 200, " MB", at_most=True)
        before = portal.memory("Anonymous")
        most = before
        with ThreadPoolExecutor(4) as pool:
            running_uploads = [pool.submit(_endless, portal, 1024 * MEBIBYTE) for _ in range(4)]
            while not all(one.done() for one in running_uploads):
                time.sleep(0.2)
                most = max(most, portal.memory("Anonymous"))
            for one in running_uploads:
                one.result()
        growth = (most - before) / MEBIBYTE
        yield Row("P11", "growth over 4 × 1 GiB", f"{growth:.0f} MiB", "", growth, 32, " MiB", at_most=True)


def _endless(portal: Portal, size: int) -> None:
    piece = os.urandom(CHUNK)
    connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=300)
    connection.request(
        "POST", "/datafeed", (piece for _ in range(size // CHUNK)), {"Feed": FEED}, encode_chunked=True
    )
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise load.WrongAnswers(f"the delivery was answered {answer.status}")
