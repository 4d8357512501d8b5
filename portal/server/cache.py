"""In-memory response cache for public pages and catalogue reads; unchanged responses are sent without Django.

Only complete 200 responses that set no cookie are kept. Django makes them for a request without cookies and
Accept-Encoding, whatever the caller sent. A caller with authorization or a private cookie gets Django's own
response. All of it is dropped when the version of the catalogue changes, which is checked once a second at most.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Hashable
from concurrent.futures import Executor
from http import HTTPStatus
from typing import NamedTuple

from feeds.monitoring.metrics import Metrics
from portal.database.threads import Unavailable
from portal.http.body import Message, Receive, Scope, Send
from portal.http.request_ids import request_id
from portal.repeated import WELL, RepeatedFaults
from portal.server.cache_key import (
    CacheRequest,
    Fields,
    Key,
    KeyRules,
    can_be_kept,
    is_of_this_request,
    public_fields,
)
from portal.server.cache_store import CachedResponse, Form, ResponseStore, make_response

log = logging.getLogger(__name__)

_WHAT = "the catalogue's version"

LOOK_EVERY_SECONDS = 1.0
#: Seconds to wait for the database; after that the cached answers are used meanwhile.
PATIENCE_SECONDS = 0.5
#: Largest body that is kept.
MAX_BODY = 2 * 1024 * 1024

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class AtOnce(NamedTuple):
    """Response for the socket: status, lines of its head, body; and its request, with which it is found again."""

    status: int
    lines: bytes
    body: bytes
    asked: CacheRequest | None = None


class ResponseCache:
    """Response cache of one worker."""

    def __init__(
        self,
        *,
        version: Callable[[], Hashable],
        threads: Executor,
        private: Collection[str] = (),
        private_cookies: Collection[str] = (),
        metrics: Metrics | None = None,
        count: Callable[[Scope], Fields | None] = lambda _: [],
    ) -> None:
        """Create an empty cache.

        Args:
            version: reads the version that every answer depends on; called in a thread, may raise Unavailable.
            threads: read versions and compress answers.
            private: further headers, in lower case, of callers whose answers are their own.
            private_cookies: names of the cookies that mark such callers; pages depend on no others.
            metrics: counts the answers.
            count: counts a request to the API for its caller; returns the rate limit's header fields, or None
                above the limit.
        """
        self._read_version = version
        self._repeated = RepeatedFaults(log)
        self._threads = threads
        self._rules = KeyRules(private=private, private_cookies=private_cookies)
        self._metrics = metrics or Metrics()
        self._count = count
        self.responses = ResponseStore()
        self._being_made: dict[Key, asyncio.Event] = {}
        self._version: Hashable = None
        self._look_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    def asked(self, scope: Scope, scheme: Callable[[Scope], str]) -> CacheRequest | None:
        """Return the request as the cache sees it; None where only Django can answer."""
        return self._rules.asked(scope, scheme)

    def at_once(self, scope: Scope, scheme: Callable[[Scope], str]) -> AtOnce | None:
        """Return a cached answer that is known to be current; None where it has to be checked."""
        asked = self.asked(scope, scheme) if time.monotonic() < self._look_at else None
        return self.again(asked, scope) if asked else None

    def again(self, asked: CacheRequest, scope: Scope) -> AtOnce | None:
        """Return a cached answer to what was asked before, as `at_once` does."""
        ready = self.responses.get(asked.key) if time.monotonic() < self._look_at else None
        if ready is None:
            return None
        own = self._own_fields(asked, scope)
        if own is None:
            return None
        form = self._take(ready, asked)
        lines = form.lines + b"".join(b"%s: %s\r\n" % field for field in own)
        return AtOnce(form.status, lines, b"" if asked.head else form.body, asked)

    async def answer(
        self, asked: CacheRequest, scope: Scope, receive: Receive, send: Send, django: Application
    ) -> None:
        """Answer from the cache, or let Django answer and cache the result."""
        if time.monotonic() >= self._look_at:
            await self._look()
        ready = self.responses.get(asked.key)
        if ready is None and (being_made := self._being_made.get(asked.key)):
            await being_made.wait()
            ready = self.responses.get(asked.key)
        if ready is None:
            await self._make(asked, scope, receive, send, django)
            return
        own = self._own_fields(asked, scope)
        if own is None:
            await django(scope, receive, send)
            return
        await _send(self._take(ready, asked), asked, own, send)

    def _own_fields(self, asked: CacheRequest, scope: Scope) -> Fields | None:
        """Return the headers for this caller alone; None above the rate limit, where Django answers."""
        rate = self._count(scope) if asked.is_counted else []
        return None if rate is None else [*rate, (b"x-request-id", request_id(asked.request_id))]

    def _take(self, ready: CachedResponse, asked: CacheRequest) -> Form:
        self.responses.note_use(asked.key)
        form = ready.form_for(asked)
        self._metrics.ready_answers["not_modified" if form.status == HTTPStatus.NOT_MODIFIED else "hit"].inc()
        return form

    async def _make(
        self, asked: CacheRequest, scope: Scope, receive: Receive, send: Send, django: Application
    ) -> None:
        """Let Django answer; concurrent requests for the same key wait for the result."""
        decided = self._being_made[asked.key] = asyncio.Event()
        caught = _Caught(send, head=asked.head, on_pass=decided.set)
        try:
            ready = await self._from_django(asked, scope, receive, caught, django)
        finally:
            decided.set()
            if self._being_made.get(asked.key) is decided:
                del self._being_made[asked.key]
        if ready is not None:
            self._metrics.ready_answers["made"].inc()
            await _send(ready.form_for(asked), asked, [*filter(is_of_this_request, caught.fields)], send)

    async def _from_django(
        self, asked: CacheRequest, scope: Scope, receive: Receive, caught: "_Caught", django: Application
    ) -> CachedResponse | None:
        """Request a plain GET from Django, which can be cached; None where the answer was passed on as it is."""
        version = self._version
        await django({**scope, "method": "GET", "headers": public_fields(scope)}, receive, caught)
        if not caught.fields:
            return None
        kept = [field for field in caught.fields if not is_of_this_request(field)]
        ready = await asyncio.get_running_loop().run_in_executor(self._threads, make_response, kept, caught.body)
        # An answer that was started before a change may hold the old content.
        if version is not None and version == self._version:
            self.responses.keep(asked.key, ready)
        return ready

    async def _look(self) -> None:
        """Compare versions; concurrent requests wait for the same comparison, for a limited time."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._compare())
        _, late = await asyncio.wait({self._looking}, timeout=PATIENCE_SECONDS)
        if late:
            self._look_at = time.monotonic() + LOOK_EVERY_SECONDS

    async def _compare(self) -> None:
        began = time.monotonic()
        try:
            version = await asyncio.get_running_loop().run_in_executor(self._threads, self._read_version)
            self._repeated.report(_WHAT, WELL)
            if version != self._version:
                self._version = version
                self.responses.clear()
        except Unavailable as fault:
            self._repeated.report(_WHAT, "cannot be read, answers are given as they were", fault)
        except Exception:
            log.exception("the catalogue's version cannot be read")
        finally:
            self._look_at = began + LOOK_EVERY_SECONDS
            self._looking = None


class _Caught:
    """Receiver of Django's answer: takes `fields` and `body` of one that can be kept, and passes on every other."""

    def __init__(self, send: Send, *, head: bool, on_pass: Callable[[], None]) -> None:
        self.fields: Fields = []
        self.body = b""
        self._send = send
        self._head = head
        self._on_pass = on_pass
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and can_be_kept(message["status"], message["headers"]):
            self._start = message
        elif self._start is not None and not message.get("more_body") and len(message["body"]) <= MAX_BODY:
            self.fields, self.body = self._start["headers"], message["body"]
        else:
            await self._pass_on(message)

    async def _pass_on(self, message: Message) -> None:
        self._on_pass()
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)
        await self._send({**message, "body": b""} if self._head and "body" in message else message)


async def _send(form: Form, asked: CacheRequest, own: Fields, send: Send) -> None:
    await send({"type": "http.response.start", "status": form.status, "headers": form.fields + own})
    await send({"type": "http.response.body", "body": b"" if asked.head else form.body})
