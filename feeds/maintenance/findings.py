"""Findings of a check of the store."""

from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """Kinds of findings. `MISSING`, `DAMAGED` and `UNEXPLAINED` are never repaired automatically."""

    MISSING = "row without file"
    DAMAGED = "file differs from row"
    UNEXPLAINED = "unexplained"
    UNRECORDED = "file without row"
    HALF_WRITTEN = "half written"
    METADATA = "metadata missing or damaged"
    REMOVING = "removal not finished"


#: Kinds that mean lost data.
LOSSES = frozenset({FindingKind.MISSING, FindingKind.DAMAGED})


@dataclass(frozen=True)
class Finding:
    """One object that is not as it should be. `path` is relative to the store."""

    kind: FindingKind
    path: str
    detail: str = ""
    repaired: bool = False


@dataclass
class Totals:
    """Numbers of checked objects."""

    receipts: int = 0
    files: int = 0
