"""A small load generator: raw requests over kept-alive connections, so that the generator costs little."""

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What came back in one round: answers a second, and how many of them were not the wanted status."""

    rate: float
    wrong: int


def request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """The bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method in {"POST", "PUT"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(port: int, message: bytes, *, status: int = 200, connections: int = 16, seconds: float = 2.0) -> Load:
    """Send one request over and over for some seconds."""
    return asyncio.run(_run(port, message, status, connections, seconds))


async def _run(port: int, message: bytes, status: int, connections: int, seconds: float) -> Load:
    began = time.perf_counter()
    deadline = began + seconds
    counts = await asyncio.gather(*(_connection(port, message, status, deadline) for _ in range(connections)))
    took = time.perf_counter() - began
    return Load(sum(done for done, _ in counts) / took, sum(wrong for _, wrong in counts))


async def _connection(port: int, message: bytes, status: int, deadline: float) -> tuple[int, int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wanted = f" {status} ".encode()
    done = wrong = 0
    while time.perf_counter() < deadline:
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        await _skip_body(reader, head.lower())
        done += 1
        wrong += wanted not in head[:20]
    writer.close()
    return done, wrong


async def _skip_body(reader: asyncio.StreamReader, head: bytes) -> None:
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    elif b"content-length:" in head:
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
