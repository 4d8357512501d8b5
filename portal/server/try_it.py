"""Try-it endpoints: every status code on demand, to test a client without a failing server.

`/try/http/503/` answers any method with that status and the headers it demands, `/try/stroom/310/` as `/datafeed`
would. What was posted is read and thrown away. The answers are made in `try_it_answers`, the options are read in
`try_it_options`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace

from feeds.receipt.head import read_head
from feeds.rules.metadata import RequestMetadata
from feeds.store.ids import ReceiptIds
from portal.database.threads import Unavailable, database
from portal.http.answer import Answer, send_answer, send_early
from portal.http.body import Body, Incomplete, Receive, Scope, Send
from portal.http.client import IdentityNames, client_address, network_key
from portal.http.limits import COUNTER, Counter
from portal.server.try_it_answers import (
    PREFIX,
    WAIT_SECONDS,
    CodeName,
    CodeNames,
    http_answer,
    own_name,
    plain_answer,
    stroom_answer,
)
from portal.server.try_it_options import PATH, BadTryRequest, TryOptions, demand_final, read_options, wants_json

log = logging.getLogger(__name__)
# What one worker holds open for clients under test: requests being read, and requests being delayed.
MOST_RUNNING, MOST_DELAYED = 200, 100
#: Requests that one network may make in a minute: a test suite may go through every status there is in one go.
MOST_A_MINUTE = 3000
KEEP_NAMES_SECONDS, KEEP_FAULT_SECONDS = 60.0, 1.0
TRY_NODE = "try"
#: Bytes and seconds that are read of a body after an early answer.
_DRAIN = (1024 * 1024, 5.0)
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class TryIt:
    """Application for all paths below /try/."""

    def __init__(
        self,
        *,
        enabled: bool,
        names: Callable[[], CodeNames],
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
        self._names: CodeNames = {}
        self._names_until = float("-inf")
        self._reading = asyncio.Lock()
        self.running = self.delayed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        body = Body(scope, receive)
        refusal = self._refusal(scope)
        if refusal is not None:
            await send_early(send, refusal, body, head=_is_head(scope), drain=_DRAIN)
            return
        self.running += 1
        try:
            wishes = read_options(scope)
            answer = await self._answer(scope, wishes)
            while await body.next():
                pass
            await self._delay(wishes.delay)
            await send_answer(send, answer, head=_is_head(scope))
        except BadTryRequest as fault:
            await send_early(send, plain_answer(400, str(fault)), body, head=_is_head(scope), drain=_DRAIN)
        except Incomplete:
            await send_early(
                send,
                plain_answer(400, "The request's body did not arrive whole."),
                body,
                head=_is_head(scope),
                drain=_DRAIN,
            )
        except _TooManyDelayed:
            text = "Too many requests are being delayed here. Ask again later, or without ?delay."
            await send_answer(send, plain_answer(503, text, Retry_After=str(WAIT_SECONDS)), head=_is_head(scope))
        finally:
            self.running -= 1

    def _refusal(self, scope: Scope) -> Answer | None:
        """Return the answer that needs no body: switched off, above the rate limit, too many at once."""
        if not self._enabled:
            return plain_answer(404, "There is nothing at this address.")
        allowance = self._counter.take(f"try {self._network(scope)}", MOST_A_MINUTE, self._clock())
        if not allowance.allowed:
            text = "The try-it endpoints were asked too often from your address. This is no test answer: wait."
            return plain_answer(429, text, Retry_After=str(allowance.resets_in))
        if self.running >= MOST_RUNNING:
            return plain_answer(503, "Too many try-it requests are running. Ask again later.", Retry_After="5")
        return None

    def _network(self, scope: Scope) -> str:
        client = scope.get("client")
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return network_key(client_address(client[0] if client else "", forwarded, self._trusts))

    async def _answer(self, scope: Scope, wishes: TryOptions) -> Answer:
        path = scope["path"]
        if path.rstrip("/") == PREFIX:
            return plain_answer(200, _USAGE)
        match = PATH.fullmatch(path)
        if match is None:
            return plain_answer(404, f"There is no such try-it address.\n\n{_USAGE}")
        names, code = await self._current_names(), int(match["code"])
        if match["registry"] == "stroom":
            return self._stroom(scope, code, names, wishes)
        demand_final(code)
        return http_answer(
            code,
            scope["method"],
            named=names.get(("http", code)),
            retry_after=wishes.retry_after,
            as_json=wants_json(scope),
        )

    def _stroom(self, scope: Scope, code: int, names: CodeNames, wishes: TryOptions) -> Answer:
        named = names.get(("stroom", code)) or own_name(code)
        if named is None and not names:
            return plain_answer(503, "The catalogue cannot be read right now. Ask again later.", Retry_After="5")
        if named is None:
            return plain_answer(404, f"The catalogue has no Stroom {code}. See: /codes/stroom/")
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

    async def _current_names(self) -> CodeNames:
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


def catalogue_names() -> CodeNames:
    """Read the names of all codes from the database.

    Raises:
        Unavailable: it cannot be read right now.
    """
    from codes.models import Meaning

    with database():
        rows = Meaning.objects.filter(position=0).select_related("status_code")
        return {
            (row.status_code.registry_id, row.status_code.code): CodeName(
                row.name, row.summary, tuple(row.status_code.http_statuses)
            )
            for row in rows
        }


def _is_head(scope: Scope) -> bool:
    return bool(scope["method"] == "HEAD")
