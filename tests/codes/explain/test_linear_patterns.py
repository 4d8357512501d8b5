"""No text makes a regular expression slow (S39): each pattern is tried with texts made from its own structure."""

import importlib
import pkgutil
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import codes
import portal
from codes.explain.findings import Vocabulary
from codes.explain.recognise import recognise
from codes.explain.shapes import SHAPES
from codes.search import engine
from tests.worst_texts import worst_texts

SIZE = 64 * 1024
#: The demand is 50 ms for 64 KiB; a machine that does other things besides is slower.
MOST_SECONDS = 0.25
#: Texts that no stranger writes: the catalogue's own files, settings, the registries that a command reads.
OUR_OWN = ("codes.catalogue.records", "codes.catalogue.iana", "codes.catalogue.toml_table", "portal.setting_values")
#: Patterns that are asked about short texts alone, and the longest of these.
SHORT = {
    "codes.explain.patterns.QUESTION_SHAPE": 200,
    "codes.explain.patterns.PADDED_PAIR": 200,
    "codes.explain.question.OF_SERVER": 200,
    "codes.explain.unanswered.QUESTION_SHAPE": 200,
    "codes.explain.prose._ABOUT_ONESELF": 120,
    "codes.search.index.PAIR": engine.MAX_QUERY,
    "codes.search.index.SEVERAL": engine.MAX_QUERY,
    "codes.search.index._CALLED_HEADER": engine.MAX_QUERY,
}


def patterns() -> dict[str, re.Pattern[Any]]:
    """Every compiled pattern that a module keeps, also within tuples and mappings, once."""
    found: dict[tuple[Any, int], tuple[str, re.Pattern[Any]]] = {}
    for package in (codes, portal):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(OUR_OWN) and not {"management", "migrations"} & set(
                module.name.split(".")
            ):
                for name, pattern in kept(importlib.import_module(module.name)):
                    found.setdefault((pattern.pattern, pattern.flags), (name, pattern))
    return dict(found.values())


def kept(module: Any) -> Iterator[tuple[str, re.Pattern[Any]]]:
    for name, value in vars(module).items():
        parts: Iterable[Any] = (value,)
        if isinstance(value, dict):
            parts = value.values()
        elif isinstance(value, tuple | list):
            parts = value
        for number, part in enumerate(parts):
            pattern = getattr(part, "pattern", None)
            inner = part if isinstance(part, re.Pattern) else pattern
            if isinstance(inner, re.Pattern):
                where = f"{module.__name__}.{name}"
                yield (where if part is value else f"{where}[{number}]"), inner


PATTERNS = patterns()


@pytest.mark.parametrize("name", PATTERNS)
def test_s39_a_pattern_takes_linear_time_on_its_worst_texts(name: str) -> None:
    pattern, size = PATTERNS[name], SHORT.get(name, SIZE)
    for text in worst_texts(pattern, size // 8 if size == SIZE else size):
        if seconds(pattern, text) * (8 if size == SIZE else 1) > MOST_SECONDS / 8:
            full = (text * 8)[:size]
            taken = min(seconds(pattern, full) for _ in range(2))
            assert taken < MOST_SECONDS, f"{taken:.3f} s for {text[:60]!r} and so on"


@pytest.mark.parametrize(
    "unit",
    [
        "SEND,x,200,0,y,1,1,",
        " SEND,x,200,0,y,1,1,",
        " ",
        "\n ",
        '"',
        '"kind":"Status"',
        '"responseStatus":{{}',
        "a.",
        '"GET ',
        "[01/Jan/2026:00 a b ",
        "<-- 404 a ",
        "(GET https://",
    ],
)
def test_s39_no_shape_is_slow_for_texts_that_were(unit: str) -> None:
    text = (unit * SIZE)[:SIZE]
    for shape in SHAPES:
        taken = min(seconds(shape.pattern, text) for _ in range(2))
        assert taken < MOST_SECONDS, shape.pattern.pattern[:60]
    began = time.process_time()
    recognise(text, Vocabulary())
    assert time.process_time() - began < 2


def test_s39_all_patterns_were_found() -> None:
    assert {
        "codes.explain.prose._SAID",
        "codes.explain.lines.LINES[0]",
        "portal.http.request_ids._WELL_FORMED",
    } <= set(PATTERNS)
    assert set(SHORT) <= set(PATTERNS)


def test_s39_a_slow_pattern_would_be_found() -> None:
    slow = re.compile(r"(?:a+)+b")
    assert any(seconds(slow, text) > 0.01 for text in worst_texts(slow, 24))


def seconds(pattern: re.Pattern[Any], text: str) -> float:
    """Processor time of looking for all matches."""
    subject = text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")
    began = time.process_time()
    for _ in pattern.finditer(subject):
        pass
    return time.process_time() - began
