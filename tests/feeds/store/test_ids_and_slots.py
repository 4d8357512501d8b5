"""Receipt ids are unique whatever the clock does (R17), and parts of the living are never touched (R12)."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path, PurePosixPath

import pytest

from feeds.store.ids import RECEIPT_ID, ReceiptIds, data_path, meta_path, received_at
from feeds.store.slots import Slot, holder_since, noted_places, sweep_dead, take_slot
from feeds.store.spool import Part, SpaceMark, SyncFailed

#: Folders of three hours, far from each other.
OLD, LATER, LATEST = (PurePosixPath(f"received/2026-02-{day}/18") for day in (1, 2, 3))


class Clock:
    """A clock that shows what it is told."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_an_id_has_the_documented_form() -> None:
    assert ReceiptIds("portal-1", Clock(1771956627.189)).next() == "1771956627189_0000_P_portal-1"


def test_ids_of_one_millisecond_differ_by_their_sequence() -> None:
    ids = ReceiptIds("n-1", Clock(1771956627.0))
    assert [ids.next()[14:18] for _ in range(3)] == ["0000", "0001", "0002"]


def test_after_9999_ids_the_next_millisecond_is_used() -> None:
    ids = ReceiptIds("n-1", Clock(1771956627.0))
    made = [ids.next() for _ in range(25_000)]
    assert len(set(made)) == 25_000
    assert made == sorted(made)
    assert all(re.fullmatch(RECEIPT_ID, one) for one in made)


def test_r17_clock_jumps_never_repeat_an_id_nor_change_the_order() -> None:
    clock = Clock(1771956627.0)
    ids = ReceiptIds("n-1", clock)
    made = []
    for jump in (0, 0.001, -86_400, 0.5, 86_400, -86_400, -0.001, 3600, 0) * 100:
        clock.now += jump
        made.append(ids.next())
    assert len(set(made)) == len(made)
    assert made == sorted(made)


def test_many_threads_get_different_ids() -> None:
    ids = ReceiptIds("n-1")
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(ids.next() for _ in range(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 4000


def test_no_id_is_older_than_the_moment_its_maker_took_its_number() -> None:
    """Also when the clock is set back before the first delivery: older ones are a dead predecessor's."""
    ids = ReceiptIds("n-1", Clock(1771956627.0), since=1771956629000)
    assert ids.next() == "1771956629000_0001_P_n-1"


def test_paths_are_built_from_the_id_alone() -> None:
    path = data_path("1771956627189_0000_P_portal-1")
    assert str(path) == "received/2026-02-24/18/1771956627189_0000_P_portal-1.dat"
    assert str(meta_path(path)) == "received/2026-02-24/18/1771956627189_0000_P_portal-1.meta"


@pytest.mark.parametrize(
    "wrong", ["", "x", "../../etc/passwd", "1771956627189_0000_P_a/b", "1771956627189_0000_P_"]
)
def test_s09_what_is_no_id_has_no_path(wrong: str) -> None:
    with pytest.raises(ValueError, match="not a receipt id"):
        received_at(wrong)


def test_workers_take_different_numbers_and_give_them_back(tmp_path: Path) -> None:
    first, second = take_slot(tmp_path), take_slot(tmp_path)
    assert (first.number, second.number) == (1, 2)
    first.release()
    third = take_slot(tmp_path)
    assert third.number == 1
    second.release()
    third.release()


def test_r12_parts_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    space = SpaceMark(tmp_path, 0)
    dead, living = take_slot(tmp_path), take_slot(tmp_path)
    for slot in (dead, living):
        part = Part(slot.folder / "1771956627189_0000_P_x.part", space=space)
        part.write(b"data")
        part.sync()
    dead.release()
    assert sweep_dead(tmp_path) == 1
    assert [path.parent.name for path in tmp_path.rglob("*.part")] == ["2"]
    living.release()


def test_r12_the_kernel_frees_the_number_of_a_killed_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from feeds.store.slots import take_slot;"
        "print(take_slot(Path(sys.argv[1])).number, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        other = take_slot(tmp_path)
        assert other.number == 2
        process.kill()
        process.wait()
    again = take_slot(tmp_path)
    assert again.number == 1
    again.release()
    other.release()


def die(slot: Slot) -> None:
    """The kernel lets go of the lock; nothing is put in order."""
    os.close(slot.descriptor)


def test_r12_where_a_dead_worker_was_putting_files_is_known_however_old_the_folder(tmp_path: Path) -> None:
    slot = take_slot(tmp_path)
    slot.journal.enter(OLD)  # an upload that began long ago
    for place in (LATER, LATEST):
        slot.journal.enter(place)
        slot.journal.leave(place)
    assert noted_places(tmp_path) == {OLD, LATEST}, "a place is forgotten with the next one, unless it is in use"
    die(slot)
    heir = take_slot(tmp_path)
    assert heir.inherited
    assert noted_places(tmp_path) == {OLD, LATEST}
    die(heir)
    heir_of_the_heir = take_slot(tmp_path)
    assert noted_places(tmp_path) == {OLD, LATEST}, "until somebody has looked through them"
    heir_of_the_heir.journal.enter(LATEST)
    heir_of_the_heir.journal.leave(LATEST)
    heir_of_the_heir.journal.mended()
    assert noted_places(tmp_path) == {LATEST}
    heir_of_the_heir.release()
    assert noted_places(tmp_path) == set()
    last = take_slot(tmp_path)
    assert not last.inherited
    last.release()


def test_r12_a_number_given_back_with_something_undone_is_inherited(tmp_path: Path) -> None:
    slot = take_slot(tmp_path)
    slot.journal.enter(OLD)  # and never left: nobody knows what became of the commit
    slot.release()
    assert noted_places(tmp_path) == {OLD}
    heir = take_slot(tmp_path)
    assert heir.inherited
    heir.release()
    assert noted_places(tmp_path) == {OLD}, "given back before anybody looked"


def test_r12_a_note_is_flushed_with_every_name_that_leads_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = take_slot(tmp_path)
    flushed = []

    def note(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").resolve())

    monkeypatch.setattr(os, "fsync", note)
    for place in (OLD, OLD, LATER):
        slot.journal.enter(place)
    lock = slot.folder / "lock"
    assert flushed == [lock, slot.folder, tmp_path / "parts", tmp_path, lock]


def test_r05_a_place_whose_note_could_not_be_flushed_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = take_slot(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "broken")))
        with pytest.raises(SyncFailed):
            slot.journal.enter(OLD)
    with monkeypatch.context() as patch:
        write = os.write
        patch.setattr(os, "write", lambda file, data: write(file, data[:-5]))
        with pytest.raises(OSError, match="No space"):
            slot.journal.enter(OLD)
    slot.journal.enter(OLD)
    assert OLD in noted_places(tmp_path), "what was torn does not hide what follows"
    assert holder_since(tmp_path, slot.number) == slot.since


def test_the_latest_holder_is_told_from_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = take_slot(tmp_path)
    slot.journal.enter(OLD)
    die(slot)
    monkeypatch.setattr(time, "time", lambda: slot.since / 1000 + 60)
    heir = take_slot(tmp_path)
    assert holder_since(tmp_path, 1) == heir.since > slot.since
    heir.release()
