"""The in-product documentation renders every page, safely, and its links lead somewhere."""

import re
from pathlib import Path

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
