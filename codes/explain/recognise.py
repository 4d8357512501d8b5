"""Finds status codes in pasted text: responses, curl output, log lines, client messages, Stroom's error bodies.

Pure: the vocabulary (names and messages by code) is passed in. `patterns` holds the shapes that are looked
for; every one asks for the words or the signs around a number, because a number alone in prose is a count, a port
or a year far more often than a status code.
"""

import re
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from codes.explain import unanswered
from codes.explain.faults import FAULTS
from codes.explain.findings import ASCII_LOWER, HTTP, STROOM, Found, Vocabulary, trimmed
from codes.explain.foreign import FOREIGN
from codes.explain.markup import Plain, without_markup
from codes.explain.patterns import (
    ACCESS_LOG,
    FAULT,
    FIELD,
    FIELDS_LINE,
    IN_TEXT,
    JSON_FIELD,
    LOG_FIELD,
    NAMED,
    SERVER_LOG,
    SERVER_PAGE,
    STATUS_LINE,
    STROOM_MESSAGE,
    TUNNEL,
    shape,
)
from codes.explain.prose import spoken
from codes.explain.question import asked
from codes.explain.shapes import SHAPES
from codes.explain.tables import table_cells
from codes.explain.unanswered import NO_STATUS, Tunnels
from codes.explain.words import DJANGO, ENUM, FORWARD, KUBERNETES, WORDS

MAX_LENGTH = 64 * 1024
MAX_FINDINGS = 1000

_BLANKS_OF_SHORT_MESSAGE = 3
_OF_TUNNELS = frozenset({STATUS_LINE, ACCESS_LOG})
_HTTP_NUMBER = re.compile(r"[1-9]\d\d")
NUMBER_BEFORE_NAME = shape(
    NAMED,
    r"""(?<![\w.,/-])(?<!\d:)(?P<http>[1-9]\d\d)(?:\ [-–]\ |:\ |\ \(|\)\ |\ {1,2}|\ ["'])(?=[^\W\d_]|\()
    |(?<=[|,;\t])(?<!\d,)\ ?(?P<http_cell>[1-9]\d\d)\ ?[|,;\t]\ ?(?=(?-i:[A-Z]))""",
    "it said 503 Service Unavailable\n| x | 404 | Not Found |",
    "12,503 Service Unavailable",
)
#: A row of two numbers that Stroom's message follows.
ROW = shape(
    LOG_FIELD,
    r"[|,;\t]\ ?(?P<http>[1-5]\d\d)\ ?[|,;\t]\ ?(?P<stroom>[1-9]\d\d)\ ?[|,;\t]",
    "| x | 406 | 110 | Feed is not set to receive data |",
    "| x | 406 | 1100 | y |",
)
NUMBER_AFTER_NAME = shape(NAMED, r"\s?\((?P<http>[1-9]\d\d)\)", "a Server Error (500) came", "a list (of 500)")
#: All of a Stroom code in one.
SPELT_OUT = shape(
    STROOM_MESSAGE,
    r"(?<![\w.-])(?P<http>[1-5]\d\d)\ -\ (?P<stroom>0|[1-9]\d{0,2})\ -\ (?=\w)",
    "x: 406 - 110 - Feed is not set to receive data",
    "1.406 - 110 - 4",
)
#: The reason of a refusal in a feed-status answer.
CONSTANT = shape(
    JSON_FIELD,
    r'"stroomStatusCode"\s*:\s*"(?P<name>(?-i:[A-Z_]{2,60}))"',
    '{"stroomStatusCode": "INVALID_TYPE"}',
    '{"stroomStatusCode": "invalid"}',
)
_LOWER_CASE_WORD = re.compile(
    r"""\s(?!(?:errors?|responses?|status|page|for[ ]url|from[ ]GET|from[ ]POST|nginx|apache|haproxy|cloudflare|iis
    |envoy|traefik)\b)[a-z]""",
    re.VERBOSE,
)


