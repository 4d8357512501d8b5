"""The JSON of feeds, receipts and refusals (interface section 4)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from feeds.changes.apply import WRITABLE, FeedChange, RuleValues
from feeds.changes.approval import items_of, obstacle
from feeds.models import (
    FEED_NAME_LENGTH,
    MAX_LABEL,
    MAX_LABELS,
    CertificateRule,
    Feed,
    HourlyCount,
    Proposal,
    Receipt,
    validate_feed_name,
    validate_rule_dn,
)
from portal.rest.fields import Flag, Instant, Shape, StrictKeysMixin, Text
from portal.rest.views import ChosenFieldsMixin
from portal.site import public_link

MAX_RULES = 1000
DEFAULT_PATTERN = "^[A-Z0-9_-]{3,}$"
MAX_COMMENT = 1000
#: Keys that an answer has and a body may bring back.
GIVEN = ("version", "created", "updated")


class RuleSerializer(StrictKeysMixin):
    """One allow or deny entry."""

    action = serializers.ChoiceField(choices=CertificateRule.Action.choices, default="allow")
    subject_dn = Text(
        max_length=2000,
        validators=[validate_rule_dn],
        help_text="A whole DN, `CN=client-a,OU=Test,O=Example,C=GB`, or a single `CN=client-a`.",
    )
    expires = Instant(
        allow_null=True, default=None, help_text="From this instant on the rule matches nothing; null: never."
    )
    comment = Text(max_length=500, allow_blank=True, default="")


@extend_schema_field({"type": "string", "maxLength": FEED_NAME_LENGTH, "pattern": DEFAULT_PATTERN})
class FeedName(Text):
    """The name by which senders call the feed. Its pattern is a setting; the description has the default."""


class FeedSerializer(StrictKeysMixin, ChosenFieldsMixin, serializers.ModelSerializer[Feed]):
    """A feed with its rules. On a PUT, what is left out takes its default."""

    name = FeedName(
        required=False,
        max_length=FEED_NAME_LENGTH,
        validators=[validate_feed_name],
        help_text="Exactly as senders give it. Set when the feed is made; later it may only be repeated.",
    )
    description = Text(required=False, allow_blank=True)
    classification = Text(required=False, allow_blank=True, max_length=200)
    owner = Text(required=False, allow_blank=True, max_length=200)
    stream_type = Text(required=False, allow_blank=True, max_length=100)
    encoding = Text(required=False, allow_blank=True, max_length=50)
    context_encoding = Text(required=False, allow_blank=True, max_length=50)
    data_format = Text(required=False, allow_blank=True, max_length=50)
    schema = Text(required=False, allow_blank=True, max_length=100)
    schema_version = Text(required=False, allow_blank=True, max_length=50)
    reference = Flag(required=False)
    labels = serializers.ListField(child=Text(max_length=MAX_LABEL), required=False, max_length=MAX_LABELS)
    certificate_rules = RuleSerializer(many=True, required=False, max_length=MAX_RULES)  # type: ignore[call-arg]  # of the list
    comment = Text(
        required=False,
        allow_blank=True,
        max_length=MAX_COMMENT,
        write_only=True,
        help_text="Why this change; kept with the history.",
    )

    class Meta:
        model = Feed
        fields = ["name", *WRITABLE[:5], "certificate_rules", *WRITABLE[5:], *GIVEN, "comment"]
        read_only_fields = GIVEN

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        if isinstance(self.instance, Feed):
            faults = {name: reason for name in GIVEN if name in data and (reason := self._fault(name, data[name]))}
            if self.instance.name != values.get("name", self.instance.name):
                faults["name"] = f"This is the address of {self.instance.name}; a feed is not renamed here."
            if faults:
                raise serializers.ValidationError({name: [reason] for name, reason in faults.items()})
        return values

    def change(self) -> FeedChange:
        """Return the change that the validated body describes."""
        values = {name: value for name, value in self.validated_data.items() if name in WRITABLE}
        rules = self.validated_data.get("certificate_rules")
        return FeedChange(values, None if rules is None else [RuleValues(**rule) for rule in rules])

    def _fault(self, name: str, value: Any) -> str:
        """Return why a read-only key may not come so; values that an earlier answer gave are fine."""
        present = getattr(self.instance, name)
        if isinstance(present, datetime):
            given = _instant(value)
            fine = given is not None and (given == present if name == "created" else given <= present)
        else:
            fine = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= present
        return "" if fine else "This key cannot be set; leave it out or repeat what you were given."


class NewFeedSerializer(FeedSerializer):
    """A feed that nothing but the body names."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["name"].required = True
        return fields


