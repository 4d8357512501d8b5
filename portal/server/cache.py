"""Public pages and catalogue reads as ready bytes: who asks again for what has not changed never waits for Django.

Nothing is kept but whole 200 answers that set no cookie. Django makes them for a request without cookies and
Accept-Encoding, whatever the caller sent; a caller who shows authorization or a private cookie gets an answer of
Django's own. The gzip form is made here, once.
All of it is thrown away once the catalogue's version is another one, which is looked at once a second at most.
"""

import asyncio
import gzip
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable
from concurrent.futures import Executor
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, Self

from feeds.monitoring.metrics import Measures
from portal.database.threads import Unavailable
from portal.http.body import Message, Receive, Scope, Send
from portal.http.request_fields import accepts_gzip, canonical, cookie_names, is_known
from portal.http.request_ids import request_id
from portal.repeated import WELL, Recurring

log = logging.getLogger(__name__)

_WHAT = "the catalogue's version"

LOOK_EVERY_SECONDS = 1.0
#: Seconds to wait for the database; after that the cached answers are used meanwhile.
PATIENCE_SECONDS = 0.5
MAX_ANSWERS = 1024
MAX_BYTES = 32 * 1024 * 1024
MAX_BODY = 2 * 1024 * 1024
MAX_QUERY = 1000
#: Longest value of a header that the answer depends on. Keys are kept, and so are parsed values of headers.
MAX_FIELD = 500
#: Longest Cookie header that is looked through here, on the event loop.
MAX_COOKIES = 4096
WORTH_PACKING = 256
_COUNTED = b"/api/"
_API = ("codes", "disagreements", "sources", "vendors", "headers", "registries", "classes")
_BELOW = (b"/codes/", *(f"/api/v1/{name}/".encode() for name in _API))
_COOKIE = b"cookie"
_HEADERS_OF_OTHERS = frozenset({b"authorization"})
#: What is answered by more than the address: Django sees to it.
_NOT_SIMPLE = frozenset({b"range", b"if-match", b"if-unmodified-since", b"expect", b"transfer-encoding"})
#: What an answer that is kept must not depend on: Django is not shown them.
_NOT_SHOWN = frozenset({b"if-none-match", b"accept-encoding", _COOKIE})
#: Of one request and not of the answer: never kept.
_OF_THIS_REQUEST = frozenset({b"x-request-id", b"ratelimit", b"ratelimit-policy", b"retry-after"})
_UNCHANGED_KEEPS = frozenset(
    {
        b"access-control-allow-origin",
        b"access-control-expose-headers",
        b"cache-control",
        b"content-security-policy",
        b"strict-transport-security",
        b"vary",
    }
)

Fields = list[tuple[bytes, bytes]]
Key = tuple[bytes, str, bytes, str, bytes]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Asked(NamedTuple):
    """A request that an answer may lie ready for."""

    key: Key
    head: bool
    gzip: bool
    known_tags: bytes
    request_id: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an answer, as fields and body for ASGI, and its fields as lines for the wire."""

    status: int
    fields: Fields
    body: bytes
    lines: bytes

    @classmethod
    def of(cls, status: int, fields: Fields, body: bytes) -> Self:
        return cls(status, fields, body, b"".join(b"%s: %s\r\n" % field for field in fields))


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer in all its forms; where packing gains nothing, the packed one is the plain one.

    A 304 has the tag that the 200 to the same request would have (RFC 9110, section 15.4.5): one for each form.
    """

    tag: bytes
    plain: Form
    packed: Form
    unchanged: Form
    packed_unchanged: Form

    def form_for(self, asked: Asked) -> Form:
        if asked.known_tags and is_known(self.tag, asked.known_tags):
            return self.packed_unchanged if asked.gzip else self.unchanged
        return self.packed if asked.gzip else self.plain

    @property
    def size(self) -> int:
        """Bytes of all forms; the head of each is kept as fields and as lines."""
        forms = {id(form): form for form in (self.plain, self.packed, self.unchanged, self.packed_unchanged)}
        return sum(len(form.body) + 2 * len(form.lines) for form in forms.values())


class AtOnce(NamedTuple):
    """An answer for the wire: status, the lines of its head, body; and what was asked, to ask it again."""

    status: int
    lines: bytes
    body: bytes
    asked: Asked | None = None


