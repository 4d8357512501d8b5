"""Passages that say that no server answered: 000, 0 and -1 in place of a status, curl's own faults, an open tunnel.

Pure. A number that begins with a zero or a sign is no HTTP status, and is never read as a Stroom-Status either.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from codes.explain.patterns import ACCESS_LOG, FAULT, METHOD, NO_ANSWER, QUESTION, STATUS_LINE, TUNNEL, Shape, shape

#: Stands for the HTTP status where none came, as in curl and in browsers.
NO_STATUS = 0
# A number in the place of a status that can be none.
_NONE = r"""(?P<http_none>(?<=[\s:=("'\[])-1|0\d{0,4})(?![\w%]|[.,:-]\d)"""
_NOT_OF_OTHERS = r"(?<![\w./-])(?<!stroom[ ._-])(?<!exit[ ._-])"
_KEY = r"""(?:http(?:[ _.-]?(?:status|response|result))?(?:[ _.-]?code)?
    |(?:response|status|result)[ _.-]?(?:status[ _.-]?)?code|sc-status|upstream_status
    |(?:xhr|request|response|req|resp?|err|error)\.status)"""
_JOINED = r"""["']?(?:\ (?:is|was|of))?\ {0,3}[:=/]?>?\ {0,3}["'\[(]?"""


def _shape(pattern: str, example: str, counter_example: str) -> Shape:
    return shape(NO_ANSWER, pattern, example, counter_example)


SHAPES: tuple[Shape, ...] = (
    _shape(
        rf"{_NOT_OF_OTHERS}{_KEY}{_JOINED}(?<=[\W_]){_NONE}",
        "response code was: 000, error was :",
        "response code was: 0.5",
    ),
    _shape(rf"\bHTTP/\d(?:\.\d)?\ {{1,2}}{_NONE}", "it got HTTP/1.1 000 from there", "it got HTTP/1.1 0.5"),
    _shape(
        rf"""\b(?:xhr|xmlhttprequest|fetch|ajax|request|upload|post|failed|returned|got)
        (?:\ \w{{1,20}}){{0,2}}[,!:]?[ ]{_NOT_OF_OTHERS}status[:=\ ]{{1,2}}{_NONE}""",
        "XHR failed, status 0",
        "XHR failed, status 0%",
    ),
    _shape(rf"\bHTTP/\d(?:\.\d)?\"\ {_NONE}", '"POST /datafeed HTTP/1.1" 0', '"POST /datafeed HTTP/1.1" 0.5'),
    _shape(rf"\]\ \"-\ -\ -\"\ {_NONE}", '[2026-12-01T10:00:00.000Z] "- - -" 0 DPE 0 11', '"- - -" 0.5'),
    _shape(
        rf"""{_NOT_OF_OTHERS}\b(?:error|returned|returns|got|received|answered|response|status|code|rc)[:=\ ]{{1,3}}
        (?P<http_none>000)(?!\w|[.,:-]\d)""",
        "the upload returned 000",
        "exit code 000",
    ),
    _shape(
        rf"""["']?\bstatus["']?\ ?[:=]\ ?{_NONE},?\s{{0,40}}["']?statusText""",
        'AxiosError { status: 0, statusText: "" }',
        "AxiosError { status: 0, text: x }",
    ),
    _shape(
        r"""["']status["']\ ?:\ ?(?P<http_none>-1)(?=\s{0,40}[,}])""",
        '{"status": -1, "data": null}',
        '{"status": -12, "data": null}',
    ),
    _shape(
        r"\bHttp\ failure\ response\ for\ \S{1,2000}:\ (?P<http_none>0)\ ",
        "Http failure response for https://x.example/: 0 Unknown Error",
        "Http failure response for https://x.example/: 500 Server Error",
    ),
)
#: The whole input asks about such a number, alone or with a second one that then counts for nothing.
QUESTION_SHAPE = shape(
    QUESTION,
    r"""\A\s*(?:
        (?:(?:http|status|response|code)(?:[ _-]?(?:status|response|code)){0,2}\s*[:=]?\s*)?
            ["']?(?:-1|0\d{0,3})["']?
            (?:(?:\s*[/+&,]\s*|\s+(?:and\s+|with\s+)?)(?:stroom(?:[- ]status)?\s*:?\s*)?\d{1,3})?
        | (?:http\s*)?(?:\d{1,2}|\d{4,5})\s*/\s*0
    )\s*\Z""",
    "http_code 000 / 110",
    "call 000 for help",
)
_ALONE = re.compile(r"-1|0\d{0,3}")
ESTABLISHED = shape(
    TUNNEL,
    r"\b(?:connection|tunnel)\ established\b",
    "HTTP/1.1 200 Connection established",
    "HTTP/1.1 200 Connection: close",
)
OPENED = shape(
    TUNNEL,
    r"\bCONNECT\ tunnel\ established,\ response\ 2\d\d\b|(?<![\w/])2\d\d\ (?:connection|tunnel)\ established\b",
    "* CONNECT tunnel established, response 200",
    "* CONNECT tunnel failed, response 407",
)
REQUEST = shape(
    TUNNEL,
    rf"^[>*|\ \t\d:.]{{0,20}}(?P<method>{METHOD})\ \S{{1,2000}}\ HTTP/\d",
    "> CONNECT x.example:443 HTTP/1.1\n>\n< HTTP/1.1 200 OK",
    "CONNECT to x.example",
)
CONNECT_LOGGED = shape(
    TUNNEL,
    r'["\s](?-i:CONNECT)\s',
    '10.0.0.1 - - [01/Dec/2026:10:00:00 +0000] "CONNECT x.example:443 HTTP/1.1" 200 0',
    '"POST /connect HTTP/1.1" 200 0',
)
# A head of nothing but what a proxy says of itself, with the next head right after it.
EMPTY_HEAD = shape(
    TUNNEL,
    r"""\r?\n(?:[<>*|\ \t]{0,6}(?:Proxy-\w{1,30}|Via):[^\r\n]{0,300}\r?\n){0,5}(?:[<>*|\ \t]{0,6}\r?\n){1,3}
    [<>*|\ \t]{0,6}HTTP/\d""",
    "HTTP/1.1 200 OK\r\nVia: 1.1 proxy\r\n\r\nHTTP/1.1 406 Not Acceptable\r\n",
    "HTTP/1.1 200 OK\r\nVia: 1.1 proxy\r\n\r\nHTTP is a protocol",
)


#: Chrome names the 200 of an answer that broke off in the middle: it confirms nothing.
BROKEN_OFF = shape(
    FAULT,
    r"\bnet::ERR_[A-Z\d_.]{3,80}\ 2\d\d\b(?:\ \(OK\))?",
    "GET https://x.example/ net::ERR_QUIC_PROTOCOL_ERROR.QUIC_NETWORK_IDLE_TIMEOUT 200 (OK)",
    "GET https://x.example/ net::ERR_ABORTED 404 (Not Found)",
)


def stands_for_no_answer(number: str) -> bool:
    """Whether what was given as an HTTP status is none: 000, 0, -1 or a padded number."""
    return _ALONE.fullmatch(number) is not None


@dataclass(frozen=True)
class Tunnels:
    """Says which 2xx of a text only opened a tunnel through a proxy: an answer to CONNECT is the proxy's."""

    text: str

    def opened_by(self, match: re.Match[str], kind: str) -> bool:
        if not match["http"].startswith("2"):
            return False
        if kind == ACCESS_LOG:
            return CONNECT_LOGGED.pattern.search(match.group()) is not None
        if kind != STATUS_LINE:
            return False
        if ESTABLISHED.pattern.search(match.group()) or EMPTY_HEAD.pattern.match(self.text, match.end()):
            return True
        return self._last_method(match.start()) == "CONNECT"

    def announced(self) -> Iterator[re.Match[str]]:
        """Find the words for an open tunnel that stand outside of a status line."""
        return OPENED.pattern.finditer(self.text)

    def _last_method(self, position: int) -> str:
        place = bisect_left(self._requests, (position, ""))
        return self._requests[place - 1][1] if place else ""

    @cached_property
    def _requests(self) -> list[tuple[int, str]]:
        return [(match.start(), match["method"].upper()) for match in REQUEST.pattern.finditer(self.text)]
