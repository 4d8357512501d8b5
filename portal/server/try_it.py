"""Try-it endpoints: every status code on demand, to test a client without a failing server.

`/try/http/503/` answers any method with that status and the headers it demands, `/try/stroom/310/` as `/datafeed`
would. What was posted is read and thrown away. The texts are made here and never repeat what came from the request,
but for the sender's own Feed, Compression and Type, cleaned as in every refusal.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import parse_qs

from feeds.receipt import answers
from feeds.receipt.head import read_head
from feeds.rules import stroom_status
from feeds.rules.metadata import RequestMetadata
from feeds.rules.stroom_status import StroomStatus
from feeds.store.ids import ReceiptIds
from portal.database.threads import Unavailable, database
from portal.http.answer import Answer, send_answer, send_early
from portal.http.body import Body, Incomplete, Receive, Scope, Send
from portal.http.client import IdentityNames, client_address, network_key
from portal.http.limits import COUNTER, Counter

log = logging.getLogger(__name__)

PREFIX = "/try"
MAX_DELAY = 10.0
MAX_RETRY_AFTER = 86_400
MAX_QUERY = 200
WAIT_SECONDS = 30
# What one worker holds open for clients under test: requests being read, and requests being delayed.
MOST_RUNNING, MOST_DELAYED = 200, 100
#: Requests that one network may make in a minute: a test suite may go through every status there is in one go.
MOST_A_MINUTE = 3000
KEEP_NAMES_SECONDS, KEEP_FAULT_SECONDS = 60.0, 1.0
TRY_NODE = "try"

# With any sub-path, as the receive paths: `curl -T file` adds the file's name.
_PATH = re.compile(r"/try/(?P<registry>http|stroom)/(?P<code>0|[1-9][0-9]{0,2})(?:/.*)?", re.DOTALL)
_DELAY = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?")
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/problem+json"
_ETAG = '"try-it"'

Fields = tuple[tuple[str, str], ...]
#: Bytes and seconds that are read of a body after an early answer.
_DRAIN = (1024 * 1024, 5.0)
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Named:
    """Entry of the catalogue, as far as an answer needs it."""

    name: str
    summary: str
    http_statuses: tuple[int, ...] = ()


Names = Mapping[tuple[str, int], Named]


class BadRequest(Exception):  # becomes a 400
    """Error for an unusable value of the query or number."""


# --- what each status demands ---

_ANSWERED_HERE = f"{PREFIX}/http/200/"
_MULTI_STATUS = b'<?xml version="1.0" encoding="utf-8"?>\n<multistatus xmlns="DAV:"/>\n'
#: What a status must or should carry beyond its text. Redirects lead to an answer of ours and nowhere else.
DEMANDED: Mapping[int, Fields] = {
    **dict.fromkeys((201, 300, 301, 302, 303, 307, 308), (("Location", _ANSWERED_HERE),)),
    226: (("ETag", _ETAG), ("IM", "feed")),
    304: (("ETag", _ETAG),),
    401: (("WWW-Authenticate", 'Bearer realm="try it"'),),
    407: (("Proxy-Authenticate", 'Basic realm="try it"'),),
    408: (("Connection", "close"),),
    416: (("Content-Range", "bytes */1024"),),
    426: (("Upgrade", "TLS/1.3, HTTP/2.0"), ("Connection", "Upgrade")),
    429: (("Retry-After", str(WAIT_SECONDS)),),
    449: (("Ms-Echo-Request", "try-it"),),
    451: (("Link", '</codes/http/451/>; rel="blocked-by"'),),
    503: (("Retry-After", str(WAIT_SECONDS)),),
}
#: These end with their headers; 205 says so by its length.
BODILESS = frozenset({204, 205, 304})


def http_answer(code: int, method: str, *, named: Named | None, retry_after: int | None, as_json: bool) -> Answer:
    """Return an answer with this status as a conforming server would send it."""
    fields: dict[str, str] = {"Cache-Control": "no-store", **dict(DEMANDED.get(code, ()))}
    if code == HTTPStatus.METHOD_NOT_ALLOWED:
        fields["Allow"] = "POST, PUT" if method in {"GET", "HEAD"} else "GET, HEAD"
    if retry_after is not None:
        fields["Retry-After"] = str(retry_after)
    if code in BODILESS:
        length = {"Content-Length": "0"} if code == HTTPStatus.RESET_CONTENT else {}
        return Answer(code, (*fields.items(), *length.items()))
    kind, body = _content(code, named, as_json=as_json)
    if code == HTTPStatus.PARTIAL_CONTENT:
        fields |= {"Content-Range": f"bytes 0-{len(body) - 1}/{2 * len(body)}", "ETag": _ETAG}
    return _with_body(code, fields, kind, body)


def _content(code: int, named: Named | None, *, as_json: bool) -> tuple[str, bytes]:
    if code == HTTPStatus.MULTI_STATUS:
        return "application/xml; charset=utf-8", _MULTI_STATUS
    name = named.name if named else _phrase(code)
    note = "This is a test answer: nothing was done, and what you sent was thrown away."
    if as_json and code >= 400:
        problem = {"type": f"/codes/http/{code}/", "title": name or "Unassigned", "status": code, "detail": note}
        return _JSON, json.dumps(problem, ensure_ascii=False).encode() + b"\n"
    lines = [f"HTTP {code} {name}".rstrip(), note, f"See: /codes/http/{code}/"]
    return _TEXT, "".join(f"{line}\n" for line in lines).encode()


def _phrase(code: int) -> str:
    return HTTPStatus(code).phrase if code in HTTPStatus._value2member_map_ else ""


def stroom_answer(
    code: int, named: Named, *, request: RequestMetadata | None, receipt_id: str, public_url: str
) -> Answer:
    """Return the answer of the receiver with this Stroom-Status."""
    if code == stroom_status.OK.code:
        answer = answers.accepted(receipt_id)
    else:
        status = _status(code, named)
        hint = "" if code in _SENT else named.summary
        answer = answers.refused(status, request=request, hint=hint, receipt_id=receipt_id, public_url=public_url)
    fields = {name: value for name, value in answer.headers if name != "Content-Type"}
    return _with_body(answer.http, fields, answers.CONTENT_TYPE, answer.body)


#: The outcomes that this portal itself sends, in its own words.
_SENT: Mapping[int, StroomStatus] = {
    **stroom_status.DOCUMENTED,
    stroom_status.CONTENT_TOO_LARGE.code: stroom_status.CONTENT_TOO_LARGE,
}


def _status(code: int, named: Named) -> StroomStatus:
    """Return our own status for the code, else one from the catalogue, with its first HTTP status."""
    own = _SENT.get(code) or StroomStatus(code, 0, named.name, "", named.summary)
    return replace(own, http=named.http_statuses[0])


def _with_body(code: int, fields: Mapping[str, str], kind: str, body: bytes) -> Answer:
    return Answer(code, (*fields.items(), ("Content-Type", kind), ("Content-Length", str(len(body)))), body)


def _plain(code: int, text: str, **fields: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return _with_body(code, {"Cache-Control": "no-store", **named}, _TEXT, f"{text}\n".encode())


# --- the application ---


@dataclass(frozen=True)
class _Wishes:
    """Options of the query."""

    delay: float = 0.0
    retry_after: int | None = None


class TryIt:
    """Application for all paths below /try/."""

    def __init__(
        self,
        *,
        enabled: bool,
        names: Callable[[], Names],
        threads: Executor,
        trusts: Callable[[str | None], bool],
        identity: IdentityNames,
        require_verify: bool = True,
        public_url: str = "",
        counter: Counter = COUNTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the endpoints of one worker.

        Args:
            enabled: PORTAL_TRY_ENDPOINTS; off means that there is nothing here.
            names: reads the catalogue; called in a thread, now and then.
            threads: where it is called.
            trusts: whose forwarding headers are believed.
            identity: names of the identity headers.
            require_verify: as the receiver's.
            public_url: where the portal is found.
            counter: counts the requests of each network.
            clock: seconds, for the limits.
        """
        self._enabled = enabled
        self._read_names = names
        self._threads = threads
        self._trusts = trusts
        self._identity = identity
        self._require_verify = require_verify
        self._public_url = public_url
        self._clock = clock
        self._ids = ReceiptIds(TRY_NODE)
        self._counter = counter
        self._names: Names = {}
        self._names_until = float("-inf")
        self._reading = asyncio.Lock()
        self.running = 0
        self.delayed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        body = Body(scope, receive)
        refusal = self._refusal(scope)
        if refusal is not None:
            await send_early(send, refusal, body, head=_is_head(scope), drain=_DRAIN)
            return
        self.running += 1
        try:
            wishes = _wishes(scope)
            answer = await self._answer(scope, wishes)
            while await body.next():
                pass
            await self._delay(wishes.delay)
            await send_answer(send, answer, head=_is_head(scope))
        except BadRequest as fault:
            await send_early(send, _plain(400, str(fault)), body, head=_is_head(scope), drain=_DRAIN)
        except Incomplete:
            await send_early(
                send,
                _plain(400, "The request's body did not arrive whole."),
                body,
                head=_is_head(scope),
                drain=_DRAIN,
            )
        except _TooManyDelayed:
            text = "Too many requests are being delayed here. Ask again later, or without ?delay."
            await send_answer(send, _plain(503, text, Retry_After=str(WAIT_SECONDS)), head=_is_head(scope))
        finally:
            self.running -= 1

    def _refusal(self, scope: Scope) -> Answer | None:
        """Return the answer that needs no body: switched off, above the rate limit, too many at once."""
        if not self._enabled:
            return _plain(404, "There is nothing at this address.")
        allowance = self._counter.take(f"try {self._network(scope)}", MOST_A_MINUTE, self._clock())
        if not allowance.allowed:
            text = "The try-it endpoints were asked too often from your address. This is no test answer: wait."
            return _plain(429, text, Retry_After=str(allowance.resets_in))
        if self.running >= MOST_RUNNING:
            return _plain(503, "Too many try-it requests are running. Ask again later.", Retry_After="5")
        return None

    def _network(self, scope: Scope) -> str:
        client = scope.get("client")
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return network_key(client_address(client[0] if client else "", forwarded, self._trusts))

    async def _answer(self, scope: Scope, wishes: _Wishes) -> Answer:
        path = scope["path"]
        if path.rstrip("/") == PREFIX:
            return _plain(200, _USAGE)
        match = _PATH.fullmatch(path)
        if match is None:
            return _plain(404, f"There is no such try-it address.\n\n{_USAGE}")
        names, code = await self._current_names(), int(match["code"])
        if match["registry"] == "stroom":
            return self._stroom(scope, code, names, wishes)
        _check_http(code)
        return http_answer(
            code,
            scope["method"],
            named=names.get(("http", code)),
            retry_after=wishes.retry_after,
            as_json=_wants_json(scope),
        )

    def _stroom(self, scope: Scope, code: int, names: Names, wishes: _Wishes) -> Answer:
        named = names.get(("stroom", code)) or _fallback(code)
        if named is None and not names:
            return _plain(503, "The catalogue cannot be read right now. Ask again later.", Retry_After="5")
        if named is None:
            return _plain(404, f"The catalogue has no Stroom {code}. See: /codes/stroom/")
        answer = stroom_answer(
            code,
            named,
            request=self._metadata(scope),
            receipt_id=self._ids.next(),
            public_url=self._public_url,
        )
        if wishes.retry_after is None:
            return answer
        return replace(answer, headers=(*answer.headers, ("Retry-After", str(wishes.retry_after))))

    def _metadata(self, scope: Scope) -> RequestMetadata | None:
        return read_head(scope, trusts=self._trusts, identity=self._identity, require_verify=self._require_verify)

    async def _current_names(self) -> Names:
        """Return the names of the catalogue; the last known ones while it cannot be read."""
        async with self._reading:
            if self._clock() >= self._names_until:
                try:
                    loop = asyncio.get_running_loop()
                    self._names = await loop.run_in_executor(self._threads, self._read_names)
                except Unavailable as fault:
                    log.warning("the catalogue cannot be read for the try-it endpoints: %s", fault)
                    self._names_until = self._clock() + KEEP_FAULT_SECONDS
                else:
                    self._names_until = self._clock() + KEEP_NAMES_SECONDS
            return self._names

    async def _delay(self, seconds: float) -> None:
        if not seconds:
            return
        with self._one_delayed():
            await asyncio.sleep(seconds)

    @contextmanager
    def _one_delayed(self) -> Iterator[None]:
        if self.delayed >= MOST_DELAYED:
            raise _TooManyDelayed
        self.delayed += 1
        try:
            yield
        finally:
            self.delayed -= 1


