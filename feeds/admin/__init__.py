"""Admin pages of the feeds app, one module for each kind of thing."""

from feeds.admin import feeds, proposals, receipts, records

__all__ = ["feeds", "proposals", "receipts", "records"]
