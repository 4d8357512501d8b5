"""Limit up to which receipts can be read in the order of their keys without missing one that is committed later.

SQLite has one writer at a time: keys are given and committed in the same order. PostgreSQL gives a key before the
commit, so a reader who is past key 12 would never see key 11 of a transaction that ends later. There a trigger
takes an advisory lock before a transaction is given its first key; the lock says which key was the last one before,
and is held to the end of the transaction. It is a shared lock that nothing waits for. A reader stops at the
smallest of them.
"""

from typing import Any

from django.db import connection

#: Highest 16 bits of our advisory locks' 64; the other 48 are a key.
LOCK_TAG = 0x5250
_KEY_BITS = 48
MAX_KEY = 2**63 - 1

#: The key that was given last, whether its transaction has ended or not.
_GIVEN = "SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM feeds_receipt_id_seq"
#: The last key before the first one of each transaction that has not ended. Its own rows a transaction sees anyway.
_HELD = f"""
    SELECT min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << {_KEY_BITS}) - 1)) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = {LOCK_TAG} AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""  # noqa: S608  # made of constants
# For each statement, not for each row: it runs before the statement's first key is given. One lock for a
# transaction, however many statements it has: the table of locks is small.
_INSTALL = [
    f"""
    CREATE OR REPLACE FUNCTION feeds_receipt_hold() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF coalesce(current_setting('portal.receipts_held', true), '') = '' THEN
            PERFORM pg_advisory_xact_lock_shared(({LOCK_TAG}::bigint << {_KEY_BITS}) | ({_GIVEN}));
            PERFORM set_config('portal.receipts_held', 'on', true);
        END IF;
        RETURN NULL;
    END $$
    """,
    "CREATE OR REPLACE TRIGGER feeds_receipt_hold BEFORE INSERT ON feeds_receipt "
    "FOR EACH STATEMENT EXECUTE FUNCTION feeds_receipt_hold()",
]
_REMOVE = [
    "DROP TRIGGER IF EXISTS feeds_receipt_hold ON feeds_receipt",
    "DROP FUNCTION IF EXISTS feeds_receipt_hold()",
]


def settled_key() -> int:
    """Return the highest key up to which no receipt will appear any more. Ask before the receipts are read.

    The key that was given last comes first: a transaction whose lock is not seen afterwards, though it was given a
    key up to that one, has ended, and what it committed is visible to every reader now.
    """
    if connection.vendor != "postgresql":
        return MAX_KEY
    with connection.cursor() as cursor:
        cursor.execute(_GIVEN)
        given: int = cursor.fetchone()[0]
        cursor.execute(_HELD)
        held: int | None = cursor.fetchone()[0]
    return given if held is None else min(given, held)


def install(_apps: Any, schema_editor: Any) -> None:
    """Put the trigger in place (a step of a migration)."""
    _execute(schema_editor, _INSTALL)


def remove(_apps: Any, schema_editor: Any) -> None:
    """Take it away (that step back)."""
    _execute(schema_editor, _REMOVE)


def _execute(schema_editor: Any, statements: list[str]) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for statement in statements:
            schema_editor.execute(statement)
