"""Removes what hides a code from a text (colours, HTML, escapes) and keeps the original offsets. Pure."""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_ENTITIES: Mapping[str, str] = {
    "nbsp": " ",
    "#160": " ",
    "quot": '"',
    "#34": '"',
    "apos": "'",
    "#39": "'",
    "#x27": "'",
    "lt": "<",
    "gt": ">",
    "amp": "&",
    "ndash": "–",
    "#8211": "–",
    "mdash": "–",
}
_ESCAPED: Mapping[str, str] = {"3c": "<", "3e": ">", "22": '"', "27": "'", "26": "&"}
_INLINE = "a|abbr|b|code|em|font|i|ins|kbd|mark|samp|small|span|strong|tt|u|var"
_BLOCK = (
    "address|article|blockquote|body|br|center|dd|div|dl|dt|footer|h[1-6]|head|header|hr|html|li|main|meta|ol|p|pre"
    "|section|table|tbody|thead|title|tr|ul"
)
# One alternative for each kind of markup; `_replacement` knows what takes its place.
_MARKUP = re.compile(
    rf"""(?P<control>\x1b\[[0-?]{{0,40}}[ -/]{{0,4}}[@-~]|(?:\^\[|\\(?:033|e|x1b|u001b))\[[\d;]{{0,40}}m
        |\x1b\][^\x07\x1b]{{0,400}}(?:\x07|\x1b\\)|\x1b[()][AB0])
    |(?P<invisible>[\u200b-\u200d\u2060\ufeff\u00ad]|\r(?=\r\n))
    |(?P<blank>[\u00a0\u2007\u2009\u202f\u3000])
    |(?P<colon>：)
    |(?P<slash>／)
    |&(?P<entity>nbsp|quot|apos|lt|gt|amp|[nm]dash|\#160|\#34|\#39|\#x27|\#8211);
    |\\u00(?P<escaped>3c|3e|22|27|26)
    |(?P<quote>\\{{1,7}}"(?=[\w.-]{{1,40}}\\{{1,7}}"\s{{0,4}}:)|(?<=[\w.-])\\{{1,7}}"(?=\s{{0,4}}[:,}}])
    |(?<=:)\\{{1,7}}"(?=\d)|(?<=:\ )\\{{1,7}}"(?=\d))
    |(?P<line>(?:\\r\\n|\\n|\\r)(?=[A-Za-z-]{{2,40}}:\ ?|HTTP/|\\|['"<]|\s|\Z))
    |(?P<only_number><(?:title|h1)>\s{{0,4}}(?=[45]\d\d\s{{0,4}}</))
    |(?P<cloudflare><span\ class="cf-error-code">)
    |(?P<cells></t[dh]>\s{{0,40}}<t[dh](?:\s[^<>]{{0,200}})?>)
    |(?P<inline></?(?:{_INLINE}|t[dh])(?:\s[^<>]{{0,400}})?/?>)
    |(?P<block></?(?:{_BLOCK})(?:\s[^<>]{{0,400}})?/?>)
    |(?P<emphasis>(?<![\w*/])\*{{1,3}}(?=\w)|(?<=[\w:])\*{{1,3}}(?![\w*/])|(?<!\w)`(?=\w)|(?<=\w)`(?!\w))""",
    re.IGNORECASE | re.VERBOSE,
)
_FIXED: Mapping[str, str] = {
    "blank": " ",
    "colon": ":",
    "slash": "/",
    "quote": '"',
    "line": "\n",
    "only_number": "\nHTTP ",
    "cloudflare": "Error code ",
    "cells": ": ",
    "block": "\n",
}
_VALUES: Mapping[str, Callable[[str], str]] = {
    "entity": lambda name: _ENTITIES[name.lower()],
    "escaped": lambda number: _ESCAPED[number.lower()],
}


@dataclass(frozen=True)
class Plain:
    """A text without markup; each edit is its place in the plain text and in the original."""

    text: str
    starts: Sequence[int] = ()
    edits: Sequence[tuple[int, int, int, int]] = ()

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the offsets in the original text of a passage of the plain text."""
        first = self._place(start)[0]
        return first, self._place(end - 1)[1] if end > start else first

    def _place(self, position: int) -> tuple[int, int]:
        """Return where the character at a position begins and ends in the original text."""
        found = bisect_right(self.starts, position)
        if not found:
            return position, position + 1
        _, plain_end, start, end = self.edits[found - 1]
        if position < plain_end:
            return start, end
        shifted = position - plain_end + end
        return shifted, shifted + 1


def without_markup(text: str) -> Plain:
    """Replace markup by what a reader sees of it."""
    parts: list[str] = []
    edits: list[tuple[int, int, int, int]] = []
    end = length = 0
    for match in _MARKUP.finditer(text):
        replaced = _replacement(match)
        parts += [text[end : match.start()], replaced]
        length += match.start() - end
        edits.append((length, length + len(replaced), *match.span()))
        length += len(replaced)
        end = match.end()
    if not edits:
        return Plain(text)
    return Plain("".join([*parts, text[end:]]), [edit[0] for edit in edits], edits)


def _replacement(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    if kind in _VALUES:
        return _VALUES[kind](match[kind])
    return _FIXED.get(kind, "")
