"""Advice on deliveries: only HTTP 200 with Stroom-Status 0 says that Stroom has the data.

Everything else is not known to be taken. Where the catalogue's advice on one of the two numbers would let a sender
drop its copy, advice that keeps the data takes its place.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codes.catalogue.values import STROOM, Verdict
from codes.lookup import RULE, FoundCode
from codes.models import Meaning

NO_ANSWER = "No HTTP answer came; nothing is confirmed; keep the data."
TUNNEL = "The tunnel through the proxy is open, no answer came; nothing is confirmed; keep the data."
KEEP = "Keep the data and send it again later."
_CHECK = "Check address, name resolution, firewall and proxy."
TELL = "Tell the Stroom administrators, with the time and the whole answer."
CHECK_FIRST = (
    "Check the HTTP status before anything else: Stroom-Status 0 counts only with HTTP 200. Keep the data until "
    "you have seen both; curl -i shows them."
)
LOOK_FOR_STATUS = (
    f"{RULE}. Where Stroom answered, its Stroom-Status header says whether the data was taken; curl -i shows it. "
    "Without that header keep the data: a login page or a proxy may have answered."
)
_AGAIN: Mapping[str, Any] = {
    "verdict": Verdict.AS_IS_LATER,
    "same_request": True,
    "honours_retry_after": False,
    "idempotent_only": False,
    "needs_person": "Stroom administrator",
    "backoff": "",
    "note": "A second copy in Stroom does less harm than none: the portal marks what arrives twice.",
    "source": {"source": "stroom-response-codes", "lines": [27, 28]},
}
_INVESTIGATE = (
    "Find out what answered in place of Stroom, or changed its answer: compare the log of the portal with that of "
    "each proxy on the way. Look the delivery up by its X-Request-ID or time before anybody counts it as stored."
)


@dataclass(frozen=True)
class AdvisedCode(FoundCode):
    """A code whose advice is not the catalogue's, because of the other number of its answer."""

    advised: tuple[Meaning, ...] = ()

    @property
    def meanings(self) -> list[Meaning]:
        return list(self.advised)

    @property
    def name(self) -> str:
        return self.advised[0].name if self.advised else super().name


_UNREACHED = (
    "Look whether the portal and each proxy in front of it ran at that time and can be reached from the sender. A "
    "request that arrived is in the log of the portal: look it up by its X-Request-ID or time before anybody "
    "counts the data as lost or as stored."
)


@dataclass(frozen=True)
class SenderAdvice:
    """Advice for one code of an answer; `found` is None where no server answered."""

    found: FoundCode | None
    meanings: Sequence[Meaning]


def is_confirmed(http: int | None, stroom: int | None) -> bool:
    """Whether the two numbers say that Stroom has taken the data."""
    return http == 200 and stroom == 0


def contradicts(http: int | None, stroom: int | None) -> bool:
    """Whether one of the two numbers says success and the other does not."""
    if http is None or stroom is None:
        return False
    return http != 200 if stroom == 0 else http < 300


def cautious(
    found: FoundCode | None, http: int | None, stroom: int | None, *, delivery: bool = False
) -> FoundCode | None:
    """The code with advice that fits an answer of these two numbers.

    `delivery` is true where a single number is known to have answered a delivery.
    """
    if found is None or not found.meanings or is_confirmed(http, stroom):
        return found
    if found.registry.slug == STROOM:
        return _cautious_stroom(found, http)
    if contradicts(http, stroom) or (stroom is None and delivery and http is not None and http < 300):
        return _advised(found, [_not_taken(meaning, stroom) for meaning in found.meanings])
    if stroom is not None or delivery:
        return _advised(found, [_kept(meaning, stroom) for meaning in found.meanings])
    return found


def no_answer(*, tunnel: bool = False, cause: str = "") -> SenderAdvice:
    """Return the advice where no server answered."""
    sender = (
        f"{KEEP} Nothing says that it arrived, and nothing says that it did not: Stroom takes a second copy. "
        f"{cause or _CHECK} If it stays so, tell the Stroom administrators."
    )
    summary = (
        "The proxy opened a tunnel, which is its own answer to CONNECT. The server behind it has not answered."
        if tunnel
        else "No server answered, so there is no HTTP status and no Stroom-Status."
        if cause
        else "No server answered. Programs write 000, 0 or -1 in place of a status when the connection failed, was "
        "cut or timed out; such a number is neither an HTTP status nor a Stroom-Status."
    )
    meaning = Meaning(
        key="http/0/none",
        owner_id="",
        name="Tunnel open, no answer" if tunnel else "No HTTP answer",
        summary=summary,
        what_to_do={"sender": sender, "server": "", "administrator": _UNREACHED},
        retry_verdict=Verdict.AS_IS_LATER,
        retry={**_AGAIN, "needs_person": ""},
    )
    return SenderAdvice(None, [meaning])


def _cautious_stroom(found: FoundCode, http: int | None) -> FoundCode:
    if found.code != 0:
        return found
    if http is not None:
        return _advised(found, [_not_taken(meaning, 0) for meaning in found.meanings])
    retry = {"verdict": Verdict.UNKNOWN, "note": f"{RULE}: the other number decides."}
    return _advised(found, [_replaced(meaning, CHECK_FIRST, "", retry) for meaning in found.meanings])


def _not_taken(meaning: Meaning, stroom: int | None) -> Meaning:
    """Advice for an answer that says success in one place only."""
    said = "This answer has no Stroom-Status" if stroom is None else "This answer contradicts itself"
    sender = f"{KEEP} {RULE}. {said}: do not count the data as delivered. {TELL}"
    return _replaced(meaning, sender, _INVESTIGATE, _AGAIN)


def _kept(meaning: Meaning, stroom: int | None) -> Meaning:
    """The advice of the code itself, after the one thing that holds for every failed delivery."""
    if meaning.retry_verdict == Verdict.NOT_NEEDED:
        return _not_taken(meaning, stroom)
    sender = meaning.what_to_do.get("sender", "")
    if sender.casefold().startswith("keep the data"):
        return meaning
    advised = copy.copy(meaning)
    advised.what_to_do = {**meaning.what_to_do, "sender": f"Keep the data. {sender}".strip()}
    return advised


def _replaced(meaning: Meaning, sender: str, administrator: str, retry: Mapping[str, Any]) -> Meaning:
    advised = copy.copy(meaning)
    advised.what_to_do = {**meaning.what_to_do, "sender": sender, "administrator": administrator}
    advised.retry = {**meaning.retry, **retry}
    advised.retry_verdict = advised.retry["verdict"]
    return advised


def _advised(found: FoundCode, meanings: Sequence[Meaning]) -> AdvisedCode:
    return AdvisedCode(
        found.registry,
        found.code,
        found.code_class,
        found.row,
        found.noted,
        found.catalogue,
        advised=tuple(meanings),
    )
