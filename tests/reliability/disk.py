"""A small disk of our own whose power can be cut: ext4 on a loop device, shut down as when the device fails (R2).

After the shutdown nothing more reaches the disk, and what had not been written to it is gone with the page cache.
Not covered is a drive that itself forgets what it said was flushed.
"""

import contextlib
import fcntl
import functools
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MEBIBYTE = 1024 * 1024
#: EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32), and its flag to throw the journal's unwritten part away.
_SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
_NO_LOG_FLUSH = 2
_MEMORY = Path("/dev/shm")


class CutDisk:
    """One disk, mounted while it has power."""

    def __init__(self, folder: Path, *, size: int = 128 * MEBIBYTE) -> None:
        """Make the file system.

        Args:
            folder: where the image lies and the disk is mounted.
            size: bytes of the disk.
        """
        self.mount_point = folder / "disk"
        self.mount_point.mkdir()
        self._image = folder / "image"
        with self._image.open("wb") as file:
            file.truncate(size)
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self._image))

    def mount(self) -> None:
        """Give it power."""
        # The journal is written by nobody's clock, so that only flushes make anything certain.
        _run("mount", "-o", "loop,commit=300", str(self._image), str(self.mount_point))

    def settle(self) -> None:
        """Write everything that is waiting, so that the next cut cannot take it."""
        _run("sync", "-f", str(self.mount_point))

    def cut(self) -> None:
        """Take its power away; files that are open give errors from now on."""
        descriptor = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def unmount(self) -> None:
        """Nobody may use it any more; processes that were just killed need a moment."""
        for _ in range(100):
            if subprocess.run(["umount", str(self.mount_point)], capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.02)
        _run("umount", str(self.mount_point))


@contextlib.contextmanager
def cut_disk(size: int = 128 * MEBIBYTE) -> Iterator[CutDisk]:
    """A mounted disk, in memory where there is room for it."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 4 * size
    folder = Path(tempfile.mkdtemp(prefix="portal-disk-", dir=_MEMORY if roomy else None))
    disk = CutDisk(folder, size=size)
    try:
        disk.mount()
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk.mount_point)], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def unavailable() -> str:
    """Why no disk can be cut here; empty when it can."""
    if os.geteuid() != 0:
        return "power cuts need root, for a loop device"
    for program in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(program) is None:
            return f"power cuts need {program}"
    try:
        with cut_disk(32 * MEBIBYTE) as disk:
            (disk.mount_point / "unsafe").write_bytes(b"not flushed")
            disk.cut()
            disk.unmount()
            disk.mount()
            held = (disk.mount_point / "unsafe").exists()
            disk.unmount()
    except (OSError, subprocess.CalledProcessError) as fault:
        detail = getattr(fault, "stderr", "") or str(fault)
        return f"power cuts cannot be made here: {detail.strip()}"
    return "the shutdown of a file system loses nothing here" if held else ""


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)
