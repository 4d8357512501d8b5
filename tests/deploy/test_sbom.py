"""The list of parts: everything that is installed, and nothing that is not pinned (S26)."""

import importlib.util
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/sbom.py"


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["sbom"] = module
    spec.loader.exec_module(module)
    return module


def listed() -> dict[str, str]:
    run = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    assert all(len(part["properties"]) >= 1 for part in found["components"])
    return {part["name"]: part["version"] for part in found["components"]}


def test_s26_every_package_of_the_portal_is_listed_with_its_installed_version() -> None:
    parts = listed()
    pinned = re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[.*\])?==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
    assert len(pinned) >= 10
    for name, version in pinned:
        assert parts[name.lower()] == version
    for name, version in parts.items():
        try:
            assert metadata.version(name) == version
        except metadata.PackageNotFoundError:
            continue  # for another kind of machine or Python


def test_s26_two_lists_of_the_same_packages_are_the_same() -> None:
    runs = [subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, check=True).stdout for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("lock", ["constraints.txt", "constraints-dev.txt"])
def test_s26_nothing_is_unpinned(sbom: ModuleType, lock: str) -> None:
    packages = sbom.read_lock((ROOT / lock).read_text())
    assert len(packages) >= 15
    assert all(package.digests for package in packages)


@pytest.mark.parametrize(
    "line",
    [
        "django>=5",
        "django",
        "django==5.2",
        "django==5.2 --hash=sha256:abc",
        "-e .",
        "django @ https://example.org/x.whl",
    ],
)
def test_s26_a_line_without_version_and_digest_is_refused(sbom: ModuleType, line: str) -> None:
    with pytest.raises(sbom.NotPinned):
        sbom.read_lock(line)


def test_a_marker_and_a_line_break_are_understood(sbom: ModuleType) -> None:
    digest = "a" * 64
    [package] = sbom.read_lock(
        f"uvloop[x]==0.23.0 ; platform_python_implementation != 'PyPy' and sys_platform != 'win32' \\\n"
        f"    --hash=sha256:{digest}\n    # via uvicorn\n"
    )
    assert (package.name, package.version, package.digests) == ("uvloop", "0.23.0", (digest,))
    assert package.marker.startswith("platform_python_implementation")
    assert "--hash" not in package.marker
