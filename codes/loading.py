"""Loads the files of the catalogue into the database: only what changed, in one transaction."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models, transaction

from codes import models as tables
from codes.catalogue import reader
from codes.catalogue.contradictions import silent_contradictions
from codes.table_rows import Rows, fitting_rows

DATA_DIRECTORY = Path(__file__).parent / "data"
OWN_FOLDER = "catalogue"
# Version of everything that is made from the files: rows, answers of the API, exports. Raise it when the same files
# would give other rows or other bytes, so that an upgrade loads again and no client is answered "not modified".
# tests/codes/api/test_format.py notices a change of shape.
FORMAT = 5


@dataclass(frozen=True)
class TableReport:
    """Changes of one table by a load; `gone` holds the keys of rows that left the files."""

    table: str
    created: tuple[str, ...]
    changed: tuple[str, ...]
    same: int
    gone: tuple[str, ...]


@dataclass(frozen=True)
class LoadReport:
    """Outcome of a load; without tables the digest was known and no file was read."""

    digest: str
    tables: tuple[TableReport, ...] = ()
    contradictions: tuple[str, ...] = ()
    pruned: bool = False
    waiting_notes: tuple[str, ...] = ()

    @property
    def unchanged(self) -> bool:
        return not self.tables

    @property
    def gone(self) -> list[str]:
        return [f"{report.table} {key}" for report in self.tables for key in report.gone]

    @property
    def written(self) -> int:
        return sum(len(report.created) + len(report.changed) for report in self.tables)


def default_directories() -> tuple[Path, ...]:
    """Return the files of the product, and those of this site in its data dir, if it has any."""
    own = Path(settings.DATA_DIR) / OWN_FOLDER
    return (DATA_DIRECTORY, own) if reader.catalogue_files(own) else (DATA_DIRECTORY,)


def load(*directories: Path, prune: bool = False) -> LoadReport:
    """Load the files into the database, unless it has them already.

    Raises:
        CatalogueFault: the files cannot be used.
    """
    directories = directories or default_directories()
    digest = files_digest(*directories)
    if not prune and tables.Release.objects.latest_digest() == digest:
        return LoadReport(digest)
    joined = reader.read_catalogue(*directories)
    every = fitting_rows(joined)
    with transaction.atomic():
        reports = tuple(_write(model, rows) for model, rows in every)
        if prune:
            _delete_gone(reports)
        contradictions = tuple(silent_contradictions(joined))
        report = LoadReport(digest, reports, contradictions, pruned=prune, waiting_notes=_waiting_notes())
        _note_release(report)
    return report


def check(*directories: Path) -> LoadReport:
    """Report what a load would do, and which contradictions are not explained; write nothing.

    Raises:
        CatalogueFault: the files cannot be used.
    """
    directories = directories or default_directories()
    joined = reader.read_catalogue(*directories)
    reports = tuple(_compare(model, rows)[0] for model, rows in fitting_rows(joined))
    return LoadReport(files_digest(*directories), reports, tuple(silent_contradictions(joined)))


def files_digest(*directories: Path) -> str:
    """Return the fingerprint of the data files and of `FORMAT`; it is the ETag of the exports."""
    digest = hashlib.sha256(f"format {FORMAT}\0".encode())
    for directory in directories:
        for path in reader.catalogue_files(directory):
            _feed(digest, str(path.relative_to(directory)), path.read_bytes())
    return digest.hexdigest()


def _feed(digest: Any, name: str, content: bytes) -> None:
    digest.update(f"{name}\0{len(content)}\0".encode())
    digest.update(content)


def _note_release(report: LoadReport) -> None:
    """Store the digest and the codes that the load touched."""
    removed = report.pruned and report.gone
    if tables.Release.objects.latest_digest() == report.digest and not report.written and not removed:
        return
    tables.Release.objects.create(
        digest=report.digest,
        counts={table.table: len(table.created) + len(table.changed) + table.same for table in report.tables},
        changes=_changes(report),
    )


def _changes(report: LoadReport) -> dict[str, list[str]]:
    """Return what a load changed, for the release notes of the catalogue."""
    by_table = {table.table: table for table in report.tables}
    disagreements = by_table["Disagreement"]
    return {
        "codes": _touched_codes(report),
        "new_codes": sorted(by_table["StatusCode"].created),
        "new_sources": sorted(by_table["Source"].created),
        "disagreements": sorted({*disagreements.created, *disagreements.changed}),
    }


def _touched_codes(report: LoadReport) -> list[str]:
    """Return the codes with a new or changed row; the keys of these tables begin with the code's own key."""
    touched: set[str] = set()
    for table in report.tables:
        if table.table in {"StatusCode", "Meaning", "HeaderUse"}:
            touched.update("/".join(key.split("/")[:2]) for key in (*table.created, *table.changed))
    return sorted(touched)


def _compare(model: type[models.Model], rows: Rows) -> tuple[TableReport, dict[str, models.Model]]:
    """Compare the rows with the database; return the report, and the present rows by key."""
    present = {str(row.pk): row for row in model._default_manager.order_by()}
    created, changed = [], []
    for key, row in rows.items():
        if key not in present:
            created.append(key)
        elif any(getattr(present[key], name) != value for name, value in row.items()):
            changed.append(key)
    gone = tuple(key for key in present if key not in rows)
    same = len(rows) - len(created) - len(changed)
    return TableReport(model.__name__, tuple(created), tuple(changed), same, gone), present


def _write(model: type[models.Model], rows: Rows) -> TableReport:
    report, present = _compare(model, rows)
    model._default_manager.bulk_create(model(pk=key, **rows[key]) for key in report.created)
    if report.changed:
        for key in report.changed:
            for name, value in rows[key].items():
                setattr(present[key], name, value)
        names = [name.removesuffix("_id") for name in next(iter(rows.values()))]
        model._default_manager.bulk_update([present[key] for key in report.changed], names)
    return report


def _delete_gone(reports: Sequence[TableReport]) -> None:
    """Delete the rows, children first. Local notes belong to the administrators and stay without their meaning."""
    for report in reversed(reports):
        apps.get_model("codes", report.table)._default_manager.filter(pk__in=report.gone).delete()


def _waiting_notes() -> tuple[str, ...]:
    """Return the notes that are kept but not shown, because the files no longer have their meaning."""
    return tuple(str(note) for note in tables.LocalNote.objects.without_meaning())
