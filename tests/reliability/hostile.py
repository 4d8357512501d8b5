"""Requests of senders that mean harm, and what may be left of them in store and log (S9, S12)."""

import random
import re

from tests.live import chunks, read_all
from tests.reliability.portal import Portal
from tests.reliability.senders import zipped

STORED = re.compile(
    r"parts/\d+/lock|parts/\d+/health\.probe|recovered\.stamp"
    r"|received/\d{4}-\d\d-\d\d/\d\d/\d{13}_\d{4}_P_test-\d\.(dat|meta)"
)
HOSTILE = [
    "../../../../tmp/escaped",
    "/etc/passwd",
    "..\\..\\escaped",
    "A/../../B",
    "con\0trol",
    "line\r\nFORGED: yes",
    "line\nFORGED",
    "\x1b[2J\x1b[31mred",
    "\u202egnp.exe",
    "\u2028\u2029\x85",
    "${jndi:ldap://x}",
    "%0d%0aFORGED",
    "' OR 1=1 --",
    "<script>",
    "A" * 5000,
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "",
    ".",
    "..",
    "-rf",
    "ﬀ🎉",
]
NAMES = ["Feed", "GUID", "ReceiptId", "RemoteFile", "System", "Type", "Compression", "Content-Encoding"]
NAMES += ["X-Request-ID", "EffectiveTime", "ReceivedPath", "X-Forwarded-For", "RemoteDN", "X-SSL-CLIENT-S-DN"]


def hostile_request(chance: random.Random) -> bytes:
    """A request with hostile text in its path, query, names, values, or packed inside."""
    lines = [b"Host: " + chance.choice([b"a", b"evil.example.org", b"../.."])]
    if chance.random() < 0.7:
        lines.append(b"Feed: OPEN-FEED")
    for _ in range(chance.randrange(6)):
        value = chance.choice(HOSTILE).encode("utf-8", "surrogatepass")
        if chance.random() < 0.8:
            value = re.sub(rb"[\r\n\0]", b" ", value)
        lines.append(chance.choice(NAMES).encode() + b": " + value)
    query = chance.choice(["", "?Feed=..%2F..%2Fx", "?GUID=%0d%0aFORGED", "?System=%00%1b%5b2J", "?a=%E2%80%AE"])
    path = chance.choice(
        ["/datafeed", "/datafeed/../../x", "/stroom/datafeed", "/datafeed/%0aFORGED", "/x%0d%0aFORGED"]
    )
    body = chance.randbytes(chance.randrange(200))
    if chance.random() < 0.3:
        body = zipped((chance.choice(HOSTILE)[:200].replace("\0", "") or "x", b"data"))
        lines.append(b"Compression: ZIP")
    chunked = chance.random() < 0.5
    lines.append(b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body))
    head = f"{chance.choice(['POST', 'PUT', 'GET'])} {path}{query} HTTP/1.1".encode()
    return b"\r\n".join([head, b"Connection: close", *lines, b"", b""]) + (chunks(body) if chunked else body)


def attack(portal: Portal, seed: int, requests: int, wrong: list[tuple[bytes, bytes]]) -> None:
    chance = random.Random(seed)
    for _ in range(requests):
        sent = hostile_request(chance)
        with portal.connect() as connection:
            connection.sendall(sent)
            data = read_all(connection)
        status = re.match(rb"HTTP/1\.1 (\d+) ", data)
        if status is None or (status[1] == b"500" and b"stroom-status: 400" not in data):
            wrong.append((sent, data))


LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+ request_id=\S+ .*")
