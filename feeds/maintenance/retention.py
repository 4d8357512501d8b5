"""Remove what is past its feed's retention policy, oldest first, file and row together (threat model, R25).

A removal that is cut off at any point is finished by the next run: files first move to a folder of their own,
durably, then the rows go, then the files. So a file in its place has its row, and none comes back as recovered.
"""

import contextlib
import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import islice
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.db import Error, transaction
from django.db.models import Q, QuerySet

from feeds.models import HourlyCount, Receipt, ReceiptFeed, RetentionPolicy
from feeds.store import prune_log
from feeds.store.ids import RECEIPT_ID, RECEIVED, data_path, meta_path
from feeds.store.spool import sync_folder

REMOVED = "removed"
PAGE = 500
#: Days that hourly counts are kept: a year, and what it takes to compare with the one before.
KEEP_COUNTS_DAYS = 400
COUNTS_AT_ONCE = 2000
#: Folders younger than this are not removed: a receiver may be about to use them.
FOLDER_AGE = timedelta(days=2)


@dataclass(frozen=True)
class Due:
    """A receipt that is past its policy."""

    received_at: datetime
    pk: int
    receipt_id: str
    feed: str
    bytes: int
    path: str


@dataclass
class PruneReport:
    """Removed receipts and bytes of a run, by feed."""

    receipts: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def add(self, due: Due) -> None:
        self.receipts[due.feed] = self.receipts.get(due.feed, 0) + 1
        self.bytes[due.feed] = self.bytes.get(due.feed, 0) + due.bytes


class Policies:
    """All policies, as they are at the start of a run."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._by_feed = {policy.feed: policy for policy in RetentionPolicy.objects.all()}

    def of(self, feed: str) -> RetentionPolicy | None:
        """Return the feed's own policy, or the one for every other feed."""
        return self._by_feed.get(feed) or self._by_feed.get("")

    def horizon(self, policy: RetentionPolicy) -> datetime | None:
        """Return the time before which receipts are too old; None when age does not matter."""
        return None if policy.keep_days is None else self._now - timedelta(days=policy.keep_days)

    def lets_go(self, feed: str, receipt: Receipt) -> bool:
        """Return whether another feed of a receipt lets it go: by age, which is all that two feeds share."""
        policy = self.of(feed)
        horizon = self.horizon(policy) if policy else None
        if policy is None or horizon is None or receipt.received_at >= horizon:
            return False
        if not policy.only_forwarded:
            return True
        handed_over = receipt.forwarded_at or receipt.received_at
        return receipt.status == Receipt.Status.FORWARDED and handed_over < horizon


def find_due(now: datetime | None = None) -> Iterator[Due]:
    """Yield every receipt that is past its policy, oldest first over all feeds."""
    policies = Policies(now or datetime.now(UTC))
    feeds = list(Receipt.objects.order_by().values_list("feed", flat=True).distinct())
    return heapq.merge(*(_due_of(feed, policies) for feed in feeds), key=lambda due: (due.received_at, due.pk))


def _due_of(feed: str, policies: Policies) -> Iterator[Due]:
    policy = policies.of(feed)
    condition = _past(feed, policy, policies) if policy else None
    if policy is None or condition is None:
        return
    query = Receipt.objects.filter(condition, feed=feed).exclude(status=Receipt.Status.FORWARDING)
    if policy.only_forwarded:
        query = query.filter(status=Receipt.Status.FORWARDED)
    query = query.order_by("received_at", "pk").only(
        "receipt_id", "received_at", "bytes", "path", "status", "forwarded_at"
    )
    last: Receipt | None = None
    while True:
        page = list((query if last is None else query.filter(_after(last)))[:PAGE])
        if not page:
            return
        last = page[-1]
        kept = _kept_for_others(feed, page, policies)
        for receipt in page:
            if receipt.pk not in kept:
                yield Due(receipt.received_at, receipt.pk, receipt.receipt_id, feed, receipt.bytes, receipt.path)


def _past(feed: str, policy: RetentionPolicy, policies: Policies) -> Q | None:
    """Return the condition that puts a feed's receipts past its policy; None when nothing does."""
    condition: Q | None = None
    horizon = policies.horizon(policy)
    if horizon is not None:
        condition = Q(received_at__lt=horizon)
        if policy.only_forwarded:
            # Days count from the hand-over: what waited long for it must not go before Stroom has it. Receipts
            # that left before that moment was recorded have only the time of their receipt.
            condition &= Q(forwarded_at__isnull=True) | Q(forwarded_at__lt=horizon)
    oldest_kept = _first_over(feed, policy.keep_bytes) if policy.keep_bytes is not None else None
    if oldest_kept is not None:
        received, pk = oldest_kept
        beyond = Q(received_at__lt=received) | Q(received_at=received, pk__lte=pk)
        condition = beyond if condition is None else condition | beyond
    return condition


def _first_over(feed: str, keep_bytes: int) -> tuple[datetime, int] | None:
    """Return the newest receipt beyond a feed's size limit; it and all older ones are due."""
    held = 0
    newest_first = Receipt.objects.filter(feed=feed).order_by("-received_at", "-pk")
    for received, pk, size in newest_first.values_list("received_at", "pk", "bytes").iterator():
        held += size
        if held > keep_bytes:
            return received, pk
    return None


