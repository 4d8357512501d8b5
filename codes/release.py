"""Version of all that the catalogue's pages and API show: the latest load, and the notes of the site."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

#: Asked once by each request, so it is plain SQL: the ORM takes longer to write it than a database to answer it.
_VERSION = """
    SELECT id, digest, loaded_at,
        (SELECT max(history_id) FROM codes_historicallocalnote),
        (SELECT count(*) FROM codes_historicallocalnote),
        (SELECT max(history_date) FROM codes_historicallocalnote),
        (SELECT max(id) FROM codes_localnote),
        (SELECT count(*) FROM codes_localnote)
    FROM codes_release ORDER BY id DESC LIMIT 1
"""


class LoadVersion(NamedTuple):
    """Identity of a load. The time distinguishes two with the same number, as after a restored backup."""

    number: int
    digest: str
    loaded_at: datetime | str


class ContentVersion(NamedTuple):
    """Version of everything that is shown; `load` is None before the first load.

    The notes are counted too: with two writers the later number can be committed first.
    """

    load: LoadVersion | None
    notes: tuple[Any, ...]

    @property
    def digest(self) -> str:
        return self.load.digest if self.load else ""


_read_once: ContextVar[list[ContentVersion] | None] = ContextVar("_read_once", default=None)


@contextmanager
def one_version() -> Iterator[None]:
    """Read the version once while this lasts: a request shows one state of the catalogue."""
    token = _read_once.set([])
    try:
        yield
    finally:
        _read_once.reset(token)


def content_version() -> ContentVersion:
    """Return the current version, or that of the request that is being answered."""
    kept = _read_once.get()
    if kept:
        return kept[0]
    version = _read_version()
    if kept is not None:
        kept.append(version)
    return version


def _read_version() -> ContentVersion:
    with connection.cursor() as cursor:
        cursor.execute(_VERSION)
        row = cursor.fetchone()
    return ContentVersion(LoadVersion(*row[:3]), row[3:]) if row else ContentVersion(None, ())
