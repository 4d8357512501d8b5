"""Senders that mean harm: bombs (S7), names that would be paths (S9), text that would be log lines (S12)."""

import random
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import chunks, read_all
from tests.reliability import processes
from tests.reliability.bombs import MEBIBYTE, Bomb, bombs, long_feeds, long_names, one_entry, one_member, tame
from tests.reliability.portal import OPEN, Portal
from tests.reliability.senders import Parcel, deliver, zipped

pytestmark = [pytest.mark.server, pytest.mark.slow]

LIMIT = 10 * MEBIBYTE
BOMBS, TAME = list(bombs()), list(tame())
STORED = re.compile(
    r"parts/\d+/lock|parts/\d+/health\.probe|recovered\.stamp"
    r"|received/\d{4}-\d\d-\d\d/\d\d/\d{13}_\d{4}_P_test-\d\.(dat|meta)"
)


@pytest.fixture(scope="module")
def limited(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    data_dir = tmp_path_factory.mktemp("limited") / "data"
    shutil.copytree(template, data_dir)
    with Portal(data_dir, PORTAL_MAX_RECEIPT_BYTES=str(LIMIT)) as portal:
        portal.start("alone", threads=2)
        deliver(portal, Parcel(OPEN, b"warm"))
        deliver(portal, Parcel({**OPEN, "Compression": "ZIP"}, zipped(("1.dat", bytes(9 * MEBIBYTE)))))
        yield portal


def test_s07_there_are_twenty_bombs() -> None:
    assert len(BOMBS) == 20


@pytest.mark.parametrize("bomb", BOMBS, ids=str)
def test_s07_a_bomb_is_refused_quickly_in_little_memory_and_leaves_nothing(limited: Portal, bomb: Bomb) -> None:
    files = limited.files()
    began = time.monotonic()
    assert deliver_in_little_memory(limited, bomb) in {(413, 410), (500, 400)}
    assert time.monotonic() - began <= 5
    assert limited.files() == files


@pytest.mark.parametrize("bomb", TAME, ids=str)
def test_s07_what_only_looks_like_a_bomb_takes_as_little_memory(limited: Portal, bomb: Bomb) -> None:
    """Only the list of a hundred thousand entries, the most that are allowed, takes a little more."""
    most = 64 * MEBIBYTE if "as many entries" in bomb.name else 32 * MEBIBYTE
    assert deliver_in_little_memory(limited, bomb, most) == (200, 0)


def deliver_in_little_memory(portal: Portal, bomb: Bomb, most: int = 32 * MEBIBYTE) -> tuple[int, int | None]:
    processes.reset_peak([portal.pid])
    before = processes.resident_bytes([portal.pid])
    answer = deliver(portal, Parcel(bomb.headers, bomb.body, chunked=len(bomb.name) % 2 == 0))
    assert answer is not None
    assert processes.peak_bytes([portal.pid]) - before <= most
    return answer.outcome


UNLIMITED = {
    "GZIP": ("GZIP", one_member(256), (500, 400)),
    "ZIP": ("ZIP", one_entry(256), (500, 400)),
    "ZIP, names without end": ("ZIP", long_names(300), (500, 400)),
    "ZIP, feeds without end": ("ZIP", long_feeds(5000), (406, 110)),
}


@pytest.mark.parametrize(("compression", "body", "outcome"), UNLIMITED.values(), ids=UNLIMITED.keys())
def test_s07_without_a_limit_a_bomb_is_judged_in_constant_memory(
    portal: Portal, compression: str, body: bytes, outcome: tuple[int, int]
) -> None:
    """The repeated blocks have no right checksum, so that all of it is read and refused at the end."""
    portal.start("alone", threads=2)
    deliver(portal, Parcel(OPEN, b"warm"))
    processes.reset_peak([portal.pid])
    before = processes.resident_bytes([portal.pid])
    answer = deliver(portal, Parcel({**OPEN, "Compression": compression}, body))
    assert answer is not None
    assert answer.outcome == outcome
    assert processes.peak_bytes([portal.pid]) - before <= 32 * MEBIBYTE
    assert not portal.files(".part")
    portal.kill()


HOSTILE = [
    "../../../../tmp/escaped",
    "/etc/passwd",
    "..\\..\\escaped",
    "A/../../B",
    "con\0trol",
    "line\r\nFORGED: yes",
    "line\nFORGED",
    "\x1b[2J\x1b[31mred",
    "\u202egnp.exe",
    "\u2028\u2029\x85",
    "${jndi:ldap://x}",
    "%0d%0aFORGED",
    "' OR 1=1 --",
    "<script>",
    "A" * 5000,
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "",
    ".",
    "..",
    "-rf",
    "ﬀ🎉",
]
NAMES = ["Feed", "GUID", "ReceiptId", "RemoteFile", "System", "Type", "Compression", "Content-Encoding"]
NAMES += ["X-Request-ID", "EffectiveTime", "ReceivedPath", "X-Forwarded-For", "RemoteDN", "X-SSL-CLIENT-S-DN"]


def hostile_request(chance: random.Random) -> bytes:
    """A request with hostile text in its path, query, names, values, or packed inside."""
    lines = [b"Host: " + chance.choice([b"a", b"evil.example.org", b"../.."])]
    if chance.random() < 0.7:
        lines.append(b"Feed: OPEN-FEED")
    for _ in range(chance.randrange(6)):
        value = chance.choice(HOSTILE).encode("utf-8", "surrogatepass")
        if chance.random() < 0.8:
            value = re.sub(rb"[\r\n\0]", b" ", value)
        lines.append(chance.choice(NAMES).encode() + b": " + value)
    query = chance.choice(["", "?Feed=..%2F..%2Fx", "?GUID=%0d%0aFORGED", "?System=%00%1b%5b2J", "?a=%E2%80%AE"])
    path = chance.choice(
        ["/datafeed", "/datafeed/../../x", "/stroom/datafeed", "/datafeed/%0aFORGED", "/x%0d%0aFORGED"]
    )
    body = chance.randbytes(chance.randrange(200))
    if chance.random() < 0.3:
        body = zipped((chance.choice(HOSTILE)[:200].replace("\0", "") or "x", b"data"))
        lines.append(b"Compression: ZIP")
    chunked = chance.random() < 0.5
    lines.append(b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body))
    head = f"{chance.choice(['POST', 'PUT', 'GET'])} {path}{query} HTTP/1.1".encode()
    return b"\r\n".join([head, b"Connection: close", *lines, b"", b""]) + (chunks(body) if chunked else body)


