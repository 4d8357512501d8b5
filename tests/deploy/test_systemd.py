"""The shipped units: hardened (S28), readable by systemd, and not so tight that the portal cannot work."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.deploy.portal import OPEN, Portal

UNITS = Path(__file__).parents[2] / "deploy/systemd"
SERVICES = sorted(UNITS.glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
MOST_EXPOSURE = 2.0


def analyze(*arguments: str) -> str:
    run = subprocess.run(
        [str(ANALYZE), "--no-pager", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    return run.stdout + run.stderr


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_s28_the_exposure_is_at_most_two(unit: Path) -> None:
    said = analyze("security", "--offline=yes", str(unit))
    found = re.search(r"Overall exposure level for .*: ([\d.]+)", said)
    assert found, said
    assert float(found[1]) <= MOST_EXPOSURE


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/stroom-portal/.venv/bin/python", sys.executable)
        (tmp_path / unit.name).write_text(text)
    for unit in sorted(tmp_path.iterdir()):
        name = unit.name.replace("@.", "@prune_receipts.")
        if name != unit.name:
            shutil.copy(unit, tmp_path / name)
        said = analyze("verify", "--man=no", str(tmp_path / name))
        complaints = [line for line in said.splitlines() if str(tmp_path) in line or "stroom-portal" in line]
        assert complaints == []


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_s28_own_user_private_files_and_few_writable_paths(unit: Path) -> None:
    lines = set(unit.read_text().splitlines())
    assert {"User=stroom-portal", "UMask=0077", "ProtectSystem=strict", "CapabilityBoundingSet="} <= lines
    assert {"StateDirectory=stroom-portal", "StateDirectoryMode=0700", "PrivateTmp=yes"} <= lines
    assert not any(line.startswith(("ReadWritePaths", "BindPaths", "AmbientCapabilities=C")) for line in lines)


def test_timers_run_commands_that_exist() -> None:
    for timer in UNITS.glob("*.timer"):
        found = re.search(r"^Unit=stroom-portal-task@(\w+)\.service$", timer.read_text(), re.MULTILINE)
        assert found
        assert (UNITS.parents[1] / f"feeds/management/commands/{found[1]}.py").is_file()


@needs_systemd
@pytest.mark.server
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_s28_the_portal_stays_within_what_the_unit_allows(tmp_path: Path) -> None:
    """Trace a start, deliveries, a page and a stop; every system call is on the list, no memory is both W and X."""
    trace = tmp_path / "trace"
    strace = ("strace", "-D", "-f", "-qq", "-o", str(trace))
    with Portal(tmp_path / "data", workers=1, under=strace) as portal:
        for headers in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Compression: GZIP"]):
            portal.curl("/datafeed", "-H", f"Feed: {OPEN}", "--data-binary", "data", *headers)
        portal.curl("/admin/login/")
        portal.curl("/codes/http/503/")
        portal.curl("/metrics")
    _wait_for_end(trace)
    allowed = _allowed()
    used = set()
    for line in trace.read_text(errors="replace").splitlines():
        name = re.match(r"\d+ +(?:<\.\.\. )?(\w+)", line)
        if name and name[1] != "resumed":
            used.add(name[1])
        assert not ("PROT_WRITE" in line and "PROT_EXEC" in line), line
    used.discard("fchown")  # SQLite tries it only as root, and lives without it
    assert {"accept4", "fsync", "rename", "prlimit64"} <= used, "the trace shows the portal at work"
    assert used <= allowed, f"not allowed by the unit: {sorted(used - allowed)}"


def _wait_for_end(trace: Path) -> None:
    """The tracer is a process of its own and may still be writing."""
    size = -1
    while size != trace.stat().st_size:
        size = trace.stat().st_size
        time.sleep(0.3)


def _allowed() -> set[str]:
    """System calls that the unit's filter lets through."""
    text = (UNITS / "stroom-portal.service").read_text()
    calls: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE):
        named = set().union(*(_members(word) for word in line.removeprefix("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def _members(word: str) -> set[str]:
    """The system calls of a set; sets may name other sets."""
    if not word.startswith("@"):
        return {word}
    found: set[str] = set()
    for line in analyze("syscall-filter", word).splitlines()[1:]:
        entry = line.strip()
        if entry and not entry.startswith("#"):
            found |= _members(entry)
    return found
