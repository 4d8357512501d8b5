"""Show what a newer list of the IANA registry would change in the catalogue."""

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from codes.catalogue.iana import (
    Assigned,
    NotTheRegistry,
    differences,
    expiry_of,
    in_catalogue,
    newest_copy,
    read_registry,
)
from codes.catalogue.reader import read_catalogue
from codes.catalogue.toml_table import CatalogueFault
from codes.loading import DATA_DIRECTORY


class Command(BaseCommand):
    help = (
        "Compare the catalogue with the registry's own list, http-status-codes-1.csv from "
        "https://www.iana.org/assignments/http-status-codes/, or, without FILE, with the portal's own copy of it. "
        "Exit code 1 where they differ."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", metavar="FILE.csv")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"] or newest_copy()
        try:
            theirs = read_registry(path.read_text(encoding="utf-8"))
            ours = in_catalogue(read_catalogue(DATA_DIRECTORY))
        except (OSError, UnicodeDecodeError, NotTheRegistry) as fault:
            raise CommandError(f"{path} cannot be used: {fault}") from fault
        except CatalogueFault as fault:
            raise CommandError(f"The catalogue cannot be used:\n{fault}") from fault
        lines = differences(ours, theirs)
        if not lines:
            self.stdout.write(f"No difference to {path.name}: {len(ours)} values.")
            self._name_expired(ours)
            return
        for line in lines:
            self.stdout.write(line)
        self.stdout.write(f"{len(lines)} differences. Edit codes/data/sources/iana.toml and codes/data/http/.")
        raise SystemExit(1)

    def _name_expired(self, ours: Mapping[int, Assigned]) -> None:
        """Name temporary registrations that have ended: the registry has a newer list then."""
        today = datetime.now(UTC).date().isoformat()
        for number, assigned in ours.items():
            end = expiry_of(assigned.remark)
            if end and end < today:
                self.stdout.write(f"{number} {assigned.name} was registered until {end}. Look for a newer list.")
