"""Joins what was recognised in a text into answers, each an HTTP status and its Stroom-Status. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from codes.explain.findings import HTTP, STROOM, Found
from codes.explain.patterns import (
    ACCESS_LOG,
    CLIENT_ERROR,
    CURL_ERROR,
    JSON_FIELD,
    LINE_KINDS,
    LOG_FIELD,
    NAMED,
    SERVER_PAGE,
    STATUS_LINE,
    STROOM_ERROR,
    STROOM_HEADER,
    TUNNEL,
)
from codes.explain.unanswered import NO_STATUS
from codes.explain.words import SENT_AS

# How many lines a body or an error message may stand away from the status it belongs to.
_LINES_OF_AN_ANSWER = 60
_LINES_OF_A_MESSAGE = 5


@dataclass(frozen=True)
class StatusPair:
    """An HTTP status and the Stroom-Status of the same answer; either may be missing."""

    http: int | None
    stroom: int | None
    found: tuple[Found, ...]


def pair_up(findings: Sequence[Found]) -> list[StatusPair]:
    """Join what belongs to one answer: an HTTP status and the Stroom-Status that goes with it.

    The same pair found again, as a header and then in the body, is one pair with more findings. A proxy's tunnel is
    no answer: it counts only where nothing else came.
    """
    answered = any(found.code != NO_STATUS or found.registry != HTTP for found in findings)
    pairs: list[StatusPair] = []
    for found in findings:
        if answered and found.kind == TUNNEL:
            continue
        last = pairs[-1] if pairs else None
        if last is not None and (joined := _joined(last, found)) is not None:
            pairs[-1] = joined
        elif found.registry == HTTP:
            pairs.append(StatusPair(found.code, None, (found,)))
        else:
            pairs.append(StatusPair(None, found.code, (found,)))
    return _merged(pairs)


def _joined(last: StatusPair, found: Found) -> StatusPair | None:
    """The pair with the finding added; None where it belongs to another answer."""
    if _decides(last, found):
        http = found.code if last.http == SENT_AS.get(found.code) else last.http
        return StatusPair(http, last.stroom, (*last.found, found))
    if _takes_back(last, found):
        return StatusPair(last.http, found.code, (*last.found, found))
    own, other = (last.http, last.stroom) if found.registry == HTTP else (last.stroom, last.http)
    if own is None and other is not None and _same_answer(last.found[-1], found):
        http, stroom = (found.code, other) if found.registry == HTTP else (other, found.code)
        return StatusPair(http, stroom, (*last.found, found))
    if own == found.code and _repeats(last, found):
        return StatusPair(last.http, last.stroom, (*last.found, found))
    return None


def _decides(last: StatusPair, found: Found) -> bool:
    """Say whether words of an error page, or the number that stands for them, belong to the answer before."""
    if last.http is None or found.registry != HTTP or found.line - last.found[-1].line > _LINES_OF_AN_ANSWER:
        return False
    if found.kind == SERVER_PAGE and last.http != NO_STATUS:
        return any(one.kind in {STATUS_LINE, NAMED, SERVER_PAGE} for one in last.found)
    return found.kind == NAMED and found.code == SENT_AS.get(last.http)


def _takes_back(last: StatusPair, found: Found) -> bool:
    """Say whether an answer that claims success has a second Stroom-Status that does not: then that one counts."""
    refuses = found.kind == STROOM_HEADER and found.code != 0
    return refuses and last.stroom == 0 and _same_answer(last.found[-1], found)


def _same_answer(earlier: Found, later: Found) -> bool:
    """Say whether two findings, one of each registry, come from one answer."""
    lines = later.line - earlier.line
    if lines == 0:
        return True
    if later.kind == STATUS_LINE or not _spans_lines(earlier, later):
        return False
    return lines <= (_LINES_OF_AN_ANSWER if earlier.kind == STATUS_LINE else _LINES_OF_A_MESSAGE)


def _spans_lines(earlier: Found, later: Found) -> bool:
    """Return whether two passages may pair: one that fills its line stands alone, except in JSON and `curl -w`."""
    kinds = {earlier.kind, later.kind}
    if not kinds & LINE_KINDS:
        return True
    return kinds in ({JSON_FIELD}, {LOG_FIELD, STROOM_ERROR}, {LOG_FIELD, STROOM_HEADER}, {STATUS_LINE, JSON_FIELD})


def _repeats(last: StatusPair, found: Found) -> bool:
    """Say whether a finding says again what the answer before it said, as its body or the client's message."""
    if found.kind in {STATUS_LINE, ACCESS_LOG}:
        return False
    near = found.line - last.found[-1].line <= _LINES_OF_AN_ANSWER
    if found.registry == STROOM or any(one.kind == STATUS_LINE for one in last.found):
        return near
    says_it = any(one.kind in {NAMED, CLIENT_ERROR, CURL_ERROR} for one in last.found)
    return near and found.kind not in LINE_KINDS and says_it


def _merged(pairs: Sequence[StatusPair]) -> list[StatusPair]:
    merged: dict[tuple[int | None, int | None], StatusPair] = {}
    for pair in pairs:
        key = (pair.http, pair.stroom)
        earlier = merged.get(key)
        merged[key] = StatusPair(pair.http, pair.stroom, (*earlier.found, *pair.found)) if earlier else pair
    return list(merged.values())
