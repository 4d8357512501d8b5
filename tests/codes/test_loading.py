"""From the files into the database, once."""

import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from codes import loading
from codes.catalogue.toml_table import CatalogueFault
from codes.catalogue.values import Catalogue
from codes.models import Disagreement, HeaderUse, LocalNote, Meaning, Release, SourceEntry, StatusCode
from tests.codes.catalogue.test_values import BASE, write

pytestmark = pytest.mark.django_db


@pytest.fixture
def files(tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(loading.DATA_DIRECTORY, copy)
    return copy


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_the_rows_are_those_of_the_files(site: Client, authored: Catalogue) -> None:
    assert StatusCode.objects.count() == len(authored.codes)
    assert Meaning.objects.count() == len(authored.meanings)
    assert SourceEntry.objects.count() == len(authored.entries)
    assert Disagreement.objects.count() == len(authored.disagreements)
    assert HeaderUse.objects.count() == sum(len(meaning.headers) for meaning in authored.meanings)
    for code in authored.codes:
        row = StatusCode.objects.get(registry=code.registry, code=code.code)
        assert row.http_statuses == list(code.http_statuses)


def test_a_second_load_does_nothing_at_all(site: Client, django_assert_num_queries: object) -> None:
    releases = Release.objects.count()
    with django_assert_num_queries(1):  # type: ignore[operator]  # the digest of the latest release
        report = loading.load()
    assert report.unchanged
    assert Release.objects.count() == releases


def test_loading_anew_finds_every_row_the_same(site: Client) -> None:
    Release.objects.all().delete()
    report = loading.load()
    assert not report.unchanged
    assert report.written == 0
    assert report.gone == []


def test_only_what_changed_is_written(site: Client, files: Path) -> None:
    edit(files / "http" / "4xx.toml", 'name = "Not Found"', 'name = "Nowhere"')
    report = loading.load(files)
    changed = {table.table: table.changed for table in report.tables if table.changed or table.created}
    assert changed == {"StatusCode": ("http/404",), "Meaning": ("http/404/ietf",)}
    assert StatusCode.objects.get(pk="http/404").name == "Nowhere"
    release = Release.objects.first()
    assert release is not None
    assert release.changes["codes"] == ["http/404"]


def test_rows_that_left_the_files_stay_until_pruned(site: Client, files: Path) -> None:
    path = files / "sources" / "api-response-codes.toml"
    kept, _, dropped = path.read_text(encoding="utf-8").rpartition("[[entry]]")
    assert "code = 511" in dropped
    path.write_text(kept, encoding="utf-8")
    gone = "SourceEntry api-response-codes/http/511/ietf"
    assert gone in loading.load(files).gone
    with pytest.raises(CommandError, match=f"{gone} left the files"):
        call_command("load_catalogue", "--check", dir=files, stdout=StringIO())
    assert SourceEntry.objects.filter(pk="api-response-codes/http/511/ietf").exists()
    assert gone in loading.load(files, prune=True).gone
    assert not SourceEntry.objects.filter(pk="api-response-codes/http/511/ietf").exists()
    assert loading.load(files, prune=True).gone == []


def test_a_local_note_outlives_its_meaning_and_comes_back_with_it(site: Client, tmp_path: Path) -> None:
    LocalNote.objects.create(meaning=Meaning.objects.get(pk="http/561/aws"), text="Ask the platform team.")
    small, output = write(tmp_path, base=BASE), StringIO()
    loading.load(small)
    assert LocalNote.objects.count() == 1
    call_command("load_catalogue", "--prune", dir=small, stdout=output)
    assert "Note on http/561/aws is kept" in output.getvalue()
    assert not Meaning.objects.filter(pk="http/561/aws").exists()
    assert LocalNote.objects.without_meaning().get().text == "Ask the platform team."
    assert loading.load().waiting_notes == ()
    assert "Ask the platform team." in site.get("/codes/http/561/").content.decode()


def test_a_bad_file_changes_nothing(site: Client, files: Path) -> None:
    edit(files / "http" / "4xx.toml", 'name = "Not Found"', 'name = "Nowhere"\nnmae = "x"')
    with pytest.raises(CatalogueFault, match=r"http/4xx\.toml: .*404.*'nmae' is not known"):
        loading.load(files)
    assert StatusCode.objects.get(pk="http/404").name == "Not Found"


def test_the_command_says_what_happened(site: Client) -> None:
    output = StringIO()
    call_command("load_catalogue", stdout=output)
    assert "up to date" in output.getvalue()


def test_the_check_passes_and_writes_nothing(site: Client) -> None:
    Release.objects.all().delete()
    output = StringIO()
    call_command("load_catalogue", "--check", stdout=output)
    assert "StatusCode" in output.getvalue()
    assert not Release.objects.exists()


def test_the_check_refuses_a_silent_contradiction(site: Client, files: Path) -> None:
    path = files / "disagreements.toml"
    tables = path.read_text(encoding="utf-8").split("[[disagreement]]")
    kept = [table for table in tables if "code = 503" not in table or 'aspect = "retry"' not in table]
    assert len(kept) == len(tables) - 1
    path.write_text("[[disagreement]]".join(kept), encoding="utf-8")
    with pytest.raises(CommandError, match="http 503: sources differ about 'retry'"):
        call_command("load_catalogue", "--check", dir=files, stdout=StringIO())
    loading.load(files)
    assert not Disagreement.objects.get(pk="http/503/ietf/retry").authored


def test_a_text_that_fits_no_column_is_a_fault_of_the_files_on_every_database(site: Client, files: Path) -> None:
    """SQLite would take it; PostgreSQL would fail in the middle of the start."""
    edit(files / "vendors.toml", 'name = "nginx"', f'name = "{"n" * 101}"')
    for look in (loading.check, loading.load):
        with pytest.raises(CatalogueFault, match="nginx: name is longer than 100 characters"):
            look(files)
