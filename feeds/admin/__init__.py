"""Admin pages of the feeds app, one module for each kind of thing."""

from feeds.admin import certificates, feeds, proposals, receipt_rules, receipts, records

__all__ = ["certificates", "feeds", "proposals", "receipt_rules", "receipts", "records"]
