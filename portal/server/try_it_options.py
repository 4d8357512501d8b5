"""Address and query of a try-it request."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from portal.http.body import Scope

MAX_DELAY = 10.0
MAX_RETRY_AFTER = 86_400
MAX_QUERY = 200

# With any sub-path, as the receive paths: `curl -T file` adds the file's name.
PATH = re.compile(r"/try/(?P<registry>http|stroom)/(?P<code>0|[1-9][0-9]{0,2})(?:/.*)?", re.DOTALL)
_DELAY = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?")


class BadTryRequest(Exception):  # becomes a 400
    """Error for an unusable value of the query or number."""


@dataclass(frozen=True)
class TryOptions:
    """Options of the query."""

    delay: float = 0.0
    retry_after: int | None = None


def demand_final(code: int) -> None:
    """Refuse a number that cannot be a final status.

    Raises:
        BadTryRequest: the reason, in words.
    """
    if 100 <= code <= 199:
        raise BadTryRequest(
            f"HTTP {code} is an interim answer: a final one has to follow it, so it cannot be tried by itself. "
            "Ask for a status from 200 to 599."
        )
    if not 200 <= code <= 599:
        raise BadTryRequest(f"HTTP {code} is no valid status. Ask for one from 200 to 599.")


def read_options(scope: Scope) -> TryOptions:
    """Parse the query; unknown names are ignored.

    Raises:
        BadTryRequest: a value cannot be used.
    """
    text = scope.get("query_string", b"").decode("latin-1")
    try:
        query = parse_qs(text, keep_blank_values=True, max_num_fields=MAX_QUERY)
    except ValueError:
        raise BadTryRequest(f"The query has more than {MAX_QUERY} fields.") from None
    delay, retry_after = query.get("delay"), query.get("retry_after")
    return TryOptions(_seconds(delay[-1]) if delay else 0.0, _whole(retry_after[-1]) if retry_after else None)


def _seconds(text: str) -> float:
    if not _DELAY.fullmatch(text) or float(text) > MAX_DELAY:
        raise BadTryRequest(f"delay: give seconds from 0 to {MAX_DELAY:.0f}, as in ?delay=2 or ?delay=0.5.")
    return float(text)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= MAX_RETRY_AFTER):
        raise BadTryRequest(f"retry_after: give whole seconds from 0 to {MAX_RETRY_AFTER}, as in ?retry_after=30.")
    return int(text)


def wants_json(scope: Scope) -> bool:
    accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return b"json" in accept.lower()
