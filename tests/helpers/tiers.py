"""Sizes of a test in both tiers: a small form for `make test`, the full drill for `make test-all`."""

from collections.abc import Iterable
from typing import Any

import pytest


def long(*values: Any) -> Any:
    """One set of parameters for `parametrize` that only the long tier runs."""
    return pytest.param(*values, marks=pytest.mark.long)


def sizes(quick: Any, full: Any) -> list[Any]:
    """Values of one parameter: the small form in the quick tier, the full one in the long tier."""
    return [quick, long(full)]


def some(every: Iterable[Any], quick: int) -> list[Any]:
    """Values of one parameter: `quick` of them, spread evenly, in the quick tier, the others in the long tier."""
    values = list(every)
    chosen = {round(place * (len(values) - 1) / max(quick - 1, 1)) for place in range(quick)}
    return [value if number in chosen else long(value) for number, value in enumerate(values)]
