"""Where the portal listens: an address, a Unix socket, or what a service manager hands over."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from portal.server.sockets import CannotListen, describe, open_listener


def test_an_address_and_a_port() -> None:
    with open_listener("127.0.0.1", 0, 5, {}) as listener:
        assert describe(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert listener.gettimeout() == 0


def test_a_taken_port_says_what_to_set() -> None:
    with (
        open_listener("127.0.0.1", 0, 5, {}) as listener,
        pytest.raises(CannotListen, match=r"Address already in use\. Set HOST or PORT"),
    ):
        open_listener("127.0.0.1", listener.getsockname()[1], 5, {})


def test_a_unix_socket_is_open_to_owner_and_group_alone(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with open_listener(f"unix:{path}", 0, 5, {}) as listener:
        assert describe(listener) == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_the_socket_of_a_dead_portal_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    open_listener(f"unix:{path}", 0, 5, {}).close()
    assert path.is_socket()
    open_listener(f"unix:{path}", 0, 5, {}).close()


def test_the_socket_of_a_living_portal_is_not(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with (
        open_listener(f"unix:{path}", 0, 5, {}),
        pytest.raises(CannotListen, match="Another process listens"),
    ):
        open_listener(f"unix:{path}", 0, 5, {})


def test_a_file_in_its_place_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    path.write_text("precious")
    with pytest.raises(CannotListen, match="not a socket"):
        open_listener(f"unix:{path}", 0, 5, {})
    assert path.read_text() == "precious"


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match="No such file"):
        open_listener(f"unix:{tmp_path}/none/http.sock", 0, 5, {})


def hand_over(handed: socket.socket | int, pid: str = "self") -> str:
    """Start a process with this descriptor as its number 3, and let it say where it listens."""
    code = (
        "import os, sys\n"
        "pid = str(os.getpid()) if sys.argv[1] == 'self' else sys.argv[1]\n"
        "os.environ.update(LISTEN_PID=pid, LISTEN_FDS='1')\n"
        "from portal.server.sockets import CannotListen, describe, open_listener\n"
        "try:\n"
        "    print(describe(open_listener('127.0.0.1', 0, 5)))\n"
        "except CannotListen as fault:\n"
        "    print(fault)\n"
    )
    descriptor = handed if isinstance(handed, int) else handed.fileno()
    run = subprocess.run(
        [sys.executable, "-c", code, pid],
        preexec_fn=lambda: os.dup2(descriptor, 3, inheritable=True),  # as systemd does it
        close_fds=False,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def test_r21_a_socket_that_is_handed_over_comes_first() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        assert hand_over(held) == f"http://127.0.0.1:{held.getsockname()[1]}"


def test_a_socket_handed_to_another_process_is_not_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        assert hand_over(held, "1") != f"http://127.0.0.1:{held.getsockname()[1]}"


def test_a_socket_that_does_not_listen_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong:
        assert "not a listening stream socket" in hand_over(wrong)


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert "cannot be used" in hand_over(file.fileno())
