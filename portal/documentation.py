"""Documentation pages: the Markdown files of `docs/`, rendered for `/docs/`."""

import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from itertools import count
from pathlib import Path

from markdown_it import MarkdownIt

from portal.environment import BASE_DIR

FOLDER = BASE_DIR / "docs"
#: In reading order. Files that are not named here are for developers and stay on disk.
PAGES = (
    "sending-data",
    "retry",
    "feeds",
    "admin",
    "catalogue",
    "api",
    "settings",
    "sign-in",
    "second-approval",
    "operating",
    "behind",
    "metrics",
    "decisions",
)

#: The address in the examples of the files, and the pages whose readers are to see their own portal's in its place.
EXAMPLE_ADDRESS = "http://127.0.0.1:8000"
FOR_CALLERS = frozenset({"sending-data", "retry", "catalogue", "api", "second-approval"})
#: Files that the page `retry` offers, with their media types.
RETRY_FOLDER = BASE_DIR / "clients" / "retry"
RETRY_FILES = {
    "retry.py": "text/x-python",
    "retry.mjs": "text/javascript",
    "retry.go": "text/x-go",
    "Retry.java": "text/x-java",
    "retry.sh": "text/x-sh",
    "send.sh": "text/x-sh",
    "cases.json": "application/json",
}


@dataclass(frozen=True)
class Heading:
    """A section heading of a page, for its table of contents."""

    anchor: str
    text: str


@dataclass(frozen=True)
class DocumentationPage:
    """One rendered page."""

    slug: str
    title: str
    lead: str
    html: str
    headings: tuple[Heading, ...]

    def html_for(self, address: str) -> str:
        """Return the HTML of the page with the portal's address in its examples."""
        return self.html.replace(EXAMPLE_ADDRESS, escape(address)) if self.slug in FOR_CALLERS else self.html


def pages() -> list[DocumentationPage]:
    """Return all pages in reading order."""
    return [page for slug in PAGES if (page := page_of(slug)) is not None]


def page_of(slug: str) -> DocumentationPage | None:
    """Return the page with this slug; None if there is none."""
    if slug not in PAGES:
        return None
    path = FOLDER / f"{slug}.md"
    try:
        return _render(slug, path.read_text(encoding="utf-8"), path.stat().st_mtime_ns)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=len(PAGES))
def _render(slug: str, text: str, _modified: int) -> DocumentationPage:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(_link_pages(text))
    title, lead = slug, ""
    headings: list[Heading] = []
    kept = []
    for position, token in enumerate(tokens):
        inline = tokens[position + 1].content if position + 1 < len(tokens) else ""
        if token.type == "heading_open" and token.tag == "h1":
            title = inline
        if token.type == "heading_open" and token.tag == "h2":
            heading = Heading(_anchor(inline), _plain(inline))
            token.attrSet("id", heading.anchor)
            headings.append(heading)
        if token.type == "paragraph_open" and not lead:
            lead = _plain(inline)
        kept.append(token)
    body = _without_title(markdown.renderer.render(kept, markdown.options, {}))
    return DocumentationPage(slug, _plain(title), lead, _scrolling_tables(body), tuple(headings))


def _link_pages(text: str) -> str:
    """Point links between files to their pages; links to other files are removed."""
    return re.sub(
        r"\]\((?:docs/)?([a-z-]+)\.md(#[a-z0-9-]+)?\)",
        lambda match: f"](/docs/{match[1]}/{match[2] or ''})" if match[1] in PAGES else "](/docs/)",
        text,
    )


def _without_title(html: str) -> str:
    return re.sub(r"<h1>.*?</h1>\n?", "", html, count=1, flags=re.DOTALL)


def _scrolling_tables(html: str) -> str:
    """Wide tables scroll by themselves on a phone; a keyboard can reach and move them, a reader tell them apart."""
    numbers = count(1)
    opened = re.sub(
        "<table>",
        lambda _: f'<div class="scroll" tabindex="0" role="region" aria-label="Table {next(numbers)}"><table>',
        html,
    )
    return opened.replace("</table>", "</table></div>")


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", _plain(text).lower()).strip("-")


def _plain(text: str) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).replace("`", "").replace("**", "").replace("\n", " ")


def version() -> str:
    """Return the version in the newest heading of the change log."""
    match = re.search(r"^## (\S+)", Path(BASE_DIR / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    return match.group(1) if match else "0"
