"""Files and folders of the portal: durable writes, locks, checksums, and stamps on folders that it may clear."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path

#: The file that marks a folder whose content the portal removes by itself.
STAMP = ".stroom-portal"
#: Pause between two tries to get a lock.
_RETRY_SECONDS = 0.0005


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file; return False where another process holds it.

    The kernel frees the lock when the descriptor is closed, also when the process is killed.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_within(descriptor: int, seconds: float) -> bool:
    """Take the exclusive lock of an open file within this time; return False where it stays taken.

    A request must not wait without a limit: the process that holds the lock may be stopped or frozen.
    """
    deadline = time.monotonic() + seconds
    while not try_lock(descriptor):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_RETRY_SECONDS)
    return True


def wait_for_lock(descriptor: int) -> None:
    """Take the exclusive lock of an open file, however long it takes."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def reserve_file(path: Path, size: int) -> int:
    """Open a file with its space allocated; return the descriptor.

    A process that writes into a hole of a mapped file is killed when the disk is full.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class NotOurs(Exception):
    """Error for a folder that would be cleared but holds foreign files; the text names it."""


def flush_folder(folder: Path) -> None:
    """Flush a directory so that the names in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file so that it survives a power cut after this call."""
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
    """Return whether the portal has marked this folder for this purpose."""
    return stamp_of(folder) == purpose


def claim_folder(folder: Path, purpose: str) -> None:
    """Create a folder and mark it as one that the portal clears.

    Raises:
        NotOurs: it is not empty and has no mark of this purpose.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_stamped(folder, purpose):
        return
    # A stamp that a power cut left empty marks nothing, but is not a foreign file either.
    others = sorted(path.name for path in folder.iterdir() if path.name not in {STAMP, f"{STAMP}.new"})
    if others or stamp_of(folder):
        found = f"holds {others[0]}" if others else "belongs to another use of the portal"
        raise NotOurs(f"{folder} {found}: its content would be removed. Name a folder that is empty or new.")
    mark_folder(folder, purpose)


def mark_folder(folder: Path, purpose: str) -> None:
    """Mark a folder as one that the portal clears, whatever it holds."""
    write_durably(folder / STAMP, purpose.encode())


def clear_folder(folder: Path, purpose: str) -> None:
    """Remove everything in a folder except the mark that allows it.

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
    """Return the text of a folder's mark; empty where it has none."""
    try:
        return (folder / STAMP).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
