"""Entry point of manage.py: protects files, checks the database before a command, reports faults in one line."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from portal.command_line import choose_settings, explain, start_serving, use_readable_streams
from portal.environment import BadEnvironment

#: Only these create a data folder: where another command finds none, it looks in the wrong place.
_SERVING = frozenset({"serve"})
#: Commands that need no database and run without a data folder.
_WITHOUT_DATA = frozenset(
    {"", "help", "version", "--help", "-h", "--version", "check", "diffsettings", "makemigrations", "makemessages"}
    | {"compilemessages", "spectacular", "findstatic", "shell", "test", "check_proxy", "catalogue_diff_iana"}
)


def main(argv: Sequence[str]) -> None:
    """Run a command of manage.py. Faults that an operator can fix end in one line instead of a traceback."""
    os.umask(0o077)
    choose_settings()
    use_readable_streams()
    command = argv[1] if len(argv) > 1 else ""
    if command in _SERVING:
        start_serving()
    try:
        _run(list(argv), command)
    except BadEnvironment as fault:
        sys.exit(f"The portal cannot start:\n{fault}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception as fault:
        line = explain(fault)
        if not line or "--traceback" in argv:
            raise
        sys.exit(f"{command}: {line}")


def _run(argv: list[str], command: str) -> None:
    from django.core.management import BaseCommand, CommandError, ManagementUtility

    class Manager(ManagementUtility):
        """Command runner that checks database and store before a command begins."""

        def fetch_command(self, subcommand: str) -> BaseCommand:
            found = super().fetch_command(subcommand)
            from portal.server.guard import check_command

            if command not in _SERVING | _WITHOUT_DATA:
                require_data_folder(command)
            check_command(self.argv)
            return found

    try:
        Manager(argv).execute()
    except CommandError as fault:
        sys.exit(f"{type(fault).__name__}: {fault}")


def require_data_folder(command: str) -> None:
    """Stop a command whose data folder does not exist, and name that folder."""
    from django.conf import settings

    folder = Path(settings.DATA_DIR)
    if folder.is_dir():
        return
    named = "PORTAL_DATA_DIR names it" if os.environ.get("PORTAL_DATA_DIR") else "PORTAL_DATA_DIR is not set"
    sys.exit(
        f"{command}: there is no data folder {folder} ({named}). Set PORTAL_DATA_DIR to the portal's own folder; "
        "`manage.py serve` creates one at its first start."
    )
