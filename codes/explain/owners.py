"""Owners of a number that several use: the words by which a text names one. Pure."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from codes.explain.patterns import ACCESS_LOG, SERVER_LOG


@dataclass(frozen=True)
class Sign:
    """Words that name the owner of a number, with an example and a text that does not name it."""

    code: int
    owner: str
    pattern: re.Pattern[str]
    example: str
    counter_example: str


def _sign(code: int, owner: str, pattern: str, example: str, counter_example: str) -> Sign:
    return Sign(code, owner, re.compile(pattern, re.IGNORECASE | re.VERBOSE), example, counter_example)


SIGNS: tuple[Sign, ...] = (
    _sign(
        308,
        "google",
        r"\bResume\ Incomplete\b",
        "HTTP/1.1 308 Resume Incomplete",
        "HTTP/1.1 308 Permanent Redirect",
    ),
    _sign(451, "microsoft", r"\bX-MS-Location\b|\bActiveSync\b", "X-MS-Location: https://x", "Location: https://x"),
    _sign(
        451,
        "ietf",
        r"\bUnavailable\ For\ Legal\ Reasons\b|\brel=\"?blocked-by",
        "451 Unavailable For Legal Reasons",
        "451 Redirect",
    ),
    _sign(499, "esri", r"\bToken\ Required\b|\barcgis\b", '{"code":499,"message":"Token Required"}', "a token"),
    _sign(
        499, "nginx", r"\bnginx\b|\bClient\ Closed\ Request\b", "499 Client Closed Request", "499 Token Required"
    ),
)
# nginx writes its 499 into logs alone, so that a log line with it is never about another owner's.
_LOGGED = {499: "nginx"}


def owner_meant(code: int, text: str, kinds: Collection[str]) -> str:
    """Return the owner that the text names; empty where it names none."""
    for sign in SIGNS:
        if sign.code == code and sign.pattern.search(text):
            return sign.owner
    return _LOGGED.get(code, "") if {ACCESS_LOG, SERVER_LOG} & set(kinds) else ""
