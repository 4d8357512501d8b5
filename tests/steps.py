"""How much a database works for something: no clock, so no noise."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection


@dataclass
class Steps:
    """Counted so far, in units of the size that was asked for."""

    taken: int = 0


@contextmanager
def steps_of_sqlite(unit: int) -> Iterator[Steps]:
    """Count the steps of SQLite's virtual machine, in units of so many."""
    steps = Steps()

    def count() -> None:
        steps.taken += 1

    connection.connection.set_progress_handler(count, unit)
    try:
        yield steps
    finally:
        connection.connection.set_progress_handler(None, 0)