class ReadyAnswers:
    """The ready answers of one worker, of which those that were asked for last are kept."""

    def __init__(
        self,
        *,
        version: Callable[[], Hashable],
        threads: Executor,
        private: Collection[str] = (),
        private_cookies: Collection[str] = (),
        measures: Measures | None = None,
        count: Callable[[Scope], Fields | None] = lambda _: [],
    ) -> None:
        """Begin with none.

        Args:
            version: reads what every answer depends on; called in a thread, may raise Unavailable.
            threads: where versions are read and answers packed.
            private: further headers, in lower case, of callers whose answers are their own.
            private_cookies: names of the cookies that mark such callers; pages depend on no others.
            measures: counts the answers.
            count: counts a request to the API for its caller; gives the fields that tell what is left, or None
                where nothing is.
        """
        self._read_version = version
        self._recurring = Recurring(log)
        self._threads = threads
        self._private = _HEADERS_OF_OTHERS | _NOT_SIMPLE | {name.encode() for name in private}
        self._private_cookies = frozenset(private_cookies)
        self._measures = measures or Measures()
        self._count = count
        self._answers: OrderedDict[Key, Ready] = OrderedDict()
        self._bytes = 0
        self._being_made: dict[Key, asyncio.Event] = {}
        self._version: Hashable = None
        self._look_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    def asked(self, scope: Scope, scheme: Callable[[Scope], str]) -> Asked | None:
        """Return the cache key of a request; None where only Django can answer.

        Args:
            scope: the request.
            scheme: says whether the caller used https.
        """
        path: bytes = scope.get("raw_path") or b""
        if not (path.startswith(_BELOW) or path == b"/") or scope["method"] not in {"GET", "HEAD"}:
            return None
        found = {b"host": b"", b"accept": b"", b"accept-encoding": b"", b"if-none-match": b"", b"x-request-id": b""}
        for name, value in scope["headers"]:
            if name in found:
                found[name] = found[name] + b"," + value if found[name] else value
            elif self._is_private(name, value):
                return None
        query: bytes = scope.get("query_string", b"")
        accept = found[b"accept"]
        if len(query) > MAX_QUERY or max(map(len, found.values())) > MAX_FIELD:
            return None
        return Asked(
            key=(path, canonical(query) if query else "", found[b"host"], scheme(scope), accept),
            head=scope["method"] == "HEAD",
            gzip=accepts_gzip(found[b"accept-encoding"]),
            known_tags=found[b"if-none-match"],
            request_id=found[b"x-request-id"],
        )

    def _is_private(self, name: bytes, value: bytes) -> bool:
        """Return whether a header makes the request private."""
        if name == _COOKIE:
            return len(value) > MAX_COOKIES or not self._private_cookies.isdisjoint(cookie_names(value))
        return name in self._private or (name == b"content-length" and value != b"0")

    def at_once(self, scope: Scope, scheme: Callable[[Scope], str]) -> AtOnce | None:
        """Return a cached answer that is known to be current; None where it has to be checked."""
        asked = self.asked(scope, scheme) if time.monotonic() < self._look_at else None
        return self.again(asked, scope) if asked else None

    def again(self, asked: Asked, scope: Scope) -> AtOnce | None:
        """Return a cached answer to what was asked before, as `at_once` does."""
        ready = self._answers.get(asked.key) if time.monotonic() < self._look_at else None
        if ready is None:
            return None
        own = self._own_fields(asked, scope)
        if own is None:
            return None
        form = self._take(ready, asked)
        lines = form.lines + b"".join(b"%s: %s\r\n" % field for field in own)
        return AtOnce(form.status, lines, b"" if asked.head else form.body, asked)

    async def answer(self, asked: Asked, scope: Scope, receive: Receive, send: Send, django: Application) -> None:
        """Answer from the cache, or let Django answer and cache the result."""
        if time.monotonic() >= self._look_at:
            await self._look()
        ready = self._answers.get(asked.key)
        if ready is None and (being_made := self._being_made.get(asked.key)):
            await being_made.wait()
            ready = self._answers.get(asked.key)
        if ready is None:
            await self._make(asked, scope, receive, send, django)
            return
        own = self._own_fields(asked, scope)
        if own is None:
            await django(scope, receive, send)
            return
        await _send(self._take(ready, asked), asked, own, send)

    def _own_fields(self, asked: Asked, scope: Scope) -> Fields | None:
        """Return the headers for this caller alone; None above the rate limit, where Django answers."""
        rate = self._count(scope) if asked.key[0].startswith(_COUNTED) else []
        return None if rate is None else [*rate, (b"x-request-id", request_id(asked.request_id))]

    def _take(self, ready: Ready, asked: Asked) -> Form:
        self._answers.move_to_end(asked.key)
        form = ready.form_for(asked)
        self._measures.ready_answers["not_modified" if form.status == HTTPStatus.NOT_MODIFIED else "hit"].inc()
        return form

    async def _make(self, asked: Asked, scope: Scope, receive: Receive, send: Send, django: Application) -> None:
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
            self._measures.ready_answers["made"].inc()
            await _send(ready.form_for(asked), asked, [*filter(_is_of_this_request, caught.fields)], send)

    async def _from_django(
        self, asked: Asked, scope: Scope, receive: Receive, caught: "_Caught", django: Application
    ) -> Ready | None:
        """Request a plain GET from Django, which can be cached; None where the answer was passed on as it is."""
        version = self._version
        headers = [field for field in scope["headers"] if field[0] not in _NOT_SHOWN]
        await django({**scope, "method": "GET", "headers": headers}, receive, caught)
        if not caught.fields:
            return None
        kept = [field for field in caught.fields if not _is_of_this_request(field)]
        ready = await asyncio.get_running_loop().run_in_executor(self._threads, make_ready, kept, caught.body)
        # An answer that was begun before a change may hold what was before it.
        if version is not None and version == self._version:
            self._keep(asked.key, ready)
        return ready

    def _keep(self, key: Key, ready: Ready) -> None:
        before = self._answers.pop(key, None)
        self._answers[key] = ready
        self._bytes += _size(key, ready) - (_size(key, before) if before else 0)
        while len(self._answers) > MAX_ANSWERS or self._bytes > MAX_BYTES:
            self._bytes -= _size(*self._answers.popitem(last=False))

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
            self._recurring.tell(_WHAT, WELL)
            if version != self._version:
                self._version = version
                self._answers.clear()
                self._bytes = 0
        except Unavailable as fault:
            self._recurring.tell(_WHAT, "cannot be read, answers are given as they were", fault)
        except Exception:
            log.exception("the catalogue's version cannot be read")
        finally:
            self._look_at = began + LOOK_EVERY_SECONDS
            self._looking = None


