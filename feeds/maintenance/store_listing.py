"""Files and rows of the store as a check reads them: folders of hours, and the rows that belong into them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from django.db.models import QuerySet

from feeds.models import Receipt
from feeds.rules.stored_metadata import format_meta
from feeds.store.ids import DATA_SUFFIX, META_SUFFIX, RECEIPT_ID, data_path
from portal.files import sha256_of

_HOUR = re.compile(r"(\d{4}-\d{2}-\d{2})/(\d{2})")
STEP = timedelta(hours=1)
#: First id of an hour, and the first behind it.
Span = tuple[str, str]


@dataclass(frozen=True)
class StoredRow:
    """The columns of a receipt that a check needs; `headers` only where metadata is compared."""

    pk: int
    receipt_id: str
    path: str
    bytes: int
    sha256: str
    headers: dict[str, str] | None = None


def names_in(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208  # names are all that is wanted


def list_files(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Sizes of the files in a folder, and the names of what is no file. What goes meanwhile is left out."""
    sizes: dict[str, int] = {}
    strange = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False):
                    sizes[entry.name] = entry.stat().st_size
                else:
                    strange.append(entry.name)
            except FileNotFoundError:
                continue
    return sizes, sorted(strange)


def hour_of(text: str) -> datetime | None:
    """Return the hour that a folder is for; None when the name is no hour."""
    if not _HOUR.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d/%H").replace(tzinfo=UTC)
    except ValueError:
        return None


def rows_of(hour: datetime, *, deep: bool) -> Iterator[StoredRow]:
    """Rows whose ids were made in this hour; ids begin with their milliseconds."""
    first, last = span_of(hour)
    return stored_rows(Receipt.objects.order_by().filter(receipt_id__gte=first, receipt_id__lt=last), deep=deep)


def stored_rows(query: QuerySet[Receipt], *, deep: bool = False) -> Iterator[StoredRow]:
    values = query.values_list("pk", "receipt_id", "path", "bytes", "sha256", *(["headers"] if deep else []))
    return (StoredRow(*row) for row in values.iterator(chunk_size=5000))


def span_of(hour: datetime) -> Span:
    """Between which texts the ids of an hour are: they begin with their milliseconds."""
    first, last = (f"{int(moment.timestamp() * 1000):013d}" for moment in (hour, hour + STEP))
    return first, last


def is_in(folder: str, row: StoredRow) -> bool:
    return row.path == f"{folder}/{row.receipt_id}{DATA_SUFFIX}"


def healthy_files(row: StoredRow, sizes: dict[str, int]) -> tuple[str, ...]:
    """Return the two names of a receipt whose files are correct; none otherwise."""
    data, meta = f"{row.receipt_id}{DATA_SUFFIX}", f"{row.receipt_id}{META_SUFFIX}"
    return (data, meta) if sizes.get(data) == row.bytes and sizes.get(meta) else ()


def is_own_place(path: PurePosixPath) -> bool:
    """Return whether a data file is where its id says."""
    return bool(RECEIPT_ID.fullmatch(path.stem)) and path == data_path(path.stem)


def exists(row: StoredRow) -> bool:
    return Receipt.objects.filter(pk=row.pk).exists()


def metadata_of(row: StoredRow) -> bytes:
    if row.headers is not None:
        return format_meta(row.headers)
    return format_meta(Receipt.objects.values_list("headers", flat=True).get(pk=row.pk))


def size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def sha256_or_none(path: Path) -> str:
    try:
        return sha256_of(path)
    except FileNotFoundError:
        return ""
