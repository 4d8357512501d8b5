"""A head that comes again is answered without parsing, as if it had been parsed."""

import re
import socket
from collections.abc import Iterator

import pytest

from portal.http.body import Scope
from portal.server.cache import AtOnce
from portal.server.edge import Edge
from portal.server.heads import MAX_HEAD, MAX_HEADS, Heads
from tests.portal.server.test_cache import World, world

__all__ = ["world"]  # the fixture

HEAD = (
    b"GET /codes/http/503/ HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nAccept-Encoding: gzip, br\r\n"
    b"Accept-Language: en\r\nSec-Fetch-Mode: navigate\r\nCookie: theme=dark\r\n\r\n"
)
PEER = "127.0.0.1"


class Visit:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((PEER, port), timeout=20)
        self._left = b""

    def ask(self, *packets: bytes) -> tuple[bytes, bytes]:
        for packet in packets:
            self.socket.sendall(packet)
        return self.answer()

    def answer(self) -> tuple[bytes, bytes]:
        """Return head and body of the next answer."""
        while b"\r\n\r\n" not in self._left:
            self._more()
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        wanted = int(length[1]) if length else 0
        while len(self._left) < wanted:
            self._more()
        body, self._left = self._left[:wanted], self._left[wanted:]
        return head, body

    def _more(self) -> None:
        received = self.socket.recv(65536)
        assert received, "closed"
        self._left += received


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the requests that the parser has read."""
    paths: list[str] = []
    at_once = Edge.at_once

    def count(self: Edge, scope: Scope) -> AtOnce | None:
        paths.append(scope["path"])
        return at_once(self, scope)

    monkeypatch.setattr(Edge, "at_once", count)
    return paths


@pytest.fixture
def visit(world: World, parsed: list[str]) -> Iterator[Visit]:
    one = Visit(world.port)
    with one.socket:
        yield one


@pytest.fixture
def second_visit(world: World, parsed: list[str]) -> Iterator[Visit]:
    one = Visit(world.port)
    with one.socket:
        yield one


def request_id(head: bytes) -> bytes:
    found = re.search(rb"x-request-id: (\S+)", head)
    assert found
    return found[1]


def without_id(head: bytes) -> bytes:
    return re.sub(rb"x-request-id: \S+\r\n", b"", head + b"\r\n")


def test_the_same_head_is_parsed_twice_at_most_for_all_connections(
    world: World, visit: Visit, second_visit: Visit, parsed: list[str]
) -> None:
    made, at_once = visit.ask(HEAD), visit.ask(HEAD)
    parsed.clear()
    again = [visit.ask(HEAD), second_visit.ask(HEAD), visit.ask(HEAD)]
    assert parsed == []
    assert {body for _, body in again} == {made[1]} == {at_once[1]}
    assert {without_id(head) for head, _ in again} == {without_id(at_once[0])}
    assert len({request_id(head) for head, _ in [made, at_once, *again]}) == 5
    assert len(world.asked) == 1
    assert world.counted() == {"made": 1, "hit": 4, "not_modified": 0}


def test_another_request_on_the_connection_is_parsed_as_ever(world: World, visit: Visit) -> None:
    for _ in range(3):
        visit.ask(HEAD)
    head, _ = visit.ask(b"POST /codes/explain/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n", b"text")
    assert (head[:15], world.asked[-1]["REQUEST_METHOD"]) == (b"HTTP/1.1 200 OK", "POST")
    assert visit.ask(HEAD)[1] != b""
    tag = re.search(rb"etag: (\S+)", visit.ask(HEAD)[0])
    assert tag
    conditional = HEAD[:-2] + b"If-None-Match: " + tag[1] + b"\r\n\r\n"
    assert [visit.ask(conditional)[0][:12] for _ in range(3)] == [b"HTTP/1.1 304"] * 3


def test_bytes_of_a_known_head_that_are_part_of_another_one_are_no_request(world: World, visit: Visit) -> None:
    """What the parser has begun to read goes on, also where it began behind a whole request."""
    for _ in range(3):
        visit.ask(HEAD)
    visit.ask(HEAD + b"GET /healthz/none HTTP/1.1\r\nX-Value: ")
    head, _ = visit.ask(HEAD)
    assert head.startswith(b"HTTP/1.1 200")
    assert world.asked[-1]["PATH_INFO"] == "/healthz/none"
    assert world.asked[-1]["HTTP_X_VALUE"].startswith("GET /codes/http/503/")


def test_heads_in_one_packet_are_each_answered(world: World, visit: Visit) -> None:
    for _ in range(2):
        visit.ask(HEAD)
    visit.socket.sendall(HEAD * 3)
    assert len({visit.answer()[1] for _ in range(3)}) == 1
    assert len(world.asked) == 1


def test_a_change_shows_through_a_known_head(world: World, visit: Visit) -> None:
    for _ in range(3):
        visit.ask(HEAD)
    world.body, world.version = b"changed" * 100, 2
    world.look_at_once()
    answers = [visit.ask(HEAD)[1] for _ in range(3)]
    assert len(set(answers)) == 1
    assert len(world.asked) == 2


@pytest.mark.parametrize("field", [b"Cookie: sessionid=1", b"X-Remote-User: ann", b"Authorization: Bearer x"])
def test_a_private_head_is_never_kept(world: World, visit: Visit, parsed: list[str], field: bytes) -> None:
    private = HEAD[:-2] + field + b"\r\n\r\n"
    for _ in range(3):
        visit.ask(private)
    assert len(parsed) == 3
    assert len(world.asked) == 3


def test_only_one_whole_head_is_kept_for_one_peer() -> None:
    heads: Heads[int] = Heads()
    for data in (HEAD + b"body", HEAD * 2, HEAD[:-1], b"", b"x" * MAX_HEAD + b"\r\n\r\n"):
        heads.keep(data, PEER, 1)
        assert heads.get(data, PEER) is None
    heads.keep(HEAD, PEER, 2)
    assert (heads.get(HEAD, PEER), heads.get(HEAD, "192.0.2.1"), heads.get(HEAD + b"x", PEER)) == (2, None, None)


def test_the_head_that_was_not_sent_for_longest_makes_room() -> None:
    heads: Heads[int] = Heads()
    for number in range(MAX_HEADS + 1):
        heads.keep(b"%d\r\n\r\n" % number, PEER, number)
        heads.get(b"0\r\n\r\n", PEER)
    assert (heads.get(b"0\r\n\r\n", PEER), heads.get(b"1\r\n\r\n", PEER)) == (0, None)
