"""What is handed over can be taken by another program: by Stroom's rules, and as another user (R32)."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from feeds.maintenance import handover_folders
from feeds.maintenance.handover import Exporter, Selection
from feeds.maintenance.handover_folders import Access, Staging
from feeds.maintenance.handover_journal import Journal
from feeds.maintenance.locks import MaintenanceBusy, only_one
from feeds.models import Receipt
from feeds.rules.stream_types import STREAM_TYPES
from feeds.store.archive import read_archive
from feeds.store.spool import sync_folder
from tests import stroom_proxy
from tests.factories import make_feed
from tests.feeds.maintenance.depot import Depot, packed, running_depot
from tests.stroom_proxy import Scan, scan

pytestmark = pytest.mark.django_db

FEED, OTHER = "PAYROLL-PROD-EVENTS", "WEB-ACCESS-EVENTS"
AS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can try it as another user"
)
NOBODY = 65534
PROXY_GROUP = 54321


@pytest.fixture
def depot(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    make_feed(FEED)
    make_feed(OTHER)
    yield from running_depot(tmp_path / "store", settings, monkeypatch)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "scanned"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can reach, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory(prefix="hand-over-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def export(output: Path, *arguments: str) -> str:
    out = StringIO()
    call_command("export_receipts", "--output", str(output), *arguments, stdout=out, stderr=out)
    return out.getvalue()


def scanned(output: Path) -> Scan:
    return scan(output, output.with_name("failed"))


def rights(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def test_r32_each_archive_is_of_one_feed_and_type_and_needs_no_rewriting(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"events", Type="Raw Events")
    depot.keep(FEED, b"reference", Type="Raw Reference")
    depot.keep(FEED, b"no type")
    body = packed(
        {
            "1.meta": f"Feed:{OTHER}\nType:Raw Events\n",
            "1.ctx": b"context",
            "1.mf": b"manifest",
            "1.dat": b"a",
            "2.mf": b"manifest",
            "2.meta": "Type:Events\n",
            "2.dat": b"b",
        }
    )
    depot.keep(FEED, body, "ZIP", Type="Raw Events")
    export(output, "--mark", "forwarded")
    found = scanned(output)
    assert sorted((*one.keys, *one.data) for one in found.taken) == [
        ((FEED, ""), "no type"),
        ((FEED, "Events"), "b"),
        ((FEED, "Raw Events"), "events"),
        ((FEED, "Raw Reference"), "reference"),
        ((OTHER, "Raw Events"), "a"),
    ]
    assert all(one.fast for one in found.taken)
    assert all(one.attributes["Feed"] == one.keys[0][0] and one.attributes["GUID"] for one in found.taken)
    assert (found.failed, found.unknown, found.left) == ([], [], [])
    assert list(output.iterdir()) == []


def test_r32_one_misspelt_type_spoils_no_other_data(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"good", Type="Raw Events")
    depot.keep(FEED, b"typo", Type="Raw Evnts")
    depot.keep(FEED, b"case", Type="raw events")
    told = export(output, "--mark", "forwarded")
    assert "type 'Raw Evnts', which Stroom does not know" in told
    assert "type 'raw events', which Stroom does not know" in told
    assert "'Raw Events'" not in told
    found = scanned(output)
    assert [one.data for one in found.taken] == [["good"]]
    assert sorted(fault.partition(": ")[2] for fault in found.failed) == [
        "102 Invalid type Raw Evnts",
        "102 Invalid type raw events",
    ]


def test_r32_the_types_are_strooms_own() -> None:
    assert STREAM_TYPES == stroom_proxy.TYPES


def test_r32_long_and_strange_names_fit_a_file_system(depot: Depot, output: Path) -> None:
    receipt = depot.keep(FEED, b"x", Type="T/../" + "y" * 900)
    Receipt.objects.filter(pk=receipt.pk).update(feed="F" * 255)
    export(output)
    [folder] = output.iterdir()
    assert len(f"{folder.name}-9999.meta") < 255
    assert scanned(output).failed


def test_r32_an_archive_appears_with_its_metadata_by_one_rename(
    depot: Depot, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.keep(FEED, b"data")
    seen: list[tuple[str, list[str]]] = []
    flushed: list[Path] = []
    flush = sync_folder

    def flushing(folder: Path) -> None:
        flush(folder)
        flushed.append(folder)

    monkeypatch.setattr(handover_folders, "sync_folder", flushing)
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        if Path(target).parent == output:
            seen.append((Path(target).name, sorted(path.suffix for path in self.iterdir())))
            assert flushed[-1] == self
            assert not (output / self.name).exists()
            read_archive(self / f"{self.name}.zip")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    export(output)
    [(name, content)] = seen
    assert content == [".meta", ".zip"]
    assert flushed[-1] == output
    assert [path.name for path in output.iterdir()] == [name]


def test_the_receipt_says_when_and_in_which_archive_it_left(depot: Depot, output: Path) -> None:
    plain = depot.keep(FEED, b"plain", Type="Raw Events")
    both = depot.keep(FEED, packed({"1.meta": f"Feed:{OTHER}\n", "1.dat": b"a", "2.dat": b"b"}), "ZIP")
    export(output, "--mark", "forwarded")
    plain.refresh_from_db()
    both.refresh_from_db()
    assert plain.forwarded_at is not None
    assert plain.forwarded_at >= plain.received_at
    assert [(one["feed"], one["type"]) for one in plain.archives] == [(FEED, "Raw Events")]
    assert sorted((one["feed"], one["type"]) for one in both.archives) == [(FEED, ""), (OTHER, "")]
    for one in (*plain.archives, *both.archives):  # type: ignore[misc]
        meta = (output / one["name"] / f"{one['name']}.meta").read_text()
        assert f"GUID:{one['guid']}\n" in meta


def test_without_marking_a_receipt_says_nothing_of_a_hand_over(depot: Depot, output: Path) -> None:
    receipt = depot.keep(FEED, b"plain")
    export(output)
    receipt.refresh_from_db()
    assert (receipt.forwarded_at, receipt.archives, receipt.status) == (None, None, "stored")


@pytest.mark.parametrize(
    ("mode", "of_folder", "of_file"),
    [(0o2775, "0775", "0664"), (0o2770, "0770", "0660"), (0o750, "0750", "0640"), (0o700, "0700", "0600")],
)
def test_r32_archives_have_the_rights_of_the_output_folder_whatever_the_umask(
    depot: Depot, output: Path, mode: int, of_folder: str, of_file: str
) -> None:
    output.mkdir()
    output.chmod(mode)
    depot.keep(FEED, b"data")
    before = os.umask(0o077)
    try:
        export(output)
    finally:
        os.umask(before)
    assert rights(output) == f"{mode:04o}"
    [folder] = output.iterdir()
    assert rights(folder) == of_folder
    assert {rights(path) for path in folder.iterdir()} == {of_file}


def test_r32_a_folder_that_is_made_is_our_own_unless_a_mode_is_given(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"data")
    export(output)
    assert rights(output) == "0700"
    export(output.with_name("second"), "--mode", "2770")
    assert rights(output.with_name("second")) == "2770"
    export(output.with_name("third"), "--mode", "0640")
    [folder] = output.with_name("third").iterdir()
    assert (rights(folder), {rights(path) for path in folder.iterdir()}) == ("0750", {"0640"})


def test_r32_a_folder_that_a_scanner_removed_gets_its_rights_again(depot: Depot, output: Path) -> None:
    """Where it is a folder within the scanned one. Between two runs, and in the middle of one."""
    root, work = output, output.with_name("work")
    output = root / "portal"
    output.mkdir(parents=True)
    output.chmod(0o2775)
    depot.keep(FEED, b"data")
    export(output, "--staging", str(work))
    scanned(root)
    assert not output.exists()
    export(output, "--staging", str(work))
    assert rights(output) == "2775"

    class Scanned(Exporter):
        def _publish(self, journal: Journal) -> None:
            shutil.rmtree(output)
            super()._publish(journal)

    Scanned(depot.root, Staging.of(output, work)).run(Selection())
    assert rights(output) == "2775"
    assert [one.data for one in scanned(root).taken] == [["data"]]


@AS_ROOT
def test_r32_another_user_takes_what_is_handed_over(depot: Depot, shared: Path) -> None:
    """A scanner in the folder's group reads the files, and removes them and their folders."""
    output = shared / "scanned"
    output.mkdir()
    shutil.chown(output, group=PROXY_GROUP)
    output.chmod(0o2770)
    failures = shared / "failed"
    failures.mkdir()
    shutil.chown(failures, NOBODY)
    depot.keep(FEED, b"data", Type="Raw Events")
    export(output, "--mark", "forwarded")
    found = scanned_as(NOBODY, PROXY_GROUP, output, failures)
    assert [one["data"] for one in found["taken"]] == [["data"]]
    assert (found["left"], found["unreadable"], list(output.iterdir())) == ([], [], [])


