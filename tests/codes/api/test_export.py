"""The whole catalogue for programs: its schema, reading from any site, and what each load changed."""

import json
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as portal_settings
from django.test import Client
from jsonschema import Draft202012Validator

from codes import loading
from codes.models import Release

pytestmark = pytest.mark.django_db

API = "/api/v1"
ATOM = "{http://www.w3.org/2005/Atom}"
PUBLIC = [
    "codes/",
    "codes/http/404/",
    "codes/http/451/microsoft/",
    "codes/lookup/?http=403&stroom=310",
    "codes/compare/?codes=301,302",
    "codes/export.json",
    "codes/export.schema.json",
    "codes/export.csv",
    "codes/retry.json",
    "disagreements/",
    "sources/",
    "vendors/",
    "headers/",
    "registries/",
    "releases/",
    "classes/http/4xx/",
]


def strict(schema: Any) -> Any:
    """The same schema, but no key beyond those it names."""
    if isinstance(schema, dict):
        closed = {key: strict(value) for key, value in schema.items()}
        return {**closed, "additionalProperties": False} if "properties" in closed else closed
    return [strict(item) for item in schema] if isinstance(schema, list) else schema


def test_the_export_has_exactly_the_keys_and_types_of_its_schema(site: Client) -> None:
    schema = site.get(f"{API}/codes/export.schema.json").json()
    Draft202012Validator.check_schema(schema)
    export = site.get(f"{API}/codes/export.json").json()
    assert list(Draft202012Validator(strict(schema)).iter_errors(export)) == []
    assert export["$schema"] == f"{API}/codes/export.schema.json"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("codes", 0, "code"), "404"),
        (("codes", 0, "meanings"), {}),
        (("codes", 0, "meanings", 0, "retry", "verdict"), "maybe"),
        (("codes", 0, "standing"), "fine"),
        (("sources", 0, "rank"), "1"),
        (("digest",), None),
    ],
)
def test_the_schema_refuses_what_the_export_never_is(site: Client, path: tuple[Any, ...], value: object) -> None:
    schema = json.loads((Path(loading.__file__).parent / "api/export.schema.json").read_text())
    export = site.get(f"{API}/codes/export.json").json()
    place = export
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not Draft202012Validator(schema).is_valid(export)


def test_the_export_names_its_schema_in_a_link_and_both_have_the_digest_as_etag(site: Client) -> None:
    export, schema = site.get(f"{API}/codes/export.json"), site.get(f"{API}/codes/export.schema.json")
    assert export["Link"] == f'<{API}/codes/export.schema.json>; rel="describedby"'
    assert schema["Content-Type"] == "application/schema+json"
    assert export["ETag"] == schema["ETag"] == f'"{Release.objects.latest_digest()}"'


@pytest.mark.parametrize("name", ["export.json", "export.schema.json", "export.csv", "retry.json"])
@pytest.mark.parametrize("accept", ["*/*", "text/csv", "application/schema+json", "application/json", "text/html"])
def test_a_file_has_one_form_whatever_is_accepted_and_no_query(site: Client, name: str, accept: str) -> None:
    assert site.get(f"{API}/codes/{name}", headers={"Accept": accept}).status_code == 200
    answer = site.get(f"{API}/codes/{name}?format=xml")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("address", PUBLIC)
