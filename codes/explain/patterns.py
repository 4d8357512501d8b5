"""Parts of all shapes: kinds of passages, and the parts that many patterns share. Pure.

A shape asks for the words or the signs around a number, never for the number alone. Its groups `http…` and
`stroom…` hold the numbers; a shape with several numbers gives one passage for each.
"""

# ruff: noqa: E501 (a pattern reads best in as few lines as it has parts)

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A kind of passage and how to find it, with an example and a text that it does not match."""

    kind: str
    pattern: re.Pattern[str]
    example: str
    counter_example: str


def shape(kind: str, pattern: str, example: str, counter_example: str) -> Shape:
    """Compile a shape, case-blind; the example has every number that the pattern can find."""
    compiled = re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.VERBOSE)
    return Shape(kind, compiled, example, counter_example)


@dataclass(frozen=True)
class Words:
    """Words that mean a status, an example of them, and a text that does not mean it.

    `log` says that they are written into a log, one line for each answer; others are in the body of an answer.
    """

    code: int
    pattern: re.Pattern[str]
    example: str
    counter_example: str
    log: bool


STATUS_LINE = "status line"
STROOM_HEADER = "Stroom-Status header"
STROOM_ERROR = "Stroom error"
STROOM_MESSAGE = "Stroom message"
ACCESS_LOG = "access log line"
PROXY_LOG = "stroom-proxy log line"
JSON_FIELD = "JSON field"
LOG_FIELD = "log field"
CURL_ERROR = "curl error"
CLIENT_ERROR = "client error"
NAMED = "code with its name"
IN_TEXT = "code named in text"
QUESTION = "question"
NO_ANSWER = "no answer"
FAULT = "connection fault"
SERVER_LOG = "server's error log line"
SERVER_PAGE = "server's error page"
TUNNEL = "open tunnel"

#: One line of these is one answer, so that nothing on another line belongs to it.
LINE_KINDS = frozenset({ACCESS_LOG, PROXY_LOG, LOG_FIELD, JSON_FIELD, SERVER_LOG})

STATUS = r"[1-5]\d\d"
METHOD = r"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE|PROPFIND|REPORT|MKCOL)"
# After a number that counts something, measures it, or is part of a longer one.
NO_COUNT = r"""(?![.,]?\d|[:/-]\d|\ ?%|\ ?(?:ms|µs|[kmg]i?b|bytes?|secs?|seconds?|minutes?|hours?|days?|times|km|years?)\b
    |\ (?-i:requests|connections|clients|servers|nodes|users|hits|calls|feeds|streams|events|files|rows|lines|people
    |items|pages|tests|records|messages|instances|machines|hosts|pods|workers|threads|tickets)\b)"""
# After a number that nothing but "error" or "status" introduces: the sentence ends, or goes on about the answer.
NO_NOUN = r"""(?=\r?$|\W{1,3}$|[^\w\s]|\ (?:[^\w\s]|(?-i:[A-Z])|(?:for|from|when|on|in|at|with|while|after|because|
    but|and|or|to|by|via|as|is|was|reading|again)\b))"""

#: The whole input is a question about a code or a pair, as one types it into a search box.
QUESTION_SHAPE = shape(
    QUESTION,
    r"""\A\s*(?:
        (?P<http_word>http(?:\ status)?\s*)?(?P<http>[1-9]\d\d)
            (?:\s*[/+&(:-]\s*|\s*,\s*|\s+(?:and\s+|with\s+)?)
            (?P<stroom_word>stroom(?:[- ]status)?\s*:?\s*)?(?P<stroom>0|[1-9]\d{0,2})\)?
        | (?:http(?:\ status)?\s*)?(?P<http_only>[1-9]\d\d)
        | stroom(?:[- ]status)?\s*:?\s*(?P<stroom_only>0|[1-9]\d{0,2})
        | (?P<http_named>[1-9]\d\d)[ :,-]{1,3}(?P<name>[^\r\n]{1,100}?)[.!?]?
    )\s*\Z""",
    "HTTP 406 / Stroom-Status 110",
    "HTTP 406 of 503 answers",
)
#: A pair whose second number is padded: no Stroom-Status is written so.
PADDED_PAIR = shape(
    QUESTION,
    r"\A\s*(?:http\s*)?(?P<http>[1-9]\d\d)\s*[/+&,]\s*(?:stroom(?:[-\ ]status)?\s*:?\s*)?0\d{1,4}\s*\Z",
    "406/0110",
    "406/110",
)
#: A line that names the fields of the lines below it (W3C extended log format: IIS, CloudFront, proxies).
FIELDS_LINE = re.compile(r"^#Fields:[ \t]*([^\r\n]+)", re.IGNORECASE)
FIELD = re.compile(r'"[^"\r\n]*"|[^\s"]+')
