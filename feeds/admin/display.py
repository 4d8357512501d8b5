"""Small pieces of HTML that several admin pages show."""

from django.utils.html import format_html
from django.utils.safestring import SafeString


def chip(kind: str, text: str, title: str = "") -> SafeString:
    """A word in a coloured frame; the colour only repeats what the word says."""
    return format_html('<span class="chip chip-{}" title="{}">{}</span>', kind.lower(), title, text)


def size(count: int | None) -> str:
    """A number of bytes for people, in binary units."""
    if count is None:
        return "–"
    number = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def stroom_pair(http_status: int, stroom_status: int) -> SafeString:
    """HTTP and Stroom status of an answer, linked to the catalogue's page of the Stroom code."""
    return format_html(
        '<a class="pair" href="/codes/stroom/{}/">HTTP {} · Stroom {}</a>',
        stroom_status,
        http_status,
        stroom_status,
    )
