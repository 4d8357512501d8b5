"""Deny a certificate for every feed, or withdraw that."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from feeds.changes.denials import denials, deny_everywhere, withdraw
from feeds.rules.pasted import UnreadableCertificate, read_pasted


class Command(BaseCommand):
    help = (
        "Deny a certificate for every feed, from the next request on: a DN in any usual form, or the path of a PEM "
        "file. Without an argument, list what is denied."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("certificate", nargs="?", metavar="DN|FILE.pem")
        parser.add_argument("--withdraw", action="store_true", help="take the denial back")
        parser.add_argument("--comment", default="", help="the reason, kept with the history")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["certificate"]:
            for rule in denials():
                self.stdout.write(f"{rule.subject_dn}  {rule.comment}".rstrip())
            return
        subject = _subject(options["certificate"])
        present = [rule for rule in denials() if rule.subject_dn == subject]
        if options["withdraw"]:
            if not present:
                raise CommandError(f"{subject} is not denied for every feed.")
            for rule in present:
                withdraw(rule, comment=options["comment"], by_operator=True)
            self.stdout.write(f"{subject} is no longer denied for every feed.")
        elif present:
            self.stdout.write(f"{subject} is denied for every feed already.")
        else:
            try:
                deny_everywhere(subject, comment=options["comment"])
            except ValidationError as fault:
                raise CommandError("; ".join(fault.messages)) from fault
            self.stdout.write(f"{subject} is denied for every feed.")


def _subject(given: str) -> str:
    """Return the subject DN of what was given."""
    path = Path(given)
    try:
        return read_pasted(path.read_text(encoding="utf-8") if path.is_file() else given).subject
    except (UnreadableCertificate, OSError, UnicodeDecodeError) as fault:
        raise CommandError(f"This is neither a DN nor a PEM file: {fault}") from fault
