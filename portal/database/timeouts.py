"""Lock timeouts of PostgreSQL. That of SQLite is in the settings.

Without a timeout a delivery, and its sender, would wait for as long as another session holds a table; with it the
sender is asked to come back later (R13).
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
