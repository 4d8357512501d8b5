"""The feed decision a second time, as the table of the receipt contract (section 5, steps 1 to 7) has it.

Written from the contract alone and in another shape than the product: one row for each step, the first that applies
answers. It knows nothing of names and certificates; a question says only which facts hold.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class RuleFact:
    """One rule: `allow` or `deny`, whether it fits the sender's DN, whether its time is over, whether it belongs to
    no feed, and whether it is about tokens and fits the sender's instead.
    """

    action: str
    fits: bool
    over: bool = False
    everywhere: bool = False
    of_tokens: bool = False


@dataclass(frozen=True)
class Question:
    """Everything steps 1 to 7 look at. `status` is None for a feed that does not exist."""

    feed: str | None
    status: str | None
    policy: str
    certificate: str  # none, unverified, expired, good
    rules: tuple[RuleFact, ...]
    compression: str | None
    content_encoding: str | None
    #: none, bad, good; None where no tokens are taken.
    token: str | None = None


@dataclass(frozen=True)
class Answer:
    """What the sender is told, what becomes of the data, and how far the evaluation went."""

    http: int
    code: int
    message: str
    action: str
    last_step: int


def _missing(text: str | None) -> bool:
    return text is None or text.strip() == ""


def _guarded(question: Question) -> bool:
    return question.policy in ("required", "restricted")


def _shows_nothing(question: Question) -> bool:
    return question.certificate == "none" and question.token in (None, "none")


def _nothing_counts(question: Question) -> bool:
    return question.certificate != "good" and question.token != "good"


def _a_rule_fits(question: Question, action: str) -> bool:
    return any(_fits(question, rule) for rule in question.rules if rule.action == action and not rule.over)


def _fits(question: Question, rule: RuleFact) -> bool:
    shown = question.token if rule.of_tokens else question.certificate
    return rule.fits and shown == "good"


def _denied_everywhere(question: Question) -> bool:
    return any(_fits(question, rule) and not rule.over for rule in question.rules if rule.everywhere)


def _not_allowed(question: Question) -> bool:
    return question.policy == "restricted" and not _a_rule_fits(question, "allow")


def _compression_unknown(question: Question) -> bool:
    named = "NONE" if _missing(question.compression) else str(question.compression).strip().upper()
    coding = "identity" if _missing(question.content_encoding) else str(question.content_encoding).strip().lower()
    return named not in ("ZIP", "GZIP", "NONE") or coding not in ("gzip", "x-gzip", "identity")


Row = tuple[int, Callable[[Question], bool], int, int, str]

NOT_RECEIVING = "Feed is not set to receive data"
NOT_AUTHORISED = "Client Certificate not authorised"
TOKEN_FAILED = "Client Token failed authentication"

TABLE: tuple[Row, ...] = (
    (1, lambda q: _missing(q.feed), 406, 100, "Feed must be specified"),
    (2, lambda q: q.status is None, 406, 110, NOT_RECEIVING),
    (3, lambda q: q.status == "Reject", 406, 110, NOT_RECEIVING),
    (4, lambda q: _guarded(q) and _shows_nothing(q) and q.token is None, 401, 300, "Client Certificate Required"),
    (4, lambda q: _guarded(q) and _shows_nothing(q), 401, 302, "Client token or certificate required"),
    (5, lambda q: _guarded(q) and _nothing_counts(q) and q.token == "bad", 401, 311, TOKEN_FAILED),
    (5, lambda q: _guarded(q) and _nothing_counts(q), 403, 310, NOT_AUTHORISED),
    (6, _denied_everywhere, 403, 310, NOT_AUTHORISED),
    (6, lambda q: _guarded(q) and _a_rule_fits(q, "deny"), 403, 310, NOT_AUTHORISED),
    (6, lambda q: _not_allowed(q) and q.token == "bad", 401, 311, TOKEN_FAILED),
    (6, _not_allowed, 403, 310, NOT_AUTHORISED),
    (7, _compression_unknown, 406, 200, "Unknown compression"),
)


def answer(question: Question, last_step: int = 7) -> Answer:
    """Ask the table; `last_step` is 6 for the feed decision alone."""
    for step, applies, http, code, message in TABLE:
        if step <= last_step and applies(question):
            return Answer(http, code, message, "Reject", step)
    return Answer(200, 0, "OK", str(question.status), last_step)
