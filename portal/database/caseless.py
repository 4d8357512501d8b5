"""Search for a part of a text whatever the case of its letters and their composition, in every script.

SQLite's LIKE ignores the case of ASCII alone, PostgreSQL's UPPER what the server's locale knows. The lookup
`caseless` compares texts in Unicode's form NFKC and in capitals: with a function of ours on SQLite, with ICU on
PostgreSQL. No index helps, so it is for tables of feeds and rules and not for those of receipts.
"""

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.models import CharField, Lookup, TextField

if TYPE_CHECKING:
    TextLookup = Lookup[Any]
else:
    TextLookup = Lookup

FUNCTION = "portal_capitals"


def capitals(text: str | None) -> str | None:
    """Return a text in the form in which it is compared."""
    return None if text is None else unicodedata.normalize("NFKC", text).upper()


def define(connection: Any, **_: Any) -> None:
    """Give a new connection the function (receiver of `connection_created`)."""
    if connection.vendor == "sqlite":
        connection.connection.create_function(FUNCTION, 1, capitals, deterministic=True)


@lru_cache(maxsize=8)
def _capitals_of_postgresql(alias: str) -> str:
    """Return the expression for PostgreSQL: with ICU where the server has it and stores UTF-8."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_encoding') = 'UTF8',"
            " EXISTS (SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu')"
        )
        utf8, icu = cursor.fetchone()
    text = "normalize(%s, NFKC)" if utf8 else "%s"
    return f'upper({text} COLLATE "und-x-icu")' if icu else f"upper({text})"


class Caseless(TextLookup):
    """`column__caseless="part"`."""

    lookup_name = "caseless"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"instr({FUNCTION}({column}), %s) > 0", [*parameters, capitals(str(self.rhs))]

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        form = _capitals_of_postgresql(connection.alias)
        return f"strpos({form % f'({column})::text'}, {form % '%s::text'}) > 0", [*parameters, str(self.rhs)]


def register() -> None:
    """Make the lookup known to text columns."""
    for field in (CharField, TextField):
        field.register_lookup(Caseless)
