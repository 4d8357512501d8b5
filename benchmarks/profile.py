"""Profile of the processor time of `serve`: `python -m benchmarks.profile FOLDER` starts it with a sampler.

Each worker looks at its threads a few hundred times a second and counts the functions of those that have used the
processor since. At the end (Control-C or SIGTERM) it writes `FOLDER/profile-PID.txt`: for each function the share
of the samples in which it ran itself, and in which it or what it called ran.
"""

import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from django.core.management import execute_from_command_line

INTERVAL_SECONDS = 0.003
WRITE_SECONDS = 2.0
MOST_LINES = 60


class Sampler(threading.Thread):
    """Counts what the other threads of this process are doing while they use the processor."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="sampler", daemon=True)
        self._folder = folder
        self._used: dict[int, float] = {}
        self._own: Counter[str] = Counter()
        self._all: Counter[str] = Counter()
        self._threads: Counter[str] = Counter()

    def run(self) -> None:
        written = time.monotonic()
        while True:
            time.sleep(INTERVAL_SECONDS)
            self._sample()
            if time.monotonic() - written > WRITE_SECONDS:
                written = time.monotonic()
                (self._folder / f"profile-{os.getpid()}.txt").write_text(self._report())

    def _sample(self) -> None:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            if thread is self or thread.ident is None:
                continue
            used = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            before, self._used[thread.ident] = self._used.get(thread.ident, used), used
            weight = round((used - before) * 1e6)
            if weight and thread.ident in frames:
                self._count(frames[thread.ident], thread.name, weight)

    def _count(self, frame: FrameType | None, thread: str, weight: int) -> None:
        stack = []
        while frame is not None:
            code = frame.f_code
            file = "/".join(code.co_filename.split("/")[-2:])
            stack.append(f"{file}:{code.co_qualname}")
            frame = frame.f_back
        self._threads[thread.rstrip("0123456789_-")] += weight
        self._own[stack[0]] += weight
        for name in set(stack):
            self._all[name] += weight

    def _report(self) -> str:
        total = sum(self._own.values()) or 1
        lines = [f"{total / 1e6:.2f} s of processor time", "", "by thread"]
        lines += [f"{weight / total:6.1%}  {name}" for name, weight in self._threads.most_common(12)]
        for title, counts in (("itself", self._own), ("with what it calls", self._all)):
            lines += ["", title]
            lines += [f"{weight / total:6.1%}  {name}" for name, weight in counts.most_common(MOST_LINES)]
        return "\n".join(lines) + "\n"


def main() -> None:
    folder = Path(sys.argv[1])
    os.register_at_fork(after_in_child=lambda: Sampler(folder).start())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    execute_from_command_line(["manage.py", "serve"])


if __name__ == "__main__":
    main()
