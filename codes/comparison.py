"""Comparison of several codes: the rows to show, and whether the codes differ in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codes import labels
from codes.lookup import FoundCode
from codes.models import Meaning


@dataclass(frozen=True)
class Row:
    """One aspect with the value of each code."""

    aspect: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class ReadySet:
    """A comparison that people often need."""

    title: str
    registry: str
    codes: tuple[int, ...]

    @property
    def query(self) -> str:
        prefix = "" if self.registry == "http" else f"registry={self.registry}&"
        return f"{prefix}codes={','.join(str(code) for code in self.codes)}"


READY_SETS = (
    ReadySet("Redirects", "http", (301, 302, 303, 307, 308)),
    ReadySet("Who you are, what you may, what is there", "http", (401, 403, 404)),
    ReadySet("Not there now, or gone for good", "http", (404, 410)),
    ReadySet("Bad request or bad content", "http", (400, 422)),
    ReadySet("Proxies whose server fails", "http", (502, 503, 504)),
    ReadySet("Server errors, by the part that fails", "http", (500, 502, 503, 504)),
    ReadySet("Too much", "http", (413, 414, 429, 431)),
    ReadySet("Conditions", "http", (304, 412, 428)),
    ReadySet("Success with and without content", "http", (200, 201, 202, 204, 205)),
    ReadySet("Stroom 1xx: feed and header arguments", "stroom", (100, 101, 102, 103, 104, 110, 111, 112, 113, 120)),
    ReadySet("Stroom 2xx and 4xx: compression and content", "stroom", (200, 400, 410)),
    ReadySet("Stroom 3xx: client identity", "stroom", (300, 301, 302, 303, 304, 310, 311, 312, 313, 314, 315)),
    ReadySet("Stroom: feed not given, or not taken", "stroom", (100, 110)),
    ReadySet("Stroom: certificate missing, or refused", "stroom", (300, 310)),
)


def compare(codes: Sequence[FoundCode]) -> list[Row]:
    """Return the rows of the table; each cell is about the first meaning of its code."""
    return [Row(aspect, tuple(_cell(code, of) for code in codes)) for aspect, of in ASPECTS]


def _cell(code: FoundCode, of: Callable[[FoundCode, Meaning], str]) -> str:
    if not code.meanings:
        return f"not in the catalogue; act as on {code.treat_as}" if code.treat_as else "not in the catalogue"
    return of(code, code.meanings[0])


def _verdict(_: FoundCode, meaning: Meaning) -> str:
    return labels.VERDICTS[meaning.retry_verdict]


def _same_request(_: FoundCode, meaning: Meaning) -> str:
    return labels.YES_NO[meaning.retry["same_request"]]


def _retry_after(_: FoundCode, meaning: Meaning) -> str:
    return labels.YES_NO[meaning.retry["honours_retry_after"]]


def _idempotent(_: FoundCode, meaning: Meaning) -> str:
    return labels.YES_NO[meaning.retry["idempotent_only"]]


def _headers(_: FoundCode, meaning: Meaning) -> str:
    return ", ".join(f"{header.name} ({header.level})" for header in meaning.headers.all()) or "none"


ASPECTS: Sequence[tuple[str, Callable[[FoundCode, Meaning], str]]] = (
    ("What it means", lambda _, meaning: meaning.summary),
    ("What the sender does", lambda _, meaning: meaning.what_to_do["sender"]),
    ("What the server's owner does", lambda _, meaning: meaning.what_to_do["server"] or "nothing"),
    ("Retry", _verdict),
    ("The same request again", _same_request),
    ("Retry-After counts", _retry_after),
    ("Automatic only for idempotent methods", _idempotent),
    ("Methods", lambda _, meaning: meaning.methods or "no special rule"),
    ("Storing in a cache", lambda _, meaning: labels.CACHEABILITY[meaning.cacheability]),
    ("Content", lambda _, meaning: labels.BODIES[meaning.body]),
    ("Headers", _headers),
    ("Standing", lambda code, _: labels.STANDINGS[code.standing]),
)
