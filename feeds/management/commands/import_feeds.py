"""Import feeds from a file: by default only show what would change."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from feeds.changes.approval import Proposed, TooMuch
from feeds.changes.files import read_file
from feeds.changes.import_plan import ImportPlan, ImportRefused, PlannedRow, apply_import, plan_import
from feeds.changes.import_rows import MAX_FILE, ImportFile, UnreadableFile


class Command(BaseCommand):
    help = (
        "Show what a Stroom export (ZIP), a FeedDoc, or a CSV or JSON file of feeds would change; --apply does it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the file; - reads from standard input")
        parser.add_argument("--apply", action="store_true", help="import it, all or nothing")
        parser.add_argument("--user", default="", help="whose rights count; by default the first superuser's")
        parser.add_argument("--comment", default="", help="why, kept with the history of each feed")

    def handle(self, *args: Any, **options: Any) -> None:
        file = _read(options["file"])
        user = _user(options["user"])
        plan = plan_import(file, user)
        for line in _lines(plan):
            self.stdout.write(line)
        if plan.counts["fault"]:
            raise CommandError("Nothing can be imported while a row has a fault.")
        if options["apply"]:
            self.stdout.write(_applied(file, user, options["comment"], plan))
        elif plan.possible:
            self.stdout.write("Nothing was written. Run it again with --apply to import.")


def _read(name: str) -> ImportFile:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_FILE + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_FILE + 1)
        return read_file(data)
    except OSError as fault:
        raise CommandError(f"{name} cannot be read: {fault.strerror or fault}.") from fault
    except UnreadableFile as fault:
        raise CommandError(f"{name} cannot be imported: {fault}.") from fault


def _user(name: str) -> Any:
    users = get_user_model().objects.filter(is_active=True)
    found = users.filter(username=name) if name else users.filter(is_superuser=True).order_by("pk")
    user = found.first()
    if user is None:
        asked = f"no active user {name}" if name else "no active superuser"
        raise CommandError(f"There is {asked}. Name one with --user, or create one with manage.py createsuperuser.")
    return user


def _lines(plan: ImportPlan) -> Iterator[str]:
    counts = ", ".join(f"{plan.counts[action]} {action}" for action in ("create", "change", "same", "fault"))
    yield f"{plan.kind}: {counts}"
    for planned in plan.rows:
        yield from _row_lines(planned)
    for part in plan.left_out:
        yield _shown(f"left out  {part.place}: {part.reason}")


def _row_lines(planned: PlannedRow) -> Iterator[str]:
    yield _shown(f"{planned.action:8}  {planned.row.name or '(no name)'}  ({planned.row.place})")
    for fault in planned.faults:
        yield _shown(f"          fault: {fault}")
    for note in planned.row.notes:
        yield _shown(f"          note: {note}")
    if planned.action == "change":
        for change in planned.changes:
            yield _shown(f"          {change.field}: {change.old!r} -> {change.new!r}")


def _shown(line: str) -> str:
    """Return one line without control characters."""
    return "".join(character if character.isprintable() else "?" for character in line)


def _applied(file: ImportFile, user: Any, comment: str, plan: ImportPlan) -> str:
    try:
        done = apply_import(file, user, comment=comment, digest=plan.digest)
    except (ImportRefused, TooMuch) as refusal:
        raise CommandError(str(refusal)) from refusal
    except Proposed as proposed:
        return f"It waits for a second person's approval: {proposed}"
    return f"{done.counts['create']} created, {done.counts['change']} changed."
