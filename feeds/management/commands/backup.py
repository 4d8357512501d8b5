"""Copy database and store into a folder, while the portal works. The copy is a data folder of its own."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from feeds.backup import Backup, CannotBackUp
from feeds.maintenance import Busy, only_one
from portal.wording import counted


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="empty, or an earlier backup, which is brought up to date")
        parser.add_argument("--wait", action="store_true", help="wait for an export or a prune that is running")

    def handle(self, *args: Any, folder: Path, wait: bool, **options: Any) -> None:
        try:
            with only_one(settings.STORE_DIR, wait=wait):
                report = Backup(settings.DATA_DIR, folder.absolute(), self.stderr.write).run()
        except (Busy, CannotBackUp, OSError) as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(
            f"{counted(report.receipts, 'receipt')} with {counted(report.bytes, 'byte')} are in {folder}: "
            f"{report.copied} copied now, {counted(report.removed, 'file')} of removed receipts taken out."
        )
        if report.faults:
            raise CommandError(f"The data of {counted(len(report.faults), 'receipt')} could not be copied.")
