"""Limits on the deliveries that a sender may make with its tokens, counted over all workers."""

import time

from feeds.rules.decision import SenderToken
from portal.http.limits import COUNTER

#: Ends the answer to a sender that has reached its limit.
LATER = "Keep the data and send it again after the time in Retry-After."


def has_allowance(token: SenderToken) -> bool:
    """Count a delivery; return whether the tokens of this name may send it in this minute."""
    if not token.name or token.rate is None:
        return True
    return COUNTER.take(f"sender {token.name}", token.rate, time.monotonic()).allowed
