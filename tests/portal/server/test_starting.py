"""First steps: what an environment, a disk or a database may be like when the portal or a command starts."""

import contextlib
import errno
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connections

from portal import command_line, injected
from portal.environment import BadEnvironment, read_environment
from portal.server import sockets, startup, waiting
from tests import postgresql
from tests.live import parse, read_all, request
from tests.serving import ROOT, Serve

# --- B7, A5: names that Kubernetes injects ---

#: As the kubelet sets them for Services called portal and portal-web.
INJECTED = {
    "PORTAL_SERVICE_HOST": "10.96.3.7",
    "PORTAL_SERVICE_PORT": "8000",
    "PORTAL_SERVICE_PORT_HTTP": "8000",
    "PORTAL_PORT": "tcp://10.96.3.7:8000",
    "PORTAL_PORT_8000_TCP": "tcp://10.96.3.7:8000",
    "PORTAL_PORT_8000_TCP_PROTO": "tcp",
    "PORTAL_PORT_8000_TCP_PORT": "8000",
    "PORTAL_PORT_8000_TCP_ADDR": "10.96.3.7",
    "PORTAL_WEB_SERVICE_HOST": "fd00::1",
    "PORTAL_WEB_SERVICE_PORT": "443",
    "PORTAL_WEB_SERVICE_PORT_HTTPS_ALT": "443",
    "PORTAL_WEB_PORT": "tcp://[fd00::1]:443",
    "PORTAL_WEB_PORT_53_UDP": "udp://fd00::1:53",
    "PORTAL_WEB_PORT_53_UDP_PROTO": "udp",
    "PORTAL_WEB_PORT_53_UDP_PORT": "53",
    "PORTAL_WEB_PORT_53_UDP_ADDR": "fd00::1",
    "PORTAL_SERVICE_SERVICE_HOST": "10.0.0.1",  # of a Service called portal-service, whose own port is
    "PORTAL_API_SERVICE_PORT": "tcp://10.0.0.1:1",  # named as the number of another one's
    "PORTAL_WEB_PORT_9_SCTP": "sctp://10.0.0.1:9",
}
NOT_INJECTED = [
    ("PORTAL_PORT", "8000"),
    ("PORTAL_PORT", "tcp://portal:8000"),
    ("PORTAL_SERVICE_HOST", "portal.example.org"),
    ("PORTAL_SERVICE_PORT", "99999"),
    ("PORTAL_SERVICE_HOST_HTTP", "10.0.0.1"),
    ("PORTAL_TRUSTED_PROXY", "10.0.0.1"),
    ("PORTAL_HOST", "10.0.0.1"),
    ("PORTAL_ADDR", "10.0.0.1"),
    ("PORTAL_PORT_TCP_ADDR", "10.0.0.1"),
    ("PORTAL_PORT_8000_TCP_HOST", "10.0.0.1"),
    ("PORTAL_SERVICES_HOST", "10.0.0.1"),
]


def test_b7_names_that_kubernetes_injects_are_passed_over(tmp_path: Path) -> None:
    read_environment({"PORTAL_DATA_DIR": str(tmp_path), **INJECTED})


@pytest.mark.parametrize(("name", "value"), NOT_INJECTED)
def test_b7_every_other_unknown_name_stops_the_start(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match=f"{name} is not a setting"):
        read_environment({"PORTAL_DATA_DIR": str(tmp_path), name: value})


def test_b7_one_warning_names_the_remedy() -> None:
    assert injected.warning({"PATH": "/bin", "PORTAL_WORKERS": "2"}) == ""
    line = injected.warning(INJECTED)
    assert line.startswith(f"{min(INJECTED)} and {len(INJECTED) - 1} more passed over")
    assert "enableServiceLinks: false" in line
    assert "\n" not in line


# --- commands ---