def _instant(value: Any) -> datetime | None:
    try:
        found: datetime = Instant().run_validation(value)
    except serializers.ValidationError:
        return None
    return found


class HistoryChangeSerializer(Shape):
    """One difference. A rule that was added has no `old`, one that was removed no `new`."""

    field = serializers.CharField()
    old = serializers.JSONField(allow_null=True)
    new = serializers.JSONField(allow_null=True)


class HistorySerializer(ChosenFieldsMixin):
    """One change of a feed, its rules included."""

    at = serializers.DateTimeField()
    action = serializers.ChoiceField(choices=["created", "changed", "deleted"])
    user = serializers.CharField(allow_null=True)
    comment = serializers.CharField()
    request_id = serializers.CharField()
    remote_address = serializers.CharField()
    version = serializers.IntegerField(allow_null=True)
    changes = HistoryChangeSerializer(many=True)


class ProposedFeedSerializer(Shape):
    """Effect of a proposal on one feed."""

    name = serializers.CharField()
    action = serializers.ChoiceField(choices=["create", "change", "delete", "restore"])
    version = serializers.IntegerField(
        allow_null=True, help_text="Of the feed that it is based on; null: the feed is to be made."
    )
    comment = serializers.CharField()
    changes = HistoryChangeSerializer(many=True)


class ProposalSerializer(ChosenFieldsMixin, serializers.ModelSerializer[Proposal]):
    """A change of what guards feeds that waits, or waited, for a second person."""

    state = serializers.ChoiceField(choices=Proposal.State.choices)
    proposed_by = serializers.CharField(source="proposer")
    decided_by = serializers.CharField(source="decider", help_text="Empty while it is open.")
    feeds = serializers.SerializerMethodField(help_text="Each feed with every difference.")
    url = serializers.SerializerMethodField(help_text="Where it is.")

    class Meta:
        model = Proposal
        fields = [
            "id",
            "state",
            "feeds",
            "comment",
            "proposed_at",
            "proposed_by",
            "remote_address",
            "request_id",
            "decided_at",
            "decided_by",
            "decision_comment",
            "url",
        ]

    @extend_schema_field(ProposedFeedSerializer(many=True))
    def get_feeds(self, proposal: Proposal) -> Any:
        return ProposedFeedSerializer(items_of(proposal), many=True).data

    def get_url(self, proposal: Proposal) -> str:
        return public_link(f"/api/v1/proposals/{proposal.pk}/")


class ProposalDetailSerializer(ProposalSerializer):
    """One proposal, and whether it could be approved now."""

    obstacle = serializers.SerializerMethodField(help_text="Why it could not be approved now; empty if it could.")

    class Meta(ProposalSerializer.Meta):
        fields = [*ProposalSerializer.Meta.fields, "obstacle"]

    def get_obstacle(self, proposal: Proposal) -> str:
        return obstacle(proposal) if proposal.state == Proposal.State.OPEN else f"It was {proposal.state}."


class DecisionSerializer(StrictKeysMixin):
    """The reason for a decision."""

    comment = Text(
        required=False, allow_blank=True, max_length=MAX_COMMENT, help_text="Why; kept with the history."
    )


class GroupSerializer(Shape):
    """One data item of a ZIP."""

    name = serializers.CharField()
    feed = serializers.CharField()
    dropped = serializers.BooleanField()


class ArchiveSerializer(Shape):
    """An archive that a receipt was handed over in."""

    name = serializers.CharField(help_text="Name of its folder and files in the output folder.")
    guid = serializers.CharField(help_text="GUID in its metadata, which Stroom keeps.")
    feed = serializers.CharField(help_text="The feed of its data.")
    type = serializers.CharField(help_text="The type of its data; empty where none was given.")


