"""Installing: the lock alone decides, an unusable environment is made again, the documented ways work."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from tests.deploy.decoys import DECOY, LOCKED, Pin, make_index, read_lock, served, write_wheel
from tests.helpers.tiers import some

ROOT = Path(__file__).parents[2]
INSTALLER = ROOT / "deploy/install.py"
specification = importlib.util.spec_from_file_location("portal_installer", INSTALLER)
assert specification
assert specification.loader
installer = importlib.util.module_from_spec(specification)
specification.loader.exec_module(installer)

LOCKS = sorted(ROOT.glob("constraints*.txt"))


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of pip; no file of settings counts either."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "VIRTUAL_ENV"))
    }
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", **settings}


def install(folder: Path, lock: Path, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the installer as `make` does."""
    return subprocess.run(
        [sys.executable, str(INSTALLER), str(folder), str(lock), *options],
        env=clean_environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )


def packages(folder: Path) -> dict[str, str]:
    """Versions by name of what an environment holds, without what `venv` put there."""
    [site] = folder.glob("lib/python*/site-packages")
    found = {
        installer.normal(each.metadata["Name"]): each.version
        for each in importlib.metadata.distributions(path=[str(site)])
    }
    return {name: version for name, version in found.items() if name not in installer.SEEDS}


# --- R28: the lock alone decides ---


@pytest.fixture(scope="module", params=some(["bundled", "23.0.1", "newest"], quick=1))
def pip_wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pip: the one that comes with this Python, Debian 12's, and the newest."""
    if request.param == "23.0.1" and sys.version_info >= (3, 12):
        pytest.skip("pip 23.0.1 does not run on Python 3.12 and newer")
    folder = tmp_path_factory.mktemp("pip")
    if request.param == "bundled":
        return bundled_pip(folder)
    wanted = "pip" if request.param == "newest" else f"pip=={request.param}"
    fetched = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "-d",
            str(folder),
            wanted,
        ],
        capture_output=True,
        check=False,
        timeout=120,
    )
    if fetched.returncode:
        pytest.skip(f"{wanted} cannot be fetched: there is no package index")
    return next(folder.glob("pip-*.whl"))


def environment_with(pip_wheel: Path, folder: Path) -> Path:
    """A virtual environment with this very pip."""
    unpacked = pip_wheel.with_suffix("")
    if not unpacked.exists():
        with zipfile.ZipFile(pip_wheel) as wheel:
            wheel.extractall(unpacked)
    venv.create(folder, with_pip=False)
    [site] = folder.glob("lib/python*/site-packages")
    (site / "pip.pth").write_text(f"{unpacked}\n", encoding="utf-8")
    return folder


def bundled_pip(folder: Path) -> Path:
    """The pip that comes with this Python, copied to where it may be unpacked."""
    found = importlib.util.find_spec("ensurepip")
    wheels = list(Path(found.origin).parent.glob("_bundled/pip-*.whl")) if found and found.origin else []
    if not wheels:
        pytest.skip("this Python comes without a pip of its own")
    return Path(shutil.copy(wheels[0], folder))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, dict[str, str]]]:
    """Every package of every lock, with decoys: folder, address, and digests of the locked releases."""
    folder = tmp_path_factory.mktemp("index")
    pins = {pin.name: pin for lock in LOCKS for pin in read_lock(lock)}
    digests = make_index(folder, list(pins.values()))
    with served(folder) as address:
        yield folder, address, digests


