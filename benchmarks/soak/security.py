"""Those who mean harm get nowhere, however long they try (S4, S12, S17, S21, S23, S27, S29)."""

import json
import random
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.soak import stage
from benchmarks.soak.faults import in_threads
from benchmarks.soak.trial import Run
from feeds.rules.dn import parse_dn
from portal.access.sign_in import MAX_TRIES
from portal.audit.record import verify
from tests.feeds.api.test_receipts import QUERIES
from tests.feeds.rules.test_dn import random_name
from tests.live import Response, parse
from tests.portal.audit.test_record import heads_of, make_chain, tampered
from tests.reliability import processes
from tests.reliability.hostile import LINE, STORED, attack
from tests.reliability.portal import Portal
from tests.reliability.zygote import PASSWORD

TRIES_OF_A_PAIR = 50
#: How often each query is asked.
ASKED = 10


def write_and_read_names(run: Run) -> None:
    """S4: random names in the form that we write."""
    while run.more():
        for _ in range(500):
            name = random_name(run.chance)
            if parse_dn(str(name)) != name:
                run.note_wrong(repr(name))
        run.count(500)


def tamper(run: Run) -> None:
    """S23: chains of any length, changed in some way, sometimes with new digests."""
    while run.more():
        chain = make_chain(run.chance.randrange(2, 60))
        if verify(chain, heads_of(chain)):
            run.note_wrong("a whole chain was called faulty")
        changed = tampered(chain, run.chance)
        if changed != chain and not verify(changed, heads_of(chain)):
            run.note_wrong(f"not found among {len(chain)} entries: {changed}")
        run.count()