def _after(last: Receipt) -> Q:
    return Q(received_at__gt=last.received_at) | Q(received_at=last.received_at, pk__gt=last.pk)


def _kept_for_others(feed: str, page: list[Receipt], policies: Policies) -> set[int]:
    """Return the receipts that another feed's policy still keeps (R18: whole or not at all)."""
    receipts = {receipt.pk: receipt for receipt in page}
    links = ReceiptFeed.objects.filter(receipt_id__in=receipts, dropped=False).exclude(feed=feed)
    return {
        pk for pk, other in links.values_list("receipt_id", "feed") if not policies.lets_go(other, receipts[pk])
    }


class Pruner:
    """Removes in batches, with pauses: many deletes at once slow down the making of files (ext4)."""

    def __init__(
        self,
        root: Path,
        *,
        batch: int = 200,
        pause_seconds: float = 0.2,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._root = root
        self._batch = batch
        self._pause_seconds = pause_seconds
        self._sleep = sleep

    def run(self, due: Iterable[Due], limit: int | None = None) -> PruneReport:
        """Finish what an earlier run began, then remove what is due, at most `limit` receipts."""
        finish_removals(self._root)
        prune_log.forget_old(self._root)
        report = PruneReport()
        wanted = islice(due, limit)
        while listed := list(islice(wanted, self._batch)):
            batch = _unclaimed(listed)
            self._remove(batch)
            for one in batch:
                report.add(one)
            self._sleep(self._pause_seconds)
        remove_empty_folders(self._root)
        return report

    def _remove(self, batch: list[Due]) -> None:
        away = self._root / REMOVED
        away.mkdir(mode=0o700, exist_ok=True)
        paths = [PurePosixPath(one.path) for one in batch]
        prune_log.note_removals(self._root, [one.receipt_id for one in batch])
        try:
            for path in paths:
                _move(self._root / path, away / path.name)
                _move(self._root / meta_path(path), away / meta_path(path).name)
            for folder in {self._root, away, *(self._root / path.parent for path in paths)}:
                if folder.is_dir():
                    sync_folder(folder)
            with transaction.atomic():
                Receipt.objects.filter(pk__in=[one.pk for one in batch]).delete()
        except (Error, OSError):
            for path in paths:
                _move(away / path.name, self._root / path)
                _move(away / meta_path(path).name, self._root / meta_path(path))
            raise
        for path in paths:
            (away / path.name).unlink(missing_ok=True)
            (away / meta_path(path).name).unlink(missing_ok=True)


def _unclaimed(batch: list[Due]) -> list[Due]:
    """Return the receipts that no hand-over has claimed since they were listed."""
    keys = [one.pk for one in batch]
    claimed = Receipt.objects.filter(pk__in=keys, status=Receipt.Status.FORWARDING).values_list("pk", flat=True)
    return [one for one in batch if one.pk not in set(claimed)]


def find_old_counts(days: int, now: datetime | None = None) -> QuerySet[HourlyCount]:
    """Return the hourly counts that are older than so many days."""
    return HourlyCount.objects.filter(hour__lt=(now or datetime.now(UTC)) - timedelta(days=days))


def prune_counts(days: int, now: datetime | None = None) -> int:
    """Remove hourly counts that are older than so many days, a few thousand at a time. How many."""
    old = find_old_counts(days, now).order_by("hour").values_list("pk", flat=True)
    removed = 0
    while keys := list(old[:COUNTS_AT_ONCE]):
        removed += HourlyCount.objects.filter(pk__in=keys).delete()[0]
    return removed


def prune_sessions() -> None:
    """Remove sessions that have expired, as `manage.py clearsessions` does."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()


def finish_removals(root: Path) -> int:
    """End removals that were cut off: what lies in the folder of removed files goes, row and all. How many."""
    away = root / REMOVED
    names = sorted(path.name for path in away.iterdir()) if away.is_dir() else []
    receipts = sorted({name.partition(".")[0] for name in names if RECEIPT_ID.match(name)})
    for start in range(0, len(receipts), PAGE):
        some = receipts[start : start + PAGE]
        with transaction.atomic():
            Receipt.objects.filter(receipt_id__in=some).delete()
    for receipt_id in receipts:
        path = data_path(receipt_id)
        (root / path).unlink(missing_ok=True)
        (root / meta_path(path)).unlink(missing_ok=True)
    for name in names:
        if RECEIPT_ID.match(name):  # anything else is not ours
            (away / name).unlink(missing_ok=True)
    return len(receipts)


def remove_empty_folders(root: Path, now: datetime | None = None) -> None:
    """Remove folders of hours and days that hold nothing any more."""
    newest = f"{(now or datetime.now(UTC)) - FOLDER_AGE:%Y-%m-%d}"
    top = root / RECEIVED
    for day in sorted(top.iterdir()) if top.is_dir() else []:
        if day.is_dir() and day.name < newest:
            for folder in [*(path for path in day.iterdir() if path.is_dir()), day]:
                with contextlib.suppress(OSError):  # not empty
                    folder.rmdir()


def _move(source: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        source.rename(target)
