"""Explain a pasted answer, a pair or a code on the command line."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from codes.explain.answers import TooLong, explain
from codes.explain.recognise import MAX_LENGTH
from codes.models import Release
from codes.plaintext import explanation_text


class Command(BaseCommand):
    help = "Say what an HTTP answer, a log line, a pair such as 406/110, or a code means and what to do."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "text",
            nargs="*",
            help="406/110, 404, 'HTTP/1.1 503 …', any message; - or nothing reads from standard input",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not Release.objects.exists():
            raise CommandError("The catalogue is not loaded. Run: manage.py load_catalogue")
        try:
            explanation = explain(self._asked(options["text"]))
        except TooLong as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(explanation_text(explanation), ending="")
        if not explanation.passages:
            raise SystemExit(1)

    def _asked(self, words: list[str]) -> str:
        if words and words != ["-"]:
            return " ".join(words)
        if sys.stdin.isatty():
            self.stderr.write("Paste the text, then press Ctrl-D.")
        return sys.stdin.buffer.read(MAX_LENGTH + 1).decode(errors="replace")
