"""Check that no entry of the audit record was edited, removed or reordered."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.audit.record import (
    CHAIN,
    HEADS_FILE,
    Head,
    accept_heads,
    latest_head,
    read_heads,
    stored_entries,
    verify,
)
from portal.models import AuditRecord
from portal.text import counted


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
        parser.add_argument(
            "--accept",
            metavar="REASON",
            help="after a restore: note in the record why heads announced until now are not in this database",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["accept"]:
            accept_heads(options["accept"])
        files = [self._read(path) for path in self._files(options["heads"])]
        heads = [head for found in files for head in found]
        faults = verify(stored_entries(), *files)
        for fault in faults[:100]:
            self.stderr.write(fault)
        if faults:
            raise CommandError(
                f"The audit record is not whole: {counted(len(faults), 'fault')}. After a restore of an older "
                "database, --accept REASON explains heads that were announced before."
            )
        head = latest_head()
        entries = counted(head.number if head else 0, "entry", "entries")
        self.stdout.write(f"The audit record is whole: {entries}, {counted(len(heads), 'head')}.")
        for began in AuditRecord.objects.filter(kind=CHAIN).order_by("number"):
            if after := json.loads(began.new)["after"]:
                self.stdout.write(
                    f"Entry {began.number} ({began.at}) explains that earlier heads, the last of them {after}, "
                    f"need not be in this database: {began.comment}"
                )
        if head:
            self.stdout.write(f"Head: {head}")
        announced = max((known.number for known in heads if head and known.number <= head.number), default=None)
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
            with path.open(encoding="utf-8", errors="replace") as file:
                return read_heads(file)
        except OSError as fault:
            raise CommandError(f"{path} cannot be read: {fault.strerror}") from fault
