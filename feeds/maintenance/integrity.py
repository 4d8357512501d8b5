"""Check of the store (threat model, R12): each object has its row or its writer, or a finding says what is wrong.

Runs while the portal works. Files of a live writer are left alone: the lock of its slot shows that it lives.
`store_walk` finds, `repair` acts.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from feeds.maintenance.findings import Finding, Totals
from feeds.maintenance.repair import repair
from feeds.maintenance.store_walk import StoreWalk


class StoreCheck:
    """One check of the whole store, or of its newest folders.

    Attributes:
        totals: numbers of checked objects.
        undecided: objects that a live writer may be making just now.
    """

    def __init__(self, root: Path, *, deep: bool = False, repair: bool = False, newest: int | None = None) -> None:
        """Prepare a check.

        Args:
            root: the store.
            deep: read every byte: checksums of data, content of metadata.
            repair: repair what can be repaired without losing anything.
            newest: check this number of the newest folders of hours only, and those that writers noted before they
                put something into them: what a crash leaves is in one of these, whatever the clock did.
        """
        self._root = root
        self._repairs = repair
        self._walk = StoreWalk(root, deep=deep, newest=newest)

    @property
    def totals(self) -> Totals:
        return self._walk.totals

    @property
    def undecided(self) -> set[PurePosixPath]:
        return self._walk.undecided

    def run(self) -> Iterator[Finding]:
        """Find everything that is not as it should be, repaired where that was asked for."""
        for batch in self._walk.everything():
            yield from repair(self._root, batch) if self._repairs else batch

    def recover(self) -> Iterator[Finding]:
        """Repair only what dead writers left without a row."""
        for batch in self._walk.left_by_writers():
            yield from repair(self._root, batch)
