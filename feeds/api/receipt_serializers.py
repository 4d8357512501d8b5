"""Serializers of receipts, refusals and counts of deliveries (interface section 4)."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from feeds.api.check_serializers import TraceSerializer
from feeds.models import (
    HourlyCount,
    Receipt,
)
from portal.rest.fields import Shape
from portal.rest.queries import ChosenFieldsMixin
from portal.site import followed_link


class GroupSerializer(Shape):
    """One data item of a ZIP."""

    name = serializers.CharField(help_text="Name of its entries without their extensions.")
    feed = serializers.CharField(help_text="The feed of its data.")
    dropped = serializers.BooleanField(help_text="Whether this feed drops data; dropped data is not handed over.")


@extend_schema_field(GroupSerializer(many=True))
class GroupsField(serializers.JSONField):
    """Data items as they are stored: a serializer of each would take most of the time of a list."""


class ArchiveSerializer(Shape):
    """An archive that a receipt was handed over in."""

    name = serializers.CharField(help_text="Name of its folder and files in the output folder.")
    guid = serializers.CharField(help_text="GUID in its metadata, which Stroom keeps.")
    feed = serializers.CharField(help_text="The feed of its data.")
    type = serializers.CharField(help_text="The type of its data; empty where none was given.")


class ReceiptSerializer(ChosenFieldsMixin, serializers.ModelSerializer[Receipt]):
    """An accepted delivery. `id` is what the sender was given, `bytes` the length of what `content` returns."""

    id = serializers.CharField(source="receipt_id", help_text="The receipt id that the sender was given.")
    feeds = serializers.SerializerMethodField(
        help_text="All feeds that it holds data of; of a ZIP there may be several."
    )
    headers = serializers.DictField(child=serializers.CharField(), help_text="Metadata as stored with the data.")
    groups = GroupsField(help_text="Of a ZIP: each data item with its feed.")
    notes = serializers.ListField(child=serializers.CharField(), help_text="Remarks of the receiver.")
    duplicate_of = serializers.SerializerMethodField(help_text="An earlier receipt with the same content.")
    archives = ArchiveSerializer(
        many=True, source="archives_left_in", read_only=True, help_text="The archives that it was handed over in."
    )
    content = serializers.SerializerMethodField(help_text="Where the stored bytes are.")

    class Meta:
        model = Receipt
        fields = [
            "id",
            "feed",
            "feeds",
            "bytes",
            "wire_bytes",
            "status",
            "stroom_status",
            "sender_dn",
            "sender_token",
            "received_at",
            "remote_address",
            "compression",
            "sha256",
            "headers",
            "groups",
            "notes",
            "feed_version",
            "guid",
            "request_id",
            "duplicate_of",
            "truncated",
            "recovered",
            "forwarded_at",
            "archives",
            "content",
        ]
        extra_kwargs = {
            "feed": {"help_text": "Feed of the request."},
            "status": {"help_text": "Status of the receipt."},
            "stroom_status": {"help_text": "Stroom-Status of the answer."},
            "sender_dn": {"help_text": "DN of the verified client certificate; null without one."},
            "sender_token": {"help_text": "Name of the valid token that it was sent with; null without one."},
            "received_at": {"help_text": "Time of acceptance."},
            "compression": {"help_text": "Compression of the stored bytes."},
            "feed_version": {"help_text": "Version of the feed that accepted it; null if unknown."},
            "guid": {"help_text": "GUID given by the sender or a proxy."},
            "truncated": {"help_text": "Whether the metadata was truncated."},
            "recovered": {"help_text": "Whether the row was rebuilt from the file after a crash."},
        }

    def get_feeds(self, receipt: Receipt) -> list[str]:
        names = {link.feed for link in receipt.feed_links.all()} - {receipt.feed}
        return [receipt.feed, *sorted(names)]

    def get_duplicate_of(self, receipt: Receipt) -> str | None:
        return receipt.duplicate_of or None

    def get_content(self, receipt: Receipt) -> str:
        return followed_link(self.context.get("request"), f"/api/v1/receipts/{receipt.receipt_id}/content")


class SampleSerializer(Shape):
    """One refused delivery, kept whole as an example."""

    at = serializers.DateTimeField(help_text="Time.")
    receipt_id = serializers.CharField(help_text="The id that the refusal was given.")
    request_id = serializers.CharField(help_text="`X-Request-ID` of the request.")
    remote_address = serializers.CharField(help_text="Address of the caller as the portal sees it.")
    sender_dn = serializers.CharField(
        allow_null=True, help_text="DN of the verified client certificate; null without one."
    )
    sender_token = serializers.CharField(help_text="Name of the valid token that it was sent with; empty without.")
    headers = serializers.DictField(child=serializers.CharField(), help_text="Its metadata.")
    trace = TraceSerializer(many=True, help_text="Every step of the decision, in order.")


class RejectionSerializer(ChosenFieldsMixin, serializers.ModelSerializer[HourlyCount]):
    """Number of refusals of one feed with one code in one hour, with some of them as examples."""

    samples = serializers.SerializerMethodField(help_text="Up to three examples, for users who may view them.")

    class Meta:
        model = HourlyCount
        fields = ["hour", "feed", "known", "http_status", "stroom_status", "count", "samples"]
        extra_kwargs = {
            "feed": {"help_text": "Feed as named by the sender; few unknown names are listed separately."},
            "http_status": {"help_text": "HTTP status of the answer."},
            "stroom_status": {"help_text": "Stroom-Status of the answer."},
            "count": {"help_text": "Number of deliveries."},
        }

    @extend_schema_field(SampleSerializer(many=True))
    def get_samples(self, count: HourlyCount) -> Any:
        return SampleSerializer(getattr(count, "samples", ()), many=True).data


class DeliverySerializer(ChosenFieldsMixin, serializers.ModelSerializer[HourlyCount]):
    """Number and bytes of the deliveries of one feed with one outcome and answer in one hour."""

    outcome = serializers.CharField(help_text="received, dropped, empty or refused. There may be new ones.")

    class Meta:
        model = HourlyCount
        fields = ["hour", "feed", "known", "outcome", "http_status", "stroom_status", "count", "bytes"]
        extra_kwargs = {
            "feed": {"help_text": "Feed as named by the sender; few unknown names are listed separately."},
            "http_status": {"help_text": "HTTP status of the answer."},
            "stroom_status": {"help_text": "Stroom-Status of the answer."},
            "count": {"help_text": "Number of deliveries."},
            "bytes": {"help_text": "Bytes of the stored data of them; 0 for refusals."},
        }
