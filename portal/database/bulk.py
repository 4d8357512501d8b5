"""Insertion of many rows in one prepared statement, where their keys are not needed afterwards.

Django's `bulk_create` builds a new statement for every 200 rows, which takes three times as long as writing them.
That matters where others wait for the transaction (SQLite has one writer).
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection, models


def insert(model: type[models.Model], rows: Sequence[models.Model]) -> None:
    """Insert rows of one model; their keys are the database's, and are not read back."""
    if not rows:
        return
    columns: list[Any] = [column for column in model._meta.concrete_fields if not column.primary_key]
    quote = connection.ops.quote_name
    names = ", ".join(quote(column.column) for column in columns)
    places = ", ".join(["%s"] * len(columns))
    values = [
        tuple(column.get_db_prep_save(column.pre_save(row, True), connection) for column in columns)  # noqa: FBT003
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({places})",  # noqa: S608  # our own names
            values,
        )
