"""Questions: the whole text is a number, a pair or a code with its name, as in a search box. Pure."""

import re
from collections.abc import Iterator

from codes.explain import unanswered
from codes.explain.findings import HTTP, STROOM, Found, Vocabulary, trimmed
from codes.explain.patterns import PADDED_PAIR, QUESTION, QUESTION_SHAPE, shape
from codes.explain.unanswered import NO_STATUS

_LONGEST_QUESTION = 200
_SERVERS = r"""(?:nginx|apache|httpd|haproxy|envoy|traefik|caddy|iis|varnish|cloudflare|cloudfront|tomcat|jetty
    |akamai|aws|alb|elb|kong|istio|lighttpd|gunicorn|uvicorn|(?:stroom[ -])?proxy|gateway|ingress|load[ ]balancer
    |server|backend)"""
#: "nginx 502", "503 from the proxy".
OF_SERVER = shape(
    QUESTION,
    rf"""\A\s*(?:{_SERVERS}(?::\s?|\s)(?:(?:http|error|status|code)\s){{0,2}}(?P<after>[1-5]\d\d)
    |(?:(?:http|error)\s)?(?P<before>[1-5]\d\d)\s(?:error\s)?(?:from|by|in|at|on|behind)\s(?:(?:an?|the|our)\s)?{_SERVERS})
    [.!?]?\s*\Z""",
    "503 from the proxy",
    "503 from the shop",
)
_LEAST_WORDS_OF_NAME = 2
_NAMED_ALONE = range(300, 512)  # the registered ones that are no success


def asked(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """The whole text is "406/110", "404", "stroom 310", "404 not found" or "000"."""
    if len(text) > _LONGEST_QUESTION:
        return
    if unanswered.QUESTION_SHAPE.pattern.fullmatch(text):
        start, end = trimmed(text, 0, len(text))
        yield Found(HTTP, NO_STATUS, QUESTION, start, end, text[start:end])
        return
    if padded := PADDED_PAIR.pattern.fullmatch(text):
        yield _asked(padded, "http", HTTP)
        return
    if server := OF_SERVER.pattern.fullmatch(text):
        yield _asked(server, "after" if server["after"] else "before", HTTP)
        return
    match = QUESTION_SHAPE.pattern.fullmatch(text)
    if match is None:
        yield from _named(text, vocabulary)
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
    loosely = any(sign in joined_by for sign in "-(:") and first in vocabulary.pairs.get(second, ())
    if not words and not loosely and not any(sign in joined_by for sign in "/+&"):
        return
    yield _asked(match, "http", HTTP)
    if match["stroom_word"] or vocabulary.may_be_stroom(second):
        yield _asked(match, "stroom", STROOM)
    elif second in vocabulary.names and first != second:
        yield _asked(match, "stroom", HTTP)


def _asked(match: re.Match[str], group: str, registry: str) -> Found:
    return Found(registry, int(match[group]), QUESTION, *match.span(group), match[group])


def _named(text: str, vocabulary: Vocabulary) -> Iterator[Found]:
    """The whole text is the name of a status that is no success: "Bad Gateway"."""
    start, end = trimmed(text, 0, len(text))
    words = text[start:end]
    if len(words.split()) < _LEAST_WORDS_OF_NAME:
        return
    asked = _letters(words)
    if any(_letters(message) == asked for message in vocabulary.all_messages):
        return
    for code in sorted(vocabulary.names):
        if code in _NAMED_ALONE and any(_letters(name) == asked for name in vocabulary.names[code]):
            yield Found(HTTP, code, QUESTION, start, end, words)
            return


def _registry_of(code: int, vocabulary: Vocabulary) -> str:
    """A bare number is HTTP's, unless only Stroom uses it."""
    only_stroom = code in vocabulary.stroom_codes and code not in vocabulary.names
    return STROOM if only_stroom else HTTP


def _is_name(code: int, words: str, vocabulary: Vocabulary) -> bool:
    asked = _letters(words)
    return any(_letters(name) == asked for name in vocabulary.names.get(code, ()))


def _letters(words: str) -> str:
    return "".join(character for character in words.casefold() if character.isalnum())
