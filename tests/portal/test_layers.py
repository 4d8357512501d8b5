"""The import contracts of pyproject.toml cover the whole tree."""

import tomllib
from pathlib import Path

from portal.environment import BASE_DIR

#: Where the portal and its apps are put together; `__init__` and migrations import nothing of the apps.
COMPOSITION = {"server", "urls", "management", "__init__", "migrations"}


def test_every_module_of_the_portal_is_kept_from_the_apps() -> None:
    (contract,) = (
        contract
        for contract in tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["tool"]["importlinter"][
            "contracts"
        ]
        if contract.get("forbidden_modules") == ["feeds", "codes"]
    )
    listed = {name.removeprefix("portal.") for name in contract["source_modules"]}
    assert listed == {_name(path) for path in (BASE_DIR / "portal").iterdir()} - {""} - COMPOSITION


def _name(path: Path) -> str:
    is_package = path.is_dir() and any(path.glob("*.py"))
    return path.stem if is_package or path.suffix == ".py" else ""
