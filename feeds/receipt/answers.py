"""Answers to senders: one decision or outcome becomes status, headers and text (receipt contract, section 6).

Pure. The dry run and the try-it endpoints show exactly what is made here.
"""

import random
import re

from feeds.rules import stroom_status
from feeds.rules.decision import Decision, is_encoding_supported
from feeds.rules.metadata import RequestMetadata
from feeds.rules.stroom_status import StroomStatus
from portal.http.answer import Answer

MAX_VALUE = 100
MAX_LINE = 500
RETRY_AFTER_SECONDS = (30, 90)
CONTENT_TYPE = "text/plain; charset=utf-8"
#: Everything but printable ASCII, and the backslash: senders' scripts print the text with escapes enabled.
_UNPRINTABLE = re.compile(r"[^\x20-\x5b\x5d-\x7e]")


def accepted(receipt_id: str) -> Answer:
    """The data is safe: a forwarding proxy takes the whole body as the receipt id."""
    return _answer(stroom_status.OK, (), f"{receipt_id}\n")


def refused(
    status: StroomStatus,
    *,
    request: RequestMetadata | None = None,
    feed: str | None = None,
    hint: str = "",
    receipt_id: str = "",
    public_url: str = "",
    allow: str = "",
) -> Answer:
    """Say why nothing was stored.

    Args:
        status: the outcome, anything but OK.
        request: the request's arguments, named in brackets; None where they could not be read.
        feed: the feed at fault where it is not the request's own (a group of a ZIP).
        hint: what exactly is wrong, instead of the status's own explanation.
        receipt_id: the id that this request was given, for talking about it.
        public_url: where the portal is found, to make the link absolute.
        allow: value of the Allow header, for a wrong method.
    """
    first = f"Stroom Status {status.code} - {status.message}{_brackets(request, feed)}"
    lines = [
        first,
        _clean(hint, MAX_LINE) or status.explanation,
        f"See: {public_url}/codes/stroom/{status.code}/",
        *([f"Receipt: {receipt_id}"] if receipt_id else []),
    ]
    extra = [("Stroom-Error", first)]
    if allow:
        extra.append(("Allow", allow))
    if (
        status is stroom_status.UNKNOWN_COMPRESSION
        and request
        and not is_encoding_supported(request.content_encoding)
    ):
        extra.append(("Accept-Encoding", "gzip"))  # RFC 9110, section 15.5.16
    if status.retry_after:
        # Spread, so that the senders of a stopped portal do not all come back in the same second.
        extra.append(("Retry-After", str(random.randint(*RETRY_AFTER_SECONDS))))  # noqa: S311  # not a secret
    return _answer(status, tuple(extra), "".join(f"{line}\n" for line in lines))


def answer_to(
    decision: Decision,
    *,
    request: RequestMetadata | None,
    receipt_id: str,
    public_url: str = "",
    feed: str | None = None,
    allow: str = "",
) -> Answer:
    """Turn what was decided into the response; see `refused` for the arguments."""
    if decision.accepted:
        return accepted(receipt_id)
    return refused(
        decision.status,
        request=request,
        feed=feed,
        hint=decision.hint,
        receipt_id=receipt_id,
        public_url=public_url,
        allow=allow,
    )


def framing_answer(status: StroomStatus) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The answer to a request that no application saw, in bytes."""
    answer = refused(status)
    return answer.fields(), answer.body


def _answer(status: StroomStatus, extra: tuple[tuple[str, str], ...], body: str) -> Answer:
    headers = (("Content-Type", CONTENT_TYPE), ("Stroom-Status", str(status.code)), *extra)
    return Answer(status.http, headers, body.encode())


def _brackets(request: RequestMetadata | None, feed: str | None) -> str:
    """Those of Feed, Compression and Type that were supplied."""
    named = {
        "Feed": feed or (request.feed if request else None),
        "Compression": request.compression if request else None,
        "Type": request.get("Type") if request else None,
    }
    parts = [f"{name}: {_clean(value, MAX_VALUE)}" for name, value in named.items() if value]
    return f" [{', '.join(parts)}]" if parts else ""


def _clean(text: str, limit: int) -> str:
    return _UNPRINTABLE.sub("?", text)[:limit]
