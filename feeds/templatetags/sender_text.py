"""Shows text of senders as it is: what would hide or reorder characters becomes visible itself. And sizes, in the
units that the admin's lists have."""

from django import template

from feeds.admin.display import size, visible

register = template.Library()
register.filter("visible", visible)
register.filter("binary_size", size)