class ReceiptSerializer(ChosenFieldsMixin, serializers.ModelSerializer[Receipt]):
    """An accepted delivery. `id` is what the sender was given, `bytes` the length of what `content` returns."""

    id = serializers.CharField(source="receipt_id")
    feeds = serializers.SerializerMethodField()
    headers = serializers.DictField(child=serializers.CharField(), help_text="Metadata as stored beside the data.")
    groups = serializers.JSONField(help_text="Of a ZIP: each data item with its feed.")
    notes = serializers.ListField(child=serializers.CharField())
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

    def get_feeds(self, receipt: Receipt) -> list[str]:
        names = {link.feed for link in receipt.feed_links.all()} - {receipt.feed}
        return [receipt.feed, *sorted(names)]

    def get_duplicate_of(self, receipt: Receipt) -> str | None:
        return receipt.duplicate_of or None

    def get_content(self, receipt: Receipt) -> str:
        return public_link(f"/api/v1/receipts/{receipt.receipt_id}/content")


class TraceSerializer(Shape):
    """One evaluated step: its number in the contract, and why it passed or stopped."""

    step = serializers.IntegerField()
    outcome = serializers.ChoiceField(choices=["pass", "stop"])
    explanation = serializers.CharField()


class SampleSerializer(Shape):
    """One refused delivery, kept whole as an example."""

    at = serializers.DateTimeField()
    receipt_id = serializers.CharField()
    request_id = serializers.CharField()
    remote_address = serializers.CharField()
    sender_dn = serializers.CharField(allow_null=True)
    headers = serializers.DictField(child=serializers.CharField())
    trace = TraceSerializer(many=True)


class RejectionSerializer(ChosenFieldsMixin, serializers.ModelSerializer[HourlyCount]):
    """Number of refusals of one feed with one code in one hour, with some of them as examples."""

    samples = serializers.SerializerMethodField()

    class Meta:
        model = HourlyCount
        fields = ["hour", "feed", "known", "http_status", "stroom_status", "count", "samples"]

    @extend_schema_field(SampleSerializer(many=True))
    def get_samples(self, count: HourlyCount) -> Any:
        return SampleSerializer(getattr(count, "samples", ()), many=True).data


class DescribedCertificateSerializer(StrictKeysMixin):
    """A client certificate as the proxy would report it."""

    dn = Text(max_length=4096, allow_blank=True)
    verified = Flag(default=True)
    expires = Text(max_length=64, allow_null=True, allow_blank=True, default=None)


class HeadersField(serializers.DictField):
    """Names and values as a sender would write them."""

    child = Text(allow_blank=True, allow_null=True, max_length=65536, trim_whitespace=False)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and len(data) > 1000:
            raise serializers.ValidationError("At most 1000 headers.")
        return super().to_internal_value(data)


class CheckSerializer(StrictKeysMixin):
    """A described request: its headers, and the sender's certificate in one of two forms."""

    headers = HeadersField()
    sender_dn = Text(allow_null=True, allow_blank=True, max_length=4096, required=False)
    verified = Flag(required=False, help_text="Whether the proxy verified `sender_dn`; true when left out.")
    certificate = DescribedCertificateSerializer(allow_null=True, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        twice = attrs.get("sender_dn") is not None or attrs.get("verified") is False
        if attrs.get("certificate") is not None and twice:
            raise serializers.ValidationError(
                {"certificate": ["Give either certificate, or sender_dn and verified."]}
            )
        return attrs


class WouldAnswerSerializer(Shape):
    """The answer that `/datafeed` would send."""

    headers = serializers.DictField(child=serializers.CharField())
    body = serializers.CharField()


class DryRunSerializer(Shape):
    """Result of the described request, and its reasons."""

    decision = serializers.ChoiceField(choices=Feed.Status.choices)
    http_status = serializers.IntegerField()
    stroom_status = serializers.IntegerField()
    message = serializers.CharField()
    stored = serializers.BooleanField(help_text="Whether whole and valid data would be kept.")
    response = WouldAnswerSerializer()
    trace = TraceSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField(), help_text="What of the request was left aside.")
