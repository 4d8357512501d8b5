"""Hand receipts over to Stroom: one verified archive for each feed and type, with its metadata, in a folder."""

import grp
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Sum

from feeds.maintenance.handover import Exporter, HandOverReport, Limits, Selection
from feeds.maintenance.handover_folders import CannotExport, Staging
from feeds.maintenance.identity import read_key
from feeds.maintenance.locks import MaintenanceBusy
from feeds.monitoring.maintenance_runs import recorded
from feeds.store.canonical import ExportFault
from portal.management.options import instant
from portal.text import counted


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=Path, required=True, help="folder that the archives appear in")
        parser.add_argument(
            "--staging", type=Path, help="where they are built; by default next to the output folder"
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
        parser.add_argument(
            "--mode",
            type=octal,
            help="rights of the folders that appear, such as 2770; files get the same without x",
        )
        parser.add_argument(
            "--group", type=group_id, help="name or number of the group that may read and remove them"
        )
        parser.add_argument("--wait", action="store_true", help="wait for another export to the same folder")
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
        with recorded(settings.DATA_DIR, "export"):
            self._finish(self._export(selection, options))

    def _show(self, selection: Selection) -> None:
        found = selection.receipts().order_by("feed").values("feed").annotate(number=Count("pk"), size=Sum("bytes"))
        for row in found:
            self.stdout.write(f"{row['feed']}: {counted(row['number'], 'receipt')}, {counted(row['size'], 'byte')}")
        if not found:
            self.stdout.write("There is nothing to export.")

    def _export(self, selection: Selection, options: dict[str, Any]) -> HandOverReport:
        try:
            staging = Staging.of(
                options["output"].absolute(),
                options["staging"] and options["staging"].absolute(),
                mode=options["mode"],
                group=options["group"],
                owner=str(read_key(settings.STORE_DIR) or ""),
            )
            exporter = Exporter(
                settings.STORE_DIR,
                staging,
                mark=bool(options["mark"]),
                wait=options["wait"],
                limits=Limits(options["max_receipts"], options["max_bytes"]),
                tell=self.stdout.write,
            )
            return exporter.run(selection)
        except (MaintenanceBusy, CannotExport, ExportFault, OSError) as fault:
            raise CommandError(str(fault)) from fault

    def _finish(self, report: HandOverReport) -> None:
        self.stdout.write(f"{counted(report.receipts, 'receipt')} in {counted(len(report.archives), 'archive')}.")
        for archive in report.of_unknown_type:
            self.stderr.write(
                f"{archive.path.name} holds {counted(archive.items, 'item')} of {archive.feed} with the type "
                f"{archive.type!r}, which Stroom does not know: a stroom-proxy refuses this archive with 102."
            )
        for receipt_id, reason in report.faults:
            self.stderr.write(f"{receipt_id} was left out: {reason}.")
        if report.faults:
            left_out = counted(len(report.faults), "receipt was", "receipts were")
            raise CommandError(f"{left_out} left out; `check_store --hash` says more.")


def octal(text: str) -> int:
    """Read the rights of a folder."""
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise ArgumentTypeError(f"{text} is no mode. Give an octal number such as 2770.")
    return mode


def group_id(text: str) -> int:
    """Find a group by its name or number."""
    try:
        return int(text) if text.isdigit() else grp.getgrnam(text).gr_gid
    except KeyError:
        raise ArgumentTypeError(f"This system has no group {text}.") from None