def test_r28_newer_yanked_and_shadowing_releases_change_nothing(
    pip_wheel: Path, index: tuple[Path, str, dict[str, str]], tmp_path: Path
) -> None:
    _, address, digests = index
    pins = read_lock(ROOT / "constraints-dev.txt")
    lock = tmp_path / "constraints-dev.txt"
    lock.write_text("".join(pin.line(digests[pin.name]) for pin in pins), encoding="utf-8")
    folder = environment_with(pip_wheel, tmp_path / "venv")
    done = install(
        folder, lock, PIP_INDEX_URL=f"{address}/shadow", PIP_EXTRA_INDEX_URL=f"{address}/simple", PIP_PRE="1"
    )
    assert done.returncode == 0, done.stdout
    assert packages(folder) == {installer.normal(pin.name): pin.version for pin in pins if pin.applies}
    [site] = folder.glob("lib/python*/site-packages")
    contents = {path.read_text(encoding="utf-8") for path in site.glob("*_decoy.py")}
    assert contents == {f"CONTENT = {LOCKED!r}\n"}


@pytest.mark.parametrize("kept", [True, False], ids=["as it is locked now", "as it was locked"])
@pytest.mark.long
def test_r28_a_resolver_would_not_have_kept_to_an_old_lock(kept: bool, pip_wheel: Path, tmp_path: Path) -> None:
    """What made the lock of an earlier release fail: an extra of a locked package, and a newer release of it."""
    simple = tmp_path / "simple"
    simple.mkdir()
    base = Pin("base", ("more",), "1.0", "")
    pins = [(base, write_wheel(simple, "base", "1.0", requires=["other; extra == 'more'"]))]
    pins += [(Pin("user", (), "1.0", ""), write_wheel(simple, "user", "1.0", requires=["base[more]>=0.5"]))]
    pins += [(Pin("other", (), "1.0", ""), write_wheel(simple, "other", "1.0"))]
    write_wheel(simple, "base", "1.1", content=DECOY)
    lock = tmp_path / "lock.txt"
    lock.write_text("".join(pin.line(digest, extras=kept) for pin, digest in pins), encoding="utf-8")
    folder = environment_with(pip_wheel, tmp_path / "venv")
    options = [option for option in installer.OPTIONS if option != "--no-deps"]
    by_resolver = subprocess.run(
        [folder / "bin/python", "-m", "pip", "install", "--dry-run", *options, "-r", lock],
        env=clean_environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(simple)),
        capture_output=True,
        check=False,
        timeout=120,
    )
    version = Version(re.findall(r"pip-([\d.]+)-", pip_wheel.name)[0])
    assert (by_resolver.returncode == 0) is (kept or version >= Version("23.3"))
    done = install(folder, lock, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(simple))
    assert done.returncode == 0, done.stdout
    assert packages(folder) == {"base": "1.0", "user": "1.0", "other": "1.0"}


INSTALLS = re.compile(
    r"\bpip3?\b[\"', ]+(?:--?[\w-]+[\"', ]+)*(?:install|download)\b.*|\buv (?:pip )?(?:install|sync)\b.*"
)


