"""Numbers in sentences."""

import re

import pytest

from portal.environment import BASE_DIR
from portal.text import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 feeds"), (1, "1 feed"), (2, "2 feeds"), (-1, "-1 feeds"), (1000, "1000 feeds")]
)
def test_one_is_singular_and_all_else_plural(number: int, words: str) -> None:
    assert counted(number, "feed") == words


def test_a_plural_of_its_own() -> None:
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(3, "entry", "entries") == "3 entries"


NOUNS = "feeds|rows|receipts|rules|cells|files|changes|entries|archives|objects|deliveries|faults|heads|items"

#: Never one, or no number.
FINE = ("len(FEEDS)", "{kind} entries", "_TRIED_FEEDS", "of the {self._held} receipts", "newest {len(paths)}")


def test_no_sentence_says_1_feeds() -> None:
    """A computed number before a plural goes through `counted`, or through Django's pluralize in a template."""
    python = re.compile(r"f[\"'].*\{(?!MAX_|FEW_|[\w.]*most)[^{}]+\} (?:" + NOUNS + r")\b(?! that)")
    html = re.compile(r"\{\{ *[^{}]+\}\}(?:</\w+>)? (?:" + NOUNS + r")\b")
    found = []
    for folder, kind, shape in (
        ("portal", "py", python),
        ("feeds", "py", python),
        ("templates/admin", "html", html),
    ):
        for path in sorted((BASE_DIR / folder).rglob(f"*.{kind}")):
            lines = [line for line in path.read_text().splitlines() if shape.search(line)]
            found += [(path.name, line.strip()) for line in lines if not any(word in line for word in FINE)]
    assert found == []
