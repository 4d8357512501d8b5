"""Recovery: restores the row of a stored file from the file and the metadata next to it.

A crash between the rename and the commit leaves such a file, and so does a database that is older than the store.
What neither file says is left empty: the real peer, the version of the feed that decided.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from django.db import IntegrityError, transaction

from feeds.models import FEED_NAME_LENGTH, Feed, Receipt, ReceiptFeed
from feeds.rules.decision import FeedStatus
from feeds.rules.facts import TOKEN_SUBJECT
from feeds.rules.stored_metadata import parse_meta
from feeds.store.archive import MAX_LISTED_GROUPS, Contents
from feeds.store.compression import GzipCheck, StreamInvalid
from feeds.store.ids import meta_path, received_at
from feeds.store.stored_zip import read_stored_archive

STEP = 256 * 1024


@dataclass(frozen=True)
class _Shape:
    """Kind of a file's content."""

    compression: str
    contents: Contents | None = None
    note: str = ""


@dataclass(frozen=True)
class RecoveredReceipt:
    """The row of a file that had none, not yet saved. `feeds` says of each feed whether its groups are dropped."""

    receipt: Receipt
    feeds: Mapping[str, bool]


def adopt(root: Path, paths: Sequence[PurePosixPath]) -> None:
    """Record whole files that have no row, in one transaction.

    Args:
        root: the store.
        paths: the data files, relative to the store.

    Raises:
        OSError: a file cannot be read.
    """
    found = [look_at(root, path) for path in paths]
    try:
        _record(found)
    except IntegrityError:  # another process has recorded one at this very moment
        _record(found)


def _record(found: Sequence[RecoveredReceipt]) -> None:
    with transaction.atomic():
        known = Receipt.objects.filter(receipt_id__in=[one.receipt.receipt_id for one in found])
        recorded = set(known.values_list("receipt_id", flat=True))  # their rows came while we looked
        new = [one for one in found if one.receipt.receipt_id not in recorded]
        Receipt.objects.bulk_create(one.receipt for one in new)
        ReceiptFeed.objects.bulk_create(
            ReceiptFeed(receipt=one.receipt, feed=name[:FEED_NAME_LENGTH], dropped=dropped)
            for one in new
            for name, dropped in one.feeds.items()
        )


def look_at(root: Path, path: PurePosixPath) -> RecoveredReceipt:
    """Reconstruct the row of a file from the file and its metadata.

    Raises:
        OSError: a file cannot be read.
    """
    metadata = read_metadata(root / meta_path(path))
    file = root / path
    size, digest = _measure(file)
    shape = _shape(file, size, metadata)
    feed = metadata.get("Feed", "")
    groups = [(group.name, group.feed or feed) for group in shape.contents.groups] if shape.contents else []
    dropping = _dropping({feed, *(name for _, name in groups)})
    notes = ["recovered: this file had no record", *([shape.note] if shape.note else [])]
    if not metadata:
        notes.append("its metadata file is missing")
    receipt = Receipt(
        receipt_id=path.stem,
        feed=feed[:FEED_NAME_LENGTH],
        received_at=received_at(path.stem),
        bytes=size,
        wire_bytes=size,
        sha256=digest,
        compression=shape.compression,
        path=str(path),
        sender_dn=metadata.get("RemoteDN"),
        sender_token=_token_of(metadata),
        headers=metadata,
        groups=[
            {"name": name, "feed": own, "dropped": own in dropping} for name, own in groups[:MAX_LISTED_GROUPS]
        ],
        notes=notes,
        guid=metadata.get("GUID", "")[:200],
        recovered=True,
    )
    return RecoveredReceipt(
        receipt, {name: name in dropping for name in sorted({feed, *(own for _, own in groups)})}
    )


def _token_of(metadata: dict[str, str]) -> str | None:
    """Return the name of the token that sent it: only a valid one is written so."""
    user = metadata.get("UploadUserId", "")
    return user.removeprefix(TOKEN_SUBJECT)[:100] if user.startswith(TOKEN_SUBJECT) else None


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata next to a file; empty where it is missing."""
    try:
        return parse_meta(path.read_bytes())
    except FileNotFoundError:
        return {}


def _measure(file: Path) -> tuple[int, str]:
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
        return data.tell(), digest


def _shape(file: Path, size: int, metadata: dict[str, str]) -> _Shape:
    """Find out what was sent: Compression is not part of the metadata, but the size of the data item is.

    The size is that of the data unpacked, so it differs from the file's where the data is GZIP; a ZIP has none.
    """
    noted = metadata.get("StreamSize", "")
    if re.fullmatch(r"\d+", noted) and int(noted) == size:
        return _Shape("NONE")
    inflated = _inflated(file)
    if inflated is not None and noted in {"", str(inflated)}:
        return _Shape("GZIP", note="" if noted else "GZIP was detected from the data")
    try:
        return _Shape("ZIP", read_stored_archive(file))
    except StreamInvalid:
        return _Shape("NONE", note="its metadata does not say what kind of data it is")


def _inflated(file: Path) -> int | None:
    """Return the unpacked size of gzip data; None when it is something else."""
    check = GzipCheck(any_members=True)
    try:
        with file.open("rb") as data:
            while piece := data.read(STEP):
                check.feed(piece)
        check.finish()
    except StreamInvalid:
        return None
    return check.inflated


def _dropping(feeds: set[str]) -> set[str]:
    found = Feed.objects.filter(name__in=feeds, status=FeedStatus.DROP.value)
    return set(found.values_list("name", flat=True))