def run(*arguments: str, cwd: Path = ROOT, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of manage.py with nothing but these settings."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with tables and nothing in them."""
    folder = tmp_path_factory.mktemp("migrated")
    done = run("migrate", "--verbosity", "0", PORTAL_DATA_DIR=str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("command", ["check_store", "migrate"])
def test_b7_every_command_passes_them_over_with_one_warning(command: str, migrated: Path) -> None:
    done = run(command, PORTAL_DATA_DIR=str(migrated), **INJECTED)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("enableServiceLinks") == 1


def test_b7_settings_of_another_project_are_not_used(migrated: Path) -> None:
    done = run("check", PORTAL_DATA_DIR=str(migrated), DJANGO_SETTINGS_MODULE="mysite.settings")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == (
        "DJANGO_SETTINGS_MODULE=mysite.settings is not used: the portal has its own settings. Unset it."
    )


WITH_DATA = [
    "check_store",
    "prune_receipts",
    "verify_audit",
    "migrate",
    "createsuperuser",
    "load_catalogue",
    "dumpdata",
]


@pytest.mark.parametrize("command", WITH_DATA)
def test_a6_a_command_makes_no_data_folder_and_says_which_it_looked_for(command: str, tmp_path: Path) -> None:
    missing = tmp_path / "not" / "there"
    done = run(command, PORTAL_DATA_DIR=str(missing))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(
        f"{command}: there is no data folder {missing} (PORTAL_DATA_DIR names it). Set PORTAL_DATA_DIR"
    )
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize("command", [("check",), ("help",), ("spectacular", "--file", "/dev/null")])
def test_a6_a_command_without_data_needs_no_folder_and_makes_none(command: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*command, PORTAL_DATA_DIR=str(tmp_path / "missing"))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "missing").exists()


def test_a6_a_command_makes_no_database_and_no_secret_key(tmp_path: Path) -> None:
    done = run("check_store", PORTAL_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"Refused: The database {tmp_path / 'portal.sqlite3'} has no tables of the portal."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("check_store",), ("verify_audit",)])
