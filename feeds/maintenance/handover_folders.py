"""Folders of the hand-over: the staging folder, the output folder, and their access rights.

The reader is another user, a stroom-proxy as a rule. It has to read the files and to remove them, so each archive
and its folder get the owner, group and rights of the output folder. A scanner removes folders that are empty, the
output folder among them: what it was like is remembered, so that it is made again with the same rights.
"""

import contextlib
import json
import os
import re
import stat
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from feeds.store.ids import RECEIPT_ID
from feeds.store.spool import sync_folder
from portal.files import NotOurs, claim_folder, mark_folder, stamp_of, write_durably

#: What the stamp of a staging folder begins with; the key of the portal's store follows.
STAGING = "staging folder of export_receipts"
#: Names that an export gives to what it builds in its staging folder.
STAGED = re.compile(rf"([A-Za-z0-9_-]+_)?{RECEIPT_ID.pattern}(\.(zip|meta|new|journal))?")
#: Rights of an output folder that is made without any wish: received data is for our own user.
PRIVATE = 0o700
#: Rights of one that is made for a group: what is put into it is the group's too.
SHARED = 0o2770
#: The file in the staging folder that says what the output folder was like.
_MEMORY = ".output"
#: A folder in it that is made to try what this user may do.
_PROBE = ".probe"
#: What stands for a group that the service cannot see (PrivateUsers= in its unit).
_UNMAPPED = 65534
#: How often a scanner may remove the output folder just before something appears in it.
_TRIES = 100
_ACL, _DEFAULT_ACL = "system.posix_acl_access", "system.posix_acl_default"


class CannotExport(Exception):
    """The folders cannot be used; the text says why."""


