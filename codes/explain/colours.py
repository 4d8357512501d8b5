"""Takes the colours of a terminal out of a text and leads places in the rest back to the text as it was. Pure."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

# Also as `cat -v`, logs and programs' sources write the escape.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|(?:\^\[|\\(?:033|e|x1b|u001b))\[[\d;]*m", re.IGNORECASE)


@dataclass(frozen=True)
class Plain:
    """A text without its control sequences; `starts` and `shifts` say how far the rest has moved from where."""

    text: str
    starts: Sequence[int] = ()
    shifts: Sequence[int] = ()

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The place of a passage in the text as it was, from its first character to its last."""
        return self._place(start), self._place(end - 1) + 1 if end > start else self._place(start)

    def _place(self, position: int) -> int:
        found = bisect_right(self.starts, position)
        return position + (self.shifts[found - 1] if found else 0)


def without_colours(text: str) -> Plain:
    """Take the control sequences out."""
    parts, starts, shifts = [], [], []
    end = length = 0
    for match in _CONTROL.finditer(text):
        parts.append(text[end : match.start()])
        length += match.start() - end
        end = match.end()
        starts.append(length)
        shifts.append(end - length)
    if not starts:
        return Plain(text)
    return Plain("".join([*parts, text[end:]]), starts, shifts)
