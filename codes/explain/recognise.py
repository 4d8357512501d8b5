"""Finds status codes in pasted text: responses, curl output, log lines, client messages, Stroom's error bodies.

Pure: the vocabulary (names and messages by code) is passed in. `patterns` holds the shapes that are looked
for; every one asks for the words or the signs around a number, because a number alone in prose is a count, a port
or a year far more often than a status code.
"""

import re
from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from codes.explain import unanswered
from codes.explain.colours import Plain, without_colours
from codes.explain.patterns import (
    ACCESS_LOG,
    FIELD,
    FIELDS_LINE,
    IN_TEXT,
    JSON_FIELD,
    NAMED,
    PADDED_PAIR,
    QUESTION,
    QUESTION_SHAPE,
    SHAPES,
    STATUS_LINE,
    STROOM_MESSAGE,
    TUNNEL,
)
from codes.explain.prose import spoken
from codes.explain.unanswered import NO_STATUS, Tunnels

MAX_LENGTH = 64 * 1024
MAX_FINDINGS = 1000
HTTP, STROOM = "http", "stroom"

_LONGEST_QUESTION = 200
_BLANKS_OF_SHORT_MESSAGE = 3
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_OF_TUNNELS = frozenset({STATUS_LINE, ACCESS_LOG})
_HTTP_NUMBER = re.compile(r"[1-9]\d\d")
_LOWER_CASE_WORD = re.compile(r"\s(?!(?:errors?|responses?|status|page|for url|from GET|from POST)\b)[a-z]")


@dataclass(frozen=True)
class Found:
    """One code found in the text; `NO_STATUS` where the passage says that no server answered.

    `start` and `end` are character offsets of the passage that was recognised, `kind` what sort of passage it is,
    `passage` the passage itself, `line` the line it begins on, counted from 1.
    """

    registry: str
    code: int
    kind: str
    start: int
    end: int
    passage: str
    line: int = 1


@dataclass(frozen=True)
class Vocabulary:
    """What the catalogue calls its codes, for passages that name one beside its number or instead of it.

    `names` has for each HTTP code every name it has or had; `messages` leads from Stroom's message texts and
    constants to their Stroom-Status. Messages that are common words ("OK", "Unknown error") do not belong there.
    `stroom_codes` are all numbers that Stroom uses; empty means that none is known to be wrong. `pairs` has for
    each of them the HTTP statuses that it comes with. `constants` are Stroom's constants where a field's name says
    that one follows, common words included.
    """

    names: Mapping[int, Sequence[str]] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)
    stroom_codes: Collection[int] = ()
    pairs: Mapping[int, Collection[int]] = field(default_factory=dict)
    constants: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def ordered_messages(self) -> tuple[tuple[str, str, int], ...]:
        """Each message, the same in lower case, and its code; the longest first, since it says more."""
        ordered = sorted(self.messages.items(), key=lambda item: -len(item[0]))
        return tuple((message, message.translate(_ASCII_LOWER), code) for message, code in ordered)

    def may_be_stroom(self, code: int) -> bool:
        return not self.stroom_codes or code in self.stroom_codes


def recognise(text: str, vocabulary: Vocabulary) -> list[Found]:
    """Find the codes in a text, in the order they stand there; passages do not overlap."""
    plain = without_colours(text)
    taken: list[Found] = list(_question(plain.text, vocabulary))
    if not taken:
        for found in _candidates(plain.text, vocabulary):
            if len(taken) >= MAX_FINDINGS:
                break
            if _is_free(taken, found):
                insort(taken, found, key=lambda other: other.start)
    return _placed(text, plain, taken)


def _is_free(taken: Sequence[Found], found: Found) -> bool:
    """Say whether a passage touches none of those before and after it; they are sorted and do not overlap."""
    place = bisect_left(taken, found.start, key=lambda other: other.start)
    before = place > 0 and taken[place - 1].end > found.start
    after = place < len(taken) and taken[place].start < found.end
    return not before and not after


def _placed(text: str, plain: Plain, findings: Sequence[Found]) -> list[Found]:
    """The findings where they stand in the text as it was given, with their lines."""
    placed, line, position = [], 1, 0
    for one in findings:
        start, end = plain.original(one.start, one.end)
        line += text.count("\n", position, start)
        position = start
        placed.append(Found(one.registry, one.code, one.kind, start, end, text[start:end], line))
    return placed


# --- a question ---


