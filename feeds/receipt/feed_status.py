"""getFeedStatus v1 and v2, in Stroom's own spelling: may data for this feed be sent on? (contract, section 11)

A small ASGI application next to the receiver. A stroom-proxy takes anything but a 200 with exactly the expected
JSON for a yes, so an answer is 200 whenever a decision is possible, and no key is ever added, renamed or re-cased.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from feeds.monitoring.metrics import Metrics
from feeds.receipt.batches import Batches
from feeds.receipt.jobs import Ticket, Tickets, resolve_all
from feeds.receipt.policies import KnownPolicies, read_policy, read_reported_token
from feeds.receipt.service import SETTLE_SECONDS
from feeds.rules import stroom_status
from feeds.rules.certificate import DOUBLED, read_certificate
from feeds.rules.decision import Certificate, Decision, FeedPolicy, Sent, decide_feed
from feeds.rules.dialects import identity_values, read_statement
from feeds.rules.receipt_rules import NOTHING_SENT, sent_in
from feeds.store.compression import Gunzip, StreamInvalid
from portal.access.tokens import BearerOutcome
from portal.database.threads import DatabaseRefused, Unavailable, in_time, promptly
from portal.http.answer import JSON, Answer, send_early
from portal.http.body import Body, Incomplete, Receive, Scope, Send, header
from portal.http.client import IdentityNames
from portal.repeated import WELL, RepeatedFaults

log = logging.getLogger(__name__)

MAX_BODY = 1024 * 1024
#: A body up to this size is read before the key is checked: both then take one call to a thread instead of two.
SHORT_BODY = 16 * 1024
_NOT_GZIP = "The body is not valid gzip."
#: Headers that a status demands.
_EXTRA = {401: (("WWW-Authenticate", 'Bearer realm="portal"'),), 405: (("Allow", "POST"),)}
#: Refusals that proxies of every release call by the same name. An unknown name would make a proxy accept. Those of
#: version 2 are 7.9 and later, which know all others but that of receipt rules.
_KNOWN_TO_ALL = frozenset({stroom_status.FEED_MUST_BE_SPECIFIED, stroom_status.CERTIFICATE_REQUIRED})
_WHAT = "questions for a feed's status"


class _Fault(Exception):  # becomes an answer
    """A request that no decision can be made for."""

    def __init__(self, http: int, reason: str) -> None:
        super().__init__(reason)
        self.http = http


class _Object(dict[str, Any]):
    """A JSON object that knows which of its names, without regard to case, stand in it more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name.strip().lower() for name, _ in pairs]
        once = len(set(names)) == len(names)
        self.doubled = set() if once else {name for name, count in Counter(names).items() if count > 1}


@dataclass(frozen=True)
class Question:
    """Question of a proxy: may this sender send to this feed? `user` is the sender's id, if the proxy has one."""

    feed: str | None
    certificate: Certificate
    user: str = ""
    sent: Sent = NOTHING_SENT


