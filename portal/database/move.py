"""Move of all rows from one database to another of the same schema, compared table by table.

Knows no app: it goes by the models that Django has. Reads through the ORM, so that each value has its Python type,
and writes with COPY, without signals and without fields that set themselves.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import connections
from django.db.models import Model

CHUNK = 2000
_DIGEST_BYTES = 32


class NotTheSame(Exception):
    """A table differs after the move."""


@dataclass(frozen=True)
class TableDigest:
    """Number of rows, and the sum of their hashes: databases order text in different ways."""

    rows: int
    total: int


def tables() -> list[type[Model]]:
    """Return a model for each table, those of many-to-many relations included."""
    found = {
        model._meta.db_table: model for model in apps.get_models(include_auto_created=True) if model._meta.managed
    }
    return [model for model in found.values() if not model._meta.proxy]


def empty(target: str) -> None:
    """Remove what the migrations of a new database have put into it."""
    connection = connections[target]
    names = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in tables())
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {names}")


def copy_rows(model: type[Model], source: str, target: str) -> int:
    """Copy a table; return the number of its rows."""
    connection = connections[target]
    columns: Sequence[Any] = model._meta.concrete_fields
    names = ", ".join(connection.ops.quote_name(field.column) for field in columns)
    statement = f"COPY {connection.ops.quote_name(model._meta.db_table)} ({names}) FROM STDIN"
    count = 0
    with connection.cursor() as cursor, cursor.cursor.copy(statement) as copy:
        for row in _rows(model, source):
            copy.write_row(
                [field.get_db_prep_save(value, connection) for field, value in zip(columns, row, strict=True)]
            )
            count += 1
    return count


def set_sequences(target: str) -> None:
    """Let new rows get keys behind those that were copied."""
    connection = connections[target]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), tables()):
            cursor.execute(statement)


def digest_of(model: type[Model], alias: str) -> TableDigest:
    """Return the digest of a table as Python sees its rows."""
    rows = total = 0
    for row in _rows(model, alias):
        canonical = json.dumps([_plain(value) for value in row], sort_keys=True, ensure_ascii=False).encode()
        total = (total + int.from_bytes(hashlib.sha256(canonical).digest())) % 2 ** (8 * _DIGEST_BYTES)
        rows += 1
    return TableDigest(rows, total)


def _rows(model: type[Model], alias: str) -> Iterator[tuple[Any, ...]]:
    names = [field.attname for field in model._meta.concrete_fields]
    rows = model._base_manager.using(alias).order_by("pk").values_list(*names)
    return iter(rows.iterator(chunk_size=CHUNK))


def _plain(value: Any) -> Any:
    """Return a value in a form that is the same for both databases."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value if isinstance(value, str | int | float | list | dict | type(None)) else str(value)
