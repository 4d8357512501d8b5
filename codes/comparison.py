"""Several codes side by side: which rows to show, and in which of them the codes differ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codes import words
from codes.models import Meaning
from codes.resolve import FoundCode


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
    ReadySet("Not allowed or not there", "http", (401, 403, 404, 407, 410)),
    ReadySet("Bad request or bad content", "http", (400, 409, 415, 422)),
    ReadySet("Too much", "http", (413, 414, 429, 431)),
    ReadySet("Conditions", "http", (304, 412, 428)),
    ReadySet("Failing servers", "http", (500, 502, 503, 504)),
    ReadySet("No content", "http", (200, 202, 204, 205)),
    ReadySet("Stroom: the feed", "stroom", (100, 110)),
    ReadySet("Stroom: the certificate", "stroom", (300, 310)),
    ReadySet("Stroom: the data", "stroom", (200, 400, 999)),
)


def compare(codes: Sequence[FoundCode]) -> list[Row]:
    """The table without its heading; each cell is about the first meaning of its code."""
    return [Row(aspect, tuple(_cell(code, of) for code in codes)) for aspect, of in ASPECTS]


def _cell(code: FoundCode, of: Callable[[FoundCode, Meaning], str]) -> str:
    if not code.meanings:
        return f"not in the catalogue; act as on {code.treat_as}" if code.treat_as else "not in the catalogue"
    return of(code, code.meanings[0])


def _verdict(_: FoundCode, meaning: Meaning) -> str:
    return words.VERDICTS[meaning.retry_verdict]


def _same_request(_: FoundCode, meaning: Meaning) -> str:
    return words.YES_NO[meaning.retry["same_request"]]


def _retry_after(_: FoundCode, meaning: Meaning) -> str:
    return words.YES_NO[meaning.retry["honours_retry_after"]]


def _idempotent(_: FoundCode, meaning: Meaning) -> str:
    return words.YES_NO[meaning.retry["idempotent_only"]]


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
    ("Storing in a cache", lambda _, meaning: words.CACHEABILITY[meaning.cacheability]),
    ("Content", lambda _, meaning: words.BODIES[meaning.body]),
    ("Headers", _headers),
    ("Standing", lambda code, _: words.STANDINGS[code.standing]),
)
