"""What an HTTP status and a Stroom-Status say together: whether they fit, and which Stroom would send them so."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from codes.resolve import FoundCode

DOCUMENTED, CURRENT, PORTAL = "documented", "current", "portal"
DOCUMENTED_SOURCE, CURRENT_SOURCE = "stroom-response-codes", "stroom-source"
GENERATION_NAMES = {
    DOCUMENTED: "the Stroom of the response-codes page",
    CURRENT: "the Stroom of today",
    PORTAL: "this portal",
}
# What this portal sends beyond the documented pairs, because a sender's program reads the HTTP status first.
PORTAL_PAIRS = frozenset({(503, 999), (405, 999), (400, 999), (411, 999), (431, 999), (501, 999), (413, 410)})


@dataclass(frozen=True)
class Pair:
    """Two codes of one answer. `consistent` is None while one of them is missing."""

    http: FoundCode | None
    stroom: FoundCode | None
    explanation: str
    consistent: bool | None = None
    generations: tuple[str, ...] = ()

    @property
    def generation(self) -> str | None:
        """Who sends the pair so, in words joined by "+"; None where nobody does."""
        return "+".join(self.generations) or None


def judge(http: FoundCode | None, stroom: FoundCode | None) -> Pair:
    """Say whether the two fit."""
    if http is None or stroom is None:
        return Pair(http, stroom, "Give both numbers to see whether they fit.")
    if not stroom.known:
        text = f"Stroom {stroom.code} is in no version of Stroom that we know: act on HTTP {http.code}."
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
    return found or [CURRENT] * (http in stroom.http_statuses)


def _fits(http: int, stroom: FoundCode, generations: Collection[str]) -> str:
    senders = " and ".join(GENERATION_NAMES[generation] for generation in generations)
    verb = "answer" if len(generations) > 1 else "answers"
    text = f"HTTP {http} with Stroom {stroom.code} is what {senders} {verb} for “{stroom.name}”."
    others = [status for status in stroom.http_statuses if status != http]
    if others:
        listed = " or ".join(f"HTTP {status}" for status in others)
        text += f" Other versions send {listed} with it: let your program act on the Stroom-Status."
    return text


def _does_not_fit(http: int, stroom: FoundCode) -> str:
    expected = " or ".join(f"HTTP {status}" for status in stroom.http_statuses)
    text = f"Stroom {stroom.code} comes with {expected}, not with HTTP {http}."
    if http == 200 and stroom.code != 0:
        return f"{text} Do not count this delivery as done: keep the data, and ask the Stroom administrators."
    if stroom.code == 0:
        return f"{text} Do not count this delivery as done: only HTTP 200 with Stroom 0 is a success."
    return f"{text} Something between you and Stroom, such as a proxy, may have changed the status."
