"""Shows text of senders as it is: what would hide or reorder characters becomes visible itself."""

from django import template

from feeds.admin.display import visible

register = template.Library()
register.filter("visible", visible)
