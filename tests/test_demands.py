"""Every demand of safety and reliability has tests that carry its number, and docs/testing.md says which."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEMANDS = [*(f"R{number:02}" for number in range(1, 36)), *(f"S{number:02}" for number in range(1, 40))]
#: Demands of the second round: each enters the table with its first test.
SECOND_ROUND = {*(f"R{number}" for number in range(28, 36)), *(f"S{number}" for number in range(33, 40))}
#: What the portal does not do cannot be tried.
NOT_BUILT = {"R20", "S20"}
ROW = re.compile(r"\| ([RS]\d\d) \| [^|]+ \| ([^|]+) \| ([^|]+) \|[^|]*\|")
TEST = re.compile(r"^def test_((?:[rs]\d\d_)+)", re.MULTILINE)

ROWS = [match.groups() for match in ROW.finditer((ROOT / "docs" / "testing.md").read_text())]


def demands_in(file: str) -> set[str]:
    """The numbers in the names of a file's tests."""
    names = TEST.findall((ROOT / "tests" / file).read_text())
    return {number.upper() for name in names for number in name.strip("_").split("_")}


def test_every_demand_is_in_the_table_once() -> None:
    listed = [demand for demand, *_ in ROWS]
    assert listed == [demand for demand in DEMANDS if demand not in SECOND_ROUND or demand in listed]


@pytest.mark.parametrize(("demand", "files", "figure"), ROWS, ids=[demand for demand, *_ in ROWS])
def test_every_demand_is_tried_in_each_file_that_is_named(demand: str, files: str, figure: str) -> None:
    named = re.findall(r"`([^`]+)`", files)
    if demand in NOT_BUILT:
        assert (named, figure) == ([], "not built")
        return
    assert named
    assert figure.strip() not in {"", "-", "not built"}
    for file in named:
        assert demand in demands_in(file), f"no test of {file} carries {demand}"


def test_what_is_tried_is_in_the_table_and_what_is_not_built_has_no_test() -> None:
    found = {number for file in sorted((ROOT / "tests").rglob("test_*.py")) for number in demands_in(str(file))}
    assert found <= {demand for demand, *_ in ROWS} - NOT_BUILT
