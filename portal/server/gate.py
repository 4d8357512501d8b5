"""Gate in front of Django: limits on bodies, and the choice of threads."""

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

from portal.database.threads import Unavailable
from portal.http.answer import TEXT, Answer, send_early
from portal.http.body import Body, Incomplete, Message, Receive, Scope, Send
from portal.http.client import network_key
from portal.http.request_ids import request_id
from portal.rest.problems import API_PREFIX, PROBLEM_TYPE, problem_body
from portal.server.bodies import BodyTooLarge, Budget, NoRoom, TooSlow, read_body
from portal.server.bridge import DjangoBridge
from portal.server.lanes import RETRY_SECONDS, Lane, LaneFull
from portal.server.long_polls import LongPolls, wants_to_wait
from portal.server.routes import Kind, Route

log = logging.getLogger(__name__)

Fields = list[tuple[bytes, bytes]]

#: A host name has at most 253 characters, and a port five.
MAX_HOST = 260
#: What is read and thrown away of a body that has no use, and for how long.
DRAIN_BYTES, DRAIN_SECONDS = 64 * 1024, 1.0


class GateRefusal(Exception):  # becomes an answer
    """Error for a request that does not reach Django."""

    def __init__(self, http: int, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.http = http
        self.retry_after = retry_after


@dataclass(frozen=True)
class Rules:
    """Rules that apply before a request's body is read.

    Attributes:
        route: says of a method and path how large a body may be, and what kind of request it is.
        is_signed_in: looks up whether headers show a login; called in a thread, may raise Unavailable.
        callers: threads for that.
        disk: threads that write large bodies to temporary files.
        lane: the threads for a kind of request from a network; None for those of pages.
        budget: counts the bytes of bodies.
    """

    route: Callable[[str, str], Route]
    is_signed_in: Callable[[Fields], bool]
    callers: Executor
    disk: Executor
    lane: Callable[[Kind, str], Lane | None] = lambda _kind, _network: None
    budget: Budget = field(default_factory=Budget)


class Gate:
    """Application that passes requests with trusted headers to Django."""

    def __init__(self, django: DjangoBridge, rules: Rules, waiting: LongPolls | None = None) -> None:
        self._django = django
        self._rules = rules
        self._waiting = waiting or LongPolls()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, *, address: str) -> None:
        """Answer one request.

        Args:
            scope: the request; its headers are taken as they are.
            receive: gives its body.
            send: takes the answer.
            address: the client's.
        """
        body = Body(scope, receive)
        network = network_key(address)
        try:
            with ExitStack() as held:
                await self._answer(scope, body, send, network, held)
        except GateRefusal as refused:
            await _refuse(scope, body, send, refused)

    async def _answer(self, scope: Scope, body: Body, send: Send, network: str, held: ExitStack) -> None:
        """Read the body that the route accepts, and let Django answer.

        `held` is given back once Django has answered, however slowly the client reads that.
        """
        _check_host(scope)
        route = self._rules.route(scope["method"], scope["path"])
        lane = self._rules.lane(route.kind, network)
        _check_room(lane, network)
        file, length = await self._body(scope, route, body, held)
        threads = _enter(lane, network, held)
        answer = send if body.complete or not body.expected else _Draining(body, send)
        if wants_to_wait(scope):

            async def ask(send: Send) -> None:
                await self._django.run(scope, BytesIO(), 0, send, threads=threads)

            held.close()
            await self._waiting.answer(scope, answer, network, ask)
            return
        await self._django.run(scope, file, length, answer, threads=threads, on_answer=held.close)

    async def _body(self, scope: Scope, route: Route, body: Body, held: ExitStack) -> tuple[BinaryIO, int]:
        if not body.expected or not route.without_login:
            return BytesIO(), 0
        most, stranger = route.without_login, True
        if route.with_login > most and (body.length is None or body.length > most):
            stranger = not await self._is_signed_in(scope)
            most = most if stranger else route.with_login
        share = held.enter_context(self._rules.budget.share(stranger=stranger))
        try:
            file, length = await read_body(body, most, share, self._rules.disk)
        except Incomplete:
            raise GateRefusal(400, "The request's body did not arrive whole.") from None
        except TooSlow:
            raise GateRefusal(408, "The request's body did not arrive in time.") from None
        except BodyTooLarge:
            raise GateRefusal(413, _too_large(most, route)) from None
        except NoRoom as fault:
            if fault.__cause__ is not None:
                log.warning("a body cannot be kept in the temporary folder: %s", fault.__cause__)
            detail = "There is no room for the request's body now. Send it again later."
            raise GateRefusal(503, detail, retry_after=RETRY_SECONDS) from fault
        held.callback(file.close)
        return file, length

    async def _is_signed_in(self, scope: Scope) -> bool:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._rules.callers, self._rules.is_signed_in, scope["headers"])
        except Unavailable as fault:
            log.warning("a login cannot be looked up: %s", fault)
            raise GateRefusal(
                503, "Logins cannot be looked up now. Send it again.", retry_after=RETRY_SECONDS
            ) from fault


class _Draining:
    """Send function that reads some of an unused body after the answer: many clients write before they read."""

    def __init__(self, body: Body, send: Send) -> None:
        self._body = body
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        if message["type"] != "http.response.body" or message.get("more_body"):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await self._body.drain(DRAIN_BYTES, DRAIN_SECONDS)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _check_host(scope: Scope) -> None:
    """Refuse an invalid Host.

    Raises:
        GateRefusal: it is too long.
    """
    if sum(len(value) for name, value in scope["headers"] if name == b"host") > MAX_HOST:
        raise GateRefusal(400, f"The Host header is longer than {MAX_HOST} bytes.")


def _check_room(lane: Lane | None, network: str) -> None:
    """Refuse a request before its body is read if its lane is full.

    Raises:
        GateRefusal: there is none.
    """
    with ExitStack() as tried:
        _enter(lane, network, tried)


def _enter(lane: Lane | None, network: str, held: ExitStack) -> Executor | None:
    try:
        return held.enter_context(lane.place(network)) if lane is not None else None
    except LaneFull:
        detail = "Too many requests of this kind are waiting. Try again in a moment."
        raise GateRefusal(503, detail, retry_after=RETRY_SECONDS) from None


def _too_large(most: int, route: Route) -> str:
    with_login = f" After signing in it may have {route.with_login} bytes." if most < route.with_login else ""
    return f"The request's body is larger than {most} bytes.{with_login}"


async def _refuse(scope: Scope, body: Body, send: Send, refused: GateRefusal) -> None:
    """Send a refusal; below the API as problem details."""
    supplied = [value for name, value in scope["headers"] if name == b"x-request-id"]
    given = request_id(b",".join(supplied))
    if scope["path"].startswith(API_PREFIX):
        kind = PROBLEM_TYPE
        content = problem_body(refused.http, str(refused), path=scope["path"], request_id=given.decode())
        data = json.dumps(content).encode()
    else:
        kind, data = TEXT, f"{refused}\n".encode()
    wait = () if refused.retry_after is None else (("Retry-After", str(refused.retry_after)),)
    answer = Answer(refused.http, (("Content-Type", kind), *wait), data)
    await send_early(send, answer, body, extra=[(b"x-request-id", given)], drain=(DRAIN_BYTES, DRAIN_SECONDS))
