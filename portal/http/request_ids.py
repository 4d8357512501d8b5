"""Request id, which follows a request through every hop: answer, log, history and receipt."""

import random
import re
from contextvars import ContextVar

#: What proxies, tracing and people send. It begins with a letter or digit, so that none is taken for "none".
_WELL_FORMED = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._~:/+=@-]{0,127}")
NONE = "-"
#: The id of the request that is being answered, "-" outside of any.
current_request_id: ContextVar[str] = ContextVar("current_request_id", default=NONE)


def request_id(supplied: bytes) -> bytes:
    """Return the caller's id where it is well-formed, else a new one."""
    if supplied and _WELL_FORMED.fullmatch(supplied):
        return supplied
    return b"%032x" % random.getrandbits(128)  # to tell requests apart; no secret


def logged_request_id() -> str:
    """Return the id of the current request; empty outside of requests."""
    current = current_request_id.get()
    return "" if current == NONE else current
