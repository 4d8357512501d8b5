"""A delivery's work in the database, done for trial and taken back: what the health check asks (threat model, R31).

A table, column, right or trigger that keeps deliveries out is found here before a sender meets it.
"""

import time
from datetime import UTC, datetime
from hashlib import blake2b

from django.db import connection, transaction

from feeds.models import Feed, HourlyCount, Receipt, ReceiptFeed
from portal.database.threads import DatabaseRefused, database

_NEVER = datetime.min.replace(tzinfo=UTC)
#: At most one part in so many of the time is spent on looking for damage.
_SPARING = 100
#: So many feeds one after the other are not readable before the check fails.
_TRIED_FEEDS = 5
#: What decides. An index that lost an entry would make a feed unknown, or a deny rule void, without any error.
_GUARDING = ("feeds_feed", "feeds_certificaterule")


class Rehearsal:
    """The trials of one worker. They use rows that no other worker uses, so that none waits for another's."""

    def __init__(self, worker: str) -> None:
        """Prepare the trials.

        Args:
            worker: a name that no other worker of this database has.
        """
        self._worker = worker
        #: Below every key of ours, which begin at 1: a trial uses up none of theirs.
        self._key = -1 - (int.from_bytes(blake2b(worker.encode(), digest_size=8).digest()) >> 2)
        self._last_feed = 0
        self._look_at = float("-inf")

    def run(self) -> None:
        """Read a feed, insert a receipt and take it back, then commit a row of this worker's own.

        Raises:
            Unavailable: the database is locked, gone or slow.
            DatabaseRefused: it refuses what a delivery does, or is damaged.
        """
        with database():
            self._read_a_feed()
            self._look_for_damage()
            with transaction.atomic():
                self._insert_receipt()
                self._write_row()

    def _read_a_feed(self) -> None:
        """Read another feed each time, by its name. One unreadable feed does not stand for all."""
        for _ in range(_TRIED_FEEDS):
            try:
                self._read_next_feed()
            except ValueError as fault:
                unreadable = fault
            else:
                return
        raise DatabaseRefused(f"the rules of {_TRIED_FEEDS} feeds cannot be read: {unreadable}") from unreadable

    def _read_next_feed(self) -> None:
        """Found in the table, it must be found through the index too."""
        feeds = Feed.objects.order_by("pk").values_list("pk", "name")
        found = feeds.filter(pk__gt=self._last_feed).first() or feeds.first()
        if found is None:
            Feed.objects.policy_for("NO-FEED-YET")
            if Feed.objects.are_lost():
                raise DatabaseRefused("there are receipts and never was a feed: the feeds have to be restored")
            return
        self._last_feed, name = found
        if Feed.objects.policy_for(name) is None and self._is_still_there(name):
            raise DatabaseRefused(f"the feed {name} is not found by its name: the index of feeds_feed is damaged")

    def _is_still_there(self, name: str) -> bool:
        """Return whether it still exists under its name, by its key alone: the name's index is in doubt."""
        return Feed.objects.filter(pk=self._last_feed).values_list("name", flat=True).first() == name

    def _look_for_damage(self) -> None:
        """Compare the tables that decide with their indexes. PostgreSQL has no such question for a plain user."""
        began = time.monotonic()
        if connection.vendor != "sqlite" or began < self._look_at:
            return
        for table in _GUARDING:
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA integrity_check({table})")
                faults = [row[0] for row in cursor.fetchall() if row[0] != "ok"]
            # A value that breaks a constraint is its own feed's matter, and no damage.
            faults = [fault for fault in faults if not fault.startswith("CHECK constraint failed")]
            if faults:
                raise DatabaseRefused(f"{table} is damaged: {'; '.join(faults[:3])}")
        self._look_at = began + _SPARING * (time.monotonic() - began)

    def _insert_receipt(self) -> None:
        with transaction.atomic():
            receipt = Receipt(
                pk=self._key,
                receipt_id=f"trial-of-{self._worker}",
                feed="NO-FEED",
                received_at=_NEVER,
                bytes=0,
                sha256="",
                path="",
            )
            receipt.save(force_insert=True)
            ReceiptFeed.objects.bulk_create([ReceiptFeed(pk=self._key, receipt=receipt, feed="NO-FEED")])
            transaction.set_rollback(True)

    def _write_row(self) -> None:
        """Commit something, so that a flush that fails is noticed. The row is there for no other transaction."""
        HourlyCount.objects.create(
            pk=self._key, hour=_NEVER, feed=self._worker, outcome="", http_status=0, stroom_status=0
        )
        HourlyCount.objects.filter(pk=self._key).delete()
