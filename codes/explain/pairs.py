"""Pairs of HTTP status and Stroom-Status: whether they are consistent, and which versions of Stroom send them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from codes.explain.delivery import (
    CHECK_FIRST,
    LOOK_FOR_STATUS,
    NO_ANSWER,
    TUNNEL,
    SenderAdvice,
    cautious,
    contradicts,
    no_answer,
)
from codes.lookup import FoundCode
from codes.models import StatusCode

DOCUMENTED, CURRENT, PORTAL, PROXY = "documented", "current", "portal", "proxy in front"
OLDER = "older"
DOCUMENTED_SOURCE, CURRENT_SOURCE = "stroom-response-codes", "stroom-source"
GENERATION_NAMES = {
    DOCUMENTED: "the Stroom of the response-codes page",
    CURRENT: "the Stroom of today",
    OLDER: "an older release of Stroom",
    PORTAL: "this portal",
    PROXY: "nginx in front of this portal, set up by deploy/nginx/portal.conf,",
}
# What this portal sends beyond the documented pairs, because a sender's program reads the HTTP status first.
PORTAL_PAIRS = frozenset({(503, 999), (405, 999), (400, 999), (411, 999), (431, 999), (501, 999), (413, 410)})
# What the shipped nginx file says by itself; a test reads the pairs out of that file.
PROXY_PAIRS = frozenset(
    {(status, 999) for status in (400, 403, 404, 405, 408, 411, 414, 416, 421, 429, 431)}
    | {(status, 999) for status in (500, 501, 502, 503, 504, 505, 507)}
    | {(413, 410), (401, 300)}
)
REASON_IN_STATUS = 406  # hardly anything but Stroom sends it


@dataclass(frozen=True)
class Pair:
    """Two codes of one answer. `consistent` is None while one of them is missing, `answered` False if none came."""

    http: FoundCode | None
    stroom: FoundCode | None
    explanation: str
    consistent: bool | None = None
    generations: tuple[str, ...] = ()
    answered: bool = True
    tunnel: bool = False
    cause: str = ""

    @property
    def generation(self) -> str | None:
        """Senders of the pair, in words joined by "+"; None where there is none."""
        return "+".join(self.generations) or None

    @property
    def codes(self) -> list[FoundCode]:
        """The codes, the one to act on first: Stroom's number says more, unless it claims a success by itself."""
        found = [code for code in (self.stroom, self.http) if code is not None]
        if self._http_decides:
            found.reverse()
        return sorted(found, key=lambda code: not code.known)

    @property
    def advice(self) -> list[SenderAdvice]:
        """Code to act on first."""
        if not self.answered:
            return [no_answer(tunnel=self.tunnel, cause=self.cause)]
        return [SenderAdvice(code, code.meanings) for code in self.codes]

    @property
    def _http_decides(self) -> bool:
        stroom = self.stroom.code if self.stroom else None
        return self.generations == (PROXY,) or (stroom == 0 and self.consistent is False)


def judge(http: FoundCode | None, stroom: FoundCode | None, *, delivery: bool = False) -> Pair:
    """Say whether the two fit; the advice on each is that for an answer of both."""
    judged = _judge(http, stroom)
    numbers = (http.code if http else None, stroom.code if stroom else None)
    return replace(
        judged,
        http=cautious(http, *numbers, delivery=delivery),
        stroom=cautious(stroom, *numbers, delivery=delivery),
    )


def unanswered(stroom: FoundCode | None = None, *, tunnel: bool = False, cause: str = "") -> Pair:
    """Judge what stands for no answer; a Stroom-Status next to it does not count."""
    consistent = None if stroom is None else False
    return Pair(None, None, TUNNEL if tunnel else NO_ANSWER, consistent, answered=False, tunnel=tunnel, cause=cause)


def other_statuses(row: StatusCode) -> list[tuple[int, str]]:
    """The HTTP statuses with which this portal, or the nginx in front of it, sends a code where Stroom does not."""
    own = {http for http, stroom in PORTAL_PAIRS if stroom == row.code} - set(row.http_statuses)
    proxy = {http for http, stroom in PROXY_PAIRS if stroom == row.code} - own - set(row.http_statuses)
    return [(http, "this portal") for http in sorted(own)] + [(http, PROXY) for http in sorted(proxy)]


def hint(http: FoundCode | None, stroom: FoundCode | None) -> str:
    """Return where to look for the missing number of an answer, if it decides."""
    if http is None and stroom is not None and stroom.code == 0:
        return CHECK_FIRST
    if http is not None and stroom is None and 200 <= http.code < 300:
        return LOOK_FOR_STATUS
    if http is not None and stroom is None and http.code == REASON_IN_STATUS:
        return "Where Stroom answered, its Stroom-Status header says why; curl -i shows it."
    return ""


def _judge(http: FoundCode | None, stroom: FoundCode | None) -> Pair:
    if http is None or stroom is None:
        text = f"Give both numbers to see whether they fit. {hint(http, stroom)}".strip()
        return Pair(http, stroom, text)
    if not stroom.known:
        text = f"Stroom {stroom.code} is in no version of Stroom that we know: act on HTTP {http.code}."
        if contradicts(http.code, stroom.code):
            text = f"{_NOT_DONE} Stroom {stroom.code} is in no version of Stroom that we know."
        return Pair(http, stroom, text, consistent=False)
    generations = tuple(_generations(http.code, stroom))
    if generations:
        text = _fits(http.code, stroom, generations)
        return Pair(http, stroom, text, consistent=True, generations=generations)
    return Pair(http, stroom, _does_not_fit(http.code, stroom), consistent=False)


def _generations(http: int, stroom: FoundCode) -> Sequence[str]:
    """The documented status is the first of a code's list, that of current Stroom the last."""
    sources = {entry.source_id for entry in stroom.entries}
    found = []
    if DOCUMENTED_SOURCE in sources and http == stroom.http_statuses[0]:
        found.append(DOCUMENTED)
    if CURRENT_SOURCE in sources and http == stroom.http_statuses[-1]:
        found.append(CURRENT)
    if not found and (http, stroom.code) in PORTAL_PAIRS:
        found.append(PORTAL)
    if not found and (http, stroom.code) in PROXY_PAIRS:
        found.append(PROXY)
    if not found and http in {span["http_status"] for span in stroom.releases}:
        found.append(OLDER)
    return found


def _fits(http: int, stroom: FoundCode, generations: Collection[str]) -> str:
    senders = " and ".join(GENERATION_NAMES[generation] for generation in generations)
    verb = "answer" if len(generations) > 1 else "answers"
    text = f"HTTP {http} with Stroom {stroom.code} is what {senders} {verb} for “{stroom.name}”."
    if PROXY in generations:
        return f"{text} Nothing was stored: act on HTTP {http}."
    others = [status for status in stroom.http_statuses if status != http]
    if others:
        listed = " or ".join(f"HTTP {status}" for status in others)
        text += f" Other versions send {listed} with it: let your program act on the Stroom-Status."
    return text


_NOT_DONE = "Keep the data and ask the Stroom administrators: this delivery does not count as done."


def _does_not_fit(http: int, stroom: FoundCode) -> str:
    expected = " or ".join(f"HTTP {status}" for status in stroom.http_statuses)
    text = f"Stroom {stroom.code} comes with {expected}, not with HTTP {http}."
    if stroom.code == 0:
        return f"{_NOT_DONE} {text} Only HTTP 200 with Stroom 0 is a success."
    if contradicts(http, stroom.code):
        return f"{_NOT_DONE} {text}"
    return f"{text} Keep the data: something between you and Stroom, such as a proxy, may have changed the status."
