"""Reads the five seed documents on its own, so that a test can hold the authored catalogue against them.

Nothing here knows the TOML files: each parser finds the headings of one document, with owner, exact name and lines.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"
OWNERS_IN_BRACKETS = {
    "Google": "google",
    "Microsoft": "microsoft",
    "Nginx": "nginx",
    "Esri": "esri",
    "Apache bw/limited extension": "apache",
    "Microsoft / CloudFlare": "microsoft-cloudflare",
    "CloudFlare": "cloudflare",
}


@dataclass(frozen=True)
class Heading:
    registry: str
    code: int
    owner: str
    name: str
    lines: tuple[int, int]


Parser = Callable[[list[str]], Iterator[Heading]]
PARSERS: dict[str, tuple[str, Parser]] = {}


def parses(slug: str, file_name: str) -> Callable[[Parser], Parser]:
    def register(parser: Parser) -> Parser:
        PARSERS[slug] = file_name, parser
        return parser

    return register


def headings_of(slug: str) -> list[Heading]:
    file_name, parser = PARSERS[slug]
    return list(parser((SEEDS / file_name).read_text(encoding="utf-8").splitlines()))


def last_text_line(lines: list[str], first: int, end: int) -> int:
    """The number of the last line with text from `first` up to, not including, `end`."""
    return max(number for number in range(first, end) if lines[number - 1].strip())


@parses("stroom-response-codes", "000-stroom-response-codes.txt")
def table_of_stroom(lines: list[str]) -> Iterator[Heading]:
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line.strip("| \n").split("|")]
        if len(cells) == 4 and cells[0].isdigit():
            yield Heading("stroom", int(cells[1]), "stroom", cells[2], (number, number))


@parses("http-status-workshop", "001-http-status-workshop.txt")
def markdown_headings(lines: list[str]) -> Iterator[Heading]:
    starts = [number for number, line in enumerate(lines, start=1) if line.startswith("#")]
    ends = [*starts[1:], len(lines) + 1]
    for first, end in zip(starts, ends, strict=True):
        found = re.fullmatch(r"#+ (\d{3}) (.*?)(?: \(([^()]*)\))?", lines[first - 1].rstrip())
        if found:
            owner = OWNERS_IN_BRACKETS[found[3]] if found[3] else "ietf"
            yield Heading("http", int(found[1]), owner, found[2], (first, last_text_line(lines, first, end)))


@parses("vendor-status-codes", "002-vendor-status-codes.txt")
def numbers_alone(lines: list[str]) -> Iterator[Heading]:
    starts = [number for number, line in enumerate(lines, start=1) if re.fullmatch(r"\d{3}", line.strip())]
    ends = [*starts[1:], len(lines) + 1]
    for first, end in zip(starts, ends, strict=True):
        name = next(line.strip() for line in lines[first:] if line.strip())
        code = int(lines[first - 1])
        yield Heading("http", code, "ietf", name, (first, last_text_line(lines, first, end)))


@parses("kafka-status-codes", "003-kafka-status-codes.rst.txt")
def grid_table(lines: list[str]) -> Iterator[Heading]:
    borders = [number for number, line in enumerate(lines, start=1) if line.strip().startswith("+")]
    for above, below in pairwise(borders):
        rows = {
            number: [cell.strip() for cell in lines[number - 1].split("|")[1:-1]]
            for number in range(above + 1, below)
        }
        code, name = rows[above + 1][:2] if above + 1 in rows else ("", "")
        if code.isdigit():
            yield Heading(
                "http", int(code), "ietf", name, (above + 1, max(n for n, cells in rows.items() if any(cells)))
            )


@parses("api-response-codes", "004-api-response-codes.txt")
def sentences_that_begin_with_the_number(lines: list[str]) -> Iterator[Heading]:
    """Each opens with "The HTTP 404 Not Found"; one of them in the middle of a line."""
    starts = []
    for number, line in enumerate(lines, start=1):
        if found := re.search(r"The HTTP (\d{3}) (.+)$", line.rstrip()):
            starts.append((number, found[1], found[2], found.start()))
    for position, (first, code, name, _) in enumerate(starts):
        if position + 1 < len(starts):
            following, *_, column = starts[position + 1]
            end = following + 1 if column else following
        else:
            end = len(lines) + 1
        # A caution stands before the heading that it is about: the experimental one before 425.
        cautions = [n for n in range(first + 1, end) if lines[n - 1].startswith("[!CAUTION]")]
        end = min([end, *cautions])
        yield Heading("http", int(code), "ietf", name, (first, last_text_line(lines, first, end)))
