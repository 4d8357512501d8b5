"""The table that limits are counted in: shared, exact, bounded, and of use also where the disk is full."""

import errno
import fcntl
import multiprocessing
import os
import signal
import threading
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from portal.http.counters import ENTRIES, FILE, CounterTable, Pair, shared_table

PROCESSES = multiprocessing.get_context("spawn")


def add(pair: Pair | None) -> Pair:
    seen, count = pair or (0.0, 0.0)
    return seen + 1, count + 1


def read(table: CounterTable, key: str) -> float:
    return table.update(key, lambda pair: pair or (0.0, 0.0))[1]


def add_often(path: Path, times: int) -> None:
    table = CounterTable(path)
    for _ in range(times):
        table.update("a", add)


def die_while_counting(path: Path) -> None:
    def die(_: Pair | None) -> Pair:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0.0, 0.0

    CounterTable(path).update("a", die)


def test_processes_and_threads_that_count_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / FILE
    processes = [PROCESSES.Process(target=add_often, args=(path, 2000)) for _ in range(3)]
    threads = [threading.Thread(target=add_often, args=(path, 2000)) for _ in range(2)]
    for one in (*processes, *threads):
        one.start()  # type: ignore[attr-defined]
    for one in (*processes, *threads):
        one.join()  # type: ignore[attr-defined]
    assert read(CounterTable(path), "a") == 10_000
    assert read(CounterTable(path), "b") == 0


def hold_lock(path: Path, ready: Event) -> None:
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ready.set()
        signal.pause()


def test_a_process_that_is_stopped_while_it_counts_holds_up_nobody(tmp_path: Path) -> None:
    """The event loop counts too: it would answer nothing until the other goes on."""
    table = CounterTable(tmp_path / FILE)
    ready = PROCESSES.Event()
    stopped = PROCESSES.Process(target=hold_lock, args=(tmp_path / FILE, ready))
    stopped.start()
    assert ready.wait(60)
    counted = threading.Thread(target=lambda: [table.update("a", add) for _ in range(100)], daemon=True)
    counted.start()
    counted.join(30)
    is_done = not counted.is_alive()
    stopped.kill()
    stopped.join()
    assert is_done
    assert read(table, "a") == 100
    assert read(CounterTable(tmp_path / FILE), "a") == 100, "what was counted is in the table that all share"
    assert table.update("a", add) == (101, 101)


def test_a_process_that_dies_while_it_counts_holds_up_nobody(tmp_path: Path) -> None:
    path = tmp_path / FILE
    dying = PROCESSES.Process(target=die_while_counting, args=(path,))
    dying.start()
    dying.join()
    assert dying.exitcode == -signal.SIGKILL
    assert CounterTable(path).update("a", add) == (1, 1)


def test_whoever_was_not_seen_for_longest_makes_room() -> None:
    table = CounterTable(rows=1)
    for moment in range(ENTRIES):
        table.update(f"key {moment}", lambda _, moment=moment: (float(moment), 7.0))  # type: ignore[misc]
    table.update("key 0", lambda pair: (100.0, pair[1]))  # it is known
    table.update("new", lambda pair: (101.0, 0.0 if pair is None else 1.0))
    assert read(table, "key 0") == 7
    assert read(table, "new") == 0
    assert read(table, "key 2") == 7
    assert read(table, "key 1") == 0


def test_many_keys_take_no_more_room(tmp_path: Path) -> None:
    table = CounterTable(tmp_path / FILE)
    size = (tmp_path / FILE).stat().st_size
    for number in range(20_000):
        table.update(f"192.0.2.{number}", add)
    assert (tmp_path / FILE).stat().st_size == size < 1024 * 1024
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EMFILE])
def test_without_room_on_the_disk_each_worker_counts_for_itself(
    fault: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    table = shared_table(tmp_path)
    assert table.update("a", add) == (1, 1)
    assert table.update("a", add) == (2, 2)
    assert "for itself" in caplog.text
