"""A SQLite database of which a file is moved away and back while the portal runs (R27)."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections

from portal.database import threads
from portal.database.threads import Unavailable, database

pytestmark = pytest.mark.django_db
T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database whose only table stands in the write-ahead log."""
    if connection.vendor != "sqlite":
        pytest.skip("files of SQLite")
    path = tmp_path / "portal.sqlite3"
    monkeypatch.setitem(connections.settings[DEFAULT_DB_ALIAS], "NAME", str(path))
    monkeypatch.setattr(threads, "_own_file", {})
    with closing(sqlite3.connect(path)) as own:
        own.execute("PRAGMA journal_mode = WAL")
    return path


def in_a_thread(work: Callable[[], T]) -> T:
    """Run it in a thread, whose connection is new and closed at the end."""
    answers: list[T] = []

    def run() -> None:
        try:
            answers.append(work())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answers[0]


def tables() -> list[str]:
    with database():
        return connection.introspection.table_names()


def test_r27_a_log_that_comes_back_after_a_connection_made_its_own_is_read_at_the_next_use(path: Path) -> None:
    log, index = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")

    def work() -> tuple[list[str], list[str]]:
        # Another worker, which still has the files that were moved away.
        write = (
            "import sqlite3, sys; own = sqlite3.connect(sys.argv[1]); own.execute(sys.argv[2]); "
            "print('written', flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", write, str(path), "CREATE TABLE feeds (name TEXT)"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "written\n"
            for file in (path, log, index):
                file.rename(f"{file}.away")
            with pytest.raises(Unavailable, match="gone"):
                tables()
            Path(f"{path}.away").rename(path)
            between = tables()
            for file in (log, index):
                Path(f"{file}.away").rename(file)
            after = tables()
            other.communicate("")
        return between, after

    assert in_a_thread(work) == ([], ["feeds"])


def test_a_connection_is_kept_while_its_files_are_the_same(path: Path) -> None:
    def work() -> bool:
        tables()
        kept = connection.connection
        tables()
        return kept is not None and connection.connection is kept

    assert in_a_thread(work)
    assert path.exists()
