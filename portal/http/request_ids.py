"""The id that follows one request through every hop: in the answer, the log, the history, and with a receipt."""

import random
import re
from contextvars import ContextVar

#: What proxies, tracing and people send. It begins with a letter or digit, so that none is taken for "none".
_WELL_FORMED = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._~:/+=@-]{0,127}")
NONE = "-"
#: The id of the request that is being answered, "-" outside of any.
current_request_id: ContextVar[str] = ContextVar("current_request_id", default=NONE)


def request_id(supplied: bytes) -> bytes:
    """The caller's own where it is well-formed, else a new one."""
    if supplied and _WELL_FORMED.fullmatch(supplied):
        return supplied
    return b"%032x" % random.getrandbits(128)  # to tell requests apart; no secret


def told_request_id() -> str:
    """The id of the request that is being answered; empty outside of any."""
    current = current_request_id.get()
    return "" if current == NONE else current