class FeedStatusApp:
    """Answers a stroom-proxy's question about a feed."""

    def __init__(
        self,
        *,
        authenticate: Callable[[str | None, str, str], BearerOutcome],
        identity: IdentityNames,
        decisions: Executor,
        metrics: Metrics | None = None,
        takes_tokens: bool = False,
    ) -> None:
        """Make the application of one worker.

        Args:
            authenticate: judges the Authorization header, given our peer and X-Forwarded-For too; runs in a thread
                and may read the database.
            identity: names under which a proxy's map may hold the certificate.
            decisions: threads for authentication and decision.
            metrics: counts the answers.
            takes_tokens: whether sender tokens identify a sender.
        """
        self._authenticate = authenticate
        self._identity = identity
        self._decisions = decisions
        self._metrics = metrics or Metrics()
        self._takes_tokens = takes_tokens
        self._faults = RepeatedFaults(log, settle_seconds=SETTLE_SECONDS)
        self._tickets = Tickets()
        self._short = Batches(decisions, self._judge_all)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = Body(scope, receive)
        try:
            http, content = await self._handle(scope, body)
        except _Fault as fault:
            http, content = fault.http, {"error": str(fault)}
        except Incomplete:
            http, content = 400, {"error": "The body did not arrive whole."}
        except Unavailable as fault:
            http, content = self._database_failed(fault)
        except Exception:
            log.exception("feed status failed")
            http, content = 500, {"error": "Something failed here."}
        self._metrics.answered_proxy(version_of(scope["path"]), http, content.get("status"))
        await _respond(body, send, http, content)

    def _database_failed(self, fault: Unavailable) -> tuple[int, dict[str, str]]:
        """Never a guess: an HTTP error, 500 where waiting does not help (R31)."""
        self._metrics.decision_failed("feed_status")
        cause = fault.__cause__ or fault
        if isinstance(fault, DatabaseRefused):
            self._faults.report(_WHAT, f"the database refuses, {type(cause).__name__}", cause, logging.ERROR)
            return 500, {"error": "The rules cannot be read; the portal's log says why."}
        self._faults.report(_WHAT, "the database is away, locked or slow", cause)
        return 503, {"error": "The rules cannot be read right now."}

    async def _handle(self, scope: Scope, body: Body) -> tuple[int, dict[str, str]]:
        if scope["method"] != "POST":
            raise _Fault(405, "Ask with POST.")
        asked = _Asked.of(scope)
        start = [] if asked.expects_continue else await _beginning(body)
        if body.complete and not body.broken:
            answer = await self._judged(asked, start)
        else:
            # Without a valid key nothing more of the body is read.
            await in_time(self._decisions, self._admit, asked)
            data = await _rest(body, start, asked.encoding)
            answer = await in_time(self._decisions, self._answer, data, asked.version)
        self._faults.report(_WHAT, WELL)
        return answer

    async def _judged(self, asked: "_Asked", pieces: Sequence[bytes]) -> tuple[int, dict[str, str]]:
        """Answer a request whose body is complete, in one call to a thread that it may share with others.

        Raises:
            _Fault: there is no decision.
            Unavailable: the database cannot be read, or not in time.
        """
        ticket: Ticket[_Judged] = Ticket(is_undecided=True)
        self._short.submit(_Waiting(asked, pieces, ticket, copy_context()))
        with self._tickets.waiting(ticket):
            judged = await ticket.future
        if isinstance(judged, Exception):
            raise judged
        return judged

    def _judge_all(self, batch: Sequence["_Waiting"]) -> None:
        """Answer a batch, in a thread. Each key and each feed is read once for all of them."""
        callers: dict[_Key, BearerOutcome] = {}
        known = KnownPolicies(read_policy)
        answered = [one for one in batch if not one.ticket.is_abandoned]
        answers = [one.context.run(self._judge, one, callers, known) for one in answered]
        resolve_all([one.ticket for one in answered], answers)

    def _judge(self, waiting: "_Waiting", callers: dict["_Key", BearerOutcome], known: KnownPolicies) -> "_Judged":
        asked = waiting.asked
        try:
            if asked.key not in callers:
                callers[asked.key] = self._caller(asked)
            _demand_allowed(callers[asked.key])
            return self._answer(_unpacked(waiting.pieces, asked.encoding), asked.version, known.read)
        except Exception as fault:  # noqa: BLE001  # the request that waits raises it
            return fault

    def _caller(self, asked: "_Asked") -> BearerOutcome:
        with promptly():
            return self._authenticate(*asked.key)

    def _admit(self, asked: "_Asked") -> None:
        _demand_allowed(self._caller(asked))

    def _answer(
        self, data: bytes, version: int, read: Callable[[str | None], FeedPolicy | None] | None = None
    ) -> tuple[int, dict[str, str]]:
        now = datetime.now(UTC)
        question = read_question(data, version, self._identity, now)
        policy = (read or read_policy)(question.feed)
        token = read_reported_token(question.user) if self._takes_tokens else None
        decision = decide_feed(
            feed=question.feed,
            certificate=question.certificate,
            policy=policy,
            now=now,
            token=token,
            sent=question.sent,
        )
        return 200, answer_of(decision, version)


#: The Authorization header, our peer, and X-Forwarded-For.
_Key = tuple[str | None, str, str]


@dataclass(frozen=True)
class _Asked:
    """The part of a request's head that counts here."""

    key: "_Key"
    encoding: str
    version: int
    expects_continue: bool

    @classmethod
    def of(cls, scope: Scope) -> Self:
        authorization = header(scope, b"authorization")
        client = scope.get("client")
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        return cls(
            (
                authorization.decode("latin-1") if authorization is not None else None,
                client[0] if client else "",
                forwarded.decode("latin-1"),
            ),
            (header(scope, b"content-encoding") or b"").decode("latin-1").strip().lower(),
            version_of(scope["path"]),
            header(scope, b"expect") is not None,
        )


