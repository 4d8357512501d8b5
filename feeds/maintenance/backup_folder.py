"""The folder of a backup: whose it is, what it held before, and how the next copy takes its place (R29)."""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from feeds.maintenance.backup_database import DATABASE, DUMP, CannotBackUp, head_in
from feeds.models import Receipt
from feeds.store.ids import DATA_SUFFIX, META_SUFFIX, RECEIPT_ID, RECEIVED, data_path, meta_path
from portal.audit import record
from portal.audit.record import Head, read_heads
from portal.files import flush_folder, write_durably

SUMMARY = "backup.json"
STORE = "store"
PREVIOUS = "previous"
#: A start or a working portal leaves these: such a folder is a data folder in use.
IN_USE = ("prepare.lock", "limits", "metrics", "staticfiles")
#: So large a part of the receipts may be gone without having been pruned before an operator has to look.
FEW = 0.1


@dataclass
class Summary:
    """Summary of a backup, kept in it as `backup.json`.

    `portal` and `head` say whose it is: the digests of the first and of the last entry of the audit record.
    `faults` are receipts whose data is missing or not what was recorded.
    """

    whole: bool = False
    made: str = ""
    portal: str = ""
    head: str = ""
    receipts: int = 0
    bytes: int = 0
    copied: int = 0
    verified: int = 0
    repaired: int = 0
    removed: int = 0
    moved: int = 0
    generations: int = 0
    verified_to: str = ""
    faults: list[str] = field(default_factory=list)


