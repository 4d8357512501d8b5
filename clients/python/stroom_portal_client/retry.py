# Copyright the authors of Stroom portal. SPDX-License-Identifier: Apache-2.0
"""Decide what a sender does with its copy after it has sent data to Stroom, a stroom-proxy or this portal."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

DELETE, AGAIN, HOLD = "delete", "again", "hold"
#: Answers after which the same request may succeed later, without a change.
AGAIN_HTTP = {408, 420, 423, 425, 429, 450, 460, 499, 500, 502, 503, 504, 507, 509}
AGAIN_HTTP |= {520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599}
AGAIN_STROOM = {"101", "110", "113", "400", "999"}
#: Answers after which something has to be changed first.
HOLD_STROOM = {"100", "102", "103", "104", "111", "112", "120", "200", "300", "301", "302", "303", "304", "310"}
HOLD_STROOM |= {"311", "312", "313", "314", "315", "410"}
HOLD_5XX = {501, 505, 506, 508, 510, 511, 561}
DEFAULT_SECONDS, MOST_SECONDS = 60, 86400
#: White space of HTTP. Python strips more, such as a no-break space, which makes a value no number.
BLANKS = " \t\r\n"
DATE = re.compile(r"[A-Z][a-z]{2}, ([0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT)")


def after_delivery(
    http_status: int, stroom_status: str | None = "", retry_after: str | None = "", now: datetime | None = None
) -> tuple[str, int]:
    """Return what to do and the seconds to wait.

    "delete": the data is stored there; delete your copy. "again": keep it and send it again after the wait.
    "hold": keep it, do not send it again until a person has changed something.

    Args:
        http_status: 0 where no answer came.
        stroom_status: value of the header Stroom-Status; None or empty without one.
        retry_after: value of the header Retry-After; None or empty without one.
    """
    stroom_status = (stroom_status or "").strip(BLANKS)
    if http_status == 200 and stroom_status == "0":
        return DELETE, 0
    if stroom_status in AGAIN_STROOM or stroom_status in HOLD_STROOM:
        again = stroom_status in AGAIN_STROOM
    else:
        again = http_status == 0 or http_status in AGAIN_HTTP or _is_other_5xx(http_status)
    if not again:
        return HOLD, 0
    return AGAIN, _wait((retry_after or "").strip(BLANKS), now or datetime.now(timezone.utc))  # noqa: UP017  # older Pythons have no UTC


def _is_other_5xx(http_status: int) -> bool:
    return 500 <= http_status <= 599 and http_status not in HOLD_5XX


def _wait(retry_after: str, now: datetime) -> int:
    if re.fullmatch("[0-9]+", retry_after):
        return min(int(retry_after[:9]), MOST_SECONDS)
    date = DATE.fullmatch(retry_after)
    try:
        seconds = int((parsedate_to_datetime(date[1]) - now).total_seconds()) if date else DEFAULT_SECONDS
    except (TypeError, ValueError):  # the thirty-first of a short month, or a month that does not exist
        return DEFAULT_SECONDS
    return max(0, min(seconds, MOST_SECONDS))