#: What became of a question: an answer, or the fault that is raised for it.
_Judged = tuple[int, dict[str, str]] | Exception


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A question whose body is complete, and the answer that it waits for. `context` holds its request id."""

    asked: _Asked
    pieces: Sequence[bytes]
    ticket: Ticket[_Judged]
    context: Context


def _demand_allowed(caller: BearerOutcome) -> None:
    if caller is BearerOutcome.UNKNOWN:
        raise _Fault(401, "Give a key: Authorization: Bearer <key>.")
    if caller is BearerOutcome.MISSING_SCOPE:
        raise _Fault(403, "This key has no permission to check feeds.")


def version_of(path: str) -> int:
    """1 or 2, from the address."""
    return 1 if "/v1/" in path else 2


def read_question(data: bytes, version: int, identity: IdentityNames, now: datetime) -> Question:
    """Read the request's JSON; unknown keys are ignored, nulls allowed.

    Raises:
        _Fault: it is not a JSON object of the expected shape.
    """
    try:
        # No number matters here, and int() refuses very long ones, which are JSON all the same.
        content = json.loads(data, parse_int=float, object_pairs_hook=_Object)
    except (ValueError, RecursionError) as fault:
        raise _Fault(400, "The body is not JSON.") from fault
    if not isinstance(content, _Object):
        raise _Fault(400, "The body is not a JSON object.")
    feed = _text(content, "feedName")
    if version == 1:
        conflict = DOUBLED if content.doubled & {"senderdn"} else ""
        return Question(feed, _reported(_text(content, "senderDn"), None, None, now, conflict))
    attributes = content.get("attributeMap") or _Object([])
    if not isinstance(attributes, _Object):
        raise _Fault(400, "attributeMap is not an object.")
    lower = {str(name).strip().lower(): value for name, value in attributes.items()}
    stated = read_statement(identity, identity_values(identity, lambda name: _text(lower, name) or ""))
    dn = _text(lower, "remotedn") or stated.dn
    expiry = _text(lower, "remotecertexpiry") or stated.expiry
    sent_names = {"remotedn", *identity.stated, "remotecertexpiry"}
    conflict = DOUBLED if attributes.doubled & sent_names else stated.fault
    return Question(feed, _reported(dn, stated.verify, expiry, now, conflict), _user_of(content), sent_in(lower))


def answer_of(decision: Decision, version: int) -> dict[str, str]:
    """The answer with exactly the keys that the proxies of each version know."""
    if decision.accepted:
        return {"status": decision.action.value}
    if not decision.known:
        return _reject(stroom_status.FEED_IS_NOT_DEFINED_MESSAGE, stroom_status.FEED_IS_NOT_DEFINED_NAME)
    status = decision.status
    is_known = status in _KNOWN_TO_ALL or (version == 2 and status is not stroom_status.REJECTED_BY_RULES)
    return _reject(status.message, status.wire_name if is_known else None)


def _user_of(content: _Object) -> str:
    """Return the id of the sender, as the proxy has authenticated it. It never stands for a certificate."""
    described = content.get("userDesc")
    if not isinstance(described, _Object) or "subjectid" in described.doubled:
        return ""
    subject = described.get("subjectId")
    return subject if isinstance(subject, str) else ""


def _reject(message: str, code: str | None) -> dict[str, str]:
    answer = {"status": "Reject", "message": message}
    return answer if code is None else {**answer, "stroomStatusCode": code}


def _reported(dn: str | None, verify: str | None, expiry: str | None, now: datetime, conflict: str) -> Certificate:
    """The proxy is trusted by its key: a DN it reports counts as verified unless it says otherwise."""
    return read_certificate(dn, verify=verify, expiry=expiry, require_verify=False, now=now, conflict=conflict)


def _text(content: Mapping[str, Any], name: str) -> str | None:
    value = content.get(name)
    if value is None or isinstance(value, str):
        # Blanks only: a no-break space or line end belongs to a DN, which is then another one, or none.
        return value.strip(" ") if value else None
    raise _Fault(400, f"{name} is not a text.")


class _Content:
    """Content of a body, unpacked piece by piece, within the limit."""

    def __init__(self, encoding: str) -> None:
        if encoding not in {"", "identity", "gzip", "x-gzip"}:
            raise _Fault(415, "Of the content encodings only gzip is supported.")
        self._gunzip = Gunzip() if encoding in {"gzip", "x-gzip"} else None
        self._data = bytearray()

    def add(self, piece: bytes) -> None:
        try:
            for part in self._gunzip.feed(piece) if self._gunzip else (piece,):
                self._data += part
                if len(self._data) > MAX_BODY:
                    raise _Fault(413, "The body is larger than 1 MiB.")
        except StreamInvalid as fault:
            raise _Fault(400, _NOT_GZIP) from fault

    def finish(self) -> bytes:
        try:
            if self._gunzip:
                self._gunzip.finish()
        except StreamInvalid as fault:
            raise _Fault(400, _NOT_GZIP) from fault
        return bytes(self._data)


def _unpacked(pieces: Iterable[bytes], encoding: str) -> bytes:
    """Unpack a complete body."""
    content = _Content(encoding)
    for piece in pieces:
        content.add(piece)
    return content.finish()


async def _beginning(body: Body) -> list[bytes]:
    """Read the body up to SHORT_BODY, which is the whole of nearly every one."""
    pieces: list[bytes] = []
    try:
        while body.received <= SHORT_BODY and (piece := await body.next()):
            pieces.append(piece)
    except Incomplete:
        return []  # body.broken says so
    return pieces


async def _rest(body: Body, start: Iterable[bytes], encoding: str) -> bytes:
    """Read the body to its end, unpacked.

    Raises:
        Incomplete: it has no end.
    """
    if body.broken:
        raise Incomplete("the body broke off")
    content = _Content(encoding)
    for piece in start:
        content.add(piece)
    while piece := await body.next():
        content.add(piece)
    return content.finish()


async def _respond(body: Body, send: Send, http: int, content: Mapping[str, str]) -> None:
    data = json.dumps(content, separators=(",", ":")).encode()
    await send_early(send, Answer(http, (("Content-Type", JSON), *_EXTRA.get(http, ())), data), body)