@AS_ROOT
def test_r32_a_stranger_takes_nothing(depot: Depot, shared: Path) -> None:
    output = shared / "scanned"
    depot.keep(FEED, b"data")
    export(output, "--mode", "2770", "--group", str(PROXY_GROUP))
    assert output.stat().st_gid == PROXY_GROUP
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "cat"]
    [path] = output.glob("*/*.zip")
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert "Permission denied" in done.stderr


@AS_ROOT
def test_r32_the_owner_of_the_output_folder_owns_the_archives_that_root_writes(depot: Depot, shared: Path) -> None:
    output = shared / "scanned"
    output.mkdir(mode=0o700)
    shutil.chown(output, NOBODY, NOBODY)
    depot.keep(FEED, b"data")
    export(output)
    [folder] = output.iterdir()
    assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {NOBODY}


def scanned_as(user: int, group: int, output: Path, failures: Path) -> dict[str, Any]:
    """What the scanner did as this user: its program comes by standard input, as ours is nobody else's to read."""
    program = Path(stroom_proxy.__file__).read_text()
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    done = subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", python, "-", output, failures],
        input=program.encode(),
        capture_output=True,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def folders_of(user: int, output: Path) -> str:
    """What this user, who is in no group but its own, is told when it prepares an export to a folder."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        told = "nothing"
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            staging = Staging.of(output)
            (staging.folder / "built").mkdir()
            (staging.folder / "built" / "built.zip").write_text("data")
            staging.appear("built")
            told = "done"
        except BaseException as fault:  # noqa: BLE001  # goes to the parent
            told = repr(fault)
        finally:
            os.write(writing, told.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told


@AS_ROOT
@pytest.mark.parametrize("above", [0o755, 0o2750])
def test_r32_a_user_outside_the_group_needs_a_setgid_folder(shared: Path, above: int) -> None:
    """As the documentation makes the folders, whose user is no member of the reader's group."""
    user = 54322
    folder, output = shared / "hand-over", shared / "hand-over" / "scanned"
    folder.mkdir()
    output.mkdir()
    for path in (folder, output):
        os.chown(path, user, PROXY_GROUP)
    folder.chmod(above)
    output.chmod(0o2770)
    told = folders_of(user, output)
    if not above & stat.S_ISGID:
        assert f"is for the group {PROXY_GROUP}" in told
        assert list(output.iterdir()) == []
        return
    assert told == "done"
    built = output / "built"
    assert (built.stat().st_gid, rights(built)) == (PROXY_GROUP, "0770")
    assert ((built / "built.zip").stat().st_gid, rights(built / "built.zip")) == (PROXY_GROUP, "0660")


