"""Text that several parts produce: counted words, times, and cells of CSV files."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

#: A spreadsheet evaluates a cell that begins with one of these (S11).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


def instant_text(moment: datetime) -> str:
    """Return a time in ISO 8601, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 feed", "2 feeds". `many` is the plural where it is not made with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def csv_cell(value: Any, escape: Callable[[str], str], structure: Callable[[Any], str]) -> str:
    """Return the text of a cell.

    Args:
        value: a value of JSON.
        escape: protects text against spreadsheets, see `escape_formula` and `escape_cell`.
        structure: writes a list or an object as text.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return escape(structure(value) if isinstance(value, list | tuple | dict) else str(value))


def escape_formula(text: str) -> str:
    """Put a ' before text that a spreadsheet would evaluate."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def escape_cell(text: str) -> str:
    """Do the same so that `unescape_cell` can undo it: text that begins with a ' gets another one."""
    return f"'{text}" if text.startswith((*FORMULA_STARTS, "'")) else text


def unescape_cell(text: str) -> str:
    """Undo `escape_cell`; a ' before anything else belongs to the value."""
    return text[1:] if text.startswith("'") and text[1:].startswith((*FORMULA_STARTS, "'")) else text
