"""Bring the catalogue's files into the database, or check them."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from codes import loading
from codes.catalogue.toml_table import CatalogueFault
from codes.loading import LoadReport


class Command(BaseCommand):
    help = "Load the status-code catalogue from its TOML files. A second run changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say what is wrong and what would change")
        parser.add_argument("--prune", action="store_true", help="remove rows that left the files")
        parser.add_argument(
            "--dir",
            type=Path,
            help="where the files are, instead of the product's own and those in <data dir>/catalogue",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        directories = [options["dir"]] if options["dir"] else []
        try:
            if options["check"]:
                self._check(*directories)
            else:
                self._tell(loading.load(*directories, prune=options["prune"]))
        except CatalogueFault as fault:
            raise CommandError(f"The catalogue cannot be used:\n{fault}") from fault

    def _check(self, *directories: Path) -> None:
        report = loading.check(*directories)
        self._tell(report)
        faults = [*report.contradictions, *(f"{row} left the files; remove it with --prune" for row in report.gone)]
        if faults:
            raise CommandError("\n".join(faults))

    def _tell(self, report: LoadReport) -> None:
        if report.unchanged:
            self.stdout.write(f"The catalogue is up to date ({report.digest[:12]}).")
            return
        self.stdout.write(f"{'':14}created  changed     same     gone")
        for table in report.tables:
            counts = (len(table.created), len(table.changed), table.same, len(table.gone))
            self.stdout.write(
                f"{table.table:14}" + " ".join(f"{count:8}" for count in counts).lstrip(" ").rjust(34)
            )
        for row in report.gone:
            self.stdout.write(f"{row} {'is removed' if report.pruned else 'left the files'}")
        for note in report.waiting_notes:
            self.stdout.write(f"{note} is kept, and is shown again when its meaning comes back")
