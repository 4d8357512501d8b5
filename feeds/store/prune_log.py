"""The receipts that retention has removed, by day: a backup takes out what is in here, and nothing else.

The log lies in the store, because with it goes what it speaks of. An entry is on disk before the row is deleted.
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

FOLDER = "pruned"
#: A backup that is older asks before it takes anything out.
KEPT = timedelta(days=100)


def note_removals(root: Path, receipt_ids: Iterable[str], now: datetime | None = None) -> None:
    """Note receipts that are about to be removed, durably."""
    folder = root / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    day = now or datetime.now(UTC)
    descriptor = os.open(folder / f"{day:%Y-%m-%d}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{receipt_id}\n" for receipt_id in receipt_ids)
        file.flush()
        os.fsync(file.fileno())


def removed_among(root: Path, receipt_ids: set[str]) -> set[str]:
    """Those of some receipts that retention has removed."""
    found: set[str] = set()
    for path in sorted((root / FOLDER).glob("????-??-??")) if receipt_ids else ():
        with path.open(encoding="utf-8") as file:
            found.update(receipt_ids.intersection(line.rstrip("\n") for line in file))
    return found


def forget_old(root: Path, now: datetime | None = None) -> None:
    """Remove the days that no backup needs any more."""
    oldest = f"{(now or datetime.now(UTC)) - KEPT:%Y-%m-%d}"
    for path in (root / FOLDER).glob("????-??-??"):
        if path.name < oldest:
            path.unlink()
