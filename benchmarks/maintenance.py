"""Duration of the maintenance of a store: `python -m benchmarks.maintenance [receipts]`.

Makes a store of its own with that many receipts of mixed sizes (1 KiB to 1 MiB, half of them gzip) and prints one
line for each command; then how long a delivery waits for the database while feeds are imported. Nothing outside a
temporary folder is touched.
"""

import gzip
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

WORK = Path(tempfile.mkdtemp(prefix="portal-maintenance-"))
os.environ["PORTAL_DATA_DIR"] = str(WORK / "data")
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"

import django

django.setup()

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from feeds.changes.files import read_file
from feeds.changes.import_plan import apply_import
from feeds.models import Receipt, ReceiptFeed, RetentionPolicy
from feeds.rules.stored_metadata import format_meta
from feeds.store.ids import data_path, meta_path

SIZES = (1024, 4096, 16_384, 65_536, 1_048_576)
WEIGHTS = (50, 25, 15, 9, 1)
OLDEST = datetime.now(UTC) - timedelta(days=10)


def fill(number: int) -> int:
    """Store so many receipts, spread over ten days; their bytes."""
    chance = random.Random(1)
    lines = b"".join(b"2026-02-24T18:10:%02dZ host%d event %d\n" % (n % 60, n % 7, n) for n in range(40_000))
    total, rows = 0, []
    for index in range(number):
        moment = OLDEST + timedelta(days=9.9) * index / number
        receipt_id = f"{int(moment.timestamp() * 1000):013d}_{index % 10000:04d}_P_bench-1"
        size = chance.choices(SIZES, WEIGHTS)[0]
        start = chance.randrange(len(lines) - size)
        plain = lines[start : start + size]
        data = gzip.compress(plain, 1) if index % 2 else plain
        path = data_path(receipt_id)
        headers = {"Feed": f"FEED-{index % 5}", "GUID": receipt_id, "StreamSize": str(size), "System": "BENCH"}
        (settings.STORE_DIR / path).parent.mkdir(parents=True, exist_ok=True)
        (settings.STORE_DIR / path).write_bytes(data)
        (settings.STORE_DIR / meta_path(path)).write_bytes(format_meta(headers))
        total += len(data)
        rows.append(
            Receipt(
                receipt_id=receipt_id,
                feed=headers["Feed"],
                received_at=moment,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                compression="GZIP" if index % 2 else "NONE",
                path=str(path),
                headers=headers,
                guid=receipt_id,
            )
        )
    made = Receipt.objects.bulk_create(rows, batch_size=2000)
    ReceiptFeed.objects.bulk_create((ReceiptFeed(receipt=one, feed=one.feed) for one in made), batch_size=5000)
    return total


def measure(what: str, number: int, size: int, work: Callable[[], Any]) -> None:
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    print(
        f"{what:34} {seconds:7.2f} s {number / seconds:9.0f} receipts/s {size / seconds / 1e6:8.0f} MB/s",
        flush=True,
    )


class Waiting(threading.Thread):
    """Asks for the right to write again and again, as deliveries do; how long it took at most, in seconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0
        self.refused = 0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.005):
            began = time.perf_counter()
            try:
                with transaction.atomic():
                    pass
            except OperationalError:
                self.refused += 1
            self.longest = max(self.longest, time.perf_counter() - began)
        connection.close()

    def stop(self) -> None:
        self._done.set()
        self.join()


def measure_imports() -> None:
    """Feeds with a rule each, made and then all changed."""
    user = User.objects.create_superuser("importer")
    rule = {"action": "allow", "subject_dn": "CN=client-a,O=Example"}
    for number in (2000, 10_000):
        for what in ("made", "changed"):
            feeds = [
                {"name": f"IMPORT-{number}-{n}", "description": what, "certificate_rules": [rule]}
                for n in range(number)
            ]
            file = read_file(json.dumps(feeds).encode())
            waiting = Waiting()
            waiting.start()
            began = time.perf_counter()
            apply_import(file, user, comment="bench")
            seconds = time.perf_counter() - began
            waiting.stop()
            waited = f"a delivery waited {waiting.longest:.2f} s at most, {waiting.refused} were refused"
            print(f"{f'import, {number} feeds {what}':34} {seconds:7.2f} s; {waited}", flush=True)


def main(number: int) -> None:
    call_command("migrate", verbosity=0)
    size = fill(number)
    print(f"{number} receipts, {size / 1e6:.0f} MB stored", flush=True)
    with open(os.devnull, "w") as quiet:

        def command(*arguments: Any, **options: Any) -> Callable[[], Any]:
            return lambda: call_command(*arguments, stdout=quiet, stderr=quiet, **options)

        measure("check_store", number, size, command("check_store"))
        measure("check_store --hash", number, size, command("check_store", "--hash"))
        measure("backup", number, size, command("backup", str(WORK / "backup")))
        measure("backup, again", number, size, command("backup", str(WORK / "backup")))
        output = ("export_receipts", "--output", str(WORK / "out"), "--mark", "forwarded")
        measure("export_receipts", number, size, command(*output))
        Receipt.objects.all().delete()
        measure("rebuild_receipts, no row left", number, size, command("rebuild_receipts"))
        Receipt.objects.update(status="forwarded")
        RetentionPolicy.objects.create(feed="", keep_days=5)
        measure("prune_receipts, the older half", number // 2, size // 2, command("prune_receipts", "--pause", "0"))
    measure_imports()


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