def test_a_folder_that_the_readers_cannot_enter_is_refused(depot: Depot, output: Path) -> None:
    output.mkdir(mode=0o700)
    with pytest.raises(CommandError, match="could not enter it"):
        export(output, "--mode", "2770")
    assert rights(output) == "0700"


@pytest.mark.parametrize("arguments", [("--mode", "rwx"), ("--mode", "99"), ("--group", "no-such-group")])
def test_odd_rights_are_refused_in_words(output: Path, arguments: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match=r"no mode|no group"):
        export(output, *arguments)


def test_default_access_lists_are_kept(depot: Depot, output: Path) -> None:
    """`setfacl -d -m g:54321:rwx` on the output folder: version 2, user, named group, group, mask and other."""
    output.mkdir()
    entries = ("01000700ffffffff", "04000700ffffffff", "0800070031d40000", "10000700ffffffff", "20000000ffffffff")
    acl = bytes.fromhex("02000000" + "".join(entries))
    try:
        os.setxattr(output, "system.posix_acl_default", acl)
    except OSError:
        pytest.skip("this file system has no access control lists")
    depot.keep(FEED, b"data")
    export(output)
    [folder] = output.iterdir()
    for path in (folder, *folder.iterdir()):
        assert b"\x08\x00\x07\x001\xd4\x00\x00" in os.getxattr(path, "system.posix_acl_access"), path
    shutil.rmtree(output)
    export(output)
    assert Access.of(output).acl == acl.hex()


def test_an_export_goes_on_during_a_backup_and_waits_only_for_another_export(depot: Depot, output: Path) -> None:
    depot.keep(FEED, b"data")
    with only_one(depot.root):
        assert "1 receipt in 1 archive" in export(output)
    staging = Staging.of(output)
    with only_one(staging.folder), pytest.raises(MaintenanceBusy, match="Another export is running"):
        Exporter(depot.root, staging).run(Selection())


def test_what_is_pruned_while_it_is_exported_is_no_fault(
    depot: Depot, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = depot.keep(FEED, b"first"), depot.keep(FEED, b"second")
    claim = Exporter._claim

    def pruned(self: Exporter, journal: Journal, batch: list[Receipt]) -> list[Receipt]:
        found = claim(self, journal, batch)
        depot.data(second).unlink()
        Receipt.objects.filter(pk=second.pk).delete()
        return found

    monkeypatch.setattr(Exporter, "_claim", pruned)
    assert "1 receipt in 1 archive" in export(output, "--mark", "forwarded")
    first.refresh_from_db()
    assert first.status == "forwarded"


def test_admin_and_api_say_what_a_receipt_left_in(depot: Depot, output: Path, client: Client) -> None:
    receipt = depot.keep(FEED, b"data", Type="Raw Events")
    client.force_login(User.objects.create_superuser("chief"))
    page, api = reverse("admin:feeds_receipt_change", args=[receipt.pk]), f"/api/v1/receipts/{receipt.receipt_id}/"
    assert "handed over in" in client.get(page).content.decode().lower()
    assert (client.get(api).json()["forwarded_at"], client.get(api).json()["archives"]) == (None, [])
    export(output, "--mark", "forwarded")
    [folder] = output.iterdir()
    found = client.get(api).json()
    assert found["status"] == "forwarded"
    assert found["forwarded_at"].endswith("Z")
    assert [(one["name"], one["feed"], one["type"]) for one in found["archives"]] == [
        (folder.name, FEED, "Raw Events")
    ]
    assert folder.name in client.get(page).content.decode()