def send_hostile(run: Run) -> None:
    """S9, S12: text that would be paths, log lines or terminal commands."""
    with stage.portal(run) as portal:
        portal.start("supervisor")
        wrong: list[tuple[bytes, bytes]] = []
        while run.more():
            each = min(250, max(1, (run.goal - run.done) // 4))
            seeds = [run.chance.randrange(10**9) for _ in range(4)]
            in_threads([partial(attack, portal, seed, each, wrong) for seed in seeds])
            run.count(4 * each)
        portal.stop()
        run.note_wrong(*wrong)
        lines = portal.log().split("\n")[:-1]
        run.note_wrong(*(f"not one line of ours: {line!r}" for line in lines if not is_one_line(line)))
        inside = [path for path in portal.store.rglob("*") if path.is_file()]
        names = (str(path.relative_to(portal.store)) for path in inside)
        run.note_wrong(*(f"not named by us: {name}" for name in names if not STORED.fullmatch(name)))
        stage.judge(run, portal, {})
    run.figures["lines logged"] = f"{len(lines):,}"


def is_one_line(line: str) -> bool:
    return LINE.fullmatch(line) is not None and line.isprintable() and re.match(r"\s*FORGED", line) is None


# Passwords.


def guess_passwords(run: Run) -> None:
    """S17: from many addresses; once a pair is locked even the right password is of no use."""
    with stage.portal(run) as portal:
        portal.start("supervisor")
        lock = threading.Lock()
        addresses = (f"127.{run.chance.randrange(1, 250)}.{n // 200}.{n % 200 + 1}" for n in range(10**6))

        def guess(chance: random.Random) -> None:
            while True:
                with lock:
                    if not run.more():
                        return
                    address = next(addresses)
                    run.count(TRIES_OF_A_PAIR)
                statuses = list(tries_of(portal, address, chance))
                with lock:
                    run.note_wrong(*(f"{address}: answered {status}" for status in statuses if status != 401))

        seeds = [run.chance.randrange(10**9) for _ in range(2)]
        in_threads([partial(guess, random.Random(seed)) for seed in seeds])
        portal.stop()
    run.figures["tries a second"] = f"{run.done / run.passed:,.0f}"


def tries_of(portal: Portal, address: str, chance: random.Random) -> Iterator[int]:
    """Wrong passwords up to the limit, then right and wrong ones."""
    head = "POST /api/v1/auth/token/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    source = (address, 0)
    with socket.create_connection(("127.0.0.1", portal.port), timeout=30, source_address=source) as connection:
        stream = connection.makefile("rb")
        for number in range(TRIES_OF_A_PAIR):
            right = number >= MAX_TRIES and chance.random() < 0.5
            password = PASSWORD if right else f"guess-{chance.randrange(10**6)}"
            body = json.dumps({"username": "admin", "password": password})
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            yield read_one(stream).status


def read_one(stream: Any) -> Response:
    """One answer of a connection that stays open; it has a length."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            raise ConnectionError("the connection was closed")
        head += line
    answer = parse(head)
    return parse(head + stream.read(int(answer.header("content-length") or 0)))


# What an answer's time tells.

SECRET_FEEDS = {"unknown": "NO-SUCH-FD", "rejecting": "REJECT-FEED", "badly named": "bad feed..."}


def time_refusals(run: Run) -> None:
    """S21: unknown, rejecting and badly named feeds in turn, their answers' bytes and times."""
    times: dict[str, list[float]] = {name: [] for name in SECRET_FEEDS}
    shapes: set[tuple[object, ...]] = set()
    with stage.portal(run, PORTAL_WORKERS="1") as portal:
        portal.start("alone", threads=2)
        with portal.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = connection.makefile("rb")
            names = list(SECRET_FEEDS)
            while run.more():
                run.chance.shuffle(names)
                for name in names:
                    seconds, answer = ask_timed(connection, stream, SECRET_FEEDS[name])
                    times[name].append(seconds)
                    shapes.add(shape_of(answer, SECRET_FEEDS[name]))
                run.count()
        portal.kill()
    if len(shapes) != 1:
        run.note_wrong(f"{len(shapes)} different answers: {sorted(map(str, shapes))[:2]}")
    pairs = [("unknown", "rejecting"), ("unknown", "badly named"), ("rejecting", "badly named")]
    for first, second in pairs:
        value = auc(times[first], times[second])
        # Of few times an area is known only roughly: where both are alike its standard error is 0.41 / sqrt(n).
        doubt = 3 * 0.41 / len(times[first]) ** 0.5
        run.demand(f"AUC {first} / {second}", f"{value:.3f}", met=0.45 - doubt <= value <= 0.55 + doubt)
    run.figures["median"] = f"{statistics.median(times['unknown']) * 1e6:.0f} µs"


def ask_timed(connection: socket.socket, stream: Any, feed: str) -> tuple[float, Response]:
    data = f"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: {feed}\r\nContent-Length: 0\r\n\r\n".encode()
    began = time.perf_counter()
    connection.sendall(data)
    answer = read_one(stream)
    return time.perf_counter() - began, answer


def shape_of(answer: Response, feed: str) -> tuple[object, ...]:
    """An answer without what every answer has of its own."""
    text = re.sub(r"\d{13}_\d{4}", "<id>", answer.text.replace(feed, "<feed>"))
    own = {"date", "stroom-error", "x-request-id", "content-length"}
    return answer.status, text, tuple(pair for pair in answer.headers if pair[0] not in own)


def auc(first: list[float], second: list[float]) -> float:
    """Return the share of random pairs whose second took longer: the area under the curve of a classifier (AUC)."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks, place = 0.0, 0
    while place < len(ranked):
        end = place
        while end < len(ranked) and ranked[end][0] == ranked[place][0]:
            end += 1
        ranks += (place + end + 1) / 2 * sum(which for _, which in ranked[place:end])
        place = end
    return (ranks - len(second) * (len(second) + 1) / 2) / (len(first) * len(second))


# A large database.


def query_many(run: Run) -> None:
    """S27: every filter of the list of receipts, with so many rows."""
    with stage.portal(run) as portal:
        portal.start("supervisor")
        seed_receipt(portal)
        portal.stop()
        while run.more(spare=30):
            run.count(multiply(portal, min(250_000, run.goal - run.done)))
        portal.start("supervisor")
        key = get_key(portal)
        slowest = max((measure(run, portal, query, key) for query in QUERIES), key=lambda cost: cost.own)
        portal.kill()
    run.demand("dearest", f"{slowest.own * 1000:.0f} ms ({slowest.what})", met=slowest.own <= 0.2)
    run.figures["waited for it"] = f"{slowest.waited * 1000:.0f} ms"
    run.figures["queries"] = str(len(QUERIES))


@dataclass(frozen=True)
class Cost:
    """Return the duration of a query in seconds."""

    what: str
    own: float
    waited: float


def measure(run: Run, portal: Portal, query: str, key: str) -> Cost:
    """Some times one after another: what the portal's processes worked for an answer, and how long one waited.

    Other work on the machine lengthens only the second; on a quiet one they are nearly the same.
    """
    workers = portal.workers()
    before = processes.cpu_seconds(workers)
    waited = [timed_get(run, portal, f"/api/v1/receipts/{query}", key) for _ in range(ASKED)]
    return Cost(query or "no filter", (processes.cpu_seconds(workers) - before) / ASKED, min(waited))


def seed_receipt(portal: Portal) -> None:
    answer = portal.send("/datafeed", {"Feed": "OPEN-FEED"}, b"the first of many")
    assert answer.outcome == (200, 0), answer


def multiply(portal: Portal, number: int) -> int:
    """So many rows more, all like the first but for what is looked for."""
    database = portal.database()
    ((have,),) = database.execute("SELECT max(id) FROM feeds_receipt")
    changed = {
        "id": "?1 + n",
        "receipt_id": "printf('%013d_0000_P_many-1', 1700000000000 + (?1 + n) * 1000)",
        "feed": "'FEED-' || (n % 50)",
        "received_at": "datetime(1700000000 + ?1 + n, 'unixepoch')",
        "sha256": "printf('%064x', ?1 + n)",
        "guid": "'g-' || (?1 + n)",
        "path": "'received/many/' || (?1 + n)",
        "bytes": "n",
    }
    columns = [row[1] for row in database.execute("PRAGMA table_info(feeds_receipt)")]
    values = ", ".join(changed.get(column, f'"{column}"') for column in columns)
    numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)"
    first = "(SELECT * FROM feeds_receipt ORDER BY id LIMIT 1)"
    database.execute("BEGIN")
    database.execute(f"INSERT INTO feeds_receipt {numbers} SELECT {values} FROM numbers, {first}", (have, number))
    links = "INSERT INTO feeds_receiptfeed (receipt_id, feed, dropped) SELECT id, feed, 0 FROM feeds_receipt"
    database.execute(f"{links} WHERE id > ?", (have,))
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return number


def get_key(portal: Portal) -> str:
    body = json.dumps({"username": "admin", "password": PASSWORD}).encode()
    answer = portal.send("/api/v1/auth/token/", {"Content-Type": "application/json"}, body)
    assert answer.status == 201, answer
    return str(json.loads(answer.body)["token"])


def timed_get(run: Run, portal: Portal, path: str, key: str) -> float:
    began = time.perf_counter()
    answer = portal.send(path, {"Authorization": f"Bearer {key}"}, method="GET")
    if answer.status != 200:
        run.note_wrong(f"{path}: {answer.status}")
    return time.perf_counter() - began