@pytest.fixture(scope="module")
def attacked(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal after two thousand hostile requests."""
    data_dir = tmp_path_factory.mktemp("attacked") / "data"
    shutil.copytree(template, data_dir)
    with Portal(data_dir) as portal:
        portal.start("supervisor")
        wrong: list[tuple[bytes, bytes]] = []
        threads = [threading.Thread(target=attack, args=(portal, seed, 500, wrong)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        portal.stop()
        assert wrong == []
        yield portal


def attack(portal: Portal, seed: int, requests: int, wrong: list[tuple[bytes, bytes]]) -> None:
    chance = random.Random(seed)
    for _ in range(requests):
        sent = hostile_request(chance)
        with portal.connect() as connection:
            connection.sendall(sent)
            data = read_all(connection)
        status = re.match(rb"HTTP/1\.1 (\d+) ", data)
        if status is None or (status[1] == b"500" and b"stroom-status: 400" not in data):
            wrong.append((sent, data))


def test_s09_no_name_becomes_a_path(attacked: Portal) -> None:
    strange = [path for path in attacked.store.rglob("*") if path.is_file() and not is_ours(attacked, path)]
    assert strange == []
    assert len(attacked.rows()) > 100
    beside = {path.name for path in attacked.data_dir.iterdir()}
    assert beside <= {
        "portal.sqlite3",
        "portal.sqlite3-wal",
        "portal.sqlite3-shm",
        "store",
        "secret_key",
        "check.token",
        "audit-heads",
        "staticfiles",
        "metrics",
        "standing.json",
    }
    assert attacked.check(repair=False) == []


def is_ours(portal: Portal, path: Path) -> bool:
    return STORED.fullmatch(str(path.relative_to(portal.store))) is not None


LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+ request_id=\S+ .*")


def test_s12_one_event_is_one_line_whatever_senders_write(attacked: Portal) -> None:
    lines = attacked.log().split("\n")
    assert lines.pop() == ""
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert not any(re.match(r"\s*FORGED", line) for line in lines)
    assert all(line.isprintable() for line in lines)


def test_s12_a_fault_is_one_line_with_its_trace(portal: Portal) -> None:
    """The most that is logged of one request: the trace of a fault, with what the sender wrote in it."""
    portal.start("alone", threads=1)
    deliver(portal, Parcel(OPEN, b"makes the folder"))
    begun = len(portal.log().splitlines())
    (portal.store / "received").rename(portal.store / "away")
    (portal.store / "received").write_text("in the way")
    try:
        answer = deliver(portal, Parcel({**OPEN, "System": "\u202e%0aFORGED"}, b"x"))
    finally:
        (portal.store / "received").unlink()
        (portal.store / "away").rename(portal.store / "received")
    assert answer is not None
    assert answer.outcome == (500, 999)
    (line,) = [line for line in portal.log().splitlines()[begun:] if "a delivery failed" in line]
    assert LINE.fullmatch(line)
    assert "Traceback" in line
    assert "\\n" in line
    portal.kill()
