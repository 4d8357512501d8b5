"""Hand receipts over to Stroom: one verified archive for each feed, with its metadata beside it."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Sum

from feeds.export import CannotExport, Exporter, Limits, Report, Selection, Staging
from feeds.maintenance import Busy
from feeds.receipt.canonical import ExportFault
from portal.management.options import instant
from portal.wording import counted


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=Path, required=True, help="folder that the archives appear in")
        parser.add_argument(
            "--staging", type=Path, help="where they are built; by default beside the output folder"
        )
        parser.add_argument(
            "--feed", action="append", default=[], help="only this feed; may be given several times"
        )
        parser.add_argument("--since", default="", help="only what was received from then on (ISO 8601, UTC)")
        parser.add_argument("--until", default="", help="only what was received before (ISO 8601, UTC)")
        parser.add_argument(
            "--mark", choices=["forwarded"], help="move the receipts on once their archive is in place"
        )
        parser.add_argument("--again", action="store_true", help="also what was handed over already")
        parser.add_argument(
            "--max-receipts", type=int, default=Limits.receipts, help="most receipts in one archive"
        )
        parser.add_argument("--max-bytes", type=int, default=Limits.bytes, help="most stored bytes in one archive")
        parser.add_argument("--dry-run", action="store_true", help="say what would be exported and write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["mark"] and options["again"]:
            raise CommandError("--again takes what is marked already: leave --mark out.")
        if not 1 <= options["max_receipts"] <= 30_000 or options["max_bytes"] < 1:
            raise CommandError("An archive takes 1 to 30000 receipts and at least one byte.")
        selection = Selection(
            feeds=tuple(options["feed"]),
            since=instant(options["since"]),
            until=instant(options["until"]),
            again=options["again"],
        )
        if options["dry_run"]:
            self._show(selection)
            return
        self._finish(self._export(selection, options))

    def _show(self, selection: Selection) -> None:
        found = selection.receipts().order_by("feed").values("feed").annotate(number=Count("pk"), size=Sum("bytes"))
        for row in found:
            self.stdout.write(f"{row['feed']}: {counted(row['number'], 'receipt')}, {counted(row['size'], 'byte')}")
        if not found:
            self.stdout.write("There is nothing to export.")

    def _export(self, selection: Selection, options: dict[str, Any]) -> Report:
        try:
            exporter = Exporter(
                settings.STORE_DIR,
                Staging.beside(options["output"].absolute(), options["staging"] and options["staging"].absolute()),
                mark=bool(options["mark"]),
                limits=Limits(options["max_receipts"], options["max_bytes"]),
                tell=self.stdout.write,
            )
            return exporter.run(selection)
        except (Busy, CannotExport, ExportFault, OSError) as fault:
            raise CommandError(str(fault)) from fault

    def _finish(self, report: Report) -> None:
        self.stdout.write(f"{counted(report.receipts, 'receipt')} in {counted(len(report.archives), 'archive')}.")
        for receipt_id, reason in report.faults:
            self.stderr.write(f"{receipt_id} was left out: {reason}.")
        if report.faults:
            left_out = counted(len(report.faults), "receipt was", "receipts were")
            raise CommandError(f"{left_out} left out; `check_store --hash` says more.")