class _TooManyDelayed(Exception):  # becomes a 503
    """Error for too many delayed requests."""


_USAGE = (
    "Test answers of this portal; what you send is thrown away.\n"
    "  /try/http/503/       any method, any status from 200 to 599, with the headers it demands\n"
    "  /try/stroom/310/     any Stroom-Status of the catalogue, answered as /datafeed would\n"
    "  ?delay=2             seconds to wait before the answer, at most 10\n"
    "  ?retry_after=30      seconds for the Retry-After header"
)


def catalogue_names() -> Names:
    """Read the names of all codes from the database.

    Raises:
        Unavailable: it cannot be read right now.
    """
    from codes.models import Meaning

    with database():
        rows = Meaning.objects.filter(position=0).select_related("status_code")
        return {
            (row.status_code.registry_id, row.status_code.code): Named(
                row.name, row.summary, tuple(row.status_code.http_statuses)
            )
            for row in rows
        }


def _fallback(code: int) -> Named | None:
    """Return the name of a code that we send ourselves, also while the catalogue cannot be read."""
    own = _SENT.get(code)
    return Named(own.message, own.explanation, (own.http,)) if own else None


def _check_http(code: int) -> None:
    """Refuse a number that cannot be a final status.

    Raises:
        BadRequest: the reason, in words.
    """
    if 100 <= code <= 199:
        raise BadRequest(
            f"HTTP {code} is an interim answer: a final one has to follow it, so it cannot be tried by itself. "
            "Ask for a status from 200 to 599."
        )
    if not 200 <= code <= 599:
        raise BadRequest(f"HTTP {code} is no valid status. Ask for one from 200 to 599.")


