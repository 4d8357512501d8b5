"""Admin pages of the feeds app, one module for each kind of thing."""

from feeds.admin import feeds, proposals, records

__all__ = ["feeds", "proposals", "records"]
