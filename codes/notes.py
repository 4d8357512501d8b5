"""Rendering of local notes: Markdown without raw HTML, pictures and headings."""

from typing import Any

from django.utils.safestring import SafeString
from markdown_it import MarkdownIt

MAX_LENGTH = 10_000


def _renderer() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    # A picture would be fetched from elsewhere, and a heading would break the order of the page's own.
    markdown.disable(["image", "heading", "lheading", "html_block", "html_inline"])
    markdown.add_render_rule("link_open", _link)
    return markdown


def _link(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """Keep the address of the page from the sites that a note links to."""
    tokens[index].attrSet("rel", "noreferrer nofollow")
    rendered: str = renderer.renderToken(tokens, index, options, env)
    return rendered


_MARKDOWN = _renderer()


def render_note(text: str) -> SafeString:
    """Return the HTML of a note; HTML in it is shown as text, and the renderer checks links."""
    html = _MARKDOWN.render(text[:MAX_LENGTH])
    return SafeString(html)  # raw HTML is off, so nothing passes as it is
