"""What the catalogue's pages say in fixed words."""

from collections.abc import Mapping
from typing import Any

from django import template

from codes import labels
from codes.links import page

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


@register.filter
def in_words(value: Any, kind: str) -> str:
    """One of the catalogue's words as people read it."""
    return KINDS[kind].get(value, str(value))


@register.filter
def aspect_words(aspect: str) -> str:
    return labels.aspect_words(aspect)


@register.filter
def number_name(registry: str) -> str:
    """The word that stands before a number of that registry."""
    return "HTTP" if registry == "http" else registry.capitalize()


@register.filter
def tone(row: Any) -> str:
    """The colour of a number: its class, or Stroom."""
    registry, _, key = str(row).partition("/")
    return "stroom" if registry == "stroom" else f"c{key[:1]}"


@register.filter
def source_page(slug: str) -> str:
    return page("source", slug)


@register.filter
def header_page(slug: str) -> str:
    return page("header", slug)


@register.filter
def line_range(lines: list[int] | None) -> str:
    """Lines of a document: "line 7", "lines 7–9"."""
    if not lines:
        return ""
    first, last = lines
    return f"line {first}" if first == last else f"lines {first}–{last}"
