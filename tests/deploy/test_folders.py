"""Only the data folder is written and cleared: no other name in the environment chooses one."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.files import STAMP, NotOurs, clear_folder
from tests.deploy.test_start import manage, starts

pytestmark = [pytest.mark.server]

#: Names with which other programs, Django projects and platforms choose folders.
FOLDERS = """
    STATIC_ROOT STATIC_DIR STATICFILES_DIR STATICFILES_ROOT STATIC_FOLDER ASSETS_ROOT COLLECTSTATIC_ROOT
    DJANGO_STATIC_ROOT MEDIA_ROOT MEDIA_DIR UPLOAD_DIR UPLOAD_FOLDER FILE_UPLOAD_TEMP_DIR DATA_DIR
    DATA_ROOT DATA_FOLDER STATE_DIR STORE_DIR STORE_ROOT STORAGE_DIR STORAGE_ROOT BASE_DIR ROOT_DIR
    PROJECT_ROOT APP_DIR APP_HOME WORKDIR WORK_DIR CACHE_DIR CACHE_ROOT DJANGO_CACHE_DIR XDG_CACHE_HOME
    XDG_DATA_HOME XDG_STATE_HOME XDG_CONFIG_HOME XDG_RUNTIME_DIR LOG_DIR LOGS_DIR LOG_PATH LOGGING_DIR
    BACKUP_DIR BACKUP_ROOT EXPORT_DIR OUTPUT_DIR STAGING_DIR SPOOL_DIR RUN_DIR RUN_FOLDER VAR_DIR
    PROMETHEUS_MULTIPROC_DIR prometheus_multiproc_dir STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY
    RUNTIME_DIRECTORY CONFIGURATION_DIRECTORY PGDATA SQLITE_DIR DATABASE_DIR DB_DIR WHITENOISE_ROOT
    GUNICORN_WORKER_TMP_DIR HOME
""".split()
#: And files.
FILES = "DATABASE_PATH DATABASE_NAME DB_NAME DB_PATH SQLITE_PATH SECRET_KEY_FILE LOG_FILE PIDFILE SOCKET".split()


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Somebody's folder of files, which is the same afterwards."""
    folder = tmp_path / "canary"
    for name in (
        "index.html",
        "uploads/customer.csv",
        "metrics/a_1.db",
        "store/removed/x",
        "staticfiles/y",
        "a.db",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("precious")
    before = seen(folder)
    yield folder
    assert seen(folder) == before


def seen(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.long
def test_r29_a6_no_name_in_the_environment_chooses_a_folder_that_is_written_or_cleared(
    canary: Path, tmp_path: Path
) -> None:
    settings = dict.fromkeys(FOLDERS, str(canary)) | dict.fromkeys(FILES, str(canary / "a.db"))
    starts(tmp_path / "data", **settings)
    assert (tmp_path / "data/staticfiles" / STAMP).is_file()
    for command in (["check_store", "--repair"], ["prune_receipts"], ["collectstatic", "--clear", "--noinput"]):
        done = manage(tmp_path / "data", *command, **settings)
        assert done.returncode == 0, done.stderr


def test_no_other_name_is_read_by_the_program() -> None:
    """Where the program reads the environment by name, it is one of these."""
    root = Path(__file__).parents[2]
    read = re.compile(r"""environ(?:\.get|\.setdefault)?[\[(]\s*["']([A-Za-z_]+)["']""")
    program = [path for app in ("portal", "feeds", "codes", "deploy") for path in (root / app).rglob("*.py")]
    found = {name for path in [*program, root / "manage.py"] for name in read.findall(path.read_text())}
    wsgi = {"REQUEST_METHOD"}
    assert found <= {
        "HOST",
        "PORT",
        *wsgi,
        "DJANGO_SETTINGS_MODULE",
        "PORTAL_DATA_DIR",  # only whether it is set, for a message
        "LISTEN_PID",
        "LISTEN_FDS",
        "PROMETHEUS_MULTIPROC_DIR",
    }


@pytest.mark.long
def test_r29_a6_static_files_of_others_are_not_cleared(tmp_path: Path) -> None:
    """A data folder that was somebody's folder before, with one of the portal's names in it."""
    (tmp_path / "staticfiles").mkdir()
    (tmp_path / "staticfiles/index.html").write_text("precious")
    done = manage(tmp_path, "serve")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Refused: {tmp_path / 'staticfiles'} holds index.html")
    assert (tmp_path / "staticfiles/index.html").read_text() == "precious"


def test_only_a_marked_folder_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(NotOurs, match="holds file"):
        clear_folder(tmp_path, "a purpose\n")
    (tmp_path / "file").unlink()
    clear_folder(tmp_path, "a purpose\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("ours")
    (tmp_path / "link").symlink_to(os.sep)
    clear_folder(tmp_path, "a purpose\n")
    assert [path.name for path in tmp_path.iterdir()] == [STAMP]
    with pytest.raises(NotOurs, match="another use"):
        clear_folder(tmp_path, "another purpose\n")


ODD = ("dir#1?x=1&y", "dir%41b %", 'it\'s "quoted" grün;$[x]{y}*', "file:a?mode=memory")


@pytest.mark.long
def test_a5_a_data_folder_may_have_any_name(tmp_path: Path) -> None:
    """The database is in it and nowhere else, and a backup and its restore find it."""
    base = tmp_path / "base"
    starts(base)
    for name in ODD:
        folder = tmp_path / name
        base.rename(folder)
        done = manage(folder, "check_store", "--hash")
        assert done.returncode == 0, (name, done.stderr)
        done = manage(folder, "backup", str(tmp_path / f"copies of {name}"))
        assert done.returncode == 0, (name, done.stderr)
        assert (tmp_path / f"copies of {name}" / "portal.sqlite3").stat().st_size > 100_000
        folder.rename(base)
    assert {path.name for path in tmp_path.iterdir()} == {"base", *(f"copies of {name}" for name in ODD)}


def test_a5_an_address_of_a_database_with_a_fragment_is_refused(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", DATABASE_URL=f"sqlite:///{tmp_path}/dir#1/portal.sqlite3")
    assert done.returncode == 1
    assert "DATABASE_URL cannot be used" in done.stderr
