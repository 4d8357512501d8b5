"""Requests of every shape to every address (S29): what is answered is described, and none is an uncaught error."""

import gzip
import json
import random
import re
import socket
import threading
from collections import Counter
from functools import partial
from urllib.parse import quote

import yaml

from benchmarks.soak import stage
from benchmarks.soak.faults import in_threads
from benchmarks.soak.security import get_key
from benchmarks.soak.trial import Run
from tests.live import Response, parse, read_all, request
from tests.reliability.hostile import HOSTILE
from tests.reliability.portal import Portal
from tests.reliability.senders import whole_answer, zipped

RECEIPT_PATHS = ("/datafeed", "/stroom/datafeed", "/stroom/noauth/datafeed")
PLAIN_STATUSES = {
    200,
    204,
    206,
    301,
    302,
    304,
    400,
    401,
    403,
    404,
    405,
    406,
    411,
    413,
    414,
    415,
    417,
    429,
    431,
    501,
}
RECEIPT_OUTCOMES = {
    *[(200, 0), (406, 100), (406, 110), (406, 200), (401, 300), (403, 310), (500, 400), (413, 410)],
    *[(500, 999), (503, 999), (400, 999), (405, 999), (404, 999), (411, 999), (431, 999), (501, 999), (417, 999)],
}


def mutate_requests(run: Run) -> None:
    """S29: requests to every address, changed in their heads and bodies; no answer is of an uncaught error."""
    seen: Counter[int] = Counter()
    faults: Counter[str] = Counter()
    examples: dict[str, bytes] = {}
    with stage.portal(run) as portal:
        portal.start("supervisor")
        key = get_key(portal)
        described = described_statuses()
        lock = threading.Lock()

        def send(chance: random.Random) -> None:
            while True:
                with lock:
                    if not run.more():
                        return
                    run.count(50)
                for _ in range(50):
                    data, path, method, whole = mutated(chance, key, described)
                    answer = exchange(portal, data)
                    fault = fault_of(answer, path, method, described, whole=whole)
                    with lock:
                        seen[answer.status if answer else 0] += 1
                        if fault:
                            faults[fault] += 1
                            examples.setdefault(fault, data)

        seeds = [run.chance.randrange(10**9) for _ in range(4)]
        in_threads([partial(send, random.Random(seed)) for seed in seeds])
        portal.stop()
        run.note_wrong(*(f"{fault}, {times} times: {examples[fault]!r}" for fault, times in faults.items()))
        run.note_wrong(*(line for line in portal.log().splitlines() if is_uncaught(line)))
        stage.judge(run, portal, {})
    run.figures["answers"] = ", ".join(f"{status or 'none'}: {number:,}" for status, number in sorted(seen.items()))


def is_uncaught(line: str) -> bool:
    """Django logs what it refuses as suspicious with a trace too; that is answered with 400."""
    return "Traceback" in line and " django.security." not in line


def described_statuses() -> dict[tuple[str, str], set[int]]:
    """Which statuses the description gives for a method of an address."""
    description = yaml.safe_load((stage.ROOT / "docs/openapi.yaml").read_text())
    return {
        (method.upper(), path): {int(status) for status in operation["responses"]}
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
        if method in {"get", "post", "put", "patch", "delete"}
    }


NICE = {
    "{registry}": ["http", "stroom"],
    "{code}": ["404", "110", "999"],
    "{key}": ["4", "4xx", "1"],
    "{owner}": ["ietf", "nginx"],
    "{name}": ["OPEN-FEED", "OTHER-FEED"],
    "{slug}": ["stroom-status", "ietf"],
    "{receipt_id}": ["1771956627192_0001_P_a"],
    "{token_id}": ["1", "2"],
    "{proposal_id}": ["1", "2"],
    "{rule_id}": ["1", "2"],
}
OTHER_PATHS = ["/", "/codes/", "/codes/http/404/", "/livez", "/readyz", "/status", "/admin/login/", "/metrics"]
OTHER_PATHS += ["/api/schema/", "/api/feedStatus/v1/getFeedStatus", "/api/feedStatus/v2/getFeedStatus", "/try/"]
QUERY_NAMES = ["limit", "cursor", "feed", "status", "since", "until", "ordering", "search", "q", "format", "text"]
HEADERS = ["Feed", "Compression", "Content-Encoding", "Accept", "If-Match", "If-None-Match", "Content-Type"]
HEADERS += ["Accept-Encoding", "Range", "Cookie", "Authorization", "X-Request-ID", "Origin", "Accept-Language"]
ODD = [
    *HOSTILE,
    "1",
    "-1",
    "0",
    "999999999999999999999",
    "null",
    "true",
    "2026-02-30T99:99:99Z",
    "*/*",
    "gzip",
    "A,B",
]
JSONS: list[object] = [
    None,
    True,
    -1,
    1e308,
    "x",
    "\0",
    [],
    {},
    [[]],
    {"a": 1},
    "A" * 3000,
    "OPEN-FEED",
    "2026-01-01",
]
FIELDS = ["name", "status", "feedName", "headers", "certificate", "username", "password", "scopes", "description"]
FIELDS += ["certificate_policy", "rules", "labels", "attributeMap", "userDesc", "senderDn", "expires"]


