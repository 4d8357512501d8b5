"""Walk every migration back and forth over a filled database. Run by test_migrations.py; prints what it found.

Arguments: how many receipts. The database is the configured one, and must be empty.
"""

import hashlib
import json
import sys
import time
from datetime import UTC, datetime, timedelta

import django

django.setup()

from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from feeds.models import CertificateRule, Feed, HourlyCount, Receipt, ReceiptFeed, RefusalSample
from portal.models import ApiToken

APPS = ("feeds", "portal", "codes")
START = datetime(2026, 2, 24, 18, tzinfo=UTC)
#: What must be there afterwards as it was before; tables of later migrations go and come with them.
KEPT = (Feed, CertificateRule, Receipt, ReceiptFeed, HourlyCount, RefusalSample, ApiToken)


def fill(receipts: int) -> None:
    from django.contrib.auth import get_user_model

    feeds = [Feed.objects.create(name=f"FEED-{number}", labels=["a"]) for number in range(10)]
    for feed in feeds:
        CertificateRule.objects.create(feed=feed, subject_dn="CN=a,O=b", expires=START)
    user = get_user_model().objects.create_user("walker")
    ApiToken.objects.issue(user, name="t", scopes=["read"], expires=None)
    for first in range(0, receipts, 5000):
        made = Receipt.objects.bulk_create(row(number) for number in range(first, min(first + 5000, receipts)))
        ReceiptFeed.objects.bulk_create(ReceiptFeed(receipt=one, feed=one.feed) for one in made)
    HourlyCount.objects.bulk_create(
        HourlyCount(
            hour=START, feed=f"F{n}", outcome="refused", http_status=406, stroom_status=110, count=n, bytes=n
        )
        for n in range(100)
    )
    RefusalSample.objects.bulk_create(
        RefusalSample(
            at=START, feed="F", http_status=406, stroom_status=110, receipt_id=str(n), trace=[{"step": 1}]
        )
        for n in range(100)
    )


def row(number: int) -> Receipt:
    moment = START + timedelta(milliseconds=number)
    receipt_id = f"{int(moment.timestamp() * 1000):013d}_0000_P_walk-1"
    return Receipt(
        receipt_id=receipt_id,
        feed=f"FEED-{number % 10}",
        received_at=moment,
        bytes=number,
        sha256=f"{number:064x}",
        path=f"received/2026-02-24/18/{receipt_id}.dat",
        headers={"Feed": f"FEED-{number % 10}", "System": "ü"},
        guid=str(number),
        sender_dn=None if number % 2 else "CN=a",
    )


def digests() -> dict[str, str]:
    found = {}
    for model in KEPT:
        digest = hashlib.sha256()
        names = sorted(field.attname for field in model._meta.concrete_fields)
        for values in model.objects.order_by("pk").values_list(*names).iterator(chunk_size=5000):
            digest.update(repr(values).encode())
        found[model.__name__] = digest.hexdigest()
    return found


def walk() -> tuple[int, float]:
    """Every migration of every app back and forth, one deeper each time; how many, and the longest in seconds."""
    before = digests()
    steps, longest = 0, 0.0
    for app in APPS:
        names = sorted(name for label, name in MigrationExecutor(connection).loader.disk_migrations if label == app)
        for name in reversed(names[:-1]):
            for target in (name, names[-1]):
                started = time.monotonic()
                MigrationExecutor(connection).migrate([(app, target)])
                longest = max(longest, time.monotonic() - started)
                steps += 1
            after = digests()
            assert after == before, f"{app} {name}: {[key for key in before if before[key] != after[key]]} changed"
    return steps, longest


call_command("migrate", verbosity=0)
with transaction.atomic():
    fill(int(sys.argv[1]))
steps, longest = walk()
sys.stdout.write(json.dumps({"steps": steps, "longest_seconds": round(longest, 2)}) + "\n")