def _wishes(scope: Scope) -> _Wishes:
    """Parse the query; unknown names are ignored.

    Raises:
        BadRequest: a value cannot be used.
    """
    text = scope.get("query_string", b"").decode("latin-1")
    try:
        query = parse_qs(text, keep_blank_values=True, max_num_fields=MAX_QUERY)
    except ValueError:
        raise BadRequest(f"The query has more than {MAX_QUERY} fields.") from None
    delay, retry_after = query.get("delay"), query.get("retry_after")
    return _Wishes(_seconds(delay[-1]) if delay else 0.0, _whole(retry_after[-1]) if retry_after else None)


def _seconds(text: str) -> float:
    if not _DELAY.fullmatch(text) or float(text) > MAX_DELAY:
        raise BadRequest(f"delay: give seconds from 0 to {MAX_DELAY:.0f}, as in ?delay=2 or ?delay=0.5.")
    return float(text)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= MAX_RETRY_AFTER):
        raise BadRequest(f"retry_after: give whole seconds from 0 to {MAX_RETRY_AFTER}, as in ?retry_after=30.")
    return int(text)


def _wants_json(scope: Scope) -> bool:
    accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return b"json" in accept.lower()


def _is_head(scope: Scope) -> bool:
    return bool(scope["method"] == "HEAD")
