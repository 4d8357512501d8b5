"""The in-product documentation renders every page, safely, and its links lead somewhere."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from portal import documentation

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("slug", documentation.PAGES)
def test_every_page_renders_with_its_title_and_sections(client: Client, slug: str) -> None:
    answer = client.get(f"/docs/{slug}/")
    html = answer.content.decode()
    title = (Path("docs") / f"{slug}.md").read_text().splitlines()[0].removeprefix("# ")
    assert answer.status_code == 200
    assert html.count("<h1>") == 1
    assert f"<h1>{title}</h1>" in html


def test_the_index_lists_every_page_and_the_version_of_the_change_log(client: Client) -> None:
    html = client.get("/docs/").content.decode()
    assert all(f"/docs/{slug}/" in html for slug in documentation.PAGES)
    assert f"Version {documentation.version()}" in html
    assert re.fullmatch(r"\d+\.\d+\.\d+", documentation.version())


def test_links_between_the_pages_lead_to_pages_and_sections_that_exist(client: Client) -> None:
    for page in documentation.pages():
        for target, anchor in re.findall(r'href="/docs/([a-z-]+)/(?:#([a-z0-9-]+))?"', page.html):
            other = documentation.page_of(target)
            assert other is not None, f"{page.slug} links to {target}"
            assert not anchor or anchor in {heading.anchor for heading in other.headings}


@pytest.mark.parametrize("slug", ["nothing", "dependencies", "..%2fREADME"])
def test_an_unknown_page_is_404(client: Client, slug: str) -> None:
    assert client.get(f"/docs/{slug}/").status_code == 404


def test_raw_html_in_a_page_stays_text() -> None:
    page = documentation._render("x", "# T\n\n<script>alert(1)</script>\n\n[a](javascript:alert(1))\n", 0)
    assert "<script>" not in page.html
    assert 'href="javascript' not in page.html


@pytest.mark.parametrize("slug", ["sending-data", "api"])
def test_the_examples_show_the_address_where_they_are_read(client: Client, settings: Any, slug: str) -> None:
    settings.ALLOWED_HOSTS = ["portal.example.org", "127.0.0.1", "[::1]"]
    for host in ("portal.example.org", "portal.example.org:8443", "127.0.0.1:8000", "[::1]:9000"):
        for secure, scheme in ((False, "http"), (True, "https")):
            html = client.get(f"/docs/{slug}/", headers={"host": host}, secure=secure).content.decode()
            found = set(re.findall(r"https?://[^/\s&;<>]+/(?:datafeed|api/v1)", html))
            assert {address.partition("//")[2].partition("/")[0] for address in found} == {host}
            assert {address.partition(":")[0] for address in found} == {scheme}


def test_the_public_address_wins_over_the_one_that_was_asked(client: Client, settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, public_url="https://feeds.example.org")
    html = client.get("/docs/sending-data/", headers={"host": "localhost"}).content.decode()
    assert "https://feeds.example.org/datafeed" in html
    assert "127.0.0.1:8000" not in html
    assert "localhost" not in re.sub(r"<a [^>]*>", "", html)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evil.example#localhost", '"><script>'])
def test_a_host_that_is_not_ours_never_stands_in_an_example(client: Client, host: str) -> None:
    answer = client.get("/docs/sending-data/", headers={"host": host})
    assert answer.status_code == 400
    assert host not in answer.content.decode()
    own = client.get("/docs/sending-data/", headers={"host": "localhost", "x-forwarded-host": "evil.example"})
    assert "evil.example" not in own.content.decode()


def test_the_tag_of_a_page_differs_where_its_address_does(client: Client) -> None:
    tags = {client.get("/docs/api/", headers={"host": host})["ETag"] for host in ("localhost", "127.0.0.1")}
    assert len(tags) == 2


@pytest.mark.django_db
def test_the_files_for_senders_are_served_as_they_are(client: Client) -> None:
    for name in documentation.RETRY_FILES:
        response = client.get(f"/docs/retry/{name}")
        assert response.status_code == 200, name
        assert response.content == (documentation.RETRY_FOLDER / name).read_bytes()
        assert response["ETag"]
        assert client.get(f"/docs/retry/{name}", headers={"If-None-Match": response["ETag"]}).status_code == 304
        assert f'href="/docs/retry/{name}"' in client.get("/docs/retry/").content.decode()
    assert {path.name for path in documentation.RETRY_FOLDER.iterdir()} == set(documentation.RETRY_FILES)
    for wrong in ("LICENSE", "..%2fretry.py", "retry.pyc"):
        assert client.get(f"/docs/retry/{wrong}").status_code == 404