class _Caught:
    """Takes Django's answer: `fields` and `body` of one that can be kept; every other is passed on."""

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


def _size(key: Key, ready: Ready) -> int:
    return ready.size + sum(map(len, key))


async def _send(form: Form, asked: Asked, own: Fields, send: Send) -> None:
    await send({"type": "http.response.start", "status": form.status, "headers": form.fields + own})
    await send({"type": "http.response.body", "body": b"" if asked.head else form.body})


def _is_of_this_request(field: tuple[bytes, bytes]) -> bool:
    return field[0] in _OF_THIS_REQUEST


def can_be_kept(status: int, fields: Fields) -> bool:
    """Whether an answer is the same for everybody."""
    names = {name for name, _ in fields}
    controls = b",".join(value for name, value in fields if name == b"cache-control").lower()
    private = b"private" in controls or b"no-store" in controls
    return status == 200 and not private and names.isdisjoint({b"set-cookie", b"content-encoding"})


def make_ready(fields: Fields, body: bytes) -> Ready:
    """An answer of Django's in all its forms. A tag of its own stays, so that Django and we speak of the same."""
    rest = [field for field in fields if field[0] not in {b"content-length", b"etag", b"vary"}]
    kind = next((value for name, value in rest if name == b"content-type"), b"")
    own_tag = next((value for name, value in fields if name == b"etag"), b"")
    tag = own_tag or b'W/"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
    small = gzip.compress(body, 6, mtime=0) if _is_text(kind) and len(body) >= WORTH_PACKING else body
    varies = [part.strip() for name, value in fields if name == b"vary" for part in value.split(b",")]
    vary = [(b"vary", b", ".join(dict.fromkeys([*varies, b"Accept-Encoding"])))]
    if all(name != b"cache-control" for name, _ in rest):
        rest.append((b"cache-control", b"no-cache"))
    common = [*rest, *vary]
    plain = Form.of(200, [*common, (b"etag", tag), _length(body)], body)
    unchanged = _unchanged(common, tag)
    if len(small) >= len(body):
        return Ready(tag, plain, plain, unchanged, unchanged)
    # Not byte for byte what a strong tag stands for.
    weak = tag if tag.startswith(b"W/") else b"W/" + tag
    packed = [*common, (b"etag", weak), (b"content-encoding", b"gzip"), _length(small)]
    return Ready(tag, plain, Form.of(200, packed, small), unchanged, _unchanged(common, weak))


def _unchanged(common: Fields, tag: bytes) -> Form:
    return Form.of(304, [*(field for field in common if field[0] in _UNCHANGED_KEEPS), (b"etag", tag)], b"")


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(body)).encode()


def _is_text(kind: bytes) -> bool:
    return kind.startswith(b"text/") or b"json" in kind
