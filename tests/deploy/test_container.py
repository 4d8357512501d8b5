"""The container file: what it copies is enough to run, and it does not run as root."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.deploy.portal import ROOT, Portal

FILE = ROOT / "deploy/container/Containerfile"
TEXT = FILE.read_text()
RUNTIME = TEXT.rpartition("FROM ")[2]


def copied() -> list[tuple[str, str]]:
    """Source and target of everything that comes from the repository into the final image."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", RUNTIME, re.MULTILINE)
    pairs = []
    for line in lines:
        *sources, target = line.split()
        pairs += [(source, target + Path(source).name if target.endswith("/") else target) for source in sources]
    return pairs


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The image's working folder, without the packages."""
    for source, target in copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, tmp_path / target)
    return tmp_path


def health(image: Path, **settings: str) -> int:
    """Run the image's health check as it is written there; a proxy of the host must not be asked."""
    [command] = re.findall(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", RUNTIME, re.MULTILINE)
    _, *arguments = json.loads(command)
    environment = {
        "HOST": "0.0.0.0",
        "http_proxy": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        **settings,
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=image, env=environment, check=False, capture_output=True, timeout=60
    ).returncode


def test_the_health_check_fails_where_nothing_listens(image: Path) -> None:
    assert health(image, PORT="9") == 1
    assert health(image, HOST="unix:/nowhere/http.sock") == 1


@pytest.mark.server
@pytest.mark.long
def test_what_is_copied_serves(image: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="portal-container-") as data:
        portal = Portal(Path(data), workers=1, root=image)
        with portal:
            assert '"status": "UP"' in portal.curl("/readyz")
            assert health(image, PORT=str(portal.port)) == 0
            assert "503" in portal.curl("/codes/http/503/")
            assert portal.curl("/docs/operating/")
        assert any(Path(data, "staticfiles").glob("**/*.css"))


def test_r28_s26_packages_are_installed_by_hash_and_binary_only_and_checked() -> None:
    assert "--no-deps --only-binary=:all: --require-hashes -r /build/constraints.txt" in TEXT
    assert TEXT.index("--require-hashes") < TEXT.index("pip check") < TEXT.index("pip uninstall")


def test_s28_it_does_not_run_as_root() -> None:
    steps = re.findall(r"^[A-Z]+(?= )", RUNTIME, re.MULTILINE)
    assert "USER portal" in RUNTIME
    assert steps.index("USER") < steps.index("ENTRYPOINT")
    assert "RUN" not in steps[steps.index("USER") :]


def test_it_uses_a_python_that_is_supported() -> None:
    [version] = re.findall(r"^ARG BASE=\S+python:(\d\.\d+)-slim$", TEXT, re.MULTILINE)
    assert version in {"3.11", "3.12", "3.13"}
    assert set(re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)) == {"${BASE}"}
