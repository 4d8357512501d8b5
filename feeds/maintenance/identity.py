"""Tie a store to its database (threat model, R30): a key in both, made at the first start of the two together.

Each row of a receipt names a file of one store. With another store, or another database, rows and files would
destroy each other: retention, export and repair act on what the one has and the other has not.
"""

import uuid
from pathlib import Path

from django.conf import settings
from django.db import connection

from feeds.models import Feed, Receipt, Store
from feeds.store.ids import DATA_SUFFIX, RECEIVED, STORE_ID
from feeds.store.slots import PARTS
from portal.audit.record import holds, last_announced, record
from portal.database.threads import DatabaseRefused
from portal.files import write_durably

#: So many of the newest receipts are looked for where database and store do not know each other yet.
SAMPLE = 50


class WrongStore(Exception):
    """Database and store do not belong together; the text says why, and what to do."""


def read_key(root: Path) -> uuid.UUID | None:
    """Return the key of a store; None where it has none yet.

    Raises:
        WrongStore: the file holds no key.
    """
    try:
        text = (root / STORE_ID).read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    try:
        return uuid.UUID(text)
    except ValueError as fault:
        raise WrongStore(f"{root / STORE_ID} holds no key of a store. Put back the one of the backup.") from fault


def known_keys() -> list[uuid.UUID]:
    """Keys of the stores that the database knows; none before its schema has the table."""
    if Store._meta.db_table not in connection.introspection.table_names():
        return []
    return list(Store.objects.order_by("pk").values_list("key", flat=True))


def demand_own_store(root: Path, *, may_be_blank: bool = False) -> None:
    """Compare store and database before anything is written to either.

    Args:
        root: the store.
        may_be_blank: whether a database that never held anything may meet a store with data.

    Raises:
        WrongStore: one of the two is another one's.
    """
    key, known = read_key(root), known_keys()
    if known:
        _demand_known(root, key, known)
    elif paths := list(Receipt.objects.order_by("-receipt_id").values_list("path", flat=True)[:SAMPLE]):
        if not any((root / path).is_file() for path in paths):
            raise WrongStore(
                f"None of the newest {len(paths)} receipts of the database has its file in {root}: this is another "
                f"database or store, or a volume that is not mounted. {_remedy()}"
            )
    elif not may_be_blank and (key or holds_data(root)) and _never_had_feeds():
        found = "holds received data" if holds_data(root) else "is the store of another database"
        raise WrongStore(
            f"The database holds nothing, but {root} {found}: senders would get 110 for their feeds. "
            "Correct DATABASE_URL or restore the database; if it is meant to be new, set PORTAL_NEW_DATABASE=on "
            "for one start."
        )


def refuse_new_file() -> None:
    """Check the database file that has just taken the place of another one.

    Raises:
        DatabaseRefused: it belongs to another store: its feeds and rules are not ours.
    """
    try:
        demand_own_store(settings.STORE_DIR)
    except WrongStore as fault:
        raise DatabaseRefused(str(fault)) from fault


def _demand_known(root: Path, key: uuid.UUID | None, known: list[uuid.UUID]) -> None:
    if key in known or (key is None and _has_lost_its_key(root)):
        return
    found = f"{root} is the store {key}." if key else f"{root} has no {STORE_ID}; is a volume not mounted?"
    raise WrongStore(f"The database belongs to the store {known[0]}, but {found} {_remedy()}")


def _has_lost_its_key(root: Path) -> bool:
    """Return whether workers of this very database have used the store: then only the small file is gone."""
    head = last_announced()
    return (root / PARTS).is_dir() and head is not None and holds(head)


def _remedy() -> str:
    return (
        "Correct PORTAL_DATA_DIR or DATABASE_URL, or restore the store; only if the other store is gone for good: "
        "manage.py adopt_store."
    )


def link(root: Path) -> None:
    """Let database and store know each other, if they do not yet."""
    if known := known_keys():
        if read_key(root) is None:
            _write_key(root, known[0])
        return
    key = read_key(root) or uuid.uuid4()
    # The file first: a database that knows a store without a key would refuse it.
    _write_key(root, key)
    Store.objects.create(key=key)


def adopt(root: Path, reason: str) -> uuid.UUID:
    """Let the database belong to this store from now on, whatever it belonged to before."""
    before = known_keys()
    key = read_key(root) or uuid.uuid4()
    _write_key(root, key)
    Store.objects.exclude(key=key).delete()
    Store.objects.get_or_create(key=key)
    record(
        "changed",
        kind="store",
        key=key,
        name=str(root),
        old={"stores": [str(one) for one in before]},
        new={"stores": [str(key)]},
        comment=reason,
    )
    return key


def holds_data(root: Path) -> bool:
    """Return whether anything was ever received into this store and is still there."""
    return next((root / RECEIVED).rglob(f"*{DATA_SUFFIX}"), None) is not None


def _never_had_feeds() -> bool:
    return not Feed.objects.exists() and not Feed.history.exists()


def _write_key(root: Path, key: uuid.UUID) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if read_key(root) != key:
        write_durably(root / STORE_ID, f"{key}\n".encode())
