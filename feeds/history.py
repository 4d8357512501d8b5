"""Context of history rows: user, time, address, request and reason of each change of a feed or rule.

Every tracked save inside `commented(...)` keeps that comment; the request's id and the caller's address come
from the request that simple_history's middleware holds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords

#: History rows of one change are written in one transaction, so they are less than this apart.
SAME_CHANGE = timedelta(minutes=1)
_comment: ContextVar[str] = ContextVar("change_comment", default="")


@contextmanager
def commented(comment: str) -> Iterator[None]:
    """Keep `comment` with every change of a feed or rule made inside."""
    token = _comment.set(comment.strip())
    try:
        yield
    finally:
        _comment.reset(token)


def present_comment() -> str:
    """Return the comment that a change made now would keep."""
    return _comment.get()


def where_from() -> tuple[str, str]:
    """Return the current request's id and client address; empty outside of a request."""
    request = getattr(HistoricalRecords.context, "request", None)
    return getattr(request, "request_id", ""), getattr(request, "client_address", "")


class ChangeContext(models.Model):
    """Columns of each history row in addition to simple_history's own: client address and request id."""

    request_id = models.CharField(max_length=128, blank=True, default="", db_default="", db_index=True)
    remote_address = models.CharField(max_length=100, blank=True, default="", db_default="")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.request_id


def fall_together(*, instance: Any, origin: Any = None, **_: Any) -> None:
    """Give the history row of a rule that is deleted with its feed the feed's instant (signal receiver)."""
    if origin is not instance and hasattr(origin, "_history_date"):
        instance._history_date = origin._history_date


def add_context(*, history_instance: Any, **_: Any) -> None:
    """Fill in the context of a history row that is about to be written (signal receiver)."""
    if not isinstance(history_instance, ChangeContext):
        return
    if not history_instance.history_change_reason:  # type: ignore[attr-defined]  # column of simple_history
        history_instance.history_change_reason = _comment.get() or None  # type: ignore[attr-defined]
    history_instance.request_id, history_instance.remote_address = where_from()
