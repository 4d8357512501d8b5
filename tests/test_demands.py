"""Tests carry the number of their demand: each demand has some in both tiers, and docs/testing.md lists them."""

import ast
import re
from collections.abc import Iterator
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


def quick_tests(file: Path) -> Iterator[str]:
    """Names of a file's tests that `make test` runs: neither they nor their module are marked `long`."""
    module = ast.parse(file.read_text())
    if any(is_marked_long(node) for node in module.body if isinstance(node, ast.Assign)):
        return
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and not any(map(is_marked_long, node.decorator_list)):
            yield node.name


def is_marked_long(node: ast.AST) -> bool:
    """Whether a decorator is `pytest.mark.long`, or an assignment gives it to all tests of a module."""
    if isinstance(node, ast.Assign):
        marks = node.value.elts if isinstance(node.value, ast.List) else [node.value]
        return ast.unparse(node.targets[0]) == "pytestmark" and any(map(is_marked_long, marks))
    return ast.unparse(node) == "pytest.mark.long"


def test_every_demand_has_a_quick_test() -> None:
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    names = "\n".join(f"def {name}" for file in files for name in quick_tests(file))
    quick = {number.upper() for found in TEST.findall(names) for number in found.strip("_").split("_")}
    assert {demand for demand, *_ in ROWS} - NOT_BUILT - quick == set()


@pytest.mark.parametrize(
    ("source", "quick"),
    [
        ("def test_r01_a(): ...", True),
        ("@pytest.mark.long\ndef test_r01_a(): ...", False),
        ("pytestmark = pytest.mark.long\ndef test_r01_a(): ...", False),
        ("pytestmark = [pytest.mark.server, pytest.mark.long]\ndef test_r01_a(): ...", False),
        ("@pytest.mark.parametrize('n', sizes(1, 100))\ndef test_r01_a(n): ...", True),
    ],
)
def test_a_long_test_is_recognised(tmp_path: Path, source: str, quick: bool) -> None:
    (tmp_path / "test_it.py").write_text(source)
    assert list(quick_tests(tmp_path / "test_it.py")) == (["test_r01_a"] if quick else [])


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