class Folder:
    """The target of a backup."""

    def __init__(self, root: Path) -> None:
        """Look at it.

        Raises:
            CannotBackUp: it is no backup, or a data folder in use.
        """
        self.root = root
        self.moved = 0
        self.summary = self._read_summary()
        if root.exists() and not root.is_dir():
            raise CannotBackUp(f"{root} is no folder.")
        if root.is_dir() and any(root.iterdir()) and self.summary is None:
            raise CannotBackUp(f"{root} holds something that is no backup.")
        used = next((name for name in IN_USE if (root / name).exists()), None)
        if used is not None:
            raise CannotBackUp(
                f"A portal was started on {root} ({used} is there): it is a data folder in use and no longer a "
                "backup. Name another folder."
            )

    def _read_summary(self) -> Summary | None:
        try:
            stored = json.loads((self.root / SUMMARY).read_text(encoding="utf-8"))
            known = {one.name for one in fields(Summary)}
            return Summary(**{name: value for name, value in stored.items() if name in known})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, TypeError):
            return Summary()  # damaged: incomplete, and the rest has to show whose it is

    # Whose it is
    def demand_same_portal(self, present: Summary) -> None:
        """Compare the portal with that of the earlier copy.

        Raises:
            CannotBackUp: it is another one, or its database lacks what the copy has.
        """
        before = self.summary
        if before is None:
            return
        if before.portal and before.portal != present.portal:
            raise CannotBackUp(
                f"{self.root} is the backup of another portal, or of this one before its database was lost. Is "
                "PORTAL_DATA_DIR right? Name another folder; --force puts this portal's backup there, and keeps "
                "the earlier database."
            )
        head = self._head_of(before)
        if head is not None and not record.holds(head):
            raise CannotBackUp(
                f"{self.root} has a newer database: entry {head.number} of its audit record is not in this one. Is "
                "PORTAL_DATA_DIR right, or was an older database restored? Name another folder; --force backs up "
                "all the same, and keeps the newer database."
            )

    def _head_of(self, before: Summary) -> Head | None:
        """Return the head of the earlier copy; from its database where an older release has made it."""
        known = read_heads([before.head])
        if known:
            return known[0]
        return head_in(self.root / DATABASE) if (self.root / DATABASE).is_file() else None

    # What it holds that the database does not know
    def gone(self) -> list[PurePosixPath]:
        """Data files of the earlier copy whose receipts the database no longer has; what was half written goes."""
        self._held = 0
        found: list[PurePosixPath] = []
        for folder in sorted((self.root / STORE / RECEIVED).glob("*/*")):
            held = set(self._ids_in(folder))
            self._held += len(held)
            found += [data_path(one) for one in sorted(held - _known_among(held))]
        return found

    def _ids_in(self, folder: Path) -> Iterator[str]:
        for path in folder.iterdir() if folder.is_dir() else ():
            receipt_id, _, suffix = path.name.partition(".")
            if not RECEIPT_ID.fullmatch(receipt_id):
                continue  # not ours
            if suffix.endswith("new"):
                path.unlink()
            elif f".{suffix}" in (DATA_SUFFIX, META_SUFFIX):
                yield receipt_id

    def demand_few(self, vanished: list[PurePosixPath]) -> None:
        """Stop before a database that has lost its receipts takes them out of the backup, too.

        Raises:
            CannotBackUp: too many receipts are gone that were not pruned.
        """
        if len(vanished) > self._held * FEW:
            raise CannotBackUp(
                f"The database no longer has {len(vanished)} of the {self._held} receipts in {self.root}, and "
                "retention did not remove them. Is it the right database, or does it have to be restored? --force "
                f"backs up all the same, and moves their data below {self.root / PREVIOUS}."
            )

    # From the earlier copy to the next
    def begin(self, present: Summary) -> None:
        """Say that no copy is whole for now. Whose the folder is stays as it was."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = self.summary or Summary(portal=present.portal)
        self.end(Summary(made=before.made, portal=before.portal, head=before.head))

    def end(self, summary: Summary) -> None:
        """Say what the folder holds."""
        write_durably(self.root / SUMMARY, f"{json.dumps(asdict(summary), indent=1)}\n".encode())

    def retire(self, name: str, vanished: Iterable[PurePosixPath], store: Path) -> None:
        """Put the new database into its place, and keep the one before with what only that one knows.

        Args:
            name: what the new database is called, without `.new`.
            vanished: data files whose receipts are gone without having been pruned.
            store: the portal's; what is still there is only unrecorded, and stays.
        """
        generation = self._new_generation()
        for old in (*self.root.glob(f"{DATABASE}*"), *self.root.glob(f"{DUMP}*")):
            if old.suffix != ".new":  # also what reading the copy has left: -wal, -shm
                generation.mkdir(mode=0o700, parents=True, exist_ok=True)
                _keep(old, generation / old.name, stays=old.name == name)
        if generation.is_dir():
            for small in ("secret_key", "audit-heads"):
                if (self.root / small).is_file():
                    shutil.copy2(self.root / small, generation / small)
            flush_folder(generation)
        (self.root / f"{name}.new").rename(self.root / name)
        for path in vanished:
            if not (store / path).exists():
                self._move(path, generation)
        flush_folder(self.root)

    def _new_generation(self) -> Path:
        """Return a folder for the database that is replaced, named by when it was made."""
        files = [path for path in (self.root / DATABASE, self.root / DUMP) if path.is_file()]
        made = max((path.stat().st_mtime for path in files), default=datetime.now(UTC).timestamp())
        folder = self.root / PREVIOUS / f"{datetime.fromtimestamp(made, UTC):%Y-%m-%dT%H%M%SZ}"
        number = 1
        while folder.exists():
            number += 1
            folder = folder.with_name(f"{folder.name.partition('_')[0]}_{number}")
        return folder

    def _move(self, path: PurePosixPath, generation: Path) -> None:
        for one in (path, meta_path(path)):
            source, target = self.root / STORE / one, generation / STORE / one
            if source.is_file():
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                source.rename(target)
                self.moved += 1

    def remove(self, pruned: Iterable[PurePosixPath]) -> int:
        """Take out what retention has removed since: it would come back as recovered. How many files."""
        removed = 0
        for path in pruned:
            for one in (path, meta_path(path)):
                file = self.root / STORE / one
                if file.is_file():
                    file.unlink()
                    removed += 1
        return removed

    def forget_generations(self, keep: int) -> int:
        """Remove the oldest databases beyond `keep`, but none that data was moved to. How many are left."""
        folders = sorted(path for path in (self.root / PREVIOUS).glob("*Z*") if path.is_dir())
        for folder in folders[: max(0, len(folders) - keep)]:
            if not (folder / STORE).exists():
                shutil.rmtree(folder)
        return len([folder for folder in folders if folder.exists()])


def _keep(old: Path, kept: Path, *, stays: bool) -> None:
    """Move a file; one that `stays` keeps its name as well, until the new one takes it in one step."""
    if not stays:
        old.rename(kept)
        return
    try:
        kept.hardlink_to(old)
    except OSError:  # a file system without links
        shutil.copy2(old, kept)


def _known_among(receipt_ids: set[str]) -> set[str]:
    """Return the receipts that the database has, queried by the range of their ids, which are near each other."""
    if not receipt_ids:
        return set()
    rows = Receipt.objects.filter(receipt_id__gte=min(receipt_ids), receipt_id__lte=max(receipt_ids))
    return set(rows.order_by().values_list("receipt_id", flat=True).iterator(chunk_size=5000))
