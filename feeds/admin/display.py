"""Small pieces of HTML that several admin pages show."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

BAR_WIDTH = 48
#: Controls, formats such as direction marks, and what is no character.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def visible(value: object) -> str:
    """Text of a sender with its invisible and direction-changing characters written out, such as ⟨U+202E⟩."""
    return "".join(
        f"⟨U+{ord(character):04X}⟩" if unicodedata.category(character) in _INVISIBLE else character
        for character in str(value)
    )


def visible_lines(text: str) -> str:
    """Do the same for text of several lines: tabs and ends of lines stay."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in lines)


def name_value_table(values: Mapping[str, object]) -> SafeString:
    """Format metadata as a table of names and values, in the order of names."""
    rows = ((visible(name), visible(value)) for name, value in sorted(values.items()))
    cells = format_html_join("", '<tr><th scope="row">{}</th><td class="mono"><bdi>{}</bdi></td></tr>', rows)
    return format_html('<table class="plain metadata"><tbody>{}</tbody></table>', cells)


def size(count: int | None) -> str:
    """Format a number of bytes in binary units."""
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
        '<a class="pair" href="{}">HTTP {} · Stroom {}</a>',
        reverse("codes:detail", args=["stroom", stroom_status]),
        http_status,
        stroom_status,
    )


def number_with_bar(kind: str, count: int) -> SafeString:
    """Format a count with a small bar on a logarithmic scale, the same on every page."""
    if not count:
        return format_html('<span class="figure zero">{}</span>', 0)
    width = round(BAR_WIDTH * min(1.0, math.log10(count + 1) / 6), 1)
    return format_html(
        '<span class="figure">{}</span><svg class="minibar" width="{}" height="8" aria-hidden="true">'
        '<rect class="bar-{}" width="{}" height="8"/></svg>',
        f"{count:,}",
        BAR_WIDTH,
        kind,
        max(1.5, width),
    )


def ago(moment: datetime | None, now: datetime) -> SafeString:
    """Format how long ago a time was, with the exact time as title."""
    if moment is None:
        return format_html('<span class="never">{}</span>', "never")
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(),
        f"{moment:%Y-%m-%d %H:%M:%S}",
        span(now - moment),
    )


def span(length: timedelta) -> str:
    """Format a duration in its largest unit."""
    seconds = max(0, int(length.total_seconds()))
    for size_of, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size_of:
            return f"{seconds // size_of} {unit} ago"
    return "just now"


def one_line(text: str) -> SafeString:
    """Format a text in one line, which cuts off what does not fit, with the whole text as title."""
    return format_html('<span class="one-line" title="{}">{}</span>', text, text)


def label_chips(labels: Sequence[object]) -> SafeString:
    """Format the labels of a feed; each leads to the feeds that have it."""
    address = reverse("admin:feeds_feed_changelist")
    links = ((f"{address}?{urlencode({'label': str(label)})}", str(label)) for label in labels)
    return format_html(
        '<span class="labels">{}</span>', format_html_join(" ", '<a class="label" href="{}">{}</a>', links)
    )
