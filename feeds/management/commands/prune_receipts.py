"""Remove received data that is past its feed's retention policy, oldest first."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from feeds.maintenance import Busy, only_one
from feeds.retention import Pruner, Report, find_due
from portal.wording import counted


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be removed and remove nothing")
        parser.add_argument("--limit", type=int, help="remove at most so many receipts")
        parser.add_argument("--batch", type=int, default=200, help="receipts removed together")
        parser.add_argument("--pause", type=float, default=0.2, help="seconds between two batches")
        parser.add_argument("--wait", action="store_true", help="wait for an export or a backup that is running")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1 or options["pause"] < 0 or (options["limit"] is not None and options["limit"] < 0):
            raise CommandError("--batch is at least 1, --pause and --limit are not negative.")
        if options["dry_run"]:
            report = Report()
            for due in find_due():
                report.add(due)
            self._say(report, "would be removed")
            return
        try:
            with only_one(settings.STORE_DIR, wait=options["wait"]):
                pruner = Pruner(settings.STORE_DIR, batch=options["batch"], pause_seconds=options["pause"])
                self._say(pruner.run(find_due(), options["limit"]), "removed")
        except Busy as fault:
            raise CommandError(str(fault)) from fault

    def _say(self, report: Report, what: str) -> None:
        for feed in sorted(report.receipts):
            self.stdout.write(
                f"{feed}: {counted(report.receipts[feed], 'receipt')}, {counted(report.bytes[feed], 'byte')} {what}"
            )
        if not report.receipts:
            self.stdout.write("Nothing is past its policy.")
