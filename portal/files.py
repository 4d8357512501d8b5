"""Files and folders of the portal: durable writes, locks, and stamps on folders that it may clear."""

import contextlib
import fcntl
import os
import shutil
import time
from pathlib import Path

#: The file that marks a folder whose content the portal removes by itself.
STAMP = ".stroom-portal"


#: Pause between two tries to get a lock.
_RETRY_SECONDS = 0.0005


def lock_within(descriptor: int, seconds: float) -> bool:
    """Take a file's lock, whether for itself alone within this time.

    Never wait without an end where a request waits too: the process that holds a lock may be stopped or frozen.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_RETRY_SECONDS)
        else:
            return True


class NotOurs(Exception):
    """A folder that would be cleared holds files of somebody else; the text names it."""


def flush_folder(folder: Path) -> None:
    """Flush a directory, so that the names in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file: after this call it survives a power cut."""
    replace_file(path, data)
    flush_folder(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file so that a power cut leaves the old or the new content. The caller flushes the folder."""
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def is_stamped(folder: Path, purpose: str) -> bool:
    """Whether the portal has marked this folder for this purpose."""
    return stamp_of(folder) == purpose


def claim_folder(folder: Path, purpose: str) -> None:
    """Make a folder and mark it as one that the portal clears.

    Raises:
        NotOurs: it holds something, and has no mark of this purpose.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_stamped(folder, purpose):
        return
    # A stamp that a power cut left empty marks nothing, and is no file of somebody else.
    others = sorted(path.name for path in folder.iterdir() if path.name not in {STAMP, f"{STAMP}.new"})
    if others or stamp_of(folder):
        found = f"holds {others[0]}" if others else "belongs to another use of the portal"
        raise NotOurs(f"{folder} {found}: its content would be removed. Name a folder that is empty or new.")
    mark_folder(folder, purpose)


def mark_folder(folder: Path, purpose: str) -> None:
    """Mark a folder as one that the portal clears, whatever it holds."""
    write_durably(folder / STAMP, purpose.encode())


def clear_folder(folder: Path, purpose: str) -> None:
    """Remove everything in a folder but the mark that allows it.

    Raises:
        NotOurs: it has no mark of this purpose.
    """
    claim_folder(folder, purpose)
    for path in folder.iterdir():
        if path.name == STAMP:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def stamp_of(folder: Path) -> str:
    """What the mark of a folder says; empty where it has none."""
    try:
        return (folder / STAMP).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
