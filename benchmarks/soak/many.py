"""Fill a store, check it, flip bits and check again; prints JSON.

    python -m benchmarks.soak.many OBJECTS SECONDS

What cannot be made within these seconds is left out.
"""

import hashlib
import json
import random
import sys
import time
from datetime import UTC, datetime, timedelta

import django

django.setup()

from django.conf import settings
from django.core.management import call_command

from feeds.maintenance.integrity import StoreCheck
from feeds.models import Receipt, ReceiptFeed
from feeds.rules.stored_metadata import format_meta
from feeds.store.ids import ReceiptIds, data_path, meta_path

ROOT = settings.STORE_DIR
FLIPPED = 200
OLDEST = datetime.now(UTC) - timedelta(days=10)


def fill(receipts: int, seconds: float) -> None:
    """So many receipts, each two files, spread over ten days."""
    deadline = time.monotonic() + seconds
    for first in range(0, receipts, 1000):
        made = Receipt.objects.bulk_create(
            store(number, receipts) for number in range(first, min(first + 1000, receipts))
        )
        ReceiptFeed.objects.bulk_create(ReceiptFeed(receipt=one, feed=one.feed) for one in made)
        if time.monotonic() > deadline:
            break


def store(number: int, of: int) -> Receipt:
    moment = OLDEST + timedelta(days=9) * number / of
    receipt_id = ReceiptIds("many-1", clock=moment.timestamp).next()
    path = data_path(receipt_id)
    content = b"%d: what a sender sent\n" % number
    headers = {"Feed": "MANY", "ReceiptId": receipt_id}
    (ROOT / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    (ROOT / path).write_bytes(content)
    (ROOT / meta_path(path)).write_bytes(format_meta(headers))
    return Receipt(
        receipt_id=receipt_id,
        feed="MANY",
        received_at=moment,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        path=str(path),
        headers=headers,
    )


def flip(number: int) -> set[str]:
    """Flip a bit in so many files; their paths below the store."""
    chance = random.Random(number)
    paths = chance.sample(sorted(Receipt.objects.values_list("path", flat=True)), number)
    for path in paths:
        content = bytearray((ROOT / path).read_bytes())
        place = chance.randrange(len(content) * 8)
        content[place // 8] ^= 1 << place % 8
        (ROOT / path).write_bytes(content)
    return set(paths)


def timed_check(*, deep: bool) -> tuple[float, list[tuple[str, str]]]:
    began = time.monotonic()
    findings = [(finding.kind.value, finding.path) for finding in StoreCheck(ROOT, deep=deep).run()]
    return time.monotonic() - began, findings


def main(wanted: int, seconds: float) -> None:
    call_command("migrate", verbosity=0)
    fill(wanted // 2, seconds)
    objects = 2 * Receipt.objects.count()
    seconds, unexplained = timed_check(deep=False)
    flipped = flip(min(FLIPPED, objects // 2))
    deep_seconds, found = timed_check(deep=True)
    figures = {
        "objects": objects,
        "seconds": seconds,
        "deep_seconds": deep_seconds,
        "unexplained": unexplained,
        "flipped": len(flipped),
        "found": len(flipped & {path for _, path in found}),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


main(int(sys.argv[1]), float(sys.argv[2]))
