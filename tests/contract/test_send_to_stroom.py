"""What a sending script shows and deletes: answers read as the field's shell clients read them (sections 6 and 13).

Those clients take curl's whole output, with the status code written behind the body, apart by lines: whatever
shares a line with the code is lost, the rest is printed with escapes enabled, and only a 200 lets a file go.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from feeds.receipt import answers
from portal.http.answer import Answer
from tests.factories import make_feed
from tests.live import Live

pytestmark = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="no curl or bash")

#: A log file, the address, and a curl option for each further argument.
SCRIPT = r"""
file=$1 url=$2
shift 2
output=$(curl -sS --max-time 30 -w 'CODE=%{http_code}' --data-binary "@$file" "$url" "$@" 2>&1 || true)
code=${output##*CODE=}
text=$(grep -v 'CODE=' <<<"$output" || true)
if [ "$code" = 200 ]; then
    echo "sent, $code"
    rm "$file"
else
    echo -e "not sent, $code:\n$text"
fi
"""


@pytest.fixture(scope="module", autouse=True)
def feeds(live: Live) -> None:
    make_feed("OPEN-FEED")
    make_feed("REQUIRED-FEED", certificate_policy="required")


@pytest.fixture(autouse=True)
def empty(live: Live) -> Iterator[None]:
    yield
    live.clear()


@dataclass(frozen=True)
class Run:
    """What one run of the script printed, and whether it let the file go."""

    lines: list[str]
    file_is_gone: bool


def run(live: Live, tmp_path: Path, *headers: str, content: bytes = b"a line\n", path: str = "/datafeed") -> Run:
    file = tmp_path / "audit.log"
    file.write_bytes(content)
    options = [word for header in headers for word in ("-H", header)]
    command = ["bash", "-c", SCRIPT, "send", str(file), f"http://127.0.0.1:{live.port}{path}", *options]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return Run(done.stdout.decode().splitlines(), not file.exists())


@pytest.mark.parametrize("path", ["/datafeed", "/stroom/datafeed", "/stroom/noauth/datafeed/"])
def test_a_success_lets_the_file_go_and_its_data_is_here(live: Live, tmp_path: Path, path: str) -> None:
    assert run(live, tmp_path, "Feed:OPEN-FEED", "System:S", "Environment:E", path=path) == Run(["sent, 200"], True)
    (receipt,) = live.receipts()
    assert live.data(receipt) == b"a line\n"


@pytest.mark.parametrize(
    ("headers", "code", "first"),
    [
        (("System:S",), 406, "Stroom Status 100 - Feed must be specified"),
        (("Feed:NO-FEED",), 406, "Stroom Status 110 - Feed is not set to receive data [Feed: NO-FEED]"),
        (
            ("Feed:OPEN-FEED", "Compression:RAR"),
            406,
            "Stroom Status 200 - Unknown compression [Feed: OPEN-FEED, Compression: RAR]",
        ),
        (("Feed:REQUIRED-FEED",), 401, "Stroom Status 300 - Client Certificate Required [Feed: REQUIRED-FEED]"),
        (
            ("Feed:OPEN-FEED", "Compression:GZIP"),
            500,
            "Stroom Status 400 - Compressed stream invalid [Feed: OPEN-FEED, Compression: GZIP]",
        ),
        (
            ("Feed:OPEN-FEED", "Compression:ZIP", "Type:Raw"),
            500,
            "Stroom Status 400 - Compressed stream invalid [Feed: OPEN-FEED, Compression: ZIP, Type: Raw]",
        ),
    ],
)
def test_a_failure_is_printed_from_its_first_line_to_its_last_and_the_file_stays(
    live: Live, tmp_path: Path, headers: tuple[str, ...], code: int, first: str
) -> None:
    seen = run(live, tmp_path, *headers)
    assert seen.lines[:2] == [f"not sent, {code}:", first]
    assert seen.lines[-1].startswith("Receipt: ")
    assert len(seen.lines) == 5
    assert not seen.file_is_gone
    assert live.receipts() == []


def test_escapes_in_what_was_sent_reach_no_terminal(live: Live, tmp_path: Path) -> None:
    seen = run(live, tmp_path, r"Feed:A\n\e[2J\x07B\c")
    assert seen.lines[1] == "Stroom Status 110 - Feed is not set to receive data [Feed: A?n?e[2J?x07B?c]"
    assert seen.lines[-1].startswith("Receipt: ")


def test_a_refusal_of_a_large_file_is_printed_too(live: Live, tmp_path: Path) -> None:
    seen = run(live, tmp_path, "Feed:NO-FEED", content=b"x" * 8_000_000)
    assert seen.lines[:2] == [
        "not sent, 406:",
        "Stroom Status 110 - Feed is not set to receive data [Feed: NO-FEED]",
    ]


def test_the_script_would_lose_a_last_line_without_its_end(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason for the newline at the end of each body, shown by taking it away."""
    whole = answers.refused

    def unterminated(*arguments: object, **named: object) -> Answer:
        answer = whole(*arguments, **named)  # passed on as it came
        return Answer(answer.http, answer.headers, answer.body.rstrip(b"\n"))

    monkeypatch.setattr(answers, "refused", unterminated)
    seen = run(live, tmp_path, "Feed:NO-FEED")
    assert len(seen.lines) == 4
    assert seen.lines[-1].startswith("See: ")
