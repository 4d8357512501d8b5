"""Runs commands: chooses settings, protects files, prints in any locale, and puts faults into one line."""

import codecs
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from portal.environment import BadEnvironment

SETTINGS = "DJANGO_SETTINGS_MODULE"
#: Only these may make a data folder and what belongs to it; another command that makes one has missed the real one.
_SERVING = frozenset({"serve"})
#: Commands that need no database: they also run where there is no data folder.
_WITHOUT_DATA = frozenset(
    {"", "help", "version", "--help", "-h", "--version", "check", "diffsettings", "makemigrations", "makemessages"}
    | {"compilemessages", "spectacular", "findstatic", "shell", "test", "check_proxy", "catalogue_diff_iana"}
)
_is_serving = False


def main(argv: Sequence[str]) -> None:
    """Run a command of `manage.py`; what an operator can mend ends in a line and not in a traceback."""
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
        """Checks what a command would work on, once the settings are read and before it begins."""

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


def start_serving() -> None:
    """Let this process make the data folder and its secret key: it is the portal's server."""
    global _is_serving  # noqa: PLW0603  # one process either serves or does not
    _is_serving = True


def is_serving() -> bool:
    """Whether this process is the portal's server, and not another command."""
    return _is_serving


def choose_settings() -> None:
    """Name the portal's settings, also where a shell still names those of another project."""
    named = os.environ.get(SETTINGS, "")
    if named and not named.startswith(("portal.", "tests.")):
        _warn(f"{SETTINGS}={named} is not used: the portal has its own settings. Unset it.")
        named = ""
    os.environ[SETTINGS] = named or "portal.settings"


def use_readable_streams() -> None:
    """Let every text be printed, whatever the locale: C means UTF-8 here, others escape what they lack."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if codecs.lookup(stream.encoding).name == "ascii":
            stream.reconfigure(encoding="utf-8")
        stream.reconfigure(errors="surrogateescape" if stream is sys.stdin else "backslashreplace")


def require_data_folder(command: str) -> None:
    """Stop a command that would work on a data folder that is not there, and say which one it looked for."""
    from django.conf import settings

    folder = Path(settings.DATA_DIR)
    if folder.is_dir():
        return
    named = "PORTAL_DATA_DIR names it" if os.environ.get("PORTAL_DATA_DIR") else "PORTAL_DATA_DIR is not set"
    sys.exit(
        f"{command}: there is no data folder {folder} ({named}). Set PORTAL_DATA_DIR to the portal's own folder; "
        "`manage.py serve` makes one at its first start."
    )


def explain(fault: Exception) -> str:
    """Say in one line what an operator has to mend; empty where the fault is the program's own."""
    from django.db import Error

    if isinstance(fault, OSError) and fault.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"the disk is full ({fault.filename or fault.strerror}). Free some space."
    if not isinstance(fault, Error):
        return ""
    text = " ".join(str(fault).split())
    return next((make(text) for is_meant, make in _DATABASE_FAULTS if is_meant(text)), "")


def _has(*parts: str) -> Callable[[str], bool]:
    return lambda text: any(part in text for part in parts)


def _older(text: str) -> str:
    from django.conf import settings

    return (
        f"the database is not set up, or was made by an older release ({text}). Looked for in {settings.DATA_DIR}. "
        "Set PORTAL_DATA_DIR and DATABASE_URL to the portal's own, or run `manage.py migrate`."
    )


#: From a database's words to ours. The first that fits; a fault that none fits is the program's own.
_DATABASE_FAULTS: tuple[tuple[Callable[[str], bool], Callable[[str], str]], ...] = (
    (_has("no such table", "no such column", "has no column"), _older),
    (lambda text: ("relation" in text or "column" in text) and "does not exist" in text, _older),
    (_has("permission denied"), lambda text: f"the database refuses this user ({text}). See DATABASE_URL."),
    (_has("is full"), lambda text: f"the disk is full ({text}). Free some space."),
    (_has("disk I/O"), lambda text: f"the disk is full or fails ({text}). Free some space, and look at its log."),
    (_has("is locked"), lambda text: f"another process is writing to the database ({text}). Try again."),
    (_has("readonly", "unable to open"), lambda text: f"the database cannot be written by this user ({text})."),
    (_has("malformed", "not a database"), lambda text: f"the database is damaged ({text}). Restore the backup."),
    (
        _has("connection", "could not", "failed", "FATAL", "timeout", "server closed", "terminating"),
        lambda text: f"the database cannot be reached ({text}). See DATABASE_URL.",
    ),
)


def _warn(line: str) -> None:
    sys.stderr.write(f"{line}\n")
