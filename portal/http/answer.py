"""Whole answers of the ASGI applications that do without Django, and how they are sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.http.body import Body, Send

#: An answer to an unread body is followed by reading this much of it, so that the client gets to see the answer.
DRAIN_BYTES = 1024 * 1024
DRAIN_SECONDS = 2.0
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
_WITHOUT_LENGTH = frozenset({204, 304})


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of a response."""

    http: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as ASGI has them, with the length of the body."""
        fields = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in self.headers]
        if self.http not in _WITHOUT_LENGTH and all(name != b"content-length" for name, _ in fields):
            fields.append((b"content-length", str(len(self.body)).encode()))
        return fields


def text_answer(http: int, text: str, *headers: tuple[str, str]) -> Answer:
    """Return an answer with one line of plain text."""
    return Answer(http, (("Content-Type", TEXT), *headers), f"{text}\n".encode())


async def send_answer(send: Send, answer: Answer, *, head: bool = False) -> None:
    """Send an answer; without its body to a HEAD request."""
    await send({"type": "http.response.start", "status": answer.http, "headers": answer.fields()})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


async def send_early(
    send: Send,
    answer: Answer,
    body: Body,
    *,
    head: bool = False,
    extra: Sequence[tuple[bytes, bytes]] = (),
    drain: tuple[int, float] = (DRAIN_BYTES, DRAIN_SECONDS),
) -> None:
    """Send an answer although the request's body may be unread; then read some of it and close the connection.

    Args:
        send: takes the messages.
        answer: the answer.
        body: the request's body.
        head: the request's method is HEAD.
        extra: further headers.
        drain: number of bytes that are read at most, and seconds.
    """
    unread = body.expected and not body.complete
    fields = [*answer.fields(), *extra, *([(b"connection", b"close")] if unread else [])]
    await send({"type": "http.response.start", "status": answer.http, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if head else answer.body, "more_body": True})
    if unread:
        await body.drain(*drain)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
