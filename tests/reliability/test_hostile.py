"""Senders that mean harm: bombs (S7), names that would be paths (S9), text that would be log lines (S12)."""

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.tiers import sizes, some
from tests.reliability import processes
from tests.reliability.bombs import MEBIBYTE, Bomb, bombs, long_feeds, long_names, one_entry, one_member, tame
from tests.reliability.hostile import LINE, STORED, attack
from tests.reliability.portal import OPEN, Portal
from tests.reliability.senders import Parcel, deliver, zipped

pytestmark = [pytest.mark.server]

LIMIT = 10 * MEBIBYTE
BOMBS, TAME = list(bombs()), list(tame())


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


@pytest.mark.parametrize("bomb", some(BOMBS, quick=6), ids=str)
def test_s07_a_bomb_is_refused_quickly_in_little_memory_and_leaves_nothing(limited: Portal, bomb: Bomb) -> None:
    """Quickly by what it costs the portal, for how long that takes is a matter of what else the machine does."""
    files = limited.files()
    spent = processes.cpu_seconds([limited.pid])
    assert deliver_in_little_memory(limited, bomb) in {(413, 410), (500, 400)}
    assert processes.cpu_seconds([limited.pid]) - spent <= 5
    assert limited.files() == files


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.fixture(scope="module", params=sizes(500, 10_000))
def attacked(
    request: pytest.FixtureRequest, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Portal]:
    """A portal after so many hostile requests."""
    data_dir = tmp_path_factory.mktemp("attacked") / "data"
    shutil.copytree(template, data_dir)
    with Portal(data_dir) as portal:
        portal.start("supervisor")
        wrong: list[tuple[bytes, bytes]] = []
        threads = [
            threading.Thread(target=attack, args=(portal, seed, request.param // 4, wrong)) for seed in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        portal.stop()
        assert wrong == []
        # Most requests are refused; at least one in twenty-five is well-formed enough to be stored.
        assert len(portal.rows()) > request.param // 25
        yield portal


def test_s09_no_name_becomes_a_path(attacked: Portal) -> None:
    strange = [path for path in attacked.store.rglob("*") if path.is_file() and not is_ours(attacked, path)]
    assert strange == []
    beside = {path.name for path in attacked.data_dir.iterdir()}
    assert beside <= {
        "limits",
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
