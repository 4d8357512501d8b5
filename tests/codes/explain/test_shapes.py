"""Each shape finds its own example, before any other shape does, and does not find its counter-example."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import codes.explain
from codes.catalogue.reader import read_catalogue
from codes.explain import unanswered, words
from codes.explain.findings import Found, Vocabulary
from codes.explain.patterns import Shape
from codes.explain.recognise import recognise
from codes.explain.shapes import SHAPES
from codes.explain.vocabulary import vocabulary_of
from codes.loading import DATA_DIRECTORY

VOCABULARY: Vocabulary = vocabulary_of(read_catalogue(DATA_DIRECTORY))
#: All shapes in the order in which recognition asks them.
ORDERED = (*SHAPES, *unanswered.SHAPES)


def kept() -> dict[str, Shape]:
    """Every shape that a module of the explanation keeps, by its place."""
    found: dict[int, tuple[str, Shape]] = {}
    for module in pkgutil.walk_packages(codes.explain.__path__, "codes.explain."):
        for name, value in vars(importlib.import_module(module.name)).items():
            for number, part in enumerate(value if isinstance(value, tuple) else (value,)):
                if isinstance(part, Shape):
                    found.setdefault(
                        id(part), (f"{module.name.removeprefix('codes.explain.')}.{name}[{number}]", part)
                    )
    return dict(found.values())


KEPT = kept()


def findings(text: str) -> list[Found]:
    return recognise(text, VOCABULARY)


def numbers(shape: Shape) -> Iterator[tuple[str, int]]:
    """The groups of numbers that the shape finds in its example, and where each begins."""
    for match in shape.pattern.finditer(shape.example):
        for group, value in match.groupdict().items():
            if value is not None and group.startswith(("http", "stroom")) and not group.endswith("_word"):
                yield group, match.start(group)


def test_all_shapes_are_tried() -> None:
    tried = {id(shape) for shape in KEPT.values()}
    assert {id(shape) for shape in (*ORDERED, unanswered.EMPTY_HEAD, words.DJANGO)} <= tried


@pytest.mark.parametrize("name", KEPT)
def test_a_shape_matches_its_example_and_not_its_counter_example(name: str) -> None:
    shape = KEPT[name]
    assert shape.pattern.search(shape.example)
    assert shape.counter_example
    assert shape.pattern.search(shape.counter_example) is None


@pytest.mark.parametrize("name", KEPT)
def test_recognition_finds_the_example_as_what_it_is(name: str) -> None:
    assert KEPT[name].kind in {found.kind for found in findings(KEPT[name].example)}


@pytest.mark.parametrize("place", range(len(ORDERED)), ids=lambda place: ORDERED[place].example[:40])
def test_the_example_has_every_number_and_no_earlier_shape_takes_one(place: int) -> None:
    shape = ORDERED[place]
    found = list(numbers(shape))
    assert {group for group, _ in found} == {
        group for group in shape.pattern.groupindex if group.startswith(("http", "stroom"))
    }
    for group, position in found:
        assert [
            earlier.example
            for earlier in ORDERED[:place]
            for match in earlier.pattern.finditer(shape.example)
            if match.start() <= position < match.end()
        ] == [], group