def lines_that_install() -> list[tuple[str, str]]:
    """Every line, with those that continue it, that installs packages, in any file of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.split("\n") if listed.returncode == 0 else []
    found = []
    for name in filter(None, names):
        if name.startswith(("tests/", "codes/data/")) or not (ROOT / name).is_file():
            continue
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
        found += [(name, match) for match in INSTALLS.findall(text)]
    return found


#: A client goes into the environment of its own users, never into the portal's.
OF_A_CLIENT = re.compile(r"pip install \./clients/python\b")


def test_r28_nothing_is_installed_in_any_other_way() -> None:
    found = lines_that_install()
    if not found:
        pytest.skip("this is no git checkout")
    assert {"deploy/container/Containerfile", "docs/operating.md"} <= {name for name, _ in found}
    lacking = [
        (name, line)
        for name, line in found
        if not all(option in line for option in installer.OPTIONS) and not OF_A_CLIENT.search(line)
    ]
    assert lacking == []


def test_r28_pip_check_follows_each_installation() -> None:
    for name in ("deploy/container/Containerfile", "docs/operating.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "pip check" in text
    assert 'self.pip("check")' in INSTALLER.read_text(encoding="utf-8")


def test_r28_the_lock_keeps_extras_and_no_address() -> None:
    for lock in LOCKS:
        assert not re.search(r"https?://|file:|--(index|find-links|extra)", lock.read_text(encoding="utf-8"))
    assert any("coverage[toml]==" in lock.read_text(encoding="utf-8") for lock in LOCKS)
    assert "uvicorn[standard]==" in (ROOT / "constraints.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("part", "whole"),
    [("constraints.txt", "constraints-dev.txt"), ("constraints-gunicorn.txt", "constraints-dev.txt")],
)
def test_r28_the_locks_agree(part: str, whole: str) -> None:
    assert installer.pins(ROOT / part).items() <= installer.pins(ROOT / whole).items()


def test_r28_every_direct_pin_is_locked_as_it_is() -> None:
    for requirements in ROOT.glob("requirements*.txt"):
        lock = installer.pins(ROOT / requirements.name.replace("requirements", "constraints"))
        assert installer.pins(requirements).items() <= lock.items()


def test_r28_make_lock_needs_no_sound_lock_and_upgrades() -> None:
    planned = subprocess.run(["make", "-n", "lock"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ".venv/" not in planned
    assert ".venv-lock constraints-lock.txt" in planned
    compiles = re.findall(r"uv pip compile .*", planned)
    locks = [*LOCKS, ROOT / ".ci/clients/constraints.txt"]
    assert {str(lock.relative_to(ROOT)) for lock in locks} == {
        line.split(" -o ")[1].split()[0] for line in compiles
    }
    for line in compiles:
        for option in ("--upgrade", "--no-strip-extras", "--generate-hashes", "--universal", "--no-emit-index-url"):
            assert option in line


# --- A14: an environment that cannot be used is seen, and said ---


@pytest.fixture(scope="module")
def quick_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled_pip(tmp_path_factory.mktemp("bundled"))


@pytest.fixture
def small(tmp_path: Path, quick_pip: Path) -> tuple[Path, Path, dict[str, str]]:
    """A lock of one package, an empty environment, and pip's settings to find the package."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    lock = tmp_path / "constraints.txt"
    lock.write_text(Pin("base", (), "1.0", "").line(write_wheel(wheels, "base", "1.0")), encoding="utf-8")
    return (
        lock,
        environment_with(quick_pip, tmp_path / ".venv"),
        {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)},
    )


