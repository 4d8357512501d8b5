"""Addresses of feeds, receipts and the dry run below /api/v1/."""

from django.urls import path

from feeds.api.bulk import BulkViewSet
from feeds.api.changes import ChangeViewSet
from feeds.api.check import CheckViewSet
from feeds.api.content import ContentViewSet
from feeds.api.exporting import ExportViewSet
from feeds.api.feeds import FeedViewSet
from feeds.api.importing import ImportViewSet
from feeds.api.proposals import ProposalViewSet
from feeds.api.receipt_rules import ReceiptRuleViewSet
from feeds.api.receipts import DeliveryViewSet, ReceiptViewSet, RejectionViewSet

app_name = "feeds_api"

urlpatterns = [
    path(
        "feeds/",
        FeedViewSet.as_view({"get": "list", "post": "create", "patch": "bulk"}),
        name="feeds",
    ),
    path("feeds/bulk/", BulkViewSet.as_view({"post": "create_many"}), name="feeds-bulk"),
    path("feeds/bulk/delete/", BulkViewSet.as_view({"post": "destroy_many"}), name="feeds-bulk-delete"),
    path("feeds/export/", ExportViewSet.as_view({"get": "to_file"}), name="feeds-export"),
    path("feeds/import/", ImportViewSet.as_view({"post": "from_file"}), name="feeds-import"),
    path(
        "feeds/<str:name>/",
        FeedViewSet.as_view({"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}),
        name="feed",
    ),
    path("feeds/<str:name>/history/", FeedViewSet.as_view({"get": "history"}), name="feed-history"),
    path("proposals/", ProposalViewSet.as_view({"get": "list"}), name="proposals"),
    path("proposals/<int:proposal_id>/", ProposalViewSet.as_view({"get": "retrieve"}), name="proposal"),
    *(
        path(
            f"proposals/<int:proposal_id>/{action}/",
            ProposalViewSet.as_view({"post": action}),
            name=f"proposal-{action}",
        )
        for action in ("approve", "decline", "withdraw")
    ),
    path(
        "receipt-rules/",
        ReceiptRuleViewSet.as_view({"get": "list", "post": "create"}),
        name="receipt-rules",
    ),
    path("receipt-rules/test/", ReceiptRuleViewSet.as_view({"post": "rehearse"}), name="receipt-rules-test"),
    path(
        "receipt-rules/<int:rule_id>/",
        ReceiptRuleViewSet.as_view(
            {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}
        ),
        name="receipt-rule",
    ),
    *(
        path(
            f"receipt-rules/<int:rule_id>/{action}/",
            ReceiptRuleViewSet.as_view({method: action}),
            name=f"receipt-rule-{action}",
        )
        for action, method in (("history", "get"), ("matches", "get"), ("approve", "post"), ("decline", "post"))
    ),
    path("receipts/", ReceiptViewSet.as_view({"get": "list"}), name="receipts"),
    path("receipts/<str:receipt_id>/", ReceiptViewSet.as_view({"get": "retrieve"}), name="receipt"),
    path("receipts/<str:receipt_id>/content", ContentViewSet.as_view({"get": "retrieve"}), name="receipt-content"),
    path("rejections/", RejectionViewSet.as_view({"get": "list"}), name="rejections"),
    path("changes/", ChangeViewSet.as_view({"get": "list"}), name="changes"),
    path("deliveries/", DeliveryViewSet.as_view({"get": "list"}), name="deliveries"),
    path("receipt/check/", CheckViewSet.as_view({"post": "check"}), name="check"),
]