@dataclass(frozen=True)
class Access:
    """Owner, group and mode of a folder and its files; `acl` is its default access control list, in hex."""

    mode: int
    owner: int
    group: int
    acl: str = ""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read the rights of an existing folder."""
        found = folder.stat()
        return cls(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, _default_acl(folder))

    @property
    def needs_group(self) -> bool:
        """Whether the group has rights that others do not have."""
        return bool((self.mode >> 3) & ~self.mode & 0o7)

    def let_in(self, other: "Access") -> bool:
        """Return whether the readers of the other can pass through this folder."""
        by_group = bool(self.mode & 0o010) and self.group == other.group
        return bool(self.mode & 0o001) or by_group or not other.mode & 0o077 or bool(self.acl)

    def demand_possible(self, staging: Path, output: Path) -> None:
        """Raise CannotExport where what is built in the staging folder would not get the group.

        Found out by trying: the group also comes from a setgid folder, which needs no membership.
        """
        if not self.needs_group:
            return
        probe = staging / _PROBE
        probe.mkdir(mode=PRIVATE, exist_ok=True)
        try:
            self._give_group(probe)
        except OSError as fault:
            raise CannotExport(
                f"{output} is for the group {self.group}, and this user cannot give files to it: its readers could "
                f"not read the archives. Add the user to the group; or give {staging.parent} that group and the "
                f"setgid bit (chmod 2750), and remove {staging}, which is made again."
            ) from fault
        finally:
            probe.rmdir()

    def give(self, path: Path, *, whole_mode: bool = False) -> None:
        """Give a file or folder the owner, group and rights of this.

        Args:
            path: what we have made.
            whole_mode: also setgid and the sticky bit, for the output folder itself.
        """
        is_folder = path.is_dir()
        if self.acl:
            os.setxattr(path, _ACL, bytes.fromhex(self.acl))
        if self.acl and is_folder:
            os.setxattr(path, _DEFAULT_ACL, bytes.fromhex(self.acl))
        if os.geteuid() == 0:
            os.chown(path, self.owner, -1)
        if self.needs_group or os.geteuid() == 0:
            self._give_group(path)
        rights = self.mode & 0o777 if is_folder else self.mode & 0o666
        path.chmod(rights | (0o700 if is_folder else 0o600))
        if whole_mode and self.mode & ~0o777:
            with contextlib.suppress(PermissionError):  # forbidden by the service's unit; the group is given anyway
                path.chmod(self.mode)

    def _give_group(self, path: Path) -> None:
        # In a service that sees no other users, every group is the same one without a name, and files have theirs
        # from a setgid folder.
        if self.group != _UNMAPPED and path.stat().st_gid != self.group:
            os.chown(path, -1, self.group)


@dataclass(frozen=True)
class Staging:
    """Folders of a run. `made` is what the output folder is like, `access` what appears in it is given."""

    output: Path
    folder: Path
    made: Access
    access: Access

    @classmethod
    def of(
        cls,
        output: Path,
        folder: Path | None = None,
        *,
        mode: int | None = None,
        group: int | None = None,
        owner: str = "",
    ) -> Self:
        """Make the folders.

        Args:
            output: where archives appear. One that exists keeps its owner, group and rights.
            folder: where they are built.
            mode: rights of the archives' folders, and of the output folder where it is made.
            group: group of the archives, and of the output folder where it is made.
            owner: the key of the portal's store: what another portal has left in the folder is not ended here.

        Raises:
            CannotExport: they cannot be made or used as wished, are on two file systems, or the staging folder
                holds other files.
        """
        staging = folder or output.parent / f".{output.name}.staging"
        if stamp_of(output).startswith(STAGING):
            raise CannotExport(f"{output} is the staging folder of another export. Name another output folder.")
        if staging.resolve().is_relative_to(output.resolve()):
            raise CannotExport("The staging folder must not be inside the output folder.")
        try:
            if folder is not None or not _left_by_older_release(staging):
                _claim(staging, owner)
            made, access = _accesses(output, staging, mode, group)
            _make_output(output, made)
            _remember(staging, made)
            same = output.stat().st_dev == staging.stat().st_dev
            if not os.access(output, os.W_OK | os.X_OK):
                raise CannotExport(f"This user may not write into {output}.")
        except OSError as fault:
            raise CannotExport(f"{fault.filename} cannot be used: {fault.strerror}.") from fault
        except NotOurs as fault:
            raise CannotExport(str(fault)) from fault
        if not same:
            raise CannotExport("The staging folder must be on the file system of the output folder.")
        return cls(output, staging, made, access)

    def appear(self, stem: str) -> None:
        """Move the folder of an archive into place, whole and readable; nothing happens where it was moved before.

        Raises:
            OSError: it cannot be moved.
        """
        built = self.folder / stem
        if not built.is_dir():
            return
        for path in (*built.iterdir(), built):
            self.access.give(path)
        sync_folder(built)
        for left in reversed(range(_TRIES)):
            _make_output(self.output, self.made)
            try:
                built.rename(self.output / stem)
                break
            except FileNotFoundError:
                if not left or not built.is_dir():
                    raise
        sync_folder(self.output)

    def appear_flat(self, stem: str) -> None:
        """Move an archive that an older release had built: its files one after the other, metadata first."""
        _make_output(self.output, self.made)
        for path in (self.folder / f"{stem}{suffix}" for suffix in (".meta", ".zip")):
            if path.exists():
                self.access.give(path)
                path.rename(self.output / path.name)
        sync_folder(self.output)


def _claim(staging: Path, owner: str) -> None:
    """Stamp a staging folder. Two portals with one output folder must not share it: journals name rows.

    Raises:
        NotOurs: it holds something else, or is another portal's.
    """
    stamp = f"{STAGING} {owner}".rstrip() + "\n"
    found = stamp_of(staging)
    if found == f"{STAGING}\n":
        mark_folder(staging, stamp)
    elif found.startswith(STAGING) and found != stamp:
        raise NotOurs(f"{staging} is the staging folder of another portal. Name another one with --staging.")
    claim_folder(staging, stamp)


def _accesses(output: Path, staging: Path, mode: int | None, group: int | None) -> tuple[Access, Access]:
    """Return the rights of the output folder and of what appears in it."""
    if output.is_dir():
        made = Access.of(output)
    else:
        made = _remembered(staging) or Access(PRIVATE, os.geteuid(), os.getegid())
        made = _wished(made, mode, group)
    access = _wished(made, mode, group)
    access.demand_possible(staging, output)
    if not made.let_in(access):
        raise CannotExport(
            f"{output} has mode {made.mode:04o} and group {made.group}: readers of the archives could not "
            f"enter it. chgrp {access.group} and chmod {access.mode:04o} it, or leave out --mode and --group."
        )
    return made, access


def _wished(access: Access, mode: int | None, group: int | None) -> Access:
    if group is not None:
        access = replace(access, group=group, mode=access.mode | SHARED if mode is None else access.mode)
    if mode is None:
        return access
    # Readers of a folder have to enter it, so a mode such as 0640 gets the x bits too.
    return replace(access, mode=mode | (mode & 0o444) >> 2 | PRIVATE)


def _make_output(output: Path, made: Access) -> None:
    if output.is_dir():
        return
    with contextlib.suppress(FileExistsError):
        output.mkdir(mode=PRIVATE, parents=True)
        made.give(output, whole_mode=True)
        sync_folder(output.parent)


def _remember(staging: Path, made: Access) -> None:
    # A folder that an older release has left gets its stamp at the next run, when it is empty.
    if stamp_of(staging).startswith(STAGING) and _remembered(staging) != made:
        write_durably(staging / _MEMORY, json.dumps(asdict(made)).encode())


def _remembered(staging: Path) -> Access | None:
    try:
        return Access(**json.loads((staging / _MEMORY).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _default_acl(folder: Path) -> str:
    try:
        return os.getxattr(folder, _DEFAULT_ACL).hex()
    except (OSError, AttributeError):  # none, or a system without them
        return ""


def _left_by_older_release(staging: Path) -> bool:
    """Return whether a folder without a stamp holds only what an export leaves there when it is killed."""
    if not staging.is_dir() or stamp_of(staging).startswith(STAGING):
        return False
    names = [path.name for path in staging.iterdir()]
    return bool(names) and all(STAGED.fullmatch(name) for name in names)
