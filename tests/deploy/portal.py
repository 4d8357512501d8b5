"""Starts the real portal on a port and a data folder of its own."""

import atexit
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Self

from tests.deploy.authority import GOOD_DN
from tests.deploy.proxy import free_port

ROOT = Path(__file__).parents[2]
OPEN, REQUIRED, RESTRICTED, DENYING, REJECTING = (
    "OPEN-FEED",
    "REQUIRED-FEED",
    "RESTRICTED-FEED",
    "DENYING",
    "REJECTING",
)
SMUGGLED = "SMUGGLED-FEED"

_SETUP = f"""
from portal import command_line; command_line.start_serving()
import django; django.setup()
from portal.server.startup import prepare
prepare(lambda line: None)
from feeds.models import Feed, CertificateRule
Feed.objects.bulk_create([
    Feed(name={OPEN!r}), Feed(name={SMUGGLED!r}),
    Feed(name={REQUIRED!r}, certificate_policy="required"),
    Feed(name={RESTRICTED!r}, certificate_policy="restricted"),
    Feed(name={DENYING!r}, certificate_policy="required"),
    Feed(name={REJECTING!r}, status="Reject"),
])
CertificateRule.objects.create(feed=Feed.objects.get(name={RESTRICTED!r}), action="allow", subject_dn={GOOD_DN!r})
CertificateRule.objects.create(feed=Feed.objects.get(name={DENYING!r}), action="deny", subject_dn={GOOD_DN!r})
"""


def _copy(source: str, target: str) -> str:
    """Copy a file; static files never change, and are many: a second name is enough for them."""
    if f"{os.sep}staticfiles{os.sep}" in source:
        os.link(source, target)
        return target
    return shutil.copy2(source, target)


@functools.cache
def _prepared() -> Path:
    """A data folder with tables, catalogue, static files and feeds, made once and copied for each portal."""
    folder = Path(tempfile.mkdtemp(prefix="portal-prepared-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    environment = {**_clean_environment(), "PORTAL_DATA_DIR": str(folder)}
    run = subprocess.run(
        [sys.executable, "-c", _SETUP], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return folder


def _clean_environment() -> dict[str, str]:
    """Ours without the settings of whoever runs the tests."""
    foreign = ("PORTAL_", "DATABASE_URL", "HOST", "PORT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {
        **kept,
        "PORTAL_ADMIN_PASSWORD": "not-a-real-secret-1",
        "PORTAL_MIN_FREE_BYTES": "0",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
    }


def prepared_copy(folder: Path) -> Path:
    """A data folder of its own with everything that a started portal has made."""
    shutil.copytree(_prepared(), folder, dirs_exist_ok=True, copy_function=_copy)
    return folder


class Portal:
    """One running portal that believes the proxy in front of it."""

    def __init__(
        self,
        folder: Path,
        *,
        unix: Path | None = None,
        workers: int = 2,
        fresh: bool = True,
        under: tuple[str, ...] = (),
        root: Path = ROOT,
        command: tuple[str, ...] = (),
    ) -> None:
        """Prepare.

        Args:
            folder: the data folder.
            unix: path of a socket to listen on instead of a port.
            workers: server processes.
            fresh: whether the folder is new and gets the feeds that the tests send to.
            under: command that starts the portal as its own process, such as `strace -D`.
            root: where the program is.
            command: starts it another way than `manage.py serve`.
        """
        self._root = root
        self._command = command or (sys.executable, str(root / "manage.py"), "serve")
        self._under = under
        folder.mkdir(exist_ok=True)
        self._fresh = fresh
        self.folder = folder
        self.port = free_port()
        self.unix = unix
        self.upstream = f"unix:{unix}" if unix else f"127.0.0.1:{self.port}"
        self._log = folder / "portal.log"
        self._digests: dict[str, str] = {}
        self.environment = {
            **_clean_environment(),
            "PORTAL_DATA_DIR": str(folder),
            "HOST": f"unix:{unix}" if unix else "127.0.0.1",
            "PORT": str(self.port),
            "PORTAL_WORKERS": str(workers),
            "PORTAL_TRUSTED_PROXIES": "unix" if unix else "127.0.0.1",
        }

    def manage(self, *arguments: str) -> str:
        """Run a management command; what it printed."""
        return self._run(str(self._root / "manage.py"), *arguments)

    def _run(self, *arguments: str) -> str:
        run = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=self._root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def prepare(self) -> None:
        """Fill a fresh data folder, static files included, as gathering them takes longest."""
        if self._fresh:
            prepared_copy(self.folder)

    def __enter__(self) -> Self:
        self.prepare()
        with self._log.open("wb") as log:
            command = [*self._under, *self._command]
            self.process = subprocess.Popen(command, env=self.environment, cwd=self._root, stdout=log, stderr=log)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def curl(self, path: str, *arguments: str) -> str:
        """Ask with curl; the answer's body."""
        run = subprocess.run(
            ["curl", "-sS", "-m", "60", *arguments, f"http://127.0.0.1:{self.port}{path}"],
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stored(self) -> dict[str, str]:
        """Receipt id and SHA-256 of everything in the store."""
        for path in self.folder.glob("store/received/**/*.dat"):
            if path.stem not in self._digests:  # a stored file never changes
                self._digests[path.stem] = hashlib.sha256(path.read_bytes()).hexdigest()
        return dict(self._digests)

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log()
            if (self.unix and "Serving on" in self.log()) or (not self.unix and self._is_ready()):
                return
            time.sleep(0.05)
        raise AssertionError(f"the portal does not start: {self.log()}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
