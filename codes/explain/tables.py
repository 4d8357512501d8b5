"""Tables in a text, Markdown, wiki, tabs or commas, whose head names the columns of codes. Pure."""

import re
from collections.abc import Iterator

_SIGNS = ("|", "\t", ";", ",")
_HTTP_HEAD = re.compile(
    r"(?:http|(?:http|response|sc)?[ _-]?(?:status|code)(?:[ _-]?code)?|http[ _-]?status[ _-]?code)", re.I
)
_STROOM_HEAD = re.compile(r"stroom(?:[ _-]?(?:status|code)){0,2}", re.I)
_STATUS = re.compile(r"[1-5]\d\d")
_STROOM = re.compile(r"0|[1-9]\d{0,2}")
_MOST_CELLS = 60
Cell = tuple[str, int, int]


def table_cells(text: str) -> Iterator[Cell]:
    """Find the numbers below a head that says what they are: registry, start and end of each."""
    sign, count, columns = "", 0, dict[int, str]()
    start = 0
    for line in text.splitlines(keepends=True):
        if columns and line.count(sign) == count:
            yield from _in_row(line, start, sign, columns)
        else:
            sign, count, columns = _head(line)
        start += len(line)


def _head(line: str) -> tuple[str, int, dict[int, str]]:
    """Return the sign between the cells of a head, how often it stands there, and the columns that hold codes."""
    for sign in _SIGNS:
        line = line.replace("||", "|") if sign == "|" else line  # as wikis write a head
        names = [cell.strip(" *_`\"'\r\n") for cell in line.split(sign, _MOST_CELLS)]
        if len(names) < 3 and not (sign == "|" and len(names) == 2):
            continue
        found = {place: registry for place, name in enumerate(names) if (registry := _registry(name))}
        if "http" in found.values() and not any(name.isdigit() for name in names):
            return sign, line.count(sign), found
    return "", 0, {}


def _registry(name: str) -> str:
    if _HTTP_HEAD.fullmatch(name):
        return "http"
    return "stroom" if _STROOM_HEAD.fullmatch(name) else ""


def _in_row(line: str, start: int, sign: str, columns: dict[int, str]) -> Iterator[Cell]:
    position = start
    for place, cell in enumerate(line.split(sign, _MOST_CELLS)):
        number = cell.strip(" *_`\"'\r\n")
        pattern = _STATUS if columns.get(place) == "http" else _STROOM
        if place in columns and pattern.fullmatch(number):
            begin = position + cell.index(number)
            yield columns[place], begin, begin + len(number)
        position += len(cell) + len(sign)
