"""CSV form of lists: one line for each item."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

from portal import text


class CsvRenderer(BaseRenderer):
    """`?format=csv`: one line for each item, nested values as JSON, cells safe to open in a spreadsheet."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        rows = data.get("results", [data]) if isinstance(data, Mapping) else data or []
        return csv_text(rows, _columns((renderer_context or {}).get("view")))


def _columns(view: Any) -> list[str]:
    """Return the columns of a list, so that a table has its header even without items."""
    if not hasattr(view, "get_serializer"):
        return []
    serializer = view.get_serializer()
    item = serializer.fields["results"].child if "results" in serializer.fields else serializer
    return [name for name, field in item.fields.items() if not field.write_only]


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """A table with a header line; without given columns they are the keys of all rows in order of appearance."""
    columns = columns or list(dict.fromkeys(name for row in rows for name in row))
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(columns)
    writer.writerows([csv_cell(row.get(name)) for name in columns] for row in rows)
    return output.getvalue()


def csv_cell(value: Any) -> str:
    """Return the text of a cell; no spreadsheet evaluates it."""
    return text.csv_cell(value, text.escape_formula, _structure)


def _structure(value: Any) -> str:
    """Return plain words separated by blanks, and everything else as JSON, with times as in JSON answers."""
    if not isinstance(value, Mapping) and all(_is_word(item) for item in value):
        return " ".join(str(item) for item in value)
    return json.dumps(value, ensure_ascii=False, cls=JSONEncoder)


def _is_word(item: Any) -> bool:
    """Return whether an item of a list can be separated by blanks."""
    return isinstance(item, int) or (isinstance(item, str) and item != "" and " " not in item)


LIST_RENDERERS = [JSONRenderer, CsvRenderer]
