"""Do what the README says, in a fresh clone, as a newcomer would; fail where a command fails."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 240  # seconds; the first start installs packages


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="readme-"))
    try:
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "portal")], check=True)
        return follow(folder / "portal")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def follow(clone: Path) -> int:
    """Run every `sh` block of the README in order; `make run` stays up behind the others."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (clone / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    port = free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PORTAL_", "DATABASE_URL", "DJANGO_", "VIRTUAL_ENV"))
    } | {"PORT": str(port)}
    server = subprocess.Popen(blocks[0], shell=True, cwd=clone, env=environment, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/readyz", server, START_LIMIT)
        for block in blocks[1:]:
            command = block.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            print(f"$ {command.strip()}", flush=True)
            subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=clone, env=environment, check=True)
            print()
    finally:
        stop(server)
    second_start(clone, environment, port)
    print(f"README: {len(blocks)} blocks done, nothing left running")
    return 0


def second_start(clone: Path, environment: dict[str, str], port: int) -> None:
    began = time.monotonic()
    server = subprocess.Popen(["make", "run"], cwd=clone, env=environment, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/livez", server, 30)
        print(f"second start: {time.monotonic() - began:.1f} s")
    finally:
        stop(server)


def wait_for(url: str, server: "subprocess.Popen[bytes]", limit: int) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"the portal stopped with {server.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    sys.exit(f"{url} did not answer within {limit} s")


def stop(server: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C, and then nothing of the group may be left."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGINT)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        sys.exit("Ctrl-C did not stop the portal within 30 s")
    time.sleep(0.2)
    try:
        os.killpg(server.pid, 0)
    except ProcessLookupError:
        return
    os.killpg(server.pid, signal.SIGKILL)
    sys.exit("Ctrl-C left a process running")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
