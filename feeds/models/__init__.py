"""Tables of the feeds: one module for each subject."""

from feeds.models.counts import HourlyCount, Outcome, RefusalSample
from feeds.models.feed import CertificateRule, Feed, FeedQuerySet, give_stroom_uuids, has_label, labelled
from feeds.models.names import FEED_NAME_LENGTH, MAX_LABEL, MAX_LABELS, validate_feed_name, validate_rule_dn
from feeds.models.pending import PendingImport, Proposal
from feeds.models.receipt import Receipt, ReceiptFeed, ReceiptQuerySet, Store
from feeds.models.receipt_rule import ReceiptRule, ReceiptRuleMatch, ReceiptRuleStamp, rule_set
from feeds.models.retention import RetentionPolicy
from feeds.models.saved_view import SavedView

__all__ = [
    "FEED_NAME_LENGTH",
    "MAX_LABEL",
    "MAX_LABELS",
    "CertificateRule",
    "Feed",
    "FeedQuerySet",
    "HourlyCount",
    "Outcome",
    "PendingImport",
    "Proposal",
    "Receipt",
    "ReceiptFeed",
    "ReceiptQuerySet",
    "ReceiptRule",
    "ReceiptRuleMatch",
    "ReceiptRuleStamp",
    "RefusalSample",
    "RetentionPolicy",
    "SavedView",
    "Store",
    "give_stroom_uuids",
    "has_label",
    "labelled",
    "rule_set",
    "validate_feed_name",
    "validate_rule_dn",
]
