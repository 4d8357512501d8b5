"""Journal of the hand-over: what a batch is about to do, on disk before it is done."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from feeds.store.spool import sync_folder


@dataclass
class Ready:
    """Archive that is complete and about to appear; `receipts` are those whose data it holds."""

    stem: str
    feed: str = ""
    type: str = ""
    guid: str = ""
    receipts: list[int] = field(default_factory=list)

    def as_record(self) -> dict[str, str]:
        """Return what a receipt keeps of it."""
        return {"name": self.stem, "guid": self.guid, "feed": self.feed, "type": self.type}


class Journal:
    """Journal file of one batch; it is removed when the batch has ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.receipts: list[int] = []
        self.marks = False
        self.ready: list[Ready] | None = None

    @classmethod
    def read(cls, path: Path) -> "Journal":
        journal = cls(path)
        stored = json.loads(path.read_text(encoding="utf-8"))
        journal.receipts, journal.marks = stored["receipts"], stored["marks"]
        if stored["ready"] is not None:
            # Older releases wrote bare names.
            journal.ready = [Ready(one) if isinstance(one, str) else Ready(**one) for one in stored["ready"]]
        return journal

    def write(self) -> None:
        """Make this state durable, replacing the one before."""
        ready = None if self.ready is None else [asdict(one) for one in self.ready]
        new = self.path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump({"receipts": self.receipts, "marks": self.marks, "ready": ready}, file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.path)
        sync_folder(self.path.parent)

    def end(self) -> None:
        self.path.unlink()
        sync_folder(self.path.parent)
