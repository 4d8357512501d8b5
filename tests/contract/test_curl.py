"""Real curl against the real server: what senders run (contract sections 4, 6 and 13)."""

import gzip
import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import Live

CURL = shutil.which("curl")
pytestmark = [
    pytest.mark.usefixtures("two_feeds", "emptied"),
    pytest.mark.skipif(CURL is None, reason="curl is not installed"),
]

LOG = b"2026-02-24 18:10:27 a line of a log that compresses well\n"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 MB that do not compress."""
    path = tmp_path_factory.mktemp("large") / "large.log"
    path.write_bytes(random.Random(5).randbytes(12_000_000))
    return path


@dataclass(frozen=True)
class Seen:
    """What the script that called curl sees."""

    status: int
    body: bytes
    errors: str


def curl(live: Live, *arguments: str, stdin: bytes = b"", feed: str = "OPEN-FEED") -> Seen:
    command = [
        CURL or "curl",
        *("-sS", "--max-time", "60", "-w", "\n%{http_code}", "-H", f"Feed: {feed}"),
        *arguments,
        f"http://127.0.0.1:{live.port}/datafeed",
    ]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=90, check=False)
    body, _, code = done.stdout.rpartition(b"\n")
    return Seen(int(code), body, done.stderr.decode())


def test_plain(live: Live, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(LOG * 10)
    seen = curl(live, "--data-binary", f"@{tmp_path}/a.log")
    assert seen.status == 200
    assert live.stored(seen.body.decode()) == LOG * 10


def test_piped(live: Live) -> None:
    seen = curl(live, "--data-binary", "@-", stdin=LOG * 1000)
    assert seen.status == 200
    assert live.stored(seen.body.decode()) == LOG * 1000


def test_gzip_piped_in_chunks(live: Live) -> None:
    packed = gzip.compress(LOG * 100_000)
    seen = curl(live, "-H", "Compression: GZIP", "-T", "-", "-X", "POST", stdin=packed)
    assert seen.status == 200
    assert live.stored(seen.body.decode()) == packed


def test_put_from_a_file(live: Live, large: Path) -> None:
    seen = curl(live, "-T", str(large))
    assert live.stored(seen.body.decode()) == large.read_bytes()


def test_12_mb_with_content_length(live: Live, large: Path) -> None:
    seen = curl(live, "--data-binary", f"@{large}")
    assert seen.status == 200
    assert live.stored(seen.body.decode()) == large.read_bytes()


def test_12_mb_chunked(live: Live, large: Path) -> None:
    seen = curl(live, "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{large}")
    assert seen.status == 200
    assert live.stored(seen.body.decode()) == large.read_bytes()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [5, 200_000, 12_000_000])
def test_an_offer_of_http2_does_not_empty_the_body(live: Live, large: Path, size: int, chunked: bool) -> None:
    body = large.read_bytes()[:size]
    extra = ("-H", "Transfer-Encoding: chunked") if chunked else ()
    seen = curl(live, "--http2", *extra, "--data-binary", "@-", stdin=body)
    assert seen.status == 200
    assert live.stored(seen.body.decode()) == body


@pytest.mark.parametrize("expect", [(), ("-H", "Expect:"), ("-H", "Transfer-Encoding: chunked", "-H", "Expect:")])
def test_a_refusal_of_12_mb_is_seen_by_the_sender(live: Live, large: Path, expect: tuple[str, ...]) -> None:
    seen = curl(live, *expect, "--data-binary", f"@{large}", feed="REJECT-FEED")
    assert seen.status == 406
    assert seen.body.startswith(b"Stroom Status 110 - Feed is not set to receive data [Feed: REJECT-FEED]\n")


def test_the_headers_that_senders_print(live: Live) -> None:
    seen = curl(live, "-D", "-", "--data-binary", "x", feed="REJECT-FEED")
    head = seen.body.decode().partition("\r\n\r\n")[0].lower()
    assert "http/1.1 406 not acceptable" in head
    assert "stroom-status: 110" in head
    assert "stroom-error: stroom status 110 - feed is not set to receive data [feed: reject-feed]" in head


def test_a_script_that_reads_lines_sees_the_last_one_too(live: Live) -> None:
    """A shell's `while read` drops a last line without a newline."""
    script = (
        f"{CURL} -sS -H 'Feed: REJECT-FEED' --data-binary x http://127.0.0.1:{live.port}/datafeed"
        ' | while read -r line; do echo -e "> $line"; done'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=30, check=True)
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "> Stroom Status 110 - Feed is not set to receive data [Feed: REJECT-FEED]"
    assert lines[-1].startswith("> Receipt: ")
