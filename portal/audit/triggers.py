"""Database triggers that refuse to change or remove entries of the audit record (S23)."""

from typing import Any

_REFUSAL = "the audit record is only ever appended to"

_SQLITE = [
    f"CREATE TRIGGER IF NOT EXISTS auditrecord_no_{action.lower()} BEFORE {action} ON portal_auditrecord "
    f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
    for action in ("UPDATE", "DELETE")
]
_POSTGRESQL = [
    "CREATE OR REPLACE FUNCTION portal_auditrecord_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$",
    "CREATE OR REPLACE TRIGGER auditrecord_no_change BEFORE UPDATE OR DELETE ON portal_auditrecord "
    "FOR EACH ROW EXECUTE FUNCTION portal_auditrecord_refuse()",
    "CREATE OR REPLACE TRIGGER auditrecord_no_truncate BEFORE TRUNCATE ON portal_auditrecord "
    "FOR EACH STATEMENT EXECUTE FUNCTION portal_auditrecord_refuse()",
]
_INSTALL = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}
_REMOVE = {
    "sqlite": [f"DROP TRIGGER IF EXISTS auditrecord_no_{action}" for action in ("update", "delete")],
    "postgresql": [
        "DROP TRIGGER IF EXISTS auditrecord_no_change ON portal_auditrecord",
        "DROP TRIGGER IF EXISTS auditrecord_no_truncate ON portal_auditrecord",
        "DROP FUNCTION IF EXISTS portal_auditrecord_refuse()",
    ],
}


def install(connection: Any) -> None:
    """Create the triggers."""
    _execute(connection, _INSTALL)


def remove(connection: Any) -> None:
    """Drop the triggers, to undo the migration and for tests that empty every table."""
    _execute(connection, _REMOVE)


def _execute(connection: Any, statements: dict[str, list[str]]) -> None:
    with connection.cursor() as cursor:
        for statement in statements.get(connection.vendor, []):
            cursor.execute(statement)
