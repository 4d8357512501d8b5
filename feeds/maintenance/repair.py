"""Repair of what a check of the store found, as far as nothing can be lost by it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from feeds.maintenance.findings import Finding, FindingKind
from feeds.maintenance.recovery import adopt
from feeds.maintenance.retention import finish_removals
from feeds.models import Receipt
from feeds.rules.stored_metadata import format_meta
from feeds.store.slots import PARTS, sweep_dead
from feeds.store.spool import write_replacing

REPAIRABLE = frozenset(
    {FindingKind.UNRECORDED, FindingKind.HALF_WRITTEN, FindingKind.METADATA, FindingKind.REMOVING}
)


def repair(root: Path, batch: Sequence[Finding]) -> Iterator[Finding]:
    """Repair the findings of one batch, and return all of them.

    Args:
        root: the store.
        batch: findings that were judged together, see `StoreWalk`.

    Raises:
        OSError: the store cannot be read or written.
        django.db.Error: the database cannot be used.
    """
    paths = {kind: [finding.path for finding in batch if finding.kind is kind] for kind in REPAIRABLE}
    if paths[FindingKind.UNRECORDED]:
        adopt(root, [PurePosixPath(path) for path in paths[FindingKind.UNRECORDED]])
    if paths[FindingKind.REMOVING]:
        finish_removals(root)
    parts = [path for path in paths[FindingKind.HALF_WRITTEN] if PurePosixPath(path).parts[0] == PARTS]
    if parts:
        sweep_dead(root)
    for path in set(paths[FindingKind.HALF_WRITTEN]) - set(parts):
        (root / path).unlink(missing_ok=True)
    for path in paths[FindingKind.METADATA]:
        _write_metadata(root / path)
    for finding in batch:
        yield replace(finding, repaired=finding.kind in REPAIRABLE)


def _write_metadata(path: Path) -> None:
    """Write the metadata of a receipt again, unless the receipt has been removed meanwhile."""
    for headers in Receipt.objects.filter(receipt_id=path.stem).values_list("headers", flat=True):
        write_replacing(path, format_meta(headers))
