"""Long polls: a list that has nothing new is asked again until something comes, without holding a thread meanwhile.

A view that was asked to wait marks an empty page with the header NOTHING_YET. The header never leaves the portal.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from portal.http.body import Message, Scope, Send, connection_of
from portal.rest.pagination import MAX_WAIT, NOTHING_YET

#: Pause between two looks.
POLL_SECONDS = 0.5
#: Requests that may wait at a time in one worker, and those of one network. Beyond, an empty page comes at once.
MOST_WAITING, MOST_OF_ONE = 200, 50
_MARK = NOTHING_YET.lower().encode()
_WAIT = re.compile(rb"(?:^|&)wait=([0-9]{1,3})(?:&|$)")


class LongPolls:
    """Counts the requests that wait."""

    def __init__(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Begin empty.

        Args:
            stopping: whether the worker ends, so that nothing may wait any more.
        """
        self._stopping = stopping
        self._inside: Counter[str] = Counter()

    async def answer(self, scope: Scope, send: Send, network: str, ask: Callable[[Send], Awaitable[None]]) -> None:
        """Pass on the answer of `ask`, or, where it is marked and time is left, that of a later one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _seconds(scope)
        connection = connection_of(scope)
        with self._place(network) as has_place:
            while True:
                left = deadline - loop.time() if has_place and not self._stopping() and not connection.gone else 0.0
                held = _Held(send, passes_all=left <= 0)
                await ask(held)
                if not held.nothing_yet:
                    return
                await asyncio.sleep(min(POLL_SECONDS, left))

    @contextmanager
    def _place(self, network: str) -> Iterator[bool]:
        if self._inside.total() >= MOST_WAITING or self._inside[network] >= MOST_OF_ONE:
            yield False
            return
        self._inside[network] += 1
        try:
            yield True
        finally:
            self._inside[network] -= 1
            if not self._inside[network]:
                del self._inside[network]


def wants_to_wait(scope: Scope) -> bool:
    """Return whether a request may be held."""
    return scope["method"] == "GET" and _seconds(scope) > 0


def _seconds(scope: Scope) -> float:
    match = _WAIT.search(scope.get("query_string", b""))
    return float(min(int(match[1]), MAX_WAIT)) if match else 0.0


class _Held:
    """Send function that keeps a marked answer back."""

    def __init__(self, send: Send, *, passes_all: bool) -> None:
        self._send = send
        self._passes_all = passes_all
        self.nothing_yet = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            marked = any(name == _MARK for name, _ in message["headers"])
            self.nothing_yet = marked and not self._passes_all
            message = {**message, "headers": [field for field in message["headers"] if field[0] != _MARK]}
        if not self.nothing_yet:
            await self._send(message)