def _question(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """The whole text is "406/110", "404", "stroom 310", "404 not found" or "000"."""
    if len(text) > _LONGEST_QUESTION:
        return
    if unanswered.QUESTION_SHAPE.fullmatch(text):
        start, end = _trimmed(text, 0, len(text))
        yield Found(HTTP, NO_STATUS, QUESTION, start, end, text[start:end])
        return
    if padded := PADDED_PAIR.fullmatch(text):
        yield _asked(padded, "http", HTTP)
        return
    match = QUESTION_SHAPE.fullmatch(text)
    if match is None:
        return
    if match["http"]:
        yield from _asked_pair(match, vocabulary)
    elif match["http_only"]:
        yield _asked(match, "http_only", _registry_of(int(match["http_only"]), vocabulary))
    elif match["stroom_only"]:
        yield _asked(match, "stroom_only", STROOM)
    elif _is_name(int(match["http_named"]), match["name"], vocabulary):
        start, end = match.start("http_named"), match.end("name")
        yield Found(HTTP, int(match["http_named"]), QUESTION, start, end, text[start:end])


def _asked_pair(match: re.Match[str], vocabulary: Vocabulary) -> Iterator[Found]:
    """Two numbers are a pair where a slash or a word says so, and the second may be Stroom's."""
    first, second = int(match["http"]), int(match["stroom"])
    words = match["http_word"] or match["stroom_word"]
    joined_by = match.string[match.end("http") : match.start("stroom")]
    if not words and not any(sign in joined_by for sign in "/+&"):
        return
    yield _asked(match, "http", HTTP)
    if match["stroom_word"] or vocabulary.may_be_stroom(second):
        yield _asked(match, "stroom", STROOM)
    elif second in vocabulary.names and first != second:
        yield _asked(match, "stroom", HTTP)


def _asked(match: re.Match[str], group: str, registry: str) -> Found:
    return Found(registry, int(match[group]), QUESTION, *match.span(group), match[group])


def _registry_of(code: int, vocabulary: Vocabulary) -> str:
    """A bare number is HTTP's, unless only Stroom uses it."""
    only_stroom = code in vocabulary.stroom_codes and code not in vocabulary.names
    return STROOM if only_stroom else HTTP


def _is_name(code: int, words: str, vocabulary: Vocabulary) -> bool:
    asked = _letters(words)
    return any(_letters(name) == asked for name in vocabulary.names.get(code, ()))


def _letters(words: str) -> str:
    return "".join(character for character in words.casefold() if character.isalnum())


# --- passages of a text ---


def _candidates(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    yield from _w3c_lines(text)
    yield from _spelt_out(text, vocabulary)
    tunnels = Tunnels(text)
    for shape in SHAPES:
        for match in shape.pattern.finditer(text):
            if shape.kind in _OF_TUNNELS and tunnels.opened_by(match, shape.kind):
                yield _tunnel(match)
            elif shape.kind != STATUS_LINE or _is_status_line(match, vocabulary):
                yield from _numbers(match, shape.kind)
    yield from map(_tunnel, tunnels.announced())
    yield from _constants(text, vocabulary)
    yield from _named(text, vocabulary)
    yield from _messages(text, vocabulary)
    for match in spoken(text, vocabulary.names, vocabulary.pairs):
        yield from _numbers(match, IN_TEXT)
    for shape in unanswered.SHAPES:
        for match in shape.pattern.finditer(text):
            yield from _numbers(match, shape.kind)


def _tunnel(match: re.Match[str]) -> Found:
    start, end = _trimmed(match.string, *match.span())
    return Found(HTTP, NO_STATUS, TUNNEL, start, end, match.string[start:end])


def _numbers(match: re.Match[str], kind: str) -> Iterator[Found]:
    """One passage for each number of the match; together they cover all of it."""
    groups = [
        group
        for group, value in match.groupdict().items()
        if value is not None and group.startswith((HTTP, STROOM))
    ]
    distinct = {(group.startswith(STROOM), match[group]): group for group in reversed(groups)}
    kept = sorted(distinct.values(), key=match.start)
    for position, group in enumerate(kept):
        start = match.start() if position == 0 else match.start(group)
        end = match.end() if position == len(kept) - 1 else match.end(group)
        registry = STROOM if group.startswith(STROOM) else HTTP
        start, end = _trimmed(match.string, start, end)
        code = int(match[group]) if registry == STROOM else _http_status(match[group])
        yield Found(registry, code, kind, start, end, match.string[start:end])


def _http_status(number: str) -> int:
    """The status, or `NO_STATUS` for what can be none: "000" and "-1" are written where no answer came."""
    return int(number) if _HTTP_NUMBER.fullmatch(number) else NO_STATUS


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    passage = text[start:end]
    start += len(passage) - len(passage.lstrip())
    return start, start + len(passage.strip())


def _is_status_line(match: re.Match[str], vocabulary: Vocabulary) -> bool:
    """Prose may break a line before "HTTP/1.1 200 requests…": a reason is the code's name or begins like one."""
    reason = match.groupdict().get("reason") or ""
    if not reason or not reason[0].islower() or not match.string[match.end() :].strip():
        return True
    names = vocabulary.names.get(int(match["http"]), ())
    if any(reason.casefold().startswith(name.casefold()) for name in names):
        return True
    return re.match(r"\r?\n[<>* \t]{0,8}[\w-]+:", match.string[match.end() : match.end() + 200]) is not None


def _w3c_lines(text: str) -> Iterator[Found]:
    """Lines of a W3C extended log (IIS, CloudFront, proxies), whose fields a line above them names."""
    column: int | None = None
    start = 0
    for line in text.splitlines(keepends=True):
        if head := FIELDS_LINE.match(line):
            names = head.group(1).casefold().split()
            column = names.index("sc-status") if "sc-status" in names else None
        elif column is not None and not line.startswith("#"):
            fields = FIELD.findall(line)
            if len(fields) > column and re.fullmatch(r"[1-9]\d\d|0{1,3}", fields[column]):
                begin, end = _trimmed(text, start, start + len(line))
                yield Found(HTTP, _http_status(fields[column]), ACCESS_LOG, begin, end, text[begin:end])
        start += len(line)


def _spelt_out(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """All of a Stroom code in one: `406 - 110 - Feed is not set to receive data`."""
    for match in re.finditer(r"(?<![\w.-])(?P<http>[1-5]\d\d) - (?P<stroom>0|[1-9]\d{0,2}) - (?=\w)", text):
        rest = text[match.end() : match.end() + 120].translate(_ASCII_LOWER)
        stroom = int(match["stroom"])
        if any(code == stroom and rest.startswith(name) for _, name, code in vocabulary.ordered_messages):
            yield from _numbers(match, STROOM_MESSAGE)


def _named(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """A number with its own name beside it, as in `404 Not Found` or `Response code 404 (Not Found)`."""
    for match in re.finditer(r"(?<![\w.,/-])(?<!\d:)([1-9]\d\d)(?: [-–] |: | \(| {1,2})(?=[A-Za-z(])", text):
        rest = text[match.end() : match.end() + 80]
        for name in vocabulary.names.get(int(match.group(1)), ()):
            if _names_it(rest, name):
                end = match.end() + len(name)
                yield Found(HTTP, int(match.group(1)), NAMED, match.start(), end, text[match.start() : end])
                break
        else:
            yield from _numbered_message(text, match, vocabulary)


def _numbered_message(text: str, number: re.Match[str], vocabulary: Vocabulary) -> Iterator[Found]:
    """One of Stroom's numbers with its own message behind it, however that is spelt."""
    rest = text[number.end() : number.end() + 120].translate(_ASCII_LOWER)
    for _, lower, code in vocabulary.ordered_messages:
        if code == int(number[1]) and rest.startswith(lower) and not rest[len(lower) : len(lower) + 1].isalnum():
            end = number.end() + len(lower)
            yield Found(STROOM, code, STROOM_MESSAGE, number.start(), end, text[number.start() : end])
            return


def _names_it(rest: str, name: str) -> bool:
    """Say whether a text begins with a name that is meant as one.

    "302 found items" and "100 continue to work" are prose: a single word has to be spelt as the name is, and no
    plain word may follow it. Of several words only other case makes them doubtful.
    """
    if rest[: len(name)].casefold() != name.casefold() or rest[len(name) : len(name) + 1].isalnum():
        return False
    if rest.startswith(name) and " " in name:
        return True
    exact = rest.startswith(name) or " " in name
    return exact and _LOWER_CASE_WORD.match(rest[len(name) :]) is None


def _constants(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """What a feed-status answer gives as the reason of a refusal: `"stroomStatusCode": "INVALID_TYPE"`."""
    for match in re.finditer(r'"stroomStatusCode"\s*:\s*"([A-Z_]{2,60})"', text):
        if match.group(1) in vocabulary.constants:
            yield Found(STROOM, vocabulary.constants[match.group(1)], JSON_FIELD, *match.span(), match.group())


def _messages(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """One of Stroom's messages or constants, which stand for their number even where it is missing."""
    lowered = text.translate(_ASCII_LOWER)
    for message, lower, code in vocabulary.ordered_messages:
        start = lowered.find(lower)
        while start >= 0:
            end = start + len(lower)
            if _stands_alone(text, start, end) and _is_said(text, start, message):
                yield Found(STROOM, code, STROOM_MESSAGE, start, end, text[start:end])
            start = lowered.find(lower, end)


def _stands_alone(text: str, start: int, end: int) -> bool:
    around = text[start - 1 : start] + text[end : end + 1]
    return not any(character.isalnum() or character == "_" for character in around)


def _is_said(text: str, start: int, message: str) -> bool:
    """A short message may be part of a sentence ("unknown compression method"): it counts as it is spelt, alone."""
    if "_" in message or message.count(" ") > _BLANKS_OF_SHORT_MESSAGE:
        return True
    return text.startswith(message, start) and not _LOWER_CASE_WORD.match(text, start + len(message))
