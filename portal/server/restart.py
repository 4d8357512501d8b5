"""Restart in overlap: the parent becomes the new program, its workers accept, then the old workers finish and end.

The parent keeps its process id, so a service manager sees one process throughout. The listening socket, the old
workers and the pipe by which workers notice the end of their parent pass through `exec` as descriptors and numbers.
"""

import json
import os
import sys
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from typing import Self

#: Set by the parent for itself, and removed by the program that takes over.
VARIABLE = "SERVE_INHERITANCE"
#: Option of `manage.py serve` by which the new program is tried before the old one makes room for it.
TRIAL_OPTION = "--prepare"


@dataclass(frozen=True)
class Inheritance:
    """Descriptors that the program before this one left; all of them belong to this process."""

    pid: int
    listener: int
    lifeline: int
    lifeline_end: int
    workers: tuple[int, ...]

    @classmethod
    def take(cls, environ: MutableMapping[str, str] = os.environ) -> Self | None:
        """Read and remove it; None where this process is not the successor of another program."""
        text = environ.pop(VARIABLE, "")
        if not text:
            return None
        left = cls(**json.loads(text))
        return left if left.pid == os.getpid() else None

    def hand_over(self) -> None:
        """Become the new program. Returns only with an OSError, where it cannot be run."""
        for descriptor in (self.listener, self.lifeline, self.lifeline_end):
            os.set_inheritable(descriptor, True)  # noqa: FBT003  # its only argument
        os.environ[VARIABLE] = json.dumps(asdict(self))
        try:
            os.execv(sys.executable, _command())  # noqa: S606  # no shell is meant
        finally:
            del os.environ[VARIABLE]


def start_trial() -> int:
    """Start the new program, which reads the settings, prepares the data and ends; return its process id.

    Only where that succeeds does the parent become it: a program that cannot start must not replace one that runs.
    """
    # The parent blocks signals to wait for them; the trial must not.
    return os.posix_spawn(sys.executable, _command(TRIAL_OPTION), os.environ, setsigmask=())


def _command(*options: str) -> list[str]:
    return [sys.executable, *sys.orig_argv[1:], *options]