def mutated(
    chance: random.Random, key: str, described: dict[tuple[str, str], set[int]]
) -> tuple[bytes, str, str, bool]:
    """A request, the address of the description that it is for, its method, and whether it is still well framed."""
    kind = chance.random()
    if kind < 0.3:
        method, template = chance.choice(["POST", "POST", "PUT", "GET", "DELETE"]), chance.choice(RECEIPT_PATHS)
    elif kind < 0.4:
        method, template = chance.choice(["GET", "POST", "HEAD", "OPTIONS", "TRACE"]), chance.choice(OTHER_PATHS)
    else:
        method, template = chance.choice(sorted(described))
    path = re.sub(r"\{\w+\}", lambda name: quoted(chance, NICE[name[0]]), template)
    if chance.random() < 0.5:
        pairs = (f"{chance.choice(QUERY_NAMES)}={quoted(chance, ODD)}" for _ in range(chance.randrange(4)))
        path += f"?{'&'.join(pairs)}"
    headers = {chance.choice(HEADERS): some_value(chance) for _ in range(chance.randrange(4))}
    if kind < 0.3 and chance.random() < 0.8:
        headers["Feed"] = chance.choice(["OPEN-FEED", "DROP-FEED", "REJECT-FEED", "GUARDED-FEED"])
    if kind >= 0.3 and chance.random() < 0.7:
        headers["Authorization"] = f"Bearer {key}"
    body = some_body(chance) if method not in {"GET", "HEAD"} else b""
    if body[:1] in b"[{" and chance.random() < 0.9:
        headers["Content-Type"] = "application/json"
    data = request(path, headers, body, method=method, chunked=chance.random() < 0.3)
    data = data.replace(b"somewhere.example.org", b"localhost", 1)
    if chance.random() < 0.8:
        return data, template, method, True
    return broken(data, chance), template, method, False


def quoted(chance: random.Random, values: list[str]) -> str:
    return quote(chance.choice(values if chance.random() < 0.8 else ODD), safe="", errors="surrogatepass")


def some_value(chance: random.Random) -> str:
    """Of a header: nothing that would end its line."""
    text = chance.choice(ODD).encode("utf-8", "surrogatepass").decode("latin-1")
    return re.sub(r"[\r\n\0]", " ", text).encode("latin-1").decode("utf-8", "replace").strip()[:2000]


def some_body(chance: random.Random) -> bytes:
    match chance.randrange(6):
        case 0:
            return b""
        case 1:
            return chance.randbytes(chance.randrange(300))
        case 2:
            return gzip.compress(chance.randbytes(50))[: chance.choice([None, 20])]
        case 3:
            return zipped((chance.choice(["1.dat", "../x", "a.meta"]), b"Feed:OPEN-FEED\n"))
        case _:
            fields = chance.sample(FIELDS, chance.randrange(5))
            return json.dumps({field: chance.choice(JSONS) for field in fields}).encode()


def broken(data: bytes, chance: random.Random) -> bytes:
    """Some bytes of the request changed, wherever they stand."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 3])):
        at = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                del changed[at : at + chance.randrange(20)]
            case 2:
                changed[at:at] = chance.choice([b"\r\n", b"\0", b" ", b"\r\n\r\n", b":", chance.randbytes(4)])
            case 3:
                changed[at:at] = changed[: chance.randrange(60)]
        if not changed:
            return b"\r\n"
    return bytes(changed)


def exchange(portal: Portal, data: bytes) -> Response | None:
    """Send all and say so; None where the connection was only closed."""
    with portal.connect() as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before its end: the answer is there all the same
        received = read_all(connection)
    if not received:
        return None
    first = re.search(rb"HTTP/1\.1 [2-5]\d\d ", received)
    return parse(received[first.start() :]) if first else whole_answer(received)


def fault_of(
    answer: Response | None,
    path: str,
    method: str,
    described: dict[tuple[str, str], set[int]],
    *,
    whole: bool,
) -> str:
    """Return what is wrong with an answer; empty when it is one of those that may be given."""
    if answer is None:
        return "no answer" if whole else ""
    if b"Traceback" in answer.body or (b"django" in answer.body.lower() and answer.status >= 500):
        return f"{answer.status} tells of our inside"
    if not whole:
        return f"{answer.status}" if answer.status >= 500 and answer.stroom_status is None else ""
    if path in RECEIPT_PATHS:
        return "" if answer.outcome in RECEIPT_OUTCOMES else f"{answer.outcome} of a delivery"
    allowed = described.get((method, path), PLAIN_STATUSES | ({503} if path == "/readyz" else set()))
    return "" if answer.status in allowed else f"{answer.status} is not described for {method} {path}"
