"""Remove received data that is past its feed's retention policy, oldest first; old counts; expired sessions."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from feeds.maintenance.locks import MaintenanceBusy, only_one
from feeds.maintenance.retention import (
    KEEP_COUNTS_DAYS,
    Pruner,
    PruneReport,
    find_due,
    find_old_counts,
    prune_counts,
    prune_sessions,
)
from feeds.monitoring.maintenance_runs import recorded
from portal.text import counted


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be removed and remove nothing")
        parser.add_argument("--limit", type=int, help="remove at most so many receipts")
        parser.add_argument("--batch", type=int, default=200, help="receipts removed together")
        parser.add_argument("--pause", type=float, default=0.2, help="seconds between two batches")
        parser.add_argument("--wait", action="store_true", help="wait for a backup or a repair that is running")
        parser.add_argument(
            "--counts-days",
            type=int,
            default=KEEP_COUNTS_DAYS,
            help="days that the hourly counts of deliveries are kept",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1 or options["pause"] < 0 or (options["limit"] is not None and options["limit"] < 0):
            raise CommandError("--batch is at least 1, --pause and --limit are not negative.")
        if options["counts_days"] < 1:
            raise CommandError("--counts-days is at least 1.")
        if options["dry_run"]:
            report = PruneReport()
            for due in find_due():
                report.add(due)
            self._say(report, "would be removed")
            self._say_counts(find_old_counts(options["counts_days"]).count(), "would be removed")
            return
        try:
            with recorded(settings.DATA_DIR, "prune"), only_one(settings.STORE_DIR, wait=options["wait"]):
                pruner = Pruner(settings.STORE_DIR, batch=options["batch"], pause_seconds=options["pause"])
                self._say(pruner.run(find_due(), options["limit"]), "removed")
                self._say_counts(prune_counts(options["counts_days"]), "removed")
                prune_sessions()
        except MaintenanceBusy as fault:
            raise CommandError(str(fault)) from fault

    def _say_counts(self, number: int, what: str) -> None:
        if number:
            self.stdout.write(f"{counted(number, 'hourly count')} {what}")

    def _say(self, report: PruneReport, what: str) -> None:
        for feed in sorted(report.receipts):
            self.stdout.write(
                f"{feed}: {counted(report.receipts[feed], 'receipt')}, {counted(report.bytes[feed], 'byte')} {what}"
            )
        if not report.receipts:
            self.stdout.write("Nothing is past its policy.")