@pytest.mark.long
def test_a_second_run_installs_nothing_and_a_changed_lock_leaves_no_stray(
    small: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    lock, folder, settings = small
    assert install(folder, lock, **settings).returncode == 0
    assert packages(folder) == {"base": "1.0"}
    again = install(folder, lock, PIP_NO_INDEX="1")
    assert (again.returncode, again.stdout) == (0, "")
    digest = write_wheel(tmp_path / "wheels", "successor", "2.0")
    lock.write_text(Pin("successor", (), "2.0", "").line(digest), encoding="utf-8")
    upgraded = install(folder, lock, **settings)
    assert "Removing what the portal does not use: base" in upgraded.stdout
    assert packages(folder) == {"successor": "2.0"}


def test_a_larger_lock_stays_installed_when_a_part_of_it_is_asked_for(
    small: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    lock, folder, settings = small
    larger = tmp_path / "constraints-dev.txt"
    digest = write_wheel(tmp_path / "wheels", "tool", "1.0")
    larger.write_text(lock.read_text() + Pin("tool", (), "1.0", "").line(digest), encoding="utf-8")
    assert install(folder, larger, **settings).returncode == 0
    assert install(folder, lock).stdout == ""
    assert packages(folder) == {"base": "1.0", "tool": "1.0"}


def test_an_installation_that_fails_says_so_and_is_not_taken_for_whole(
    small: tuple[Path, Path, dict[str, str]],
) -> None:
    lock, folder, settings = small
    failed = install(folder, lock, PIP_NO_INDEX="1")
    assert failed.returncode != 0
    assert "pip install failed (see above)" in failed.stdout
    assert "docs/operating.md" in failed.stdout
    assert install(folder, lock, **settings).returncode == 0
    assert packages(folder) == {"base": "1.0"}


def test_a_package_that_asks_for_what_is_not_locked_is_found(small: tuple[Path, Path, dict[str, str]]) -> None:
    lock, folder, settings = small
    digest = write_wheel(Path(settings["PIP_FIND_LINKS"]), "base", "1.0", requires=["forgotten"])
    lock.write_text(Pin("base", (), "1.0", "").line(digest), encoding="utf-8")
    done = install(folder, lock, **settings)
    assert done.returncode != 0
    assert "forgotten" in done.stdout


def test_settings_of_pip_that_install_elsewhere_do_not_count(
    small: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    lock, folder, settings = small
    elsewhere = {"PIP_USER": "1", "PIP_TARGET": str(tmp_path / "elsewhere"), "PYTHONPATH": str(tmp_path)}
    assert install(folder, lock, **settings, **elsewhere).returncode == 0
    assert packages(folder) == {"base": "1.0"}


def answers_as(folder: Path, abi: str) -> None:
    """Let the environment's Python be another one."""
    (folder / "bin/python").unlink()
    (folder / "bin/python").write_text(f"#!/bin/sh\necho {abi}\necho {folder}\n", encoding="utf-8")
    (folder / "bin/python").chmod(0o755)


@pytest.mark.long
def test_a_python_that_is_gone_is_said_and_its_environment_is_made_again(
    small: tuple[Path, Path, dict[str, str]],
) -> None:
    lock, folder, settings = small
    install(folder, lock, **settings)
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to("/nowhere/python3.11")
    done = install(folder, lock, **settings)
    assert done.returncode == 0, done.stdout
    assert f"Making {folder} again: its Python is gone or does not start." in done.stdout
    assert packages(folder) == {"base": "1.0"}


@pytest.mark.parametrize(
    ("abi", "version"),
    [("cpython-39-x86_64-linux-gnu", "3.9"), ("cpython-310-x86_64-linux-gnu", "3.10"), ("cpython-315-x", "3.15")],
)
def test_an_environment_of_a_wrong_python_is_not_used(abi: str, version: str, tmp_path: Path) -> None:
    venv.create(tmp_path / ".venv", with_pip=False)
    answers_as(tmp_path / ".venv", abi)
    fault = installer.VirtualEnvironment(tmp_path / ".venv").fault(chosen=False)
    assert fault == f"it was made by Python {version}"


def test_an_environment_that_was_moved_is_not_used(
    small: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    lock, folder, settings = small
    install(folder, lock, **settings)
    assert installer.VirtualEnvironment(folder).fault(chosen=True) is None
    moved = folder.rename(tmp_path / "moved")
    fault = installer.VirtualEnvironment(moved).fault(chosen=False)
    assert fault == "it was made by another Python, or in another folder"


def test_a_python_that_was_named_replaces_another_one(tmp_path: Path) -> None:
    venv.create(tmp_path / ".venv", with_pip=False)
    answers_as(tmp_path / ".venv", "cpython-314-x86_64-linux-gnu")
    environment = installer.VirtualEnvironment(tmp_path / ".venv")
    assert environment.fault(chosen=False) is None
    assert "another Python than the one that PYTHON names" in environment.fault(chosen=True)


def test_what_is_no_environment_is_left_alone(small: tuple[Path, Path, dict[str, str]]) -> None:
    lock, folder, settings = small
    (folder / "pyvenv.cfg").unlink()
    (folder / "thesis.txt").write_text("irreplaceable", encoding="utf-8")
    done = install(folder, lock, **settings)
    assert done.returncode != 0
    assert "is not a virtual environment. Move it away." in done.stdout
    assert (folder / "thesis.txt").read_text() == "irreplaceable"


def test_of_a_link_only_the_link_is_removed(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "shared")
    installer.remove(tmp_path / "link")
    assert (tmp_path / "shared").is_dir()
    assert not (tmp_path / "link").is_symlink()


AS_ANOTHER = (
    "import runpy, sys; sys.version_info = {version}; sys.argv = sys.argv[1:]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.mark.parametrize("version", ["(3, 6, 15, 'final', 0)", "(3, 10, 0, 'final', 0)", "(3, 15, 0, 'alpha', 1)"])
def test_a_wrong_python_is_named_before_pip_fails(version: str, tmp_path: Path) -> None:
    lock, folder = tmp_path / "constraints.txt", tmp_path / ".venv"
    command = [sys.executable, "-c", AS_ANOTHER.format(version=version), str(INSTALLER), str(folder), str(lock)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    [line] = done.stderr.splitlines()
    said = ".".join(version.strip("(").split(", ")[:2])
    assert line.startswith(f"The portal needs Python 3.11 to 3.14; {Path(sys.executable).name} is {said}.")
    assert re.search(r"make run PYTHON=python3\.1[1-4]$", line)
    assert not folder.exists()


def old_pythons() -> list[str]:
    """Pythons of this machine that are too old."""
    names = [f"python3.{minor}" for minor in range(6, 11)]
    places = [str(path) for path in Path.home().glob(".pyenv/versions/3.*/bin/python3")]
    found = [path for path in (*map(shutil.which, names), *places) if path]
    return [path for path in found if _minor(path) in range(6, 11)]


def _minor(python: str) -> int:
    asked = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, check=False, timeout=30
    )
    return int(asked.stdout or 0)


@pytest.mark.long
def test_the_installer_itself_runs_on_old_pythons(small: tuple[Path, Path, dict[str, str]]) -> None:
    lock, folder, settings = small
    found = old_pythons()
    if not found:
        pytest.skip("no Python 3.6 to 3.10 is installed here")
    install(folder, lock, **settings)
    for python in found:
        command = [python, str(INSTALLER), str(folder), str(lock)]
        # Where the environment is whole, nothing is asked of the Python that looks.
        assert subprocess.run(command, check=False, timeout=60).returncode == 0
        refused = subprocess.run([*command, "--chosen"], stderr=subprocess.PIPE, text=True, check=False, timeout=60)
        assert refused.returncode == 1
        assert refused.stderr.startswith("The portal needs Python 3.11 to 3.14; python3")
    assert packages(folder) == {"base": "1.0"}


def test_the_documents_and_the_project_name_the_same_pythons() -> None:
    oldest, newest = (".".join(map(str, version)) for version in (installer.OLDEST, installer.NEWEST))
    assert f"Python {oldest} to {newest}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f'requires-python = ">={oldest}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


# --- the documentation, as it is printed ---


def blocks_about_packages() -> list[str]:
    text = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## Packages.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


@pytest.mark.long
def test_r28_the_documented_ways_work_without_a_network(tmp_path: Path) -> None:
    """With a small lock; what is printed is what is run."""
    index, program = tmp_path / "index", tmp_path / "program"
    (program / "deploy").mkdir(parents=True)
    shutil.copy(INSTALLER, program / "deploy")
    pins = [Pin("first", (), "1.0", ""), Pin("second", ("more",), "2.0", "")]
    digests = make_index(index, pins)
    lock = "".join(pin.line(digests[pin.name]) for pin in pins)
    (program / "constraints.txt").write_text(lock, encoding="utf-8")
    by_hand, download, from_folder, without_installer = blocks_about_packages()

    def run(block: str, **settings: str) -> None:
        shutil.rmtree(program / ".venv", ignore_errors=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = clean_environment(PATH=path, **settings)
        subprocess.run(["bash", "-euc", block], cwd=program, env=environment, check=True, timeout=120)

    with served(index) as address:
        run(by_hand, PIP_INDEX_URL=f"{address}/simple")
        assert packages(program / ".venv") == {"first": "1.0", "second": "2.0"}
        run(download, PIP_INDEX_URL=f"{address}/simple")
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    for block in (from_folder, without_installer):
        run(block, **nowhere)
        assert packages(program / ".venv") == {"first": "1.0", "second": "2.0"}
