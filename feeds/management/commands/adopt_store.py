"""Let the database belong to the store in the data folder, after its own store was lost for good."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from feeds.maintenance.identity import WrongStore, adopt


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="kept in the audit record")

    def handle(self, *args: Any, reason: str, **options: Any) -> None:
        try:
            key = adopt(Path(settings.STORE_DIR), reason)
        except (WrongStore, OSError) as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"The database belongs to the store {key} in {settings.STORE_DIR}.")
        self.stdout.write("manage.py check_store says which receipts have no file here.")
