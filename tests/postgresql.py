"""A throw-away PostgreSQL: in a folder of its own, on a port of its own, gone when the block ends.

    python -m tests.postgresql pytest tests/contract

runs a command with DATABASE_URL naming such a server.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

USER = "portal"
#: Who runs the server where we are root, as it refuses to be.
SERVER_USER = "postgres"


def programs() -> Path | None:
    """Where PostgreSQL's programs are: on the path, or where Debian has those of the newest version."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return folders[-1] if folders else None


def unavailable() -> str:
    """Why no PostgreSQL can be started here; empty when one can."""
    if programs() is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0 and not (_has_server_user() and shutil.which("setpriv")):
        return f"PostgreSQL does not run as root, and there is no user {SERVER_USER}"
    return ""


def _memory() -> Path | None:
    """A folder in memory with room for a server; None where there is none."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > 2 * 1024**3 else None


def _has_server_user() -> bool:
    try:
        pwd.getpwnam(SERVER_USER)
    except KeyError:
        return False
    return True


class PostgreSql:
    """One server, with the flushes that the portal demands. Without `durable` it lives in memory where it
    finds room, so that they cost nothing: enough where no power is cut.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        folder = programs()
        assert folder is not None, unavailable()
        self.programs = folder
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])

    def url(self, database: str = "portal") -> str:
        return f"postgres://{USER}@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        memory = None if self._durable else _memory()
        self._folder = Path(tempfile.mkdtemp(prefix="portal-postgresql-", dir=memory))
        if os.geteuid() == 0:
            shutil.chown(self._folder, SERVER_USER)
        self._run("initdb", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C", "-D", self._data)
        listen = ["-p", str(self.port), "-k", str(self._folder), "-c", "listen_addresses=127.0.0.1"]
        self._log = (self._folder / "log").open("wb")
        self._server = subprocess.Popen(
            self._command("postgres", "-D", self._data, *listen), stdout=self._log, stderr=self._log
        )
        try:
            self._wait()
            self.create("portal")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        try:
            self._server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The server's first process; those that answer its clients are its children."""
        return self._server.pid

    def create(self, database: str) -> str:
        """Make an empty database; its address."""
        self.run("createdb", *self.who, database)
        return self.url(database)

    @property
    def who(self) -> tuple[str, ...]:
        return ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER)

    def run(self, program: str, *arguments: str) -> str:
        """Run one of the client programs; what it printed."""
        done = subprocess.run(
            [str(self.programs / program), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(program, *arguments), cwd=self._folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:
            # No child of another: a signal to it reaches the server.
            command = ["setpriv", f"--reuid={SERVER_USER}", f"--regid={SERVER_USER}", "--init-groups", *command]
        return command

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while not self._is_ready():
            told = (self._folder / "log").read_text()
            assert self._server.poll() is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        asked = [str(self.programs / "pg_isready"), *self.who]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0


#: Databases by the data folder that they belong to.
_databases: dict[str, str] = {}


def with_own_database(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a process with a data folder of its own: its rows are there at the next start too."""
    url = environment.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        return environment
    folder = environment["PORTAL_DATA_DIR"]
    if folder not in _databases:
        _databases[folder] = own_database(url)
    return {**environment, "DATABASE_URL": _databases[folder]}


def own_database(url: str) -> str:
    """Make an empty database beside the one that is named; its address."""
    name = f"own_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def main(command: list[str]) -> int:
    reason = unavailable()
    if reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends with us
    with PostgreSql() as server:
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": server.url()}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
