"""Copy database and store into a folder, while the portal works. The copy is a data folder of its own."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from feeds.maintenance.backup import Backup, CannotBackUp, Options, Summary
from feeds.maintenance.locks import MaintenanceBusy, only_one
from feeds.monitoring.maintenance_runs import recorded
from portal.text import counted


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="empty, or an earlier backup, which is brought up to date")
        parser.add_argument("--wait", action="store_true", help="wait for a repair or a prune that is running")
        parser.add_argument(
            "--verify", action="store_true", help="read again every file that is in the backup already"
        )
        parser.add_argument(
            "--verify-bytes",
            type=int,
            default=Options.verify_bytes,
            help="read again so much of what is in the backup already, in turn from run to run",
        )
        parser.add_argument("--keep", type=int, default=Options.keep, help="databases of earlier runs to keep")
        parser.add_argument(
            "--force", action="store_true", help="take a folder of another portal, or one that has lost receipts"
        )

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        if options["keep"] < 1 or options["verify_bytes"] < 0:
            raise CommandError("--keep is at least 1, --verify-bytes is not negative.")
        chosen = Options(
            verify_bytes=None if options["verify"] else options["verify_bytes"],
            keep=options["keep"],
            force=options["force"],
        )
        with recorded(settings.DATA_DIR, "backup"):
            self._show(self._back_up(folder, chosen, wait=options["wait"]), folder)

    def _back_up(self, folder: Path, chosen: Options, *, wait: bool) -> Summary:
        try:
            with only_one(settings.STORE_DIR, wait=wait):
                return Backup(settings.DATA_DIR, folder.absolute(), self.stderr.write, chosen).run()
        except (MaintenanceBusy, CannotBackUp, DatabaseError, OSError) as fault:
            raise CommandError(str(fault).strip()) from fault

    def _show(self, summary: Summary, folder: Path) -> None:
        removed = counted(summary.removed + summary.moved, "file")
        self.stdout.write(
            f"{counted(summary.receipts, 'receipt')} with {counted(summary.bytes, 'byte')} are in {folder}: "
            f"{summary.copied} copied now, {removed} of removed receipts taken out, "
            f"{summary.verified} read again, {summary.repaired} repaired."
        )
        if summary.faults:
            raise CommandError(f"The data of {counted(len(summary.faults), 'receipt')} could not be copied.")
