"""Texts that are hard for a regular expression: made from its own structure, so that no pattern is forgotten."""

import random
import re
from collections.abc import Iterator
from re import _constants as codes  # the parser is not public
from re import _parser as parser
from typing import Any

_CLASSES = {
    codes.CATEGORY_DIGIT: "7",
    codes.CATEGORY_SPACE: " ",
    codes.CATEGORY_WORD: "w",
    codes.CATEGORY_NOT_DIGIT: "d",
    codes.CATEGORY_NOT_SPACE: "s",
    codes.CATEGORY_NOT_WORD: "-",
}
_PROBES = "x1 -/.,:;=\"'<([{Aa_\t\n\x1b0é"


def worst_texts(pattern: re.Pattern[Any], size: int, *, examples: int = 4, cuts: int = 6) -> Iterator[str]:
    """Beginnings of what the pattern matches, each repeated to this size: every repetition is a near miss."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    chance = random.Random(
        pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    )
    seen = set()
    for number in range(examples):
        example = "".join(_example(tree, chance, greedy=number % 2 == 0))
        lengths = {max(1, len(example) * cut // cuts) for cut in range(1, cuts + 1)}
        for length in sorted({*lengths, max(1, len(example) - 1)}):
            unit = example[:length]
            if unit and unit not in seen:
                seen.add(unit)
                yield (unit * (size // len(unit) + 1))[:size]
                # One begin and a long run of what may follow it.
                yield (unit + unit[-1] * size)[:size]


def _example(tree: Any, chance: random.Random, *, greedy: bool) -> Iterator[str]:
    for kind, value in tree:
        yield from _part(kind, value, chance, greedy=greedy)


def _part(kind: Any, value: Any, chance: random.Random, *, greedy: bool) -> Iterator[str]:
    if kind is codes.LITERAL:
        yield chr(value)
    elif kind is codes.NOT_LITERAL:
        yield next(probe for probe in _PROBES if probe != chr(value))
    elif kind is codes.ANY:
        yield "x"
    elif kind is codes.IN:
        yield _member(value, chance)
    elif kind is codes.AT and value in {codes.AT_BEGINNING, codes.AT_BEGINNING_LINE}:
        yield "\n"
    else:
        for _ in range(_times(kind, value, greedy=greedy)):
            yield from _example(_inner(kind, value, chance), chance, greedy=greedy)


def _times(kind: Any, value: Any, *, greedy: bool) -> int:
    if kind in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
        least, most, _ = value
        return int(min(most, max(least, 3 if greedy else least)))
    return 1


def _inner(kind: Any, value: Any, chance: random.Random) -> Any:
    """The part of a pattern within this one; what stands before the match belongs to a text too."""
    if kind is codes.BRANCH:
        return chance.choice(value[1])
    if kind is codes.ATOMIC_GROUP:
        return value
    if kind is codes.ASSERT:
        return value[1] if value[0] < 0 else ()
    holds = {codes.SUBPATTERN, codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}
    return value[-1] if kind in holds else ()


def _member(choices: Any, chance: random.Random) -> str:
    negated = choices[0][0] is codes.NEGATE
    if negated:
        return next((probe for probe in _PROBES if not any(_has(choice, probe) for choice in choices[1:])), "~")
    kind, value = chance.choice(choices)
    if kind is codes.LITERAL:
        return chr(value)
    return chr(value[0]) if kind is codes.RANGE else _CLASSES.get(value, "x")


def _has(choice: Any, probe: str) -> bool:
    kind, value = choice
    if kind is codes.LITERAL:
        return chr(value) == probe
    if kind is codes.RANGE:
        return bool(value[0] <= ord(probe) <= value[1])
    patterns = {codes.CATEGORY_DIGIT: r"\d", codes.CATEGORY_SPACE: r"\s", codes.CATEGORY_WORD: r"\w"}
    return re.fullmatch(patterns.get(value, r"\W"), probe) is not None
