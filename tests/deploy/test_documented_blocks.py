"""What the documentation prints is run as printed (S33): shell, units and settings. nginx has its own file."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from portal.environment import read_environment
from tests.deploy.authority import Certificates
from tests.deploy.documented import (
    ELSEWHERE,
    NOT_RUN,
    ONE_ELSEWHERE,
    PAGES,
    ROOT,
    SHELL_PAGES,
    Block,
    blocks,
    in_language,
    shell_of,
)
from tests.deploy.portal import Portal
from tests.deploy.proxy import NGINX, Nginx
from tests.deploy.test_systemd import UNITS, complaints, needs_systemd

ALL = blocks()


@pytest.mark.parametrize("block", ALL, ids=lambda block: block.where)
def test_s33_each_block_is_run_by_somebody_or_says_why_not(block: Block) -> None:
    assert len(block.runners) == 1, (
        f"{block.where} is run by {block.runners or 'nobody'}. Give it a language that is run, or enter it in "
        "tests/deploy/documented.py."
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_s33_no_fence_is_overlooked(page: Path) -> None:
    fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)
    found = [block for block in ALL if block.page == str(page.relative_to(ROOT))]
    assert len(fences) == 2 * len(found)


def test_s33_the_lists_name_blocks_and_tests_that_exist() -> None:
    assert {key for block in ALL for key in block.listed_in(NOT_RUN)} == NOT_RUN.keys()
    assert {key for block in ALL for key in block.listed_in(ONE_ELSEWHERE)} == ONE_ELSEWHERE.keys()
    assert {(block.page, block.language) for block in ALL} >= ELSEWHERE.keys()
    for (page, _), file in [*ELSEWHERE.items(), *ONE_ELSEWHERE.items()]:
        assert Path(page).name in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not speak of {page}"


def test_s33_no_nginx_block_sets_a_header_in_a_location() -> None:
    assert in_language("nginx")
    for block in in_language("nginx"):
        assert not re.search(r"proxy_set_header|proxy_pass_header|more_set_input_headers", block.text), block.where


@pytest.mark.parametrize("block", in_language("ini"), ids=lambda block: block.where)
def test_s33_settings_as_printed_are_taken(block: Block, tmp_path: Path) -> None:
    lines = [line.partition("=") for line in block.text.splitlines() if line]
    assert all(separator for _, separator, _ in lines)
    read_environment({"PORTAL_DATA_DIR": str(tmp_path), **{name: value for name, _, value in lines}})


@needs_systemd
@pytest.mark.parametrize("block", in_language("systemd"), ids=lambda block: block.where)
def test_s33_systemd_takes_what_is_put_beside_a_unit(block: Block, tmp_path: Path) -> None:
    [section] = re.findall(r"^\[(\w+)\]$", block.text, re.MULTILINE)
    name = {"Socket": "stroom-portal.socket", "Service": "stroom-portal.service"}[section]
    (tmp_path / f"{name}.d").mkdir()
    (tmp_path / f"{name}.d/override.conf").write_text(block.text)
    assert complaints(tmp_path, name) == []


# --- shell ---

#: Programs that change the machine. Each call is recorded, and what it would do to files is done in a folder.
STUBS = {
    "useradd": "",
    "systemctl": "",
    "nginx": "",
    "install": """
for word do
    shift
    case $word in -o | -g) skip=1; continue ;; esac
    [ "${skip:-0}" = 1 ] && { skip=0; continue; }
    set -- "$@" "$word"
done
exec /usr/bin/install "$@"
""",
    "make": """
case $1 in
    run) ;;
    demo) exec $PYTHON manage.py demo --url $SITE_ADDRESS --deliveries 20 ;;
    *) echo "no such target: $1" >&2; exit 2 ;;
esac
""",
    "stroom-portal-manage": """
