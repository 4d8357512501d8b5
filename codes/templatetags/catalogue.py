"""Filters and tags of the catalogue's pages."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import slugify

from codes import labels
from codes.explain.pairs import other_statuses
from codes.links import page
from codes.models import StatusCode

register = template.Library()

KINDS: Mapping[str, Mapping[Any, str]] = {
    "retry": labels.VERDICTS,
    "again": labels.SHORT_VERDICTS,
    "standing": labels.STANDINGS,
    "cache": labels.CACHEABILITY,
    "body": labels.BODIES,
    "carried": labels.CARRIERS,
    "relation": labels.RELATIONS,
    "severity": labels.SEVERITIES,
    "flag": labels.YES_NO,
}


@register.simple_tag
def heading(level: int, text: str, within: str = "", name: str = "", *, linked: Any = True) -> SafeString:
    """Return a heading with a link to itself.

    Args:
        level: 2 or 3.
        text: what it says.
        within: what it stands in, where a page has the same heading several times: the owner of a meaning.
        name: its id; made from the text unless given.
        linked: false on pages that show a part several times, where ids would clash.
    """
    if not linked:
        return format_html("<h{level}>{text}</h{level}>", level=level, text=text)
    place = "-".join(filter(None, (within, name or slugify(text))))
    link = format_html('<a class="anchor" href="#{}" aria-label="Link to: {}">#</a>', place, text)
    return format_html('<h{} id="{}">{} {}</h{}>', level, place, text, link, level)


@register.filter
def in_words(value: Any, kind: str) -> str:
    """Return one of the catalogue's words as people read it."""
    return KINDS[kind].get(value, str(value))


@register.filter
def aspect_words(aspect: str) -> str:
    return labels.aspect_words(aspect)


@register.filter
def number_name(registry: str) -> str:
    """Return the word before a number of that registry."""
    return "HTTP" if registry == "http" else registry.capitalize()


@register.filter
def tone(row: Any) -> str:
    """Return the colour of a number: its class, or Stroom."""
    registry, _, key = str(row).partition("/")
    return "stroom" if registry == "stroom" else f"c{key[:1]}"


@register.filter
def occurring_statuses(row: StatusCode) -> list[tuple[int, str]]:
    """Return the HTTP statuses that come with a code of Stroom, each with its only sender or none."""
    return [(status, "") for status in row.http_statuses] + other_statuses(row)


@register.filter
def source_page(slug: str) -> str:
    return page("source", slug)


@register.filter
def header_page(slug: str) -> str:
    return page("header", slug)


@register.filter
def line_range(lines: list[int] | None) -> str:
    """Return lines of a document in words: "line 7", "lines 7–9"."""
    if not lines:
        return ""
    first, last = lines
    return f"line {first}" if first == last else f"lines {first}–{last}"


@register.simple_tag
def rendered_once(name: str, rows: Iterable[Any]) -> SafeString:
    """Return the template for each row, one after the other. Each is rendered once and kept with its row.

    Only for rows of a snapshot, which never change, and for templates that depend on nothing but `row`.
    """
    return SafeString("".join(_rendered(name, row) for row in rows))


def _rendered(name: str, row: Any) -> str:
    kept: dict[str, str] = vars(row).setdefault("_rendered", {})
    if name not in kept:
        kept[name] = render_to_string(name, {"row": row})
    return kept[name]
