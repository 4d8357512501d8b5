"""A quick way to empty the database after a test that commits: tables that migrations fill are kept as they are.

Django's own way empties every table and then sends `post_migrate` for each app, which writes content types,
permissions and groups again: about half a second a test.
"""

from collections.abc import Callable
from typing import Any

from django.core.management.color import no_style
from django.test import TransactionTestCase

Rows = list[tuple[Any, ...]]

#: What `post_migrate` fills.
FILLED = ("auth_group", "auth_group_permissions", "auth_permission", "django_content_type")


class QuickFlush:
    """Empties all tables but those in FILLED; falls back to Django's way where one of these is not as it was."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False))
        self._emptied = sorted(tables - set(FILLED))
        self._kept = self._filled()

    def install(self) -> None:
        """Use this instead of Django's way from now on."""
        thorough: Callable[[TransactionTestCase], None] = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

        def teardown(case: TransactionTestCase) -> None:
            if case.available_apps is None and self._filled() == self._kept:
                self._empty()
            else:
                thorough(case)
                self._kept = self._filled()

        TransactionTestCase._fixture_teardown = teardown  # type: ignore[attr-defined]

    def _empty(self) -> None:
        operations = self._connection.ops
        operations.execute_sql_flush(operations.sql_flush(no_style(), self._emptied))

    def _filled(self) -> dict[str, Rows]:
        return {table: self._rows(table) for table in FILLED}

    def _rows(self, table: str) -> Rows:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self._connection.ops.quote_name(table)} ORDER BY 1")
            return list(cursor.fetchall())