def recognise(text: str, vocabulary: Vocabulary) -> list[Found]:
    """Find the codes in a text, in the order they stand there; passages do not overlap."""
    plain = without_markup(text)
    taken: list[Found] = list(asked(plain.text, vocabulary))
    if not taken:
        for found in _candidates(plain.text, vocabulary):
            if len(taken) >= MAX_FINDINGS:
                break
            if _is_free(taken, found):
                insort(taken, found, key=lambda other: other.start)
    placed = _placed(text, plain, [one for one in taken if one.registry])
    answered = {one.line for one in placed if one.kind != FAULT}
    return [one for one in placed if one.kind != FAULT or one.line not in answered]


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


def _candidates(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    yield from _foreign(text)
    yield from _faults(unanswered.BROKEN_OFF.pattern, text)
    yield from _w3c_lines(text)
    yield from _server_words(text)
    yield from _spelt_out(text, vocabulary)
    tunnels = Tunnels(text)
    for form in SHAPES:
        for match in form.pattern.finditer(text):
            if form.kind in _OF_TUNNELS and tunnels.opened_by(match, form.kind):
                yield _tunnel(match)
            elif form.kind != STATUS_LINE or _is_status_line(match, vocabulary):
                yield from _numbers(match, form.kind)
    yield from map(_tunnel, tunnels.announced())
    yield from _table_rows(text, vocabulary)
    yield from _constants(text, vocabulary)
    yield from _named(text, vocabulary)
    yield from _named_before(text, vocabulary)
    yield from _only_named(text, vocabulary)
    yield from _messages(text, vocabulary)
    for match in spoken(text, vocabulary.names, vocabulary.pairs):
        yield from _numbers(match, IN_TEXT)
    for form in unanswered.SHAPES:
        for match in form.pattern.finditer(text):
            yield from _numbers(match, form.kind)
    for fault in FAULTS:
        yield from _faults(fault.pattern, text)


def _faults(pattern: re.Pattern[str], text: str) -> Iterator[Found]:
    for match in pattern.finditer(text):
        yield Found(HTTP, NO_STATUS, FAULT, *match.span(), match.group())


def _foreign(text: str) -> Iterator[Found]:
    """Passages of other protocols: they belong to no registry, and nothing within them is a code."""
    for match in FOREIGN.finditer(text):
        yield Found("", 0, "", *match.span(), match.group())


def _server_words(text: str) -> Iterator[Found]:
    """Words that servers write in place of a number."""
    for words in WORDS:
        for match in words.pattern.finditer(text):
            start, end = trimmed(text, *match.span())
            yield Found(HTTP, words.code, SERVER_LOG if words.log else SERVER_PAGE, start, end, text[start:end])


def _table_rows(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """Cells of a table whose head names the column, and a row of two numbers with Stroom's message."""
    for registry, start, end in table_cells(text):
        yield Found(registry, int(text[start:end]), LOG_FIELD, start, end, text[start:end])
    for match in ROW.pattern.finditer(text):
        rest = text[match.end() : match.end() + 120].translate(ASCII_LOWER)
        if any(code == int(match["stroom"]) and name in rest for _, name, code in vocabulary.ordered_messages):
            yield from _numbers(match, LOG_FIELD)


def _named_before(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """A name with its number in brackets behind it: `Server Error (500)`."""
    for match in NUMBER_AFTER_NAME.pattern.finditer(text):
        before = text[max(0, match.start() - 80) : match.start()].rstrip().translate(ASCII_LOWER)
        for name in vocabulary.names.get(int(match["http"]), ()):
            lower = name.translate(ASCII_LOWER)
            if before.endswith(lower) and not before.removesuffix(lower).rstrip().endswith(match["http"]):
                start = match.start("http")
                yield Found(HTTP, int(match["http"]), NAMED, start, match.end("http"), match["http"])
                break


def _only_named(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """A name alone where a log is known to write no number: Django's and stroom-proxy's."""
    ordered = sorted(vocabulary.names.items(), reverse=True)  # so that the registered number counts
    numbers = {_letters(name): code for code, names in ordered for name in names if code >= 300}
    messages = {name.casefold(): code for name, code in vocabulary.all_messages.items()}
    for pattern in (DJANGO, FORWARD, ENUM, KUBERNETES):
        for match in pattern.pattern.finditer(text):
            name = match["name"].strip().casefold()
            if name in messages and pattern is FORWARD:
                yield Found(STROOM, messages[name], SERVER_LOG, *match.span("name"), match["name"])
            elif (letters := _letters(name)) in numbers:
                yield Found(HTTP, numbers[letters], SERVER_LOG, *match.span("name"), match["name"])


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _tunnel(match: re.Match[str]) -> Found:
    start, end = trimmed(match.string, *match.span())
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
        start, end = trimmed(match.string, start, end)
        code = int(match[group]) if registry == STROOM else _http_status(match[group])
        yield Found(registry, code, kind, start, end, match.string[start:end])


def _http_status(number: str) -> int:
    """The status, or `NO_STATUS` for what can be none: "000" and "-1" are written where no answer came."""
    return int(number) if _HTTP_NUMBER.fullmatch(number) else NO_STATUS


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
                begin, end = trimmed(text, start, start + len(line))
                yield Found(HTTP, _http_status(fields[column]), ACCESS_LOG, begin, end, text[begin:end])
        start += len(line)


def _spelt_out(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """All of a Stroom code in one: `406 - 110 - Feed is not set to receive data`."""
    for match in SPELT_OUT.pattern.finditer(text):
        rest = text[match.end() : match.end() + 120].translate(ASCII_LOWER)
        stroom = int(match["stroom"])
        messages = vocabulary.all_messages or vocabulary.messages
        if any(code == stroom and rest.startswith(name.translate(ASCII_LOWER)) for name, code in messages.items()):
            yield from _numbers(match, STROOM_MESSAGE)


def _named(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """A number with its own name next to it, as in `404 Not Found` or `Response code 404 (Not Found)`."""
    for match in NUMBER_BEFORE_NAME.pattern.finditer(text):
        rest = text[match.end() : match.end() + 80]
        group = "http" if match["http"] else "http_cell"
        code, start = int(match[group]), match.start(group)
        for name in vocabulary.names.get(code, ()):
            if _names_it(rest, name):
                end = match.end() + len(name)
                yield Found(HTTP, code, NAMED, start, end, text[start:end])
                break
        else:
            yield from _numbered_message(text, code, start, match.end(), vocabulary)


def _numbered_message(text: str, number: int, start: int, end: int, vocabulary: Vocabulary) -> Iterator[Found]:
    """A number with one of Stroom's messages behind it: its own, or that of a code that comes with the number."""
    rest = text[end : end + 120].translate(ASCII_LOWER)
    for _, lower, code in vocabulary.ordered_messages:
        if not rest.startswith(lower) or rest[len(lower) : len(lower) + 1].isalnum():
            continue
        last = end + len(lower)
        if code == number:
            yield Found(STROOM, code, STROOM_MESSAGE, start, last, text[start:last])
        elif number in vocabulary.pairs.get(code, ()):
            yield Found(HTTP, number, NAMED, start, start + 3, text[start : start + 3])
            yield Found(STROOM, code, STROOM_MESSAGE, end, last, text[end:last])
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
    """Reason of a refusal in a feed-status answer: `"stroomStatusCode": "INVALID_TYPE"`."""
    for match in CONSTANT.pattern.finditer(text):
        if match["name"] in vocabulary.constants:
            yield Found(STROOM, vocabulary.constants[match["name"]], JSON_FIELD, *match.span(), match.group())


def _messages(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """One of Stroom's messages or constants, which stand for their number even where it is missing."""
    lowered = text.translate(ASCII_LOWER)
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
