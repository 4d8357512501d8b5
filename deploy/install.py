"""Installer: makes a virtual environment hold exactly what a lock file lists.

    python3 deploy/install.py .venv constraints.txt

`make` calls it before every command. Where the environment is complete already, it takes a moment and no network.
The lock alone decides: pip resolves nothing, compiles nothing and checks every file against its hash. Neither
a newer release in the index nor another version of pip changes what is installed.

This file has to run on every Python 3, also on one that is too old for the portal: it is the one that says so.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

OLDEST = (3, 11)
NEWEST = (3, 14)
#: How packages are installed, here and wherever the documentation or another file installs them.
OPTIONS = ("--no-deps", "--only-binary=:all:", "--require-hashes")
STAMP = "installed.json"
#: What `venv` itself puts into an environment.
SEEDS = {"pip", "setuptools", "wheel"}

# Each runs in the environment's own Python. -I: no PYTHONPATH and no packages of the user.
_IDENTITY = "import sys, sysconfig; print(sysconfig.get_config_var('SOABI')); print(sys.prefix)"
_NAMES = "import importlib.metadata as m; print(*sorted({d.metadata['Name'] for d in m.distributions()}))"
#: Settings of pip that would put packages elsewhere, or nowhere.
_ELSEWHERE = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN", "PIP_PYTHON", "PIP_NO_DEPS"}


def main(arguments: "list[str] | None" = None) -> None:
    """Bring the environment up to date, or stop with a line that says what to do."""
    parser = argparse.ArgumentParser(description="Make a virtual environment hold exactly what a lock file lists.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--chosen", action="store_true", help="this Python was asked for: use no other")
    options = parser.parse_args(arguments)
    environment = VirtualEnvironment(options.folder)
    fault = environment.fault(chosen=options.chosen)
    if fault is not None:
        refuse_wrong_python()
        environment.make(fault)
    lock = environment.lock_to_use(options.lock)
    if environment.stamp() != stamp_of(environment.identity(), lock):
        environment.install(lock)


class VirtualEnvironment:
    """A virtual environment in a folder, which may not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"

    def fault(self, *, chosen: bool) -> "str | None":
        """Say why it has to be made: "" where there is none yet, None where it can be used as it is."""
        if not os.path.lexists(str(self.folder)) or (self.folder.is_dir() and not any(self.folder.iterdir())):
            return ""
        if self.folder.exists() and not (self.folder / "pyvenv.cfg").exists():
            sys.exit(f"{self.folder} is not a virtual environment. Move it away.")
        abi = self.identity()[0]
        if not abi:
            return "its Python is gone or does not start"
        if not OLDEST <= version_of(abi) <= NEWEST:
            return "it was made by Python {}.{}".format(*version_of(abi))
        if chosen and abi != sysconfig.get_config_var("SOABI"):
            return f"it was made by another Python than the one that PYTHON names ({abi})"
        stamp = self.stamp()
        if stamp and stamp["interpreter"] != self.identity():
            return "it was made by another Python, or in another folder"
        return None

    def identity(self) -> "list[str]":
        """Version, build and place of its Python: packages that were installed for one do not work with another."""
        try:
            found = subprocess.check_output([str(self.python), "-I", "-c", _IDENTITY], stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            return ["", ""]
        return found.decode("utf-8", "replace").splitlines()

    def make(self, fault: str) -> None:
        """Make it, in the place of one that cannot be used."""
        if fault:
            say(f"Making {self.folder} again: {fault}.")
        # Where the old environment is active, its Python goes with it.
        inside = str(self.folder.resolve()) in str(Path(sys.prefix).resolve())
        python = str(Path(sys.executable).resolve()) if inside else sys.executable
        remove(self.folder)
        if subprocess.call([python, "-m", "venv", str(self.folder)]):
            remove(self.folder)
            sys.exit(f"{self.folder} cannot be made (see above).")

    def stamp(self) -> "dict[str, object] | None":
        """Read what was installed last; None where that did not come to its end."""
        try:
            return dict(json.loads((self.folder / STAMP).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None

    def lock_to_use(self, lock: Path) -> Path:
        """Choose the lock that was asked for, or the one that is installed where it includes the first."""
        stamp = self.stamp()
        installed = lock.with_name(str(stamp["lock"])) if stamp else lock
        return installed if installed.exists() and pins(lock).items() <= pins(installed).items() else lock

    def install(self, lock: Path) -> None:
        """Install what is missing, take out what is not in the lock, and look whether all fits together."""
        say(f"Installing the pinned packages of {lock.name} ...")
        remove(self.folder / STAMP)
        self.pip("install", "--quiet", *OPTIONS, "-r", str(lock))
        strays = sorted(self.names() - set(pins(lock)) - SEEDS)
        if strays:
            say("Removing what the portal does not use: {}".format(", ".join(strays)))
            self.pip("uninstall", "--quiet", "--yes", *strays)
        self.pip("check")
        partial = self.folder / (STAMP + ".new")
        partial.write_text(json.dumps(stamp_of(self.identity(), lock)), encoding="utf-8")
        partial.replace(self.folder / STAMP)

    def names(self) -> "set[str]":
        """Names of all packages in it."""
        found = subprocess.check_output([str(self.python), "-I", "-c", _NAMES])
        return {normal(name) for name in found.decode().split()}

    def pip(self, command: str, *arguments: str) -> None:
        """Run pip; what it prints is shown only where it fails."""
        kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
        call = [str(self.python), "-I", "-m", "pip", "--disable-pip-version-check", command, *arguments]
        run = subprocess.Popen(call, env=kept, stdout=subprocess.PIPE)
        output = run.communicate()[0].decode("utf-8", "replace")
        if run.returncode:
            say(output)
            sys.exit(
                f"The packages cannot be installed in {self.folder}: pip {command} failed (see above).\n"
                "Without a network, or with an index of your own: see docs/operating.md, Packages."
            )


def refuse_wrong_python() -> None:
    """Stop where this Python cannot run the portal; pip would only say that it finds no package."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    names = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    found = next((name for name in names if starts(name)), None)
    remedy = "Set PYTHON" if found else "Install one of these and set PYTHON"
    sys.exit(
        "The portal needs Python {}.{} to {}.{}; ".format(*OLDEST, *NEWEST)
        + "{} is {}.{}. ".format(Path(sys.executable).name, *sys.version_info[:2])
        + f"{remedy}: make run PYTHON={found or names[-1]}"
    )


def starts(python: str) -> bool:
    """Whether there is such a Python; version managers leave commands that only print a fault."""
    try:
        return subprocess.call([python, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def version_of(abi: str) -> "tuple[int, int]":
    """Find the version in an ABI's name: 3.11 for cpython-311-x86_64-linux-gnu."""
    digits = re.findall(r"\d+", abi)[0]
    return int(digits[0]), int(digits[1:] or 0)


def stamp_of(identity: "list[str]", lock: Path) -> "dict[str, object]":
    """Describe a complete installation."""
    return {"interpreter": identity, "lock": lock.name, "sha256": hashlib.sha256(lock.read_bytes()).hexdigest()}


def pins(lock: Path) -> "dict[str, str]":
    """Versions by package of a lock file."""
    text = lock.read_text(encoding="utf-8")
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", text, re.MULTILINE)
    return {normal(name): version for name, version in found}


def normal(name: str) -> str:
    """A package's name in the one spelling that can be compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def remove(path: Path) -> None:
    """Remove a file, a folder with all in it, or a link but not what it leads to."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(str(path))


def say(line: str) -> None:
    """Print a line at once, before what pip prints."""
    print(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
