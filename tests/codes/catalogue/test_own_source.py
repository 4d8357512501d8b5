"""A site's own document, from a TOML file in the data dir, beside those of the product."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from codes import loading
from codes.catalogue.toml_table import CatalogueFault
from codes.models import Disagreement, Source, SourceEntry
from portal.server.startup import load_catalogue

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]

OWN = """
[source]
slug = "payroll-api"
title = "Payroll API conventions"
kind = "local API"
date = "2026-10-01"
url = ""
licence = ""
seed = ""
checksum = ""
rank = 50
summary = "How our own services use status codes."

[[entry]]
registry = "http"
code = 409
owner = "ietf"
name = "Conflict"
summary = "Sent when a pay run is locked."
rfcs = []
local_note = "The payroll service sends it while a run is open."
claims = [{ key = "retry", value = "after_wait", level = "should" }]

[[entry]]
registry = "stroom"
code = 110
owner = "stroom"
name = "Feed closed"
summary = "The feed is closed outside office hours."
rfcs = []
claims = []
"""


@pytest.fixture
def own(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path
    folder = tmp_path / "catalogue" / "sources"
    folder.mkdir(parents=True)
    return folder / "payroll.toml"


def test_an_own_source_is_loaded_and_shown_like_the_others(own: Path, site: Client) -> None:
    own.write_text(OWN)
    report = loading.load()
    assert report.written > 0
    assert Source.objects.get(pk="payroll-api").title == "Payroll API conventions"
    html = site.get("/codes/http/409/").content.decode()
    assert "Payroll API conventions" in html
    assert "while a run is open" in html
    assert "Feed closed" in site.get("/codes/sources/payroll-api/").content.decode()
    assert "payroll-api" in [row["slug"] for row in site.get("/api/v1/sources/").json()["results"]]
    entries = site.get("/api/v1/codes/stroom/110/").json()["entries"]
    assert [entry["name"] for entry in entries if entry["source"] == "payroll-api"] == ["Feed closed"]
    assert [row["code"] for row in site.get("/api/v1/codes/", {"source": "payroll-api"}).json()["results"]] == [
        409,
        110,
    ]


def test_its_names_are_found_by_the_search_and_its_differences_are_computed(own: Path, site: Client) -> None:
    own.write_text(OWN)
    loading.load()
    (first, *_) = site.get("/api/v1/codes/", {"q": "feed closed"}).json()["results"]
    assert (first["registry"], first["code"]) == ("stroom", 110)
    names = Disagreement.objects.get(pk="stroom/110/stroom/name")
    assert "payroll-api" in names.source_slugs


def test_check_says_when_it_contradicts_silently(own: Path) -> None:
    own.write_text(OWN.replace('"Feed closed"', '"Feed is not set to receive data"'))
    with pytest.raises(CommandError, match=r"http 409: sources differ about 'retry'.*payroll-api"):
        call_command("load_catalogue", "--check", stdout=io.StringIO())


def test_without_own_files_only_those_of_the_product_are_read(own: Path) -> None:
    assert loading.default_directories() == (loading.DATA_DIRECTORY,)
    assert loading.load().unchanged


def test_the_digest_stands_for_own_files_too(own: Path) -> None:
    own.write_text(OWN)
    first = loading.load()
    assert loading.load().unchanged
    own.write_text(OWN.replace("locked", "closed"))
    second = loading.load()
    assert second.digest != first.digest
    assert SourceEntry.objects.get(pk="payroll-api/http/409/ietf").summary == "Sent when a pay run is closed."


def test_an_own_source_that_left_goes_with_prune(own: Path) -> None:
    own.write_text(OWN)
    loading.load()
    own.unlink()
    assert "Source payroll-api" in loading.load().gone
    loading.load(prune=True)
    assert not Source.objects.filter(pk="payroll-api").exists()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("code = 409", "code = 471", ["sources/payroll-api.toml", "471"]),
        ('owner = "stroom"', 'owner = "acme"', ["sources/payroll-api.toml", "acme"]),
        ("local_note", "localnote", ["sources/payroll.toml", "localnote"]),
        ('key = "retry"', 'key = "repeat"', ["sources/payroll.toml", "repeat"]),
        ('kind = "local API"', 'kind = "wiki"', ["sources/payroll.toml", "wiki"]),
        ("code = 409", 'code = "409"', ["sources/payroll.toml", "whole number"]),
        ("[[entry]]", "[[entri]]", ["sources/payroll.toml", "entri"]),
        ("[source]", "[source", ["sources/payroll.toml", "TOML"]),
        ('slug = "payroll-api"', 'slug = "iana"', ["iana", "twice"]),
    ],
)
def test_a_fault_in_it_is_named_with_file_and_key(own: Path, before: str, after: str, words: list[str]) -> None:
    own.write_text(OWN.replace(before, after, 1))
    with pytest.raises(CatalogueFault) as fault:
        loading.load()
    assert all(word in str(fault.value) for word in words), str(fault.value)


def test_a_fault_in_it_does_not_keep_the_portal_from_starting(own: Path, site: Client) -> None:
    own.write_text(OWN)
    loading.load()
    own.write_text(OWN.replace("code = 409", "code = 471", 1))
    said: list[str] = []
    load_catalogue(said.append)
    assert "471" in said[0]
    assert site.get("/codes/http/409/").status_code == 200
    assert Source.objects.filter(pk="payroll-api").exists()