def test_scripts_of_any_site_may_read_and_never_with_credentials(site: Client, address: str) -> None:
    answer = site.get(f"{API}/{address}", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer
    assert "ETag" in answer["Access-Control-Expose-Headers"]
    assert not answer.cookies
    again = site.get(f"{API}/{address}", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(("address", "method"), [("codes/http/404/", "GET"), ("codes/explain/", "POST")])
def test_a_browser_that_asks_first_is_told_what_scripts_may_send(site: Client, address: str, method: str) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": method}
    answer = site.options(f"{API}/{address}", headers=asked)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert method in answer["Access-Control-Allow-Methods"].split(", ")
    assert {"Content-Type", "If-None-Match"} <= set(answer["Access-Control-Allow-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize("address", ["feeds/", "receipts/", "tokens/"])
def test_what_needs_a_login_is_not_for_scripts_of_other_sites(site: Client, address: str) -> None:
    answer = site.get(f"{API}/{address}", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer


# --- what changed ---


@pytest.fixture
def changed(site: Client, tmp_path: Path) -> Client:
    """A portal that has loaded a changed catalogue after the first."""
    files = tmp_path / "data"
    shutil.copytree(loading.DATA_DIRECTORY, files)
    path = files / "http" / "4xx.toml"
    text = path.read_text()
    path.write_text(text.replace('name = "Not Found"', 'name = "Nowhere"', 1))
    loading.load(files)
    return site


def test_a_load_that_changes_something_is_a_release_with_what_it_touched(changed: Client) -> None:
    page = changed.get(f"{API}/releases/").json()
    assert page["count"] == 2
    latest, first = page["results"]
    assert latest["changes"]["codes"] == ["http/404"]
    assert latest["changes"]["new_codes"] == []
    assert len(first["changes"]["disagreements"]) == first["counts"]["Disagreement"]
    assert latest["digest"] == Release.objects.latest_digest() != first["digest"]
    assert len(first["changes"]["new_codes"]) == first["counts"]["StatusCode"]
    assert "iana" in first["changes"]["new_sources"]


def test_the_page_names_the_codes_that_changed(changed: Client) -> None:
    html = changed.get("/codes/data/").content.decode()
    assert "1 code new or changed <a" in html
    assert '<a href="/codes/http/404/">HTTP 404</a>' in html
    assert 'type="application/atom+xml"' in html


def test_the_changes_can_be_followed_as_a_feed(changed: Client) -> None:
    answer = changed.get("/codes/data/changes.atom")
    assert answer["Content-Type"] == "application/atom+xml; charset=utf-8"
    feed = ET.fromstring(answer.content)
    entries = feed.findall(f"{ATOM}entry")
    assert len(entries) == 2
    assert "http/404" in (entries[0].findtext(f"{ATOM}summary") or "")
    ids = [entry.findtext(f"{ATOM}id") for entry in entries]
    assert len(set(ids)) == 2
    again = changed.get("/codes/data/changes.atom", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304


def test_the_digest_of_the_export_changes_with_the_content(changed: Client) -> None:
    old = Release.objects.order_by("pk").first()
    assert old is not None
    answer = changed.get(f"{API}/codes/export.json", headers={"If-None-Match": f'"{old.digest}"'})
    assert answer.status_code == 200
    assert b'"Nowhere"' in answer.content


def test_the_digest_changes_with_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    before = loading.files_digest(loading.DATA_DIRECTORY)
    monkeypatch.setattr(loading, "FORMAT", loading.FORMAT + 1)
    assert loading.files_digest(loading.DATA_DIRECTORY) != before


@pytest.mark.parametrize("name", ["export.json", "export.schema.json", "export.csv", "retry.json"])
def test_an_upgrade_with_another_format_is_never_not_modified(
    site: Client, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = site.get(f"{API}/codes/{name}")["ETag"]
    monkeypatch.setattr(loading, "FORMAT", loading.FORMAT + 1)
    assert loading.load(loading.DATA_DIRECTORY).written == 0
    answer = site.get(f"{API}/codes/{name}", headers={"If-None-Match": old})
    assert answer.status_code == 200
    assert answer["ETag"] == f'"{Release.objects.latest_digest()}"' != old


def test_another_public_address_is_another_file(site: Client, settings: Any) -> None:
    old = site.get(f"{API}/codes/export.json")["ETag"]
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, public_url="https://portal.example.org")
    new = site.get(f"{API}/codes/export.json", headers={"If-None-Match": old})
    assert new.status_code == 200
    assert new["ETag"] != old


def test_links_of_the_schema_are_as_public_as_the_portal(site: Client) -> None:
    assert portal_settings.ENVIRONMENT.public_url == ""
    assert site.get(f"{API}/codes/export.json").json()["$schema"].startswith("/api/")
