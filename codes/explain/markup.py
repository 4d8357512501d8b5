"""Removes what hides a code from a text (colours, HTML, escapes) and keeps the original offsets. Pure."""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from codes.explain.transport import Replacement, alike, passes

_ENTITIES: Mapping[str, str] = {
    "nbsp": " ",
    "quot": '"',
    "apos": "'",
    "lt": "<",
    "gt": ">",
    "amp": "&",
    "ndash": "–",
    "mdash": "–",
    "colon": ":",
    "sol": "/",
    "num": "#",
    "lpar": "(",
    "rpar": ")",
    "newline": "\n",
    "tab": "\t",
}
_SPACES = frozenset({9, 10, 13})
_SURROGATES = 0xD800
_ESCAPED: Mapping[str, str] = {"3c": "<", "3e": ">", "22": '"', "27": "'", "26": "&"}
_INLINE = "a|abbr|b|code|em|font|i|ins|kbd|mark|samp|small|span|strong|tt|u|var"
_BLOCK = (
    "address|article|blockquote|body|br|center|dd|div|dl|dt|footer|h[1-6]|head|header|hr|html|li|main|meta|ol|p|pre"
    "|section|table|tbody|thead|title|tr|ul"
)
# The escape character as programs and editors print it.
_ESCAPE = r"(?:\^\[|\\{1,3}(?:033|e|x1b|u001b)|\#033|\#\#033|[␛←]|&\#(?:27|x1b);)"
# One alternative for each kind of markup; `_replacement` knows what takes its place.
_MARKUP = re.compile(
    rf"""(?P<control>\x1b\[[0-?]{{0,40}}[ -/]{{0,4}}[@-~]|{_ESCAPE}\[[\d;]{{0,40}}[mK]
        |\[(?:\d{{1,2}}(?:;\d{{1,3}}){{1,4}}|0|[3-9]\d)m(?!\])
        |\x1b\][^\x07\x1b]{{0,400}}(?:\x07|\x1b\\)|\x1b[()][AB0])
    |(?P<invisible>[\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\u00ad\u061c]|\r(?=\r\n))
    |(?P<blank>[\u00a0\u2000-\u200a\u202f\u205f\u3000])
    |(?P<dash>(?<=stroom)[–—](?=status))
    |&(?:amp;){{0,3}}(?P<entity>nbsp|quot|apos|lt|gt|amp|[nm]dash|colon|sol|num|[lr]par|newline|tab
        |\#(?:x[0-9a-f]{{2,4}}|\d{{2,5}}));
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
    "dash": "-",
    "quote": '"',
    "line": "\n",
    "only_number": "\nHTTP ",
    "cloudflare": "Error code ",
    "cells": ": ",
    "block": "\n",
}
_VALUES: Mapping[str, Callable[[str], str]] = {
    "entity": lambda name: _of_entity(name.lower()),
    "escaped": lambda number: _ESCAPED[number.lower()],
}


def _of_entity(name: str) -> str:
    """Return the character; one that is no part of a text, such as a control character, is left out."""
    if not name.startswith("#"):
        return _ENTITIES[name]
    number = int(name[2:], 16) if name[1] == "x" else int(name[1:])
    character = chr(number) if number < _SURROGATES else ""
    return alike(" " if character == "\xa0" else character) if character.isprintable() or number in _SPACES else ""


@dataclass(frozen=True)
class Plain:
    """A text without markup; each edit is its place in the plain text and in the text `before` it was made."""

    text: str
    starts: Sequence[int] = ()
    edits: Sequence[tuple[int, int, int, int]] = ()
    before: "Plain | None" = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the offsets in the original text of a passage of the plain text."""
        first = self._place(start)[0]
        last = self._place(end - 1)[1] if end > start else first
        return self.before.original(first, last) if self.before else (first, last)

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
    plain = Plain(alike(text))
    for edits_of in (*passes(), _markup):
        if edits := edits_of(plain.text):
            plain = _edited(plain, edits)
    return plain


def _markup(text: str) -> list[Replacement]:
    return [Replacement(*match.span(), _replacement(match)) for match in _MARKUP.finditer(text)]


def _edited(before: Plain, edits: Sequence[Replacement]) -> Plain:
    parts: list[str] = []
    places: list[tuple[int, int, int, int]] = []
    end = length = 0
    for edit in edits:
        parts += [before.text[end : edit.start], edit.replaced]
        length += edit.start - end
        places.append((length, length + len(edit.replaced), edit.start, edit.end))
        length += len(edit.replaced)
        end = edit.end
    text = "".join([*parts, before.text[end:]])
    return Plain(text, [place[0] for place in places], places, before)


def _replacement(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    if kind in _VALUES:
        return _VALUES[kind](match[kind])
    return _FIXED.get(kind, "")