def test_c_a_data_folder_without_tables_is_named_in_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "portal.sqlite3").close()
    (tmp_path / "portal.sqlite3").touch()
    done = run(*command, PORTAL_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Refused: The database {tmp_path / 'portal.sqlite3'} has no tables of the portal.")
    assert "manage.py migrate" in line


def test_c_a_damaged_database_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "portal.sqlite3").write_bytes(b"no database " * 1000)
    done = run("check_store", PORTAL_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "cannot be used: file is not a database" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a10_a_command_says_that_the_database_is_away_and_keeps_its_password(tmp_path: Path) -> None:
    done = run("check_store", PORTAL_DATA_DIR=str(tmp_path), DATABASE_URL="postgres://u:hush@127.0.0.1:9/portal")
    assert done.returncode == 1
    said = "Refused: The database portal on 127.0.0.1 cannot be used: connection failed"
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stderr


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    assert command_line.explain(ValueError("x")) == ""
    assert command_line.explain(OSError(errno.EACCES, "x")) == ""
    assert command_line.explain(OperationalError('near "SELEC": syntax error')) == ""


def test_s28_what_a_command_makes_is_for_its_user_alone(migrated: Path) -> None:
    assert {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in migrated.iterdir()} == {
        path.name: 0 for path in migrated.iterdir()
    }


# --- HOST ---


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu", "no-such-host.invalid", "192.0.2.77"])
def test_b7_a_host_that_is_not_ours_is_named_with_the_remedy(host: str) -> None:
    with pytest.raises(sockets.CannotListen) as refusal:
        sockets.open_listener(host, 21099, 5, {})
    assert str(refusal.value).startswith(f"HOST={host} is not an address of this machine.")
    assert "set HOST=127.0.0.1" in str(refusal.value)


def test_b7_a_name_with_an_ipv6_address_alone_works(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def only_ipv6(host: str, *others: Any, **options: Any) -> Any:
        return real("::1" if host == "six.example.org" else host, *others, **options)

    monkeypatch.setattr(socket, "getaddrinfo", only_ipv6)
    try:
        with sockets.open_listener("six.example.org", 21098, 5, {}) as listener:
            assert listener.family == socket.AF_INET6
            socket.create_connection(("::1", 21098), timeout=5).close()
    except sockets.CannotListen:
        pytest.skip("this machine has no IPv6")


def test_a_name_with_both_kinds_of_address_means_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def both(host: str, *others: Any, **options: Any) -> Any:
        return [*real("::1", *others, **options), *real("127.0.0.1", *others, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with sockets.open_listener("localhost", 21097, 5, {}) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_b7_the_machines_own_name_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box.example.org")
    with socket.socket() as wide, socket.socket() as local:
        wide.bind(("0.0.0.0", 0))
        local.bind(("127.0.0.1", 0))
        for host in ("box.example.org", "BOX"):
            assert "csh sets HOST by itself" in sockets.host_warning(host, wide)
            assert sockets.host_warning(host, local) == ""
        assert sockets.host_warning("0.0.0.0", wide) == ""


# --- B6: the first administrator ---


def make_administrator(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    said: list[str] = []
    shown: list[str] = []
    startup.create_first_administrator(said.append, shown.append)
    return said, shown


@pytest.mark.django_db
def test_b6_a_user_of_that_name_stays_as_it_is_and_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    users = get_user_model().objects
    users.create_user("admin", password="their own")
    said, shown = make_administrator(monkeypatch)
    assert shown == []
    assert said[0].startswith("There is no superuser, and the user admin is not made one.")
    assert "createsuperuser" in said[0]
    kept = users.get(username="admin")
    assert not kept.is_superuser
    assert kept.check_password("their own")


@pytest.mark.django_db
def test_b6_without_a_user_of_that_name_an_administrator_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    get_user_model().objects.create_user("somebody")
    _, shown = make_administrator(monkeypatch)
    assert re.fullmatch(r"Administrator: admin   Password \(shown this once\): \S{16}", shown[0])
    assert get_user_model().objects.get(username="admin").is_superuser
    assert make_administrator(monkeypatch) == ([], [])


# --- the start itself ---


@pytest.mark.parametrize(("mode", "warned"), [(0o700, False), (0o750, True), (0o755, True), (0o2775, True)])
def test_s28_a_data_folder_that_others_can_read_is_complained_of(mode: int, warned: bool, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    line = startup.open_folder(tmp_path)
    assert line.endswith(f"(mode {mode:04o}): chmod 700 {tmp_path}") is warned
    assert bool(line) is warned


LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ [\w.]+ request_id=\S+ .+")


@pytest.mark.server
def test_the_first_start_shows_address_and_password_and_one_head(tmp_path: Path) -> None:
    """In an odd environment, in a data folder that is open to others, after a start that found no database."""
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    serve = Serve(folder, WEB_CONCURRENCY="abc", LC_ALL="C", PYTHONUTF8="0", **INJECTED)
    serve.start()
    answer = serve.send("/docs/operating/", method="GET", host="localhost")
    private = {path for path in folder.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077}
    output = serve.stop()
    assert answer.status == 200
    assert private == set()
    plain = [line for line in output.splitlines() if not LINE.fullmatch(line)]
    assert [re.sub(r": \S{16}$", ": …", line) for line in plain] == [
        "Administrator: admin   Password (shown this once): …",
        f"Serving on http://127.0.0.1:{serve.port} (administrator: admin, stop with Ctrl-C)",
    ]
    assert output.count("audit chain head") == 1
    assert len((folder / "audit-heads").read_text().splitlines()) > 1
    assert output.count("enableServiceLinks") == 1
    assert f"chmod 700 {folder}" in output
    folder.chmod(0o700)
    serve.start()
    again = serve.stop()[len(output) :].splitlines()
    assert [line for line in again if not LINE.fullmatch(line)] == [plain[-1]]
    assert len(again) <= 3


@contextlib.contextmanager
def starting(folder: Path, database: str) -> Iterator[tuple[Serve, Callable[[], str]]]:
    """`manage.py serve` on a database that need not be there; and what it has printed so far."""
    serve = Serve(folder)
    serve.environment["DATABASE_URL"] = database
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"], cwd=ROOT, env=serve.environment, stdout=output, stderr=output
        )
        try:
            yield serve, (folder / "output").read_text
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.long
@pytest.mark.server
@pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable())
def test_a10_a_start_waits_for_a_database_that_is_away(tmp_path: Path) -> None:
    server = postgresql.PostgreSql()
    with starting(tmp_path, server.url()) as (serve, output):
        wait_for(lambda: "waiting, because the database cannot be reached" in output())
        refused = serve.send("/datafeed", b"data", feed="OPEN-FEED")
        assert refused.outcome == (503, 999)
        assert refused.header("Retry-After")
        assert serve.send("/livez", method="GET").status == 200
        assert serve.send("/readyz", method="GET").status == 503
        assert "Traceback" not in output()
        assert output().count("waiting, because") == 1
        with server:
            wait_for(lambda: "Serving on" in output())
            wait_for(lambda: serve.send("/readyz", method="GET").status == 200)
            assert "Password (shown this once)" in output()


def test_a10_systemd_never_gives_up() -> None:
    unit = (ROOT / "deploy/systemd/stroom-portal.service").read_text(encoding="utf-8")
    assert "StartLimitIntervalSec=0" in unit.partition("[Service]")[0]


@pytest.mark.parametrize(
    ("fault", "passing"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (OperationalError("database is locked"), True),
        (OperationalError("database or disk is full"), True),
        (OperationalError("unable to open database file"), False),
        (OperationalError("no such table: x"), False),
    ],
)
def test_what_passes_is_waited_for_and_nothing_else(
    fault: Exception, passing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")
    assert waiting.passes(fault) is passing


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("connection to server at 10.0.0.1, port 5432 failed: Connection refused", True),
        ("connection failed: FATAL:  the database system is starting up", True),
        ("connection failed: FATAL:  sorry, too many clients already", True),
        ("could not translate host name db to address", True),
        ("connection timeout expired", True),
        ("server closed the connection unexpectedly", True),
        ('connection failed: FATAL:  password authentication failed for user "u"', False),
        ('connection failed: FATAL:  database "portal" does not exist', False),
        ("connection failed: FATAL:  no pg_hba.conf entry for host", False),
    ],
)
def test_a_database_that_refuses_is_a_fault_of_the_settings(
    text: str, passing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "postgresql")
    assert waiting.passes(OperationalError(text)) is passing
    assert command_line.explain(OperationalError(text))


def test_c_a_full_disk_is_waited_for_and_callers_are_answered(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PAUSE_SECONDS", 0.01)
    full, answers = threading.Event(), []
    full.set()

    def work() -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device", "/data/metrics")

    with socket.create_server(("127.0.0.1", 0)) as listener, caplog.at_level("WARNING"):
        waiter = threading.Thread(target=waiting.wait_until_done, args=(work, listener))
        waiter.start()
        for method, path, body in [
            ("POST", "/datafeed", b"x" * 100_000),
            ("GET", "/livez", b""),
            ("GET", "/", b""),
        ]:
            with socket.create_connection(listener.getsockname(), timeout=30) as connection:
                connection.sendall(request(path, {"Feed": "F"}, body, method=method))
                answers.append(parse(read_all(connection)))
        full.clear()
        waiter.join(30)
        assert not waiter.is_alive()
        # The socket is still there for the portal itself.
        with socket.create_connection(listener.getsockname(), timeout=5):
            listener.accept()[0].close()
    assert [answer.status for answer in answers] == [503, 200, 503]
    [line] = [record.getMessage() for record in caplog.records]
    assert "the disk is full (/data/metrics). Free some space." in line
