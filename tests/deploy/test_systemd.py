"""The shipped units: hardened (S28), readable by systemd, and not so tight that the portal cannot work."""

import getpass
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

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


def complaints(folder: Path, *names: str) -> list[str]:
    """Put the units where systemd reads them, under names that are asked for, and let it judge those."""
    for unit in UNITS.iterdir():
        if unit.is_dir():
            shutil.copytree(unit, folder / unit.name, dirs_exist_ok=True)
        elif unit.suffix:
            text = unit.read_text().replace("/opt/stroom-portal/.venv/bin/python", sys.executable)
            (folder / unit.name).write_text(text)
    for drop_in in folder.glob("*.d/*.conf"):
        drop_in.write_text(drop_in.read_text().replace("/opt/stroom-portal/.venv/bin/python", sys.executable))
    found = []
    for name in names:
        if "@" in name:
            shutil.copy(folder / f"{name.partition('@')[0]}@.service", folder / name)
        said = analyze("verify", "--man=no", str(folder / name))
        found += [line for line in said.splitlines() if str(folder) in line or "stroom-portal" in line]
    return found


TASKS = [
    "prune_receipts",
    "check_store",
    *(path.name[19:-10] for path in UNITS.glob("stroom-portal-task@*.service.d")),
]


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    names = [unit.name for unit in UNITS.iterdir() if unit.suffix and unit.is_file() and "@" not in unit.name]
    tasks = [f"stroom-portal-task@{task}.service" for task in TASKS]
    assert len(names) >= 7
    assert complaints(tmp_path, *names, *tasks) == []


@needs_systemd
def test_systemd_would_complain(tmp_path: Path) -> None:
    (tmp_path / "stroom-portal.service.d").mkdir()
    (tmp_path / "stroom-portal.service.d/slip.conf").write_text("[Service]\nReadWritePath=/srv\n")
    assert "ReadWritePath" in " ".join(complaints(tmp_path, "stroom-portal.service"))


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_s28_own_user_private_files_and_few_writable_paths(unit: Path) -> None:
    lines = set(unit.read_text().splitlines())
    assert {"User=stroom-portal", "UMask=0077", "ProtectSystem=strict", "CapabilityBoundingSet="} <= lines
    assert {"StateDirectory=stroom-portal", "StateDirectoryMode=0700", "PrivateTmp=yes"} <= lines
    assert not any(line.startswith(("ReadWritePaths", "BindPaths", "AmbientCapabilities=C")) for line in lines)


def command_of(task: str) -> list[str]:
    """What a task runs: the template's command, unless a folder beside it says another."""
    own = UNITS / f"stroom-portal-task@{task}.service.d/command.conf"
    text = (own if own.is_file() else UNITS / "stroom-portal-task@.service").read_text()
    [line] = re.findall(r"^ExecStart=\S+ manage\.py (.*)$", text, re.MULTILINE)
    return line.replace("%i", task).split()


def test_timers_run_tasks_and_each_task_with_a_folder_has_a_timer() -> None:
    found = [
        re.search(r"^Unit=stroom-portal-task@(\w+)\.service$", timer.read_text(), re.MULTILINE)
        for timer in UNITS.glob("*.timer")
    ]
    assert sorted(match[1] for match in found if match) == sorted(TASKS)
    assert all(found)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_runs_a_command_that_takes_its_arguments(task: str) -> None:
    command, *arguments = command_of(task)
    parser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
    parser.parse_args(arguments)


def test_s28_a_task_writes_to_no_more_than_its_folder_says() -> None:
    for path in UNITS.glob("*.d/*.conf"):
        keys = {line.partition("=")[0] for line in path.read_text().splitlines() if line[:1].isalpha()}
        assert keys <= {"ExecStart", "ReadWritePaths"}, path
        written = re.findall(r"^ReadWritePaths=(.*)$", path.read_text(), re.MULTILINE)
        assert all(part in " ".join(command_of(path.parent.name[19:-10])) for part in written)


def test_the_socket_is_a_file_for_the_group_of_nginx_alone() -> None:
    """Whoever may connect is believed: no other user of the host (B10)."""
    text = (UNITS / "stroom-portal.socket").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    listening = [line.partition("=")[2] for line in lines if line.startswith("ListenStream=")]
    assert listening == ["/run/stroom-portal-http.sock"]
    assert {"SocketMode=0660", "SocketGroup=www-data"} <= set(lines)
    shipped = (UNITS.parent / "nginx/portal.conf").read_text()
    assert re.findall(r"^    server (\S+) ", shipped, re.MULTILINE) == [f"unix:{listening[0]}"]


