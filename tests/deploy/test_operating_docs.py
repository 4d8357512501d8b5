"""What docs/operating.md names exists: files, commands and their options, settings, figures of the checks."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from feeds.maintenance.findings import FindingKind
from portal.environment import read_environment

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/operating.md").read_text()
SETTINGS = (ROOT / "docs/settings.md").read_text()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(deploy/[\w./@-]+)`", TEXT))))
def test_a_file_that_is_named_is_there(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b(PORTAL_[A-Z_]+|DATABASE_URL)\b", TEXT))))
def test_a_setting_that_is_named_is_documented_and_read(name: str, tmp_path: Path) -> None:
    assert f"`{name}`" in SETTINGS
    harmless = {"PORTAL_DATA_DIR": str(tmp_path)}
    read_environment({**harmless, name: harmless.get(name, "")})  # an unknown name would be refused


USES = sorted(set(re.findall(r"(?:manage\.py|stroom-portal-manage) ([a-z]\w+)((?: [^\s`]+)*)", TEXT)))


@pytest.mark.parametrize(("command", "arguments"), USES)
def test_a_command_that_is_named_takes_these_options(command: str, arguments: str) -> None:
    parser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
    known = {option for action in parser._actions for option in action.option_strings}
    assert set(re.findall(r"--[a-z-]+", arguments)) <= known


def test_every_finding_of_check_store_is_explained() -> None:
    assert all(f"| `{kind}` |" in TEXT for kind in FindingKind)


def test_the_exposure_that_is_stated_is_within_the_demand() -> None:
    stated = re.search(r"systemd-analyze security.*\| ([\d.]+) \|", TEXT)
    assert stated
    assert float(stated[1]) <= 2.0
