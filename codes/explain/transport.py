"""Undoes what mail, terminals and editors make of a text on its way to the clipboard. Pure.

Each pass says by its own signs whether it applies, so that a text that only looks alike stays as it is.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple


class Replacement(NamedTuple):
    """A passage of the text before the pass, and what stands there after it."""

    start: int
    end: int
    replaced: str


#: One character for another one: wide forms, digits of other scripts, dashes, ends of lines.
_ALIKE: Mapping[int, str] = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **{
        code: str(unicodedata.digit(chr(code)))
        for first in (0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50)
        for code in range(first, first + 10)
    },
    **dict.fromkeys((0x2010, 0x2011, 0x2212, 0xFE63), "-"),
    **dict.fromkeys((0x0B, 0x0C, 0x85, 0x2028, 0x2029), "\n"),
}
_NUL = re.compile(r"\x00")
# UTF-16 as a terminal shows it: a blank after each character of the line.
_SPACED_LINE = re.compile(r"^(?:[^\s] |  ){8,400}[^\r\n]?\r?$", re.MULTILINE)
_QUOTED_PRINTABLE = re.compile(
    r"=0D=0A|=0[AD]|=\r?\n|=20(?=\d{3}(?:=20|\s|\Z)|[A-Za-z(=])|=(?:3[ACDEac-e]|2[0267Cc]|09|5[BDbd]|7[BDbd])"
)
_IS_QUOTED_PRINTABLE = re.compile(r"=0[AD]|:=20|=20\d{3}=20|=20[A-Za-z]+=20|[A-Za-z0-9]=\r?\n[A-Za-z0-9]")
_PERCENT = re.compile(r"%(?:2[0-9A-Fa-f]|3[A-Fa-f]|0[9ADad]|5[BDbd]|7[B-Db-d])")
_IS_PERCENT_ENCODED = re.compile(
    r"\bHTTP(?:%2F|/)\d(?:\.\d)?%20[1-5]\d\d|\A(?!\S{0,2000}://)\S{0,2000}(?:status|code)(?:%22)?%3[AD](?:%20)?[1-5]\d\d",
    re.I,
)


def passes() -> tuple[Callable[[str], list[Replacement]], ...]:
    """All passes in their order; each returns the edits of a text, sorted and without overlap."""
    return (_without_nul, _without_spacing, _quoted_printable, _percent)


def alike(text: str) -> str:
    """Return the text with one character for each character, so that every offset stays."""
    return text if text.isascii() and "\x0b" not in text and "\x0c" not in text else text.translate(_ALIKE)


def _without_nul(text: str) -> list[Replacement]:
    return [Replacement(*match.span(), "") for match in _NUL.finditer(text)] if "\x00" in text else []


def _without_spacing(text: str) -> list[Replacement]:
    edits: list[Replacement] = []
    for line in _SPACED_LINE.finditer(text):
        edits += (
            Replacement(place, place + 1, "")
            for place in range(line.start() + 1, line.end(), 2)
            if text[place] == " "
        )
    return edits


def _quoted_printable(text: str) -> list[Replacement]:
    return list(_decoded(_QUOTED_PRINTABLE, text)) if "=" in text and _IS_QUOTED_PRINTABLE.search(text) else []


def _percent(text: str) -> list[Replacement]:
    return list(_decoded(_PERCENT, text)) if "%" in text and _IS_PERCENT_ENCODED.search(text) else []


def _decoded(pattern: re.Pattern[str], text: str) -> Iterator[Replacement]:
    """The characters that the codes stand for; what ends in a line end after "=" is a line broken for the way."""
    for match in pattern.finditer(text):
        numbers = re.findall(r"[=%]([0-9A-Fa-f]{2})", match.group())
        yield Replacement(*match.span(), "".join(chr(int(number, 16)) for number in numbers))