# --- stroom-portal-manage ---

MANAGE = UNITS / "stroom-portal-manage"
ECHO = """#!/bin/sh
echo "$(id -un) $(pwd) $(umask)"
printf '%s\\n' "$@"
env | sort
"""


@dataclass
class Installed:
    """The wrapper with a program that says how it was called."""

    script: Path
    settings: Path
    user: str

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.script), *arguments],
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def installed() -> Iterator[Installed]:
    """In a folder that other users may look into: as root it drops to one of them."""
    user = "nobody" if os.getuid() == 0 else getpass.getuser()
    with tempfile.TemporaryDirectory(prefix="portal-manage-") as path:
        folder = Path(path)
        folder.chmod(0o755)
        program = folder / "program/.venv/bin/python"
        program.parent.mkdir(parents=True)
        program.write_text(ECHO)
        program.chmod(0o755)
        text = MANAGE.read_text()
        for name, value in (
            ("program", folder / "program"),
            ("data", folder),
            ("settings", folder / "settings"),
            ("user", user),
        ):
            text, count = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
            assert count == 1
        script = folder / "manage"
        script.write_text(text)
        script.chmod(0o755)
        yield Installed(script, folder / "settings", user)


needs_runuser = pytest.mark.skipif(shutil.which("runuser") is None, reason="runuser is not installed")


@needs_runuser
def test_a_command_by_hand_runs_as_the_services_user_with_its_settings_alone(installed: Installed) -> None:
    installed.settings.write_text(
        "# a comment\n; another\n\n  PORTAL_NODE_ID=host-a  \nPORTAL_PUBLIC_URL='https://a'\n"
        'DATABASE_URL="postgres://u:p$$ w\'@h/n"\nPORTAL_FEED_NAME_PATTERN=^[A-Z]=*$\nLAST=1'
    )
    done = installed.run("check_store", "--feed", "two words", "$HOME", DATABASE_URL="foreign", PORTAL_DEBUG="on")
    assert done.returncode == 0, done.stderr
    program = installed.script.parent / "program"
    first, *rest = done.stdout.splitlines()
    assert first == f"{installed.user} {program} 0077"
    assert rest[:5] == [f"{program}/manage.py", "check_store", "--feed", "two words", "$HOME"]
    assert {
        f"PORTAL_DATA_DIR={installed.script.parent}",
        "PORTAL_NODE_ID=host-a",
        "PORTAL_PUBLIC_URL=https://a",
        "DATABASE_URL=postgres://u:p$$ w'@h/n",
        "PORTAL_FEED_NAME_PATTERN=^[A-Z]=*$",
        "LAST=1",
    } <= set(rest)
    assert not any(line.startswith("PORTAL_DEBUG") for line in rest)


@needs_runuser
def test_the_settings_may_name_another_data_folder_and_need_not_be_there(installed: Installed) -> None:
    assert f"PORTAL_DATA_DIR={installed.script.parent}" in installed.run("x").stdout.splitlines()
    installed.settings.write_text("PORTAL_DATA_DIR=/data\n")
    found = [line for line in installed.run("x").stdout.splitlines() if line.startswith("PORTAL_DATA_DIR")]
    assert found == ["PORTAL_DATA_DIR=/data"]


def test_a_line_that_is_no_setting_stops_the_command(installed: Installed) -> None:
    installed.settings.write_text("export PORTAL_NODE_ID\n")
    done = installed.run("prune_receipts")
    assert (done.returncode, done.stdout) == (78, "")
    assert "this is no NAME=value: export PORTAL_NODE_ID" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_any_other_user_is_told_how_to_run_it(installed: Installed) -> None:
    text = installed.script.read_text().replace(f"user={installed.user}", "user=stroom-portal")
    installed.script.write_text(text)
    done = subprocess.run(
        ["runuser", "-u", "nobody", "--", str(installed.script), "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 77
    assert "run it as root or as stroom-portal" in done.stderr


@needs_systemd
@pytest.mark.server
@pytest.mark.long
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
