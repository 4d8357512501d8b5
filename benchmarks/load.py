"""Load over kept-alive connections: by wrk where it is installed, else by a generator of our own.

wrk takes about a tenth of the processor time, which the server that is measured shares.
"""

import asyncio
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Replaced in each request by a number of eight digits, in no order.
NUMBER = b"%%%%%%%%"
MOST = 100_000_000
#: A prime: its multiples meet every number below another bound once.
STEP = 7919
_SCRIPT = """
local head, tail, number = {head}, {tail}, {start}
function request() number = (number + {step}) % {below}; {expression} end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %f %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """Answers a second of one round, and the median and 99th percentile of their milliseconds."""

    rate: float
    p50: float
    p99: float


@dataclass(frozen=True)
class _Round:
    """Load of one round."""

    port: int
    message: bytes
    status: int
    connections: int
    seconds: int
    below: int


class WrongAnswers(RuntimeError):
    """The server did not answer as it should: nothing that was measured counts."""


def request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return the bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method in {"POST", "PUT"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(
    port: int, message: bytes, *, status: int = 200, connections: int = 16, seconds: int = 1, below: int = MOST
) -> Load:
    """Send a request again and again for some seconds; its NUMBER stays below a bound.

    Raises:
        WrongAnswers: an answer had another status.
    """
    asked = _Round(port, message, status, connections, seconds, below)
    program = wrk()
    if program is not None:
        asyncio.run(_demand(asked))
        return _run_wrk(program, asked)
    return asyncio.run(_run(asked))


@cache
def wrk() -> str | None:
    """Return the path of wrk; None where it is not installed."""
    return shutil.which("wrk")


async def _demand(asked: _Round) -> None:
    """Ask once, and compare the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", asked.port)
    writer.write(asked.message.replace(NUMBER, b"00000000"))
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    if f" {asked.status} ".encode() not in head[:20]:
        raise WrongAnswers(head.decode("latin-1"))


def _run_wrk(program: str, asked: _Round) -> Load:
    with tempfile.TemporaryDirectory(prefix="portal-bench-") as folder:
        script = Path(folder) / "request.lua"
        script.write_text(_lua(asked.message, asked.below))
        target = f"http://127.0.0.1:{asked.port}/"
        done = subprocess.run(
            [program, "-t1", f"-c{asked.connections}", f"-d{asked.seconds}", "-s", str(script), target],
            capture_output=True,
            text=True,
            check=True,
        )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    rate, p50, p99, errors = map(float, line.split()[1:])
    if errors or (asked.status < 400 and "Non-2xx" in done.stdout):
        raise WrongAnswers(done.stdout)
    return Load(rate, p50, p99)


def _lua(message: bytes, below: int) -> str:
    """Return a script that sends the message. wrk counts what is neither 2xx nor 3xx by itself."""
    if NUMBER in message:
        head, tail = message.split(NUMBER, 1)
        expression = 'return head .. string.format("%08d", number) .. tail'
    else:
        head, tail, expression = message, b"", "return head"
    start = time.monotonic_ns() // 1000 % below
    return _SCRIPT.format(
        head=_quoted(head), tail=_quoted(tail), start=start, expression=expression, step=STEP, below=below
    )


def _quoted(data: bytes) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in data) + '"'


# Without wrk
async def _run(asked: _Round) -> Load:
    began = time.perf_counter()
    deadline = began + asked.seconds
    found = await asyncio.gather(*(_connection(asked, deadline, n * 1_000_000) for n in range(asked.connections)))
    took = time.perf_counter() - began
    times = sorted(value for times in found for value in times)
    return Load(len(times) / took, times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000)


async def _connection(asked: _Round, deadline: float, number: int) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", asked.port)
    wanted = f" {asked.status} ".encode()
    times = []
    while (began := time.perf_counter()) < deadline:
        number = (number + STEP) % asked.below
        writer.write(asked.message.replace(NUMBER, b"%08d" % number))
        head = await reader.readuntil(b"\r\n\r\n")
        await _skip_body(reader, head.lower())
        times.append(time.perf_counter() - began)
        if wanted not in head[:20]:
            raise WrongAnswers(head.decode("latin-1"))
    writer.close()
    return times


async def _skip_body(reader: asyncio.StreamReader, head: bytes) -> None:
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    elif b"content-length:" in head and b" 304 " not in head[:20]:
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
