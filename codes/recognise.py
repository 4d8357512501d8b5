"""Finds status codes in pasted text: responses, curl output, log lines, client messages, Stroom's error bodies.

Pure: the vocabulary (names and messages by code) is passed in. Every pattern asks for the words or the shape around
a number, because a number alone in prose is a count, a port or a year far more often than a status code.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

MAX_LENGTH = 64 * 1024
MAX_FINDINGS = 200
HTTP, STROOM = "http", "stroom"


@dataclass(frozen=True)
class Found:
    """One code found in the text.

    `start` and `end` are character offsets of the passage that was recognised, `kind` what sort of passage it is,
    `passage` the passage itself.
    """

    registry: str
    code: int
    kind: str
    start: int
    end: int
    passage: str


@dataclass(frozen=True)
class Pair:
    """An HTTP status and the Stroom-Status of the same answer; either may be missing."""

    http: int | None
    stroom: int | None
    found: tuple[Found, ...]


@dataclass(frozen=True)
class Vocabulary:
    """What the catalogue calls its codes, for passages that name one beside its number or instead of it.

    `names` has for each HTTP code every name it has or had; `messages` leads from Stroom's message texts and
    constants to their Stroom-Status. Messages that are common words ("OK", "Unknown error") do not belong there.
    """

    names: Mapping[int, Sequence[str]] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.MULTILINE | re.VERBOSE)


_PREFIX = r"^(?:[<>*]\ |\s{0,8}|.{0,120}\bResponse:\ )"
# Keys under which JSON logs, logfmt lines and API bodies keep a status.
_HTTP_KEYS = (
    r"(?:http[._-]?)?(?:response[._-]?)?status(?:[._-]?code)?|response[._-]?code|sc-status|"
    r"(?:upstream|downstream|origin|elb|target|edge)[._-]?(?:response[._-]?)?status(?:[._-]?code)?"
)
_STROOM_KEYS = r"stroom[._-]?status(?:[._-]?code)?"

# Kind, and a pattern whose groups `http` or `stroom` hold the numbers. Earlier ones win where two overlap.
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("status line", _pattern(_PREFIX + r"HTTP/\d(?:\.\d)?\ (?P<http>\d{3})(?:\ [^\r\n]{0,120}?)?\r?$")),
    ("Stroom-Status header", _pattern(_PREFIX + r"Stroom-Status:\ *(?P<stroom>\d{1,3})\ *\r?$")),
    (
        "Stroom error",
        _pattern(r"\bStroom\ Status\ (?P<stroom>\d{1,3})\ -\ [^\r\n\[]{2,120}(?:\[[^\]\r\n]{0,400}\])?"),
    ),
    (
        "access log line",
        _pattern(
            r"^\S{1,255}\ \S{1,255}\ [^\[\r\n]{1,255}\ ?\[\d{2}/[A-Z][a-z]{2}/\d{4}:[^\]]{1,30}\]\ "
            r'"(?:[^"\\\r\n]|\\.){0,8000}"\ (?P<http>\d{3})\ (?:\d+|-)(?:\ |\r?$)'
        ),
    ),
    (
        "JSON field",
        _pattern(rf'"(?:{_HTTP_KEYS})"\s*:\s*"?(?P<http>[1-9]\d\d)(?:"|(?=\s*[,}}\]\r\n]))'),
    ),
    ("JSON field", _pattern(rf'"{_STROOM_KEYS}"\s*:\s*"?(?P<stroom>\d{{1,3}})(?:"|(?=\s*[,}}\]\r\n]))')),
    ("log field", _pattern(rf"(?:^|(?<=[\s,;\[(])){_STROOM_KEYS}[=:]\s?\"?(?P<stroom>\d{{1,3}})\b(?![.\d])")),
    ("log field", _pattern(rf"(?:^|(?<=[\s,;\[(]))(?:{_HTTP_KEYS})=\"?(?P<http>[1-9]\d\d)\b(?![.:/\d])")),
    ("curl error", _pattern(r"\bcurl:\ \(22\)\ [^\r\n]{0,80}?error:\ (?P<http>\d{3})\b")),
    (
        "client error",
        _pattern(
            r"""\b(?:
                (?:failed|error|errored|rejected|responded|returned|response|answered|request|got|received|unexpected|bad)
                    \ (?:\w+\ ){0,3}?(?:status|response|error)\ ?(?:code)?:?\ (?P<http>[1-5]\d\d)\b
                | (?:http\ )?(?:status|response)\ code:?\ (?:is\ |was\ |of\ )?(?P<http2>[1-5]\d\d)\b
                | HTTP\ (?:error|status|response|code):?\ (?:code:?\ )?(?P<http3>[1-5]\d\d)\b
                | remote\ server\ returned\ an\ error:\ \((?P<http4>[1-5]\d\d)\)
                | (?:client|server)\ error\ '(?P<http5>[1-5]\d\d)\ [^'\r\n]{1,80}'
                | ERROR\ (?P<http6>[45]\d\d):\ [A-Z]
                | awaiting\ response\.\.\.\ (?P<http7>[1-5]\d\d)\b
            )"""
        ),
    ),
    ("client error", _pattern(r"(?:^|\ )(?P<http>[45]\d\d)\ (?:Client|Server)\ Error:\ [^\r\n]{1,300}")),
    ("code named in text", _pattern(r"(?<![\w./:-])HTTP[ -](?P<http>[1-5]\d\d)\b(?![.\d]\d|/\d)")),
    ("code named in text", _pattern(r"(?<![\w./:-])Stroom(?:-Status)?[ :]\ ?(?P<stroom>\d{1,3})\b(?![.\d]\d)")),
)
# The whole input is a question about a code or a pair, as one types it into a search box.
_QUESTION = re.compile(
    r"""\s*(?:
        (?:http(?:\ status)?\s*)?(?P<http>\d{3})
            (?:\s*[/+,&]\s*|\s+(?:and\s+|with\s+)?|\s*-\s*)
            (?:stroom(?:[- ]status)?\s*:?\s*)?(?P<stroom>\d{1,3})
        | (?:http(?:\ status)?\s*)?(?P<http_only>\d{3})
        | stroom(?:[- ]status)?\s*:?\s*(?P<stroom_only>\d{1,3})
    )\s*""",
    re.IGNORECASE | re.VERBOSE,
)


def recognise(text: str, vocabulary: Vocabulary) -> list[Found]:
    """Find the codes in a text, in the order they stand there; passages do not overlap."""
    asked = list(_question(text))
    if asked:
        return asked
    taken: list[Found] = []
    for found in _candidates(text, vocabulary):
        if not any(found.start < other.end and other.start < found.end for other in taken):
            taken.append(found)
        if len(taken) >= MAX_FINDINGS:
            break
    return sorted(taken, key=lambda found: found.start)


def pair_up(findings: Sequence[Found]) -> list[Pair]:
    """Join what belongs to one answer: an HTTP status and the Stroom-Status that follows it, each once.

    The same pair found again, as a header and then in the body, is one pair with more findings.
    """
    pairs: list[Pair] = []
    for found in findings:
        if found.registry == HTTP:
            pairs.append(Pair(found.code, None, (found,)))
        else:
            _join_stroom(pairs, found)
    merged: dict[tuple[int | None, int | None], Pair] = {}
    for pair in pairs:
        key = (pair.http, pair.stroom)
        earlier = merged.get(key)
        merged[key] = Pair(pair.http, pair.stroom, (*earlier.found, *pair.found)) if earlier else pair
    return list(merged.values())


def _join_stroom(pairs: list[Pair], found: Found) -> None:
    last = pairs[-1] if pairs else None
    if last and last.stroom in {None, found.code}:
        pairs[-1] = Pair(last.http, found.code, (*last.found, found))
    else:
        pairs.append(Pair(None, found.code, (found,)))


def _question(text: str) -> Iterator[Found]:
    match = _QUESTION.fullmatch(text)
    if match is None:
        return
    for group, code in match.groupdict().items():
        if code is not None:
            registry = STROOM if group.startswith("stroom") else HTTP
            yield Found(registry, int(code), "question", *match.span(group), code)


def _candidates(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            group = str(match.lastgroup)
            registry = STROOM if group.startswith("stroom") else HTTP
            yield _found(match, registry, int(match.group(group)), kind)
    yield from _named(text, vocabulary)
    yield from _messages(text, vocabulary)


def _found(match: re.Match[str], registry: str, code: int, kind: str) -> Found:
    passage = match.group()
    start = match.start() + len(passage) - len(passage.lstrip())
    stripped = passage.strip()
    return Found(registry, code, kind, start, start + len(stripped), stripped)


def _named(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """A number with its own name beside it, as in `404 Not Found` or `Response code 404 (Not Found)`."""
    for match in re.finditer(r"(?<![\w.,:/-])([1-9]\d\d)(?: - |: | \(| )(?=[A-Za-z(])", text):
        code = int(match.group(1))
        rest = text[match.end() : match.end() + 60].casefold()
        for name in vocabulary.names.get(code, ()):
            if rest.startswith(name.casefold()) and not rest[len(name) : len(name) + 1].isalnum():
                end = match.end() + len(name)
                yield Found(HTTP, code, "code with its name", match.start(), end, text[match.start() : end])
                break


def _messages(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """One of Stroom's messages or constants, which stand for their number even where it is missing."""
    for message, code in vocabulary.messages.items():
        for match in re.finditer(rf"(?<!\w){re.escape(message)}(?!\w)", text, re.IGNORECASE):
            yield _found(match, STROOM, code, "Stroom message")
