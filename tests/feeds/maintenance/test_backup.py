"""The drill: back up under load, restore elsewhere, and build the rows anew without a database (R23)."""

import http.client
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.portal import OPEN, REQUIRED, Portal
from tests.feeds.maintenance.drill import Load, back_up_and_restore, manage

pytestmark = [pytest.mark.server]


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with tempfile.TemporaryDirectory(prefix="portal-backup-") as path, Portal(Path(path) / "data") as running:
        yield running


@pytest.fixture
def elsewhere(portal: Portal) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="portal-restored-") as path:
        yield Path(path)


def test_r23_backup_under_load_restore_elsewhere_and_rebuild(portal: Portal, elsewhere: Path) -> None:
    back_up_and_restore(portal, elsewhere)


def test_r23_damaged_data_is_not_backed_up_silently(portal: Portal, elsewhere: Path) -> None:
    with Load(portal.port, senders=1) as load:
        receipt = load.wait_for(1)[0]
    [file] = (portal.folder / "store").rglob(f"{receipt}.dat")
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    try:
        run = manage(portal.folder, portal, "backup", str(elsewhere / "copy"))
    finally:
        file.write_bytes(good)
    assert run.returncode == 1
    assert f"{receipt}.dat is not what was recorded" in run.stderr
    assert "1 receipt could not be copied" in run.stderr
    assert manage(portal.folder, portal, "backup", str(elsewhere / "copy")).returncode == 0


def test_a_folder_that_is_no_backup_is_not_touched(portal: Portal, elsewhere: Path) -> None:
    (elsewhere / "letter").write_text("precious")
    run = manage(portal.folder, portal, "backup", str(elsewhere))
    assert run.returncode == 1
    assert "no backup" in run.stderr
    inside = manage(portal.folder, portal, "backup", str(portal.folder / "copy"))
    assert "would be lost with it" in inside.stderr
    assert sorted(path.name for path in elsewhere.iterdir()) == ["letter"]


@pytest.mark.long
def test_the_restored_portal_serves(portal: Portal, elsewhere: Path) -> None:
    """What a backup makes is a data folder: feeds, rules and keys work where it is put."""
    portal.manage("backup", str(elsewhere / "copy"))
    with Portal(elsewhere / "copy", workers=1, fresh=False) as restored:
        connection = http.client.HTTPConnection("127.0.0.1", restored.port, timeout=30)
        for feed, expected in ((OPEN, 200), (REQUIRED, 401)):
            connection.request("POST", "/datafeed", b"after the restore", {"Feed": feed})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected
        connection.close()
