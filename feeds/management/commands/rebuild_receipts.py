"""Record every stored file that has no row: after the database was lost, or replaced by an older copy."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from feeds.maintenance.findings import FindingKind
from feeds.maintenance.integrity import StoreCheck
from feeds.maintenance.locks import MaintenanceBusy, only_one
from feeds.models import Receipt
from portal.management.options import instant
from portal.text import counted


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forwarded-before", default="", help="what was received before was handed over already"
        )
        parser.add_argument("--wait", action="store_true", help="wait for an export or a backup that is running")

    def handle(self, *args: Any, forwarded_before: str, wait: bool, **options: Any) -> None:
        before = instant(forwarded_before)
        started = datetime.now(UTC)
        known = Receipt.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        try:
            with only_one(settings.STORE_DIR, wait=wait):
                findings = list(StoreCheck(settings.STORE_DIR, repair=True).run())
        except MaintenanceBusy as fault:
            raise CommandError(str(fault)) from fault
        recorded = Receipt.objects.filter(pk__gt=known, recovered=True)
        if before is not None:
            recorded.filter(received_at__lt=before).update(status=Receipt.Status.FORWARDED)
        seconds = (datetime.now(UTC) - started).total_seconds()
        self.stdout.write(f"{counted(recorded.count(), 'receipt')} recorded in {seconds:.1f} s.")
        unknown = recorded.filter(feed="").count()
        if unknown:
            self.stdout.write(f"{unknown} of them lost their metadata: their feed is not known.")
        left = [
            finding for finding in findings if not finding.repaired and finding.kind is not FindingKind.UNRECORDED
        ]
        for finding in left:
            self.stderr.write(f"{finding.kind}: {finding.path} {finding.detail}")
        if left:
            raise CommandError(f"{counted(len(left), 'object is', 'objects are')} not as they should be.")
