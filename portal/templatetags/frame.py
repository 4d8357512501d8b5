"""The frame of all pages: the bar with the menu, and the one form of time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portal.menu import shown_menu

register = template.Library()


@register.inclusion_tag("includes/_bar.html", takes_context=True)
def bar(context: Context) -> dict[str, Any]:
    """Show the bar with the menu, the search and the account."""
    request = context.get("request")
    user = getattr(request, "user", None)
    match = getattr(request, "resolver_match", None)
    view_name = match.view_name if match else ""
    menu = shown_menu(user, view_name, getattr(request, "path", ""))
    return {
        "request": request,
        "user": user,
        "csrf_token": context.get("csrf_token"),
        "menu": menu,
        "section": next((entry for entry in menu if entry.is_current), None),
        "has_search": view_name != "home",
        "query": context.get("query", "") if view_name in {"codes:list", "search"} else "",
    }


@register.filter
def moment(value: datetime | None) -> SafeString | str:
    """Format a time as `2026-11-30 20:21 UTC`; a script adds the local time as title."""
    if value is None:
        return "–"
    at = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}">{}</time>', at.isoformat(timespec="seconds"), f"{at:%Y-%m-%d %H:%M} UTC"
    )


@register.filter
def ago(value: datetime | None) -> SafeString | str:
    """Format a time relative to now, such as `3 h ago`, with the exact time as title."""
    if value is None:
        return format_html('<span class="never">{}</span>', "never")
    at = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.isoformat(timespec="seconds"),
        f"{at:%Y-%m-%d %H:%M} UTC",
        distance(timezone.now() - at),
    )


def distance(length: timedelta) -> str:
    """Format a duration in its largest unit: in the past `3 h ago`, in the future `in 3 h`."""
    seconds = int(length.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            amount = f"{abs(seconds) // size} {unit}"
            return f"{amount} ago" if seconds > 0 else f"in {amount}"
    return "just now" if seconds >= 0 else "in a moment"
