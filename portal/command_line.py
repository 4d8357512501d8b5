"""State and helpers of the running command: settings, streams, and one-line messages for operators."""

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable

SETTINGS = "DJANGO_SETTINGS_MODULE"
_is_serving = False


def start_serving() -> None:
    """Mark this process as the server, which may create the data folder and its secret key."""
    global _is_serving  # noqa: PLW0603  # one process either serves or does not
    _is_serving = True


def is_serving() -> bool:
    """Return whether this process is the server, and not another command."""
    return _is_serving


def choose_settings() -> None:
    """Use the portal's settings, also where a shell still has those of another project."""
    named = os.environ.get(SETTINGS, "")
    if named and not named.startswith(("portal.", "tests.")):
        _warn(f"{SETTINGS}={named} is not used: the portal has its own settings. Unset it.")
        named = ""
    os.environ[SETTINGS] = named or "portal.settings"


def use_readable_streams() -> None:
    """Make every text printable: UTF-8 in the C locale, escapes for missing characters in others."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if codecs.lookup(stream.encoding).name == "ascii":
            stream.reconfigure(encoding="utf-8")
        stream.reconfigure(errors="surrogateescape" if stream is sys.stdin else "backslashreplace")


def explain(fault: Exception) -> str:
    """Return what an operator has to fix, in one line; empty where the fault is the program's own."""
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
        f"the database is not set up, or was created by an older release ({text}). Data folder: "
        f"{settings.DATA_DIR}. Set PORTAL_DATA_DIR and DATABASE_URL to the portal's own, "
        "or run `manage.py migrate`."
    )


#: Messages for errors of the database. The first match counts; an error without a match is the program's own.
_DATABASE_FAULTS: tuple[tuple[Callable[[str], bool], Callable[[str], str]], ...] = (
    (_has("no such table", "no such column", "has no column"), _older),
    (lambda text: ("relation" in text or "column" in text) and "does not exist" in text, _older),
    (_has("permission denied"), lambda text: f"the database refuses this user ({text}). See DATABASE_URL."),
    (_has("is full"), lambda text: f"the disk is full ({text}). Free some space."),
    (_has("disk I/O"), lambda text: f"the disk is full or fails ({text}). Free some space, and check its health."),
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
