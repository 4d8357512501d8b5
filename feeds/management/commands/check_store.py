"""Explain every object in the store: what is missing, damaged, unrecorded or half written."""

import time
from collections import Counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from feeds.maintenance.findings import LOSSES
from feeds.maintenance.integrity import StoreCheck
from feeds.maintenance.locks import MaintenanceBusy, only_one
from feeds.monitoring.maintenance_runs import recorded
from portal.text import counted


class Command(BaseCommand):
    help = f"{__doc__} Exit code 1 when something is left that is not as it should be."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--hash", action="store_true", help="read everything and compare checksums")
        parser.add_argument(
            "--repair",
            action="store_true",
            help="give files without a row their row, rewrite metadata, remove what dead writers left",
        )
        parser.add_argument("--wait", action="store_true", help="wait for a backup or a prune that is running")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with recorded(settings.DATA_DIR, "check"), only_one(settings.STORE_DIR, wait=options["wait"]):
                self._check(StoreCheck(settings.STORE_DIR, deep=options["hash"], repair=options["repair"]))
        except MaintenanceBusy as fault:
            raise CommandError(str(fault)) from fault

    def _check(self, check: StoreCheck) -> None:
        started = time.monotonic()
        kinds: Counter[str] = Counter()
        left = 0
        for finding in check.run():
            kinds[finding.kind] += 1
            left += not finding.repaired
            words = [finding.kind, finding.path, finding.detail, "repaired" if finding.repaired else ""]
            stream = self.stderr if finding.kind in LOSSES else self.stdout
            stream.write(": ".join(word for word in words if word))
        seconds = time.monotonic() - started
        totals = check.totals
        receipts, files = counted(totals.receipts, "receipt"), counted(totals.files, "file")
        self.stdout.write(f"{receipts} and {files} looked at in {seconds:.1f} s.")
        for kind, number in sorted(kinds.items()):
            self.stdout.write(f"{kind}: {number}")
        if left:
            raise CommandError(f"{counted(left, 'object is', 'objects are')} not as they should be.")
        self.stdout.write("Every object is explained." if not kinds else "Everything is repaired.")
