"""When any single call to disk or database fails: a documented answer, nothing left, and the next one works.

Threat model R4, R5 and R13, at the receipt service; the answers are those that the receiver turns outcomes into.
"""

import errno
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.backends.utils import CursorWrapper

from feeds import queries
from feeds.models import Feed, FeedQuerySet, Receipt
from feeds.receipt import policies
from portal.database.threads import Unavailable
from tests.feeds.receipt.workshop import DATA, KINDS, Workshop

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def fails_at(
    step: int, fault: BaseException, targets: list[tuple[Any, str]], patch: pytest.MonkeyPatch
) -> list[int]:
    """Let the n-th of these calls fail; the result counts the calls."""
    count = [0]

    def guarded(call: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            if count[0] == step:
                raise fault
            return call(*args, **kwargs)

        return wrapper

    for owner, name in targets:
        patch.setattr(owner, name, guarded(getattr(owner, name)))
    return count


DISK: list[tuple[Any, str]] = [
    (os, "open"),
    (os, "write"),
    (os, "fsync"),
    (os, "rename"),
    (Path, "mkdir"),
    (Path, "open"),
    (Path, "stat"),
]
#: A read that fails is repeated on a new connection; see below.
DATABASE: list[tuple[Any, str]] = [(queries, "insert_receipts"), (CursorWrapper, "executemany")]


@pytest.fixture
def collected() -> Iterator[None]:
    """Collecting garbage looks at what the test makes only, and not at all that the process holds."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EROFS, errno.EDQUOT, errno.EFBIG])
def test_r04_any_disk_call_may_fail(workshop: Workshop, collected: None, kind: str, number: int) -> None:
    step = 0
    while True:
        step += 1
        gc.collect()
        before = set(os.listdir("/proc/self/fd"))
        with pytest.MonkeyPatch.context() as patch:
            calls = fails_at(step, OSError(number, os.strerror(number)), DISK, patch)
            try:
                outcome = workshop.receive(kind)
            except OSError:
                # The part could not even be opened: the receiver answers 500/999.
                assert step == 1
                continue
        if calls[0] < step:
            break
        assert set(os.listdir("/proc/self/fd")) <= before, "a descriptor was left open"
        if outcome.decision.accepted:
            raise AssertionError(f"call {step} failed and the delivery was acknowledged")
        assert (outcome.decision.status.http, outcome.decision.status.code) == (500, 999)
        assert workshop.files() == []
        assert not Receipt.objects.exists()
    assert step > 5
    assert outcome.decision.accepted
    assert len(workshop.files()) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault", [OperationalError("database is locked"), InterfaceError("gone"), DatabaseError("?")]
)
def test_r13_any_database_call_may_fail(workshop: Workshop, kind: str, fault: Exception) -> None:
    step = 0
    while True:
        step += 1
        with pytest.MonkeyPatch.context() as patch:
            calls = fails_at(step, fault, DATABASE, patch)
            outcome = workshop.receive(kind)
        if calls[0] < step:
            break
        assert not outcome.decision.accepted
        assert (outcome.decision.status.http, outcome.decision.status.code) == (503, 999)
        assert outcome.decision.status.retry_after
        assert workshop.files() == []
        assert not Receipt.objects.exists()
    assert step > 3
    assert outcome.decision.accepted


def test_r13_rules_that_cannot_be_read_at_the_end_keep_nothing(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = workshop.request("NONE")
    delivery = workshop.service.begin(request, workshop.service.decide(request), workshop.service.ids.next())

    def gone(*_: object) -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(policies, "read_policy", gone)
    outcome = delivery.finish([DATA])
    assert outcome.decision.status.http == 503
    assert workshop.files() == []


def test_a_dead_connection_is_replaced_before_anybody_is_told(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart of the database server: the first read of each thread fails."""
    faults: list[Exception] = [InterfaceError("connection already closed")]
    real = FeedQuerySet.policy_for

    def policy_for(self: FeedQuerySet, name: str) -> Any:
        if faults:
            raise faults.pop()
        return real(self, name)

    monkeypatch.setattr(FeedQuerySet, "policy_for", policy_for)
    monkeypatch.setattr(type(Feed.objects), "policy_for", lambda self, name: policy_for(self.all(), name))
    assert workshop.service.decide(workshop.request("NONE")).accepted
    assert faults == []


class FailingCommit:
    """A transaction that tells its owner of a fault in the very commit, whether it happened or not."""

    def __init__(self, block: Any, *, happens: bool) -> None:
        self.block, self.happens = block, happens

    def __enter__(self) -> None:
        self.block.__enter__()

    def __exit__(self, *exc: object) -> None:
        lost = OperationalError("server closed the connection unexpectedly")
        self.block.__exit__(*((None, None, None) if self.happens else (OperationalError, lost, None)))
        raise lost


@pytest.mark.parametrize("happens", [False, True])
def test_a_fault_in_the_very_commit(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, happens: bool) -> None:
    """A row that is there is acknowledged. Without it the file stays: the row may still come to light."""
    real = transaction.atomic

    def atomic(*args: Any, **kwargs: Any) -> Any:
        return real(*args, **kwargs) if args or kwargs else FailingCommit(real(), happens=happens)

    monkeypatch.setattr(transaction, "atomic", atomic)
    outcome = workshop.receive()
    assert outcome.decision.status.http == (200 if happens else 503)
    assert len(workshop.files()) == 2
    assert Receipt.objects.filter(receipt_id=outcome.receipt_id).exists() == happens


@pytest.mark.parametrize("which", ["file", "folder", "parent"])
def test_r05_a_failed_flush_is_not_tried_again_and_is_reported(
    workshop: Workshop, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    flushed: list[str] = []

    def fsync(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        kind = "file" if name.endswith(".part") else ("folder" if name[-3] == "/" else "parent")
        flushed.append(kind)
        if kind == which:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    outcome = workshop.receive()
    assert (outcome.decision.status.http, outcome.decision.status.code) == (500, 999)
    assert flushed.count(which) == 1
    assert workshop.store_faults == 1
    assert workshop.files() == []
    monkeypatch.undo()
    assert workshop.receive().decision.accepted


def test_r01_the_order_of_calls_is_the_promised_one(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 uploads: file flushed, renamed, folder and new parents flushed, row saved; the answer comes after."""
    events: list[str] = []
    root = str(workshop.root)

    def note(name: str, call: Callable[..., Any], describe: Callable[..., str]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            events.append(f"{name} {describe(*args)}".replace(root, ""))
            return result

        return wrapper

    def of_descriptor(descriptor: int) -> str:
        return os.readlink(f"/proc/self/fd/{descriptor}")

    monkeypatch.setattr(os, "fsync", note("fsync", os.fsync, of_descriptor))
    monkeypatch.setattr(os, "rename", note("rename", os.rename, lambda path, target: f"{path} {target}"))
    insert = note("insert", queries.insert_receipts, lambda rows, _: rows[0].receipt_id)
    monkeypatch.setattr(queries, "insert_receipts", insert)
    for number in range(100):
        events.clear()
        kind = list(KINDS)[number % 3]
        outcome = workshop.receive(kind)
        assert outcome.decision.accepted
        receipt = Receipt.objects.get(receipt_id=outcome.receipt_id)
        part, final = f"/parts/1/{outcome.receipt_id}.part", f"/{receipt.path}"
        folder = final.rpartition("/")[0]
        wanted = [f"fsync {part}", f"rename {part} {final}", f"fsync {folder}", f"insert {outcome.receipt_id}"]
        assert [event for event in events if event in wanted] == wanted
        if number == 0:
            parents = [f"fsync {folder.rpartition('/')[0]}", "fsync /received", "fsync "]
            assert [event for event in events if event in parents][-3:] == parents
            assert events[0] == "fsync /parts/1/lock", "where the file is going to be is noted before all else"
            assert events.index(parents[-1]) < events.index(f"insert {outcome.receipt_id}")


def test_an_id_that_is_taken_is_given_up_for_another(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    first = workshop.receive()
    monkeypatch.setattr(workshop.service.ids, "_millis", int(first.receipt_id[:13]))
    request = workshop.request("NONE")
    delivery = workshop.service.begin(request, workshop.service.decide(request), first.receipt_id)
    second = delivery.finish([b"other data"])
    assert second.decision.accepted
    assert second.receipt_id != first.receipt_id
    assert (workshop.root / Receipt.objects.get(receipt_id=first.receipt_id).path).read_bytes() == DATA
    assert (workshop.root / Receipt.objects.get(receipt_id=second.receipt_id).path).read_bytes() == b"other data"


def test_files_and_folders_are_for_our_user_alone(workshop: Workshop) -> None:
    workshop.receive()
    for path in workshop.root.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_trace_of_a_refusal_ends_with_the_step_that_refused(workshop: Workshop) -> None:
    outcome = workshop.receive("GZIP", b"not gzip" * 1000)
    assert outcome.decision.trace[-1].step == 9
    accepted = workshop.receive()
    assert [step.step for step in accepted.decision.trace] == [1, 2, 3, 4, 5, 6, 7, 12]


def test_a_dead_connection_of_the_committer_is_replaced(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart of the database server the first statement of each thread fails."""
    faults: list[Exception] = [InterfaceError("connection already closed")]
    real = queries.earlier_receipts

    def earlier_receipts(rows: Any) -> dict[str, str]:
        if faults:
            raise faults.pop()
        return real(rows)

    monkeypatch.setattr(queries, "earlier_receipts", earlier_receipts)
    assert workshop.receive().decision.accepted
    assert faults == []
