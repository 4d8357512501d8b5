"""The script of docs/sending-data.md as it is printed: only HTTP 200 with Stroom-Status 0 lets a file go."""

import contextlib
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Live

ROOT = Path(__file__).parents[2]
PRINTED = "http://127.0.0.1:8000/datafeed"
#: Options of curl that the script may use, all of them older than 7.61 of August 2018.
OLD_OPTIONS = {"-sS", "-D", "-o", "-w", "-H", "--data-binary", "--suppress-connect-headers"}

pytestmark = [
    pytest.mark.usefixtures("two_feeds", "emptied"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


def script() -> str:
    """The one script of the page that removes a file."""
    blocks = re.findall(r"```(?:bash|sh)\n(.*?)```", (ROOT / "docs/sending-data.md").read_text(), re.DOTALL)
    (found,) = (block for block in blocks if re.search(r"\brm\b", block))
    return str(found)


def kept(folder: Path, url: str, *, feed: str = "OPEN-FEED") -> bool:
    """Run the script over a folder with one file; whether that is still there."""
    file = folder / "outbox" / "a.log"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"a line\n")
    assert PRINTED in script()
    text = script().replace(PRINTED, url).replace("Feed: WEB-ACCESS-EVENTS", f"Feed: {feed}")
    done = subprocess.run(["bash", "-c", text], cwd=folder, capture_output=True, timeout=60, check=False)
    assert file.exists() == (b"kept outbox/a.log" in done.stderr)
    return file.exists()


@contextlib.contextmanager
def answering(answer: bytes, *, reads: bool = True) -> Iterator[str]:
    """A server that says this to one client and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    if reads:
                        head = b""
                        while b"a line\n" not in head and (part := connection.recv(65536)):
                            head += part
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/datafeed"
        listener.close()
        thread.join(10)


def test_s36_a_stored_delivery_lets_the_file_go(live: Live, tmp_path: Path) -> None:
    assert not kept(tmp_path, f"http://127.0.0.1:{live.port}/datafeed")
    (receipt,) = live.receipts()
    assert live.data(receipt) == b"a line\n"


@pytest.mark.parametrize("code", [201, 202, 204, 205, 206, 226, 300, 301, 302, 303, 304, 307, 308, 404, 500, 503])
def test_s36_every_other_http_status_keeps_the_file(live: Live, tmp_path: Path, code: int) -> None:
    assert kept(tmp_path, f"http://127.0.0.1:{live.port}/try/http/{code}/")


@pytest.mark.parametrize("code", [100, 110, 200, 300, 310, 400, 410, 999])
def test_s36_every_refusal_of_stroom_keeps_the_file(live: Live, tmp_path: Path, code: int) -> None:
    assert kept(tmp_path, f"http://127.0.0.1:{live.port}/try/stroom/{code}/")


def test_s36_a_refused_feed_and_a_200_without_stroom_status_keep_the_file(live: Live, tmp_path: Path) -> None:
    assert kept(tmp_path, f"http://127.0.0.1:{live.port}/datafeed", feed="REJECT-FEED")
    assert kept(tmp_path, f"http://127.0.0.1:{live.port}/try/http/200/")
    assert kept(tmp_path, f"http://127.0.0.1:{live.port}/codes/?q=404")


OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nStroom-Status: 0\r\n",
    "half a body": OK + b"Stroom-Status: 0\r\nContent-Length: 100\r\n\r\nhalf",
    "a cut chunk": OK + b"Stroom-Status: 0\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nhalf",
    "no field": OK + b"Content-Length: 2\r\n\r\nok",
    "a login page": OK + b"Content-Type: text/html\r\nContent-Length: 12\r\n\r\n<html>Login\n",
    "the field in the body": OK + b"Content-Length: 16\r\n\r\nStroom-Status: 0",
    "an error": OK + b"Stroom-Status: 110\r\nContent-Length: 0\r\n\r\n",
    "an error beside a success": OK + b"Stroom-Status: 0\r\nStroom-Status: 110\r\nContent-Length: 0\r\n\r\n",
    "a padded number": OK + b"Stroom-Status: 000\r\nContent-Length: 0\r\n\r\n",
    "a longer number": OK + b"Stroom-Status: 01\r\nContent-Length: 0\r\n\r\n",
    "another field": OK + b"X-Stroom-Status: 0\r\nContent-Length: 0\r\n\r\n",
    "502 with success": b"HTTP/1.1 502 Bad Gateway\r\nStroom-Status: 0\r\nContent-Length: 0\r\n\r\n",
    "202 with success": b"HTTP/1.1 202 Accepted\r\nStroom-Status: 0\r\nContent-Length: 0\r\n\r\n",
    "302 with success": b"HTTP/1.1 302 Found\r\nLocation: /\r\nStroom-Status: 0\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"220 smtp ready\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_s36_whatever_else_answers_keeps_the_file(tmp_path: Path, answer: str) -> None:
    with answering(ANSWERS[answer]) as url:
        assert kept(tmp_path, url)


@pytest.mark.parametrize("field", [b"Stroom-Status: 0", b"stroom-status: 0", b"STROOM-STATUS: 0"])
def test_s36_the_name_of_the_field_may_be_spelt_in_any_case(tmp_path: Path, field: bytes) -> None:
    with answering(OK + field + b"\r\nContent-Length: 3\r\n\r\nid\n") as url:
        assert not kept(tmp_path, url)


def test_s36_a_refused_connection_and_an_empty_folder_harm_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert kept(tmp_path, f"http://127.0.0.1:{port}/datafeed")
    empty = tmp_path / "empty"
    (empty / "outbox").mkdir(parents=True)
    done = subprocess.run(["bash", "-c", script()], cwd=empty, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_s36_the_script_needs_no_new_curl() -> None:
    call = script().split("$(curl", 1)[1].split(") &&", 1)[0]
    assert set(re.findall(r"(?<=\s)--?[A-Za-z][\w-]*", call)) <= OLD_OPTIONS
    assert "%{http_code}" in call


def test_s36_no_other_script_of_the_documentation_removes_what_was_sent() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in pages:
        for block in re.findall(r"```(?:bash|sh|python|console)\n(.*?)```", page.read_text(), re.DOTALL):
            removes = re.search(r"\brm\b|unlink|os\.remove|shutil\.move", block)
            assert not removes or "/datafeed" not in block or block == script(), page.name
