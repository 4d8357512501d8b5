"""CONTRIBUTING.md names files and folders that exist, and the layers that `make check` holds."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
#: Names in code font that look like paths: a folder of the repository, and what is below it.
PATHS = sorted(
    set(re.findall(r"`((?:benchmarks|codes|deploy|docs|feeds|portal|templates|tests|\.ci)/[\w./*-]*)`", PAGE))
)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_named_exists(path: str) -> None:
    assert list(ROOT.glob(path.rstrip("/"))), path


def test_many_paths_are_named() -> None:
    assert len(PATHS) > 25


def test_every_package_of_the_drawing_exists_and_every_layer_is_drawn() -> None:
    (drawing,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    drawn = set(re.findall(r"\b(?:portal|feeds|codes)\.\w+", drawing))
    for name in drawn:
        place = ROOT / name.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").is_file(), name
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [line for contract in contracts for line in contract.get("layers", [])]
    named = {name.strip() for line in layers for name in line.split("|")}
    of_feeds = {f"feeds.{name}" for name in named if "." not in name} - {"feeds.feeds", "feeds.codes"}
    assert {name for name in named if "." in name} <= drawn
    assert {name for name in of_feeds if (ROOT / name.replace(".", "/")).exists()} <= drawn
