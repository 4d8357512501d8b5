"""Check that nobody has edited, removed or reordered entries of the audit record."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.audit import HEADS_FILE, Head, read_heads, stored_entries, verify
from portal.models import AuditRecord
from portal.wording import counted


class Command(BaseCommand):
    help = "Check the chain of the audit record, and compare it with the heads that were announced."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--heads",
            action="append",
            default=[],
            metavar="FILE",
            help="a log or file in which heads were announced; the portal's own file is always read",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        heads = [head for path in self._files(options["heads"]) for head in self._read(path)]
        faults = verify(stored_entries(), heads)
        for fault in faults[:100]:
            self.stderr.write(fault)
        if faults:
            raise CommandError(f"The audit record is not whole: {counted(len(faults), 'fault')}.")
        last = AuditRecord.objects.order_by("-number").first()
        head = Head(last.number, last.digest) if last else None
        entries = counted(last.number if last else 0, "entry", "entries")
        self.stdout.write(f"The audit record is whole: {entries}, {counted(len(heads), 'head')}.")
        if head:
            self.stdout.write(f"Head: {head}")
        announced = max((known.number for known in heads), default=None)
        if head and announced is not None and head.number > announced:
            # No fault: the portal may have been stopped in the instant between writing and announcing.
            self.stdout.write(
                f"The entries after {announced} were never announced. Look at them: they were written in the "
                "instant in which the portal was stopped, by another portal, or past it."
            )

    def _files(self, named: list[str]) -> list[Path]:
        own = Path(settings.DATA_DIR) / HEADS_FILE
        return [*(Path(name) for name in named), *([own] if own.is_file() else [])]

    def _read(self, path: Path) -> list[Head]:
        try:
            with path.open(errors="replace") as file:
                return read_heads(file)
        except OSError as fault:
            raise CommandError(f"{path} cannot be read: {fault.strerror}") from fault
