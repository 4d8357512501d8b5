"""How long anything waits for a lock in PostgreSQL. SQLite's own limit stands in the settings.

Without one a delivery would wait for as long as somebody else holds a table, and its sender with it; so it is told
to come back later (R13).
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

#: As with SQLite: settings.DATABASES.
LOCK_SECONDS = 5


def limit(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Set the limit on a connection that was just made (signal receiver)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
