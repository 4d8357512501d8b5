"""From batches of bytes to one durable file: spooled, hashed, limited, flushed, renamed into place.

Nothing here knows feeds or rows. The order of the calls is the promise behind every 200 (receipt contract,
section 8.2): flush the file, rename it, flush the directory and every directory newly made on the way.
"""

import contextlib
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from feeds.store.compression import TooLarge

PART_SUFFIX = ".part"
FREE_CHECK_STEP = 64 * 1024 * 1024
_GIB = 1024**3


class NoSpace(Exception):  # a passing fault, named after what is missing
    """The store has less free space than the configured mark."""


class SyncFailed(OSError):  # named like OSError's own subclasses
    """A flush to disk failed: what the kernel still holds of this file cannot be trusted any more."""


@dataclass(frozen=True)
class Space:
    """Room on the store's disk in bytes: all, free for us, and how much has to stay free."""

    size: int
    free: int
    mark: int


@dataclass(frozen=True)
class SpaceMark:
    """Below how many free bytes deliveries are refused; `minimum` None means 5 % of the disk, at least 1 GiB."""

    folder: Path
    minimum: int | None = None

    def measure(self) -> Space:
        """Look at the disk.

        Raises:
            OSError: the store cannot be reached.
        """
        disk = os.statvfs(self.folder)
        size = disk.f_blocks * disk.f_frsize
        mark = max(size // 20, _GIB) if self.minimum is None else self.minimum
        return Space(size, disk.f_bavail * disk.f_frsize, mark)

    def is_low(self) -> bool:
        """Whether less is free than the mark asks for.

        Raises:
            OSError: the store cannot be reached.
        """
        space = self.measure()
        return space.free < space.mark

    def demand(self) -> None:
        """Raise NoSpace when less is free than the mark asks for."""
        if self.is_low():
            space = self.measure()
            raise NoSpace(f"{space.free} bytes are free, {space.mark} have to stay free")


class Part:
    """One delivery's bytes on their way into the store. Used by one thread at a time."""

    def __init__(self, path: Path, *, space: SpaceMark, limit: int | None = None) -> None:
        """Open a new file.

        Args:
            path: the temporary file, which must not exist.
            space: checked again as the file grows.
            limit: most bytes that may be stored.
        """
        self.path = path
        self.bytes = 0
        self._space = space
        self._limit = limit
        self._hash = hashlib.sha256()
        self._next_check = FREE_CHECK_STEP
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            TooLarge: the file would grow over the limit.
            NoSpace: the free space has fallen below the mark.
            OSError: the disk failed or is full.
        """
        self.bytes += len(data)
        if self._limit is not None and self.bytes > self._limit:
            raise TooLarge
        if self.bytes >= self._next_check:
            self._next_check = self.bytes + FREE_CHECK_STEP
            self._space.demand()
        if self._descriptor is None:
            raise OSError("the part is closed")
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._hash.update(data)

    def sync(self) -> None:
        """Flush to disk and close. A flush that failed is never tried again: the part must be given up.

        Raises:
            SyncFailed: the flush failed.
        """
        if self._descriptor is None:
            raise OSError("the part is closed")
        try:
            os.fsync(self._descriptor)
        except OSError as fault:
            raise SyncFailed(*fault.args) from fault
        self._close()

    def discard(self) -> None:
        """Remove the file, if it is still there; never raises, as it runs where something already failed."""
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class StoreFolder:
    """The directory tree that holds received data."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: set[PurePosixPath] = set()
        self._lock = threading.Lock()

    def holds(self, path: PurePosixPath) -> bool:
        """Whether there is a file of this name below the root."""
        return os.path.exists(f"{self.root}/{path}")  # noqa: PTH110  # several for each delivery

    def place(self, part: Part, path: PurePosixPath) -> None:
        """Rename a part that was flushed to its final path below the root. The caller flushes the folder.

        The caller has made sure with `holds` that the name is free. Its lock on its slot makes sure that no other
        process makes files of this name, so that looking first is enough never to rename over an existing file.

        Raises:
            OSError: the disk failed; nothing is promised about the part.
        """
        os.rename(part.path, f"{self.root}/{path}")  # noqa: PTH104  # one for each delivery

    def write_new(self, path: PurePosixPath, data: bytes) -> None:
        """Write a file below the root whose loss could be made good: without a flush.

        Under its final name from the beginning. It is written before the data that it belongs to gets its name, so
        one that a crash left half written is removed by the next start.

        Raises:
            OSError: the disk failed or is full, or the file exists.
        """
        descriptor = os.open(f"{self.root}/{path}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)

    def make_folder(self, folder: PurePosixPath) -> None:
        """Make a folder below the root so that it survives a power cut.

        A folder that exists already may have been made a moment ago by another worker that has not flushed its
        parent yet. So each process flushes the parents once for every folder it uses.
        """
        with self._lock:
            if folder in self._durable:
                return
        levels = [self.root / level for level in (folder, *folder.parents)[:-1]]
        for level in reversed(levels):
            level.mkdir(mode=0o700, exist_ok=True)
        for level in levels:
            sync_folder(level.parent)
        with self._lock:
            self._durable.add(folder)

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file below the root, if it is there."""
        (self.root / path).unlink(missing_ok=True)


def stored_path(root: Path, path: str) -> Path:
    """Return the full path of a stored file.

    Raises:
        FileNotFoundError: the path leads out of the store. The portal writes it, so this only guards a foreign row.
    """
    store = root.resolve()
    full = (store / path).resolve()
    if not full.is_relative_to(store):
        raise FileNotFoundError(path)
    return full


def sync_folder(folder: Path) -> None:
    """Flush a directory, so that the names in it survive a power cut.

    Raises:
        SyncFailed: the flush failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as fault:
        raise SyncFailed(*fault.args) from fault
    finally:
        os.close(descriptor)


def write_replacing(path: Path, data: bytes) -> None:
    """Write a file whose loss could be made good: no flush of its own, but never half a file under its name."""
    temporary = path.with_name(f"{path.name}.new")
    try:
        temporary.write_bytes(data)
        temporary.chmod(0o600)
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
