"""Kill prunes at random moments until so many were killed before their end, and look at what each leaves.

Run by test_retention.py; prints the number killed.
"""

import os
import random
import signal
import sys
import time
from datetime import UTC, datetime, timedelta

import django

django.setup()

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from feeds.maintenance.retention import REMOVED, Pruner, find_due
from feeds.models import Receipt, RetentionPolicy
from feeds.store.ids import ReceiptIds, data_path

ROOT = settings.STORE_DIR
DAY_AGO = datetime.now(UTC) - timedelta(days=5)
IDS = ReceiptIds("kill-1", clock=DAY_AGO.timestamp)


def store(number: int) -> None:
    for _ in range(number):
        path = data_path(receipt_id := IDS.next())
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_bytes(b"1")
        (ROOT / path).with_suffix(".meta").write_bytes(b"Feed:X\n")
        Receipt.objects.create(
            receipt_id=receipt_id, feed="X", bytes=1, path=str(path), received_at=DAY_AGO, status="forwarded"
        )


def names(pattern: str) -> set[str]:
    return {path.stem for path in ROOT.glob(pattern)}


def killed_run(seconds: float) -> bool:
    """Start a run and kill it within this time; whether it had not ended by then."""
    connections.close_all()
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(tell, b"1")
        Pruner(ROOT, batch=2, pause_seconds=0.001).run(find_due())
        os._exit(0)
    os.read(ready, 1)
    time.sleep(random.uniform(0.0, seconds))
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def main(wanted: int) -> None:
    call_command("migrate", verbosity=0)
    RetentionPolicy.objects.create(feed="", keep_days=1)
    killed, seconds = 0, 0.05
    for _ in range(20 * wanted):
        store(12)
        # How long a run takes is the machine's affair: too late a kill makes the next one come sooner.
        if killed_run(seconds):
            killed, seconds = killed + 1, seconds * 1.1
        else:
            seconds *= 0.8
        rows = set(Receipt.objects.values_list("receipt_id", flat=True))
        in_place = names("received/**/*.dat")
        assert in_place <= rows, "a file in its place has its row"
        assert rows <= in_place | names(f"{REMOVED}/*.dat"), "a row has its file, in its place or on its way out"
        Pruner(ROOT, pause_seconds=0).run(find_due())
        assert not Receipt.objects.exists()
        assert not names("received/**/*.dat") | names("received/**/*.meta") | names(f"{REMOVED}/*")
        if killed == wanted:
            break
    sys.stdout.write(f"{killed}\n")


main(int(sys.argv[1]))