case $* in "check_proxy https://portal.example.org") set -- "$@" --connect $PROXY_ADDRESS --insecure ;; esac
exec $PYTHON manage.py "$@"
""",
}
PLACES = re.compile(r"(?<![\w.:/])/(?=(?:etc|var|srv|usr/local|backup|tmp)/)")


@dataclass
class Machine:
    """A folder that stands for the root of a machine, with stubs in front of its programs, and a running portal."""

    root: Path
    portal: Portal
    nginx: Nginx

    def __post_init__(self) -> None:
        for folder in ("bin", "etc/nginx/conf.d", "etc/nginx/sites-enabled", "etc/systemd/system", "usr/local/bin"):
            (self.root / folder).mkdir(parents=True)
        for folder in ("backup", "tmp", "work/outbox", "var/backups", "srv"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "etc/nginx/sites-enabled/default").touch()
        (self.root / "backup/portal.log").touch()
        self.work = self.root / "work"
        for name in ("events.log", "outbox/one.log", "outbox/two.log"):
            (self.work / name).write_text("an event\n")
        for name in ("deploy", "manage.py"):
            (self.work / name).symlink_to(ROOT / name)
        (self.work / ".venv").symlink_to(Path(sys.prefix))
        self.record = self.root / "record"
        self.record.touch()
        for name, body in STUBS.items():
            stub = self.root / "bin" / name
            stub.write_text(f'#!/bin/sh\necho "{name} $*" >>"$RECORD"\n{body}')
            stub.chmod(0o755)

    def run(self, block: Block) -> str:
        """Run a block as it is printed, but for where the root and the portal are; what it printed."""
        text = PLACES.sub(f"{self.root}/", block.text).replace("127.0.0.1:8000", f"127.0.0.1:{self.portal.port}")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.work,
            env={
                **(self.stopped() if "systemctl stop" in text else self.portal).environment,
                "PATH": f"{self.root}/bin:{os.environ['PATH']}",
                "PYTHON": sys.executable,
                "RECORD": str(self.record),
                "SITE_ADDRESS": f"http://127.0.0.1:{self.portal.port}",
                "PROXY_ADDRESS": f"127.0.0.1:{self.nginx.https}",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{block.where}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def stopped(self) -> Portal:
        """A portal that does not run, with data of its own: what stops the service may change its tables."""
        portal = Portal(Path(tempfile.mkdtemp(prefix="stopped-", dir=self.root)))
        portal.prepare()
        return portal

    def calls(self, program: str) -> list[list[str]]:
        lines = [line.split() for line in self.record.read_text().splitlines()]
        return [words for name, *words in lines if name == program]


@pytest.fixture(scope="module")
def machine(certificates: Certificates) -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="portal-documented-") as path:
        work = Path(path)
        portal = Portal(work / "data", workers=1)
        (work / "nginx").mkdir()
        (work / "root").mkdir()
        with portal, Nginx(work / "nginx", certificates, portal.upstream) as nginx:
            portal.manage("demo", "--url", f"http://127.0.0.1:{portal.port}", "--deliveries", "5")
            yield Machine(work / "root", portal, nginx)


needs_programs = pytest.mark.skipif(NGINX is None or shutil.which("curl") is None, reason="needs nginx and curl")


@pytest.mark.server
@pytest.mark.long
@needs_programs
@pytest.mark.parametrize("page", SHELL_PAGES)
def test_s33_shell_blocks_run_as_printed(machine: Machine, page: str) -> None:
    printed = [machine.run(block) for block in shell_of(page)]
    assert printed


@pytest.mark.server
@pytest.mark.long
@needs_programs
def test_s33_the_installation_switches_on_what_it_has_put_in_place(machine: Machine) -> None:
    for block in shell_of("docs/operating.md")[:4]:
        machine.run(block)
    installed = machine.root / "etc/systemd/system"
    enabled = {word for words in machine.calls("systemctl") for word in words if "." in word}
    assert enabled >= {unit.name for unit in [*UNITS.glob("*.timer"), *UNITS.glob("stroom-portal.*")]}
    assert all((installed / unit).is_file() for unit in enabled)
    assert (installed / "stroom-portal-task@backup.service.d/command.conf").is_file()
    assert os.access(machine.root / "usr/local/bin/stroom-portal-manage", os.X_OK)
    assert (machine.root / "etc/nginx/conf.d/portal.conf").read_text() == (
        ROOT / "deploy/nginx/portal.conf"
    ).read_text()
    assert not (machine.root / "etc/nginx/sites-enabled/default").exists()
    assert ["-t"] in machine.calls("nginx")
