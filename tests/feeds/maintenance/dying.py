"""Let a piece of work die at its n-th change to disk or database, the way a killed process dies.

From that step on nothing that changes anything does anything: clean-up that runs on exceptions is cut off too.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from django.db.models import QuerySet
from django.db.models.base import Model


class Killed(BaseException):
    """Stands for the end of the process."""


#: Whose calls change something: what a delivery and a check of the store use.
CHANGES: tuple[tuple[Any, str], ...] = (
    *((Path, name) for name in ("rename", "unlink", "mkdir", "rmdir", "write_bytes", "chmod")),
    *((os, name) for name in ("fsync", "write", "unlink", "open")),
    (Model, "save"),
    *((QuerySet, name) for name in ("update", "delete", "bulk_create")),
)


def dies_at(
    step: int,
    work: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    changes: Iterable[tuple[Any, str]] = CHANGES,
) -> bool:
    """Run until the n-th change; whether there were so many."""
    count = 0

    def guarded(call: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count >= step:
                raise Killed
            return call(*args, **kwargs)

        return wrapper

    with monkeypatch.context() as patch:
        for owner, name in changes:
            patch.setattr(owner, name, guarded(getattr(owner, name)))
        try:
            work()
        except Killed:
            return True
    return False
