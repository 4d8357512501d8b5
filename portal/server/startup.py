"""Preparation of a start: schema, catalogue, first administrator, static files, a swept store.

Each step first looks whether there is anything to do, so that a second start takes no time and no network.
"""

import fcntl
import gc
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import get_resolver

from codes import loading
from codes.catalogue.toml_table import CatalogueFault
from feeds.maintenance.integrity import StoreCheck
from feeds.maintenance.takeover import NEWEST_HOURS
from feeds.monitoring.metrics import FOLDER, prepare_folder
from portal.audit.record import one_head_announced, record_settings, reported_settings
from portal.files import NotOurs, clear_folder, mark_folder
from portal.server import guard
from portal.text import counted

Say = Callable[[str], None]
_STAMP = "static.stamp"
#: What the mark in the folder of static files says.
STATIC = "static files\n"


def prepare(say: Say, show: Say | None = None) -> None:
    """Make everything ready; may be called again after it has failed half-way.

    Args:
        say: takes one line for each thing that was done.
        show: takes what is for the operator alone, such as the first password; `say` unless given.
    """
    with _alone(settings.DATA_DIR / "prepare.lock"), one_head_announced():
        guard.demand_own_database(settings.STORE_DIR, say=say)
        settings.STORE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        migrate(say)
        guard.end_first_start(settings.STORE_DIR)
        guard.say_what_is_older(say)
        load_catalogue(say)
        note_settings(say)
        collect_static(say)
        recover_store(say)
        prepare_folder(settings.DATA_DIR / FOLDER)
        # Last: what fails above can then not take the password with it.
        create_first_administrator(say, show or say)


def share_memory() -> None:
    """Load before the fork what each worker would load by itself, and keep it in pages that the workers share.

    The collector writes to every object that it looks at, which gives each process a copy of its own.
    """
    get_resolver().url_patterns  # noqa: B018  # imports every view
    gc.collect()
    gc.freeze()


def migrate(say: Say) -> None:
    """Bring the database's schema up to date."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)
        say("The database's schema is up to date.")


def load_catalogue(say: Say) -> None:
    """Load the catalogue's files where they have changed.

    A fault in the site's own files must not keep the portal from receiving data: without them it serves what it
    has loaded before.
    """
    try:
        report = loading.load()
    except CatalogueFault as fault:
        if loading.default_directories() == (loading.DATA_DIRECTORY,):
            raise
        say(f"The site's own catalogue files are left out, because they cannot be used:\n{fault}")
        report = loading.load(loading.DATA_DIRECTORY)
    if not report.unchanged:
        say(f"The catalogue is loaded ({counted(report.written, 'row')} written).")


def create_first_administrator(say: Say, show: Say) -> None:
    """Make the first administrator when there is none; a generated password is shown this once."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return
    environment = settings.ENVIRONMENT
    if users.filter(username=environment.admin_username).exists():
        say(
            f"There is no superuser, and the user {environment.admin_username} is not made one. To have one, run "
            "`manage.py createsuperuser`, or set PORTAL_ADMIN_USERNAME to a name that no user has."
        )
        return
    password = environment.admin_password or secrets.token_urlsafe(12)
    users.create_superuser(environment.admin_username, password=password)
    if environment.admin_password:
        say(f"Administrator {environment.admin_username} is created with the password from the settings.")
    else:
        show(f"Administrator: {environment.admin_username}   Password (shown this once): {password}")


def open_folder(folder: Path) -> str:
    """Warn where other users of this machine can look into the data folder; empty where they cannot."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & 0o077:
        return ""
    return f"The data folder {folder} is open to other users of this machine (mode {mode:04o}): chmod 700 {folder}"


def note_settings(say: Say) -> None:
    """Keep in the audit record with which settings the portal runs from now on."""
    if record_settings(reported_settings(settings.ENVIRONMENT)):
        say("The settings are noted in the audit record.")


def collect_static(say: Say) -> None:
    """Gather, hash and compress the static files where one has changed.

    Raises:
        Refused: the folder, which is cleared, holds files that are not the portal's.
    """
    folder = Path(settings.STATIC_ROOT)
    stamp = folder.with_name(_STAMP)
    digest = _static_digest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest and folder.is_dir():
        return
    try:
        if stamp.is_file() and folder.is_dir():  # an older release marked the folder by this file alone
            mark_folder(folder, STATIC)
        clear_folder(folder, STATIC)
    except NotOurs as fault:
        raise guard.Refused(str(fault)) from fault
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(digest, encoding="utf-8")
    say("The static files are gathered.")


def recover_store(say: Say) -> None:
    """Mend what a crash may have left: unfinished parts, whole files without rows, lost metadata files."""
    for finding in StoreCheck(settings.STORE_DIR, repair=True, newest=NEWEST_HOURS).run():
        done = "repaired" if finding.repaired else "see manage.py check_store"
        say(f"Store: {finding.kind}: {finding.path} {finding.detail} ({done})")


def _static_digest() -> str:
    """Names, sizes and times of every static file, and how they are stored."""
    digest = hashlib.sha256(repr(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for name, storage in finder.list(ignore_patterns=[]):
            found = os.stat(storage.path(name))  # noqa: PTH116  # storages give text paths
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two starts at once prepare one after the other."""
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
