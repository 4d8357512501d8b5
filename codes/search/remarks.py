"""Remarks on queries that mean no status code: another program's number, or a fault without an answer. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from codes.explain.faults import GAVE_UP, HTTP3_FAULTS, cause_of
from codes.explain.foreign import FOREIGN

Link = tuple[str, str]


@dataclass(frozen=True)
class Remark:
    """A sentence about the query, and where to go on."""

    text: str
    links: tuple[Link, ...] = ()


_OF_PROXIES: tuple[Link, ...] = (
    ("Codes of proxies whose server did not answer", "/codes/compare/?codes=502,503,504"),
)
_OF_HTTP3: tuple[Link, ...] = (
    ("HTTP 502 over HTTP/3", "/codes/http/502/#http3"),
    ("HTTP 503 over HTTP/3", "/codes/http/503/#http3"),
    ("HTTP 500 over HTTP/3", "/codes/http/500/#http3"),
)
_CAUSES_OF_HTTP3 = frozenset(fault.sentence for fault in HTTP3_FAULTS)
_IN_PLACE_OF_STATUS = (
    "Programs write 000, 0 or -1 in place of an HTTP status when the connection failed, was cut or timed out. It "
    "is no Stroom-Status either: Stroom-Status 0 counts only with HTTP 200."
)
#: "data lost", "where did my files go".
_LOST = re.compile(
    r"\b(?:data|files?|events?|deliver(?:y|ies)|uploads?|logs?)\b.{0,30}\b(?:lost|gone|missing|disappeared|vanished)\b"
    r"|\b(?:lost|missing)\ (?:data|files?|events?|deliver(?:y|ies)|uploads?|logs?)\b"
    r"|\bwhere\ (?:is|are|did)\ (?:my|our|the)\ (?:data|files?|events?|logs?)\b",
    re.IGNORECASE,
)
_LONG_NUMBER = re.compile(r"(?<![\w.,/:-])([1-9][0-9]{3,9})(?![\w/-]|[.,:]\d)")
#: Cloudflare's own numbers run from 1000 to about 1200.
_FIRST_OF_CLOUDFLARE, _LAST_OF_CLOUDFLARE = 1000, 1299


def remarks_on(query: str, no_answer: str = "") -> Iterator[Remark]:
    """Every remark that fits; none for a plain search. `no_answer` says what holds where the query means that."""
    if no_answer:
        yield Remark(f"{no_answer} {_IN_PLACE_OF_STATUS}", _OF_PROXIES)
        return
    if _LOST.search(query):
        yield Remark(
            "Only HTTP 200 with Stroom-Status 0 says that a delivery was taken. Where the sender's log shows both, "
            "the receipt id in the answer finds the data; then look first whether the feed's status is Drop. With "
            "anything else nothing is confirmed, and the sender keeps the data and sends it again.",
            (("Explain what the sender got", "/codes/explain/"), ("Sending data", "/docs/sending-data/")),
        )
    cause = cause_of(query)
    for number in dict.fromkeys([] if cause else _LONG_NUMBER.findall(query)):
        yield _about_number(int(number))
    if GAVE_UP.pattern.search(query):
        yield Remark(GAVE_UP.sentence, (("Explain an answer", "/codes/explain/"),))
    elif cause:
        yield Remark(
            "This is said by the client itself: no answer came, so there is no status code. "
            f"{cause} A delivery to Stroom: keep the data and send it again, since nothing confirms it. Anything "
            "else may have arrived all the same: send it again only where twice does no harm.",
            _OF_HTTP3 if cause in _CAUSES_OF_HTTP3 else _OF_PROXIES,
        )
    elif foreign := FOREIGN.search(query):
        yield Remark(
            f"“{foreign.group().strip()[:60]}” is a number of another protocol or program, no HTTP status.",
            (("Explain an answer", "/codes/explain/"),),
        )


def _about_number(number: int) -> Remark:
    if _FIRST_OF_CLOUDFLARE <= number <= _LAST_OF_CLOUDFLARE:
        return Remark(
            f"{number} is no HTTP status. Cloudflare writes numbers from 1000 up into the text of its error pages; "
            "the HTTP status of the same answer is another one, mostly 403, 409, 429 or 530, and says what to do.",
            (
                ("HTTP 403", "/codes/http/403/"),
                ("HTTP 409", "/codes/http/409/"),
                ("HTTP 429", "/codes/http/429/"),
                ("HTTP 530", "/codes/http/530/"),
                ("Codes of Cloudflare", "/codes/vendors/cloudflare/"),
            ),
        )
    return Remark(
        f"{number} is no status code: an HTTP status has three digits, and a Stroom-Status at most three. Paste "
        "the whole message, and the codes in it are found.",
        (("Explain an answer", "/codes/explain/"),),
    )
