"""The JSON of feeds, receipts and refusals (interface section 4)."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from feeds.changes.apply import GIVEN, MAX_COMMENT, MAX_RULES, WRITABLE, FeedChange, RuleValues
from feeds.changes.approval import obstacle
from feeds.changes.approval_items import items_of
from feeds.changes.files_out import rule_values
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
from portal.rest.problems import PreconditionFailed
from portal.rest.views import ChosenFieldsMixin
from portal.site import public_link
from portal.text import instant_text

DEFAULT_PATTERN = "^[A-Z0-9_-]{3,}$"


class RuleSerializer(StrictKeysMixin):
    """One allow or deny entry."""

    action = serializers.ChoiceField(
        choices=CertificateRule.Action.choices,
        default="allow",
        help_text="Whether a matching certificate may send; `deny` takes precedence over `allow`.",
    )
    subject_dn = Text(
        max_length=2000,
        validators=[validate_rule_dn],
        help_text="A whole DN, `CN=client-a,OU=Test,O=Example,C=GB`, or a single `CN=client-a`.",
    )
    expires = Instant(
        allow_null=True, default=None, help_text="From this instant on the rule matches nothing; null: never."
    )
    comment = Text(max_length=500, allow_blank=True, default="", help_text="Comment for other administrators.")


@extend_schema_field({"type": "string", "maxLength": FEED_NAME_LENGTH, "pattern": DEFAULT_PATTERN})
class FeedName(Text):
    """The name by which senders call the feed. Its pattern is a setting; the description has the default."""


def etag_of(feed: Feed) -> str:
    """Return the feed's ETag. The version increases with every change; a feed created again is another row."""
    return f'"{feed.pk}-{feed.version}"'


class VersionConflict(PreconditionFailed):
    """The `version` or `etag` in a body is not the current one."""

    def __init__(self, field: str, current: int | str) -> None:
        super().__init__(f"{field}: the current one is {current}. Read the feed again, then send your change.")
        self.field = field


class FeedSerializer(StrictKeysMixin, ChosenFieldsMixin, serializers.ModelSerializer[Feed]):
    """A feed with its rules. On a PUT, what is left out takes its default."""

    name = FeedName(
        required=False,
        max_length=FEED_NAME_LENGTH,
        validators=[validate_feed_name],
        help_text="Exactly as senders give it. Set when the feed is made; later it may only be repeated.",
    )
    description = Text(required=False, allow_blank=True, help_text="Description of the data.")
    classification = Text(
        required=False,
        allow_blank=True,
        max_length=200,
        help_text="How confidential the data is, in the site's own words.",
    )
    owner = Text(required=False, allow_blank=True, max_length=200, help_text="Contact for this feed.")
    stream_type = Text(required=False, allow_blank=True, max_length=100, help_text="Stroom's type of stream.")
    encoding = Text(required=False, allow_blank=True, max_length=50, help_text="Encoding of the data.")
    context_encoding = Text(
        required=False, allow_blank=True, max_length=50, help_text="Encoding of the context data."
    )
    data_format = Text(
        required=False, allow_blank=True, max_length=50, help_text="Format of the data, such as XML."
    )
    schema = Text(required=False, allow_blank=True, max_length=100, help_text="Schema of the data.")
    schema_version = Text(required=False, allow_blank=True, max_length=50, help_text="Version of the schema.")
    reference = Flag(required=False, help_text="Whether it is reference data.")
    labels = serializers.ListField(
        child=Text(max_length=MAX_LABEL), required=False, max_length=MAX_LABELS, help_text="Words to find feeds by."
    )
    certificate_rules = RuleSerializer(
        many=True,
        required=False,
        max_length=MAX_RULES,
        help_text="Certificate rules; a list in a request replaces all existing rules.",
    )  # type: ignore[call-arg]  # of the list
    comment = Text(
        required=False,
        allow_blank=True,
        max_length=MAX_COMMENT,
        write_only=True,
        help_text="Reason for the change; kept with the history.",
    )

    etag = serializers.SerializerMethodField(
        help_text="The ETag of the feed, as If-Match takes it. In a write: 412 if it is not the current one."
    )

    class Meta:
        model = Feed
        fields = ["name", *WRITABLE[:5], "certificate_rules", *WRITABLE[5:], *GIVEN, "comment"]
        extra_kwargs = {
            "version": {
                "help_text": "Version, incremented by every change. In a write: 412 if it is not the current one."
            },
            "created": {"help_text": "Time of creation."},
            "updated": {"help_text": "Time of the last change."},
        }
        read_only_fields = GIVEN

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        if isinstance(self.instance, Feed):
            faults = {name: reason for name in GIVEN if name in data and (reason := self._fault(name, data[name]))}
            if self.instance.name != values.get("name", self.instance.name):
                faults["name"] = f"This is the address of {self.instance.name}; a feed is not renamed here."
            if faults:
                raise serializers.ValidationError({name: [reason] for name, reason in faults.items()})
            _demand_current(self.instance, data)
        return values

    @cached_property
    def _shown(self) -> list[str]:
        return [name for name, field in self.fields.items() if not field.write_only]

    def to_representation(self, instance: Feed) -> dict[str, Any]:
        """The same as field by field, at a fifth of the time: a list has a hundred of these with their rules."""
        return {name: _shown_value(instance, name) for name in self._shown}

    def get_etag(self, feed: Feed) -> str:
        return etag_of(feed)

    def change(self) -> FeedChange:
        """Return the change that the validated body describes."""
        values = {name: value for name, value in self.validated_data.items() if name in WRITABLE}
        rules = self.validated_data.get("certificate_rules")
        return FeedChange(values, None if rules is None else [RuleValues(**rule) for rule in rules])

    def _fault(self, name: str, value: Any) -> str:
        """Return why a read-only key may not come so; values that an earlier answer gave are fine."""
        if name == "etag":
            return "" if isinstance(value, str) else "The ETag is text; leave it out or repeat what you were given."
        present = getattr(self.instance, name)
        if isinstance(present, datetime):
            given = _instant(value)
            fine = given is not None and (given == present if name == "created" else given <= present)
        else:
            fine = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        return "" if fine else "This key cannot be set; leave it out or repeat what you were given."


def _shown_value(feed: Feed, name: str) -> Any:
    """Return a key of a feed's answer."""
    if name == "certificate_rules":
        return [rule_values(rule) for rule in feed.certificate_rules.all()]
    if name == "etag":
        return etag_of(feed)
    value = getattr(feed, name)
    return instant_text(value) if isinstance(value, datetime) else value


class NewFeedSerializer(FeedSerializer):
    """A feed that nothing but the body names."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["name"].required = True
        return fields


def _demand_current(feed: Feed, data: Any) -> None:
    """Refuse a change of a state that the caller has not seen.

    Raises:
        VersionConflict: naming the key that is not current.
    """
    current: dict[str, int | str] = {"version": feed.version, "etag": etag_of(feed)}
    for name, value in current.items():
        if name in data and data[name] != value:
            raise VersionConflict(name, value)


def _instant(value: Any) -> datetime | None:
    try:
        found: datetime = Instant().run_validation(value)
    except serializers.ValidationError:
        return None
    return found


class HistoryChangeSerializer(Shape):
    """One difference. A rule that was added has no `old`, one that was removed no `new`."""

    field = serializers.CharField(help_text="Key of the feed; `certificate_rules` for one rule.")
    old = serializers.JSONField(allow_null=True, help_text="Before; null for what was added.")
    new = serializers.JSONField(allow_null=True, help_text="After; null for what was removed.")


class HistorySerializer(ChosenFieldsMixin):
    """One change of a feed, its rules included."""

    at = serializers.DateTimeField(help_text="Time.")
    action = serializers.ChoiceField(
        choices=["created", "changed", "deleted"],
        help_text="Action on the feed; a change of its rules alone is `changed`.",
    )
    user = serializers.CharField(allow_null=True, help_text="User name; null for a command or a deleted user.")
    comment = serializers.CharField(help_text="Reason, kept with the record.")
    request_id = serializers.CharField(help_text="`X-Request-ID` of the request.")
    remote_address = serializers.CharField(help_text="Address of the caller as the portal sees it.")
    version = serializers.IntegerField(
        allow_null=True, help_text="Version of the feed since; null for a change of rules alone."
    )
    changes = HistoryChangeSerializer(many=True, help_text="All differences.")


class ProposedFeedSerializer(Shape):
    """Effect of a proposal on one feed."""

    name = serializers.CharField(help_text="Name of the feed.")
    action = serializers.ChoiceField(
        choices=["create", "change", "delete", "restore"], help_text="Proposed action."
    )
    version = serializers.IntegerField(
        allow_null=True, help_text="Of the feed that it is based on; null: the feed is to be made."
    )
    comment = serializers.CharField(help_text="Reason, kept with the record.")
    changes = HistoryChangeSerializer(
        many=True, help_text="Every difference; a feed that is not there counts as one with nothing but defaults."
    )


class ProposalSerializer(ChosenFieldsMixin, serializers.ModelSerializer[Proposal]):
    """A change of what guards feeds that waits, or waited, for a second person."""

    state = serializers.ChoiceField(choices=Proposal.State.choices, help_text="State of the proposal.")
    proposed_by = serializers.CharField(source="proposer", help_text="User who proposed it.")
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
        extra_kwargs = {
            "id": {"help_text": "Number in URLs."},
            "comment": {"help_text": "Reason given by the proposer."},
            "proposed_at": {"help_text": "Time of the proposal."},
            "remote_address": {"help_text": "Address of the proposer as the portal saw it."},
            "request_id": {"help_text": "`X-Request-ID` of the request."},
            "decided_at": {"help_text": "Time of the decision; null while it is open."},
            "decision_comment": {"help_text": "Reason for the decision."},
        }

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

    name = serializers.CharField(help_text="Name.")
    feed = serializers.CharField(help_text="Name of the Stroom feed.")
    dropped = serializers.BooleanField()


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
    groups = serializers.JSONField(help_text="Of a ZIP: each data item with its feed.")
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
        return public_link(f"/api/v1/receipts/{receipt.receipt_id}/content")


class TraceSerializer(Shape):
    """One evaluated step: its number in the contract, and why it passed or stopped."""

    step = serializers.IntegerField(help_text="Its number in the order of the checks.")
    outcome = serializers.ChoiceField(choices=["pass", "stop"], help_text="`pass`, or `stop` where it decided.")
    explanation = serializers.CharField(help_text="Why.")


class SampleSerializer(Shape):
    """One refused delivery, kept whole as an example."""

    at = serializers.DateTimeField(help_text="Time.")
    receipt_id = serializers.CharField(help_text="The id that the refusal was given.")
    request_id = serializers.CharField(help_text="`X-Request-ID` of the request.")
    remote_address = serializers.CharField(help_text="Address of the caller as the portal sees it.")
    sender_dn = serializers.CharField(
        allow_null=True, help_text="DN of the verified client certificate; null without one."
    )
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


class DescribedCertificateSerializer(StrictKeysMixin):
    """A client certificate as the proxy would report it."""

    dn = Text(max_length=4096, allow_blank=True, help_text="Subject; empty for no certificate.")
    verified = Flag(default=True, help_text="Whether the proxy verified it.")
    expires = Text(
        max_length=64,
        allow_null=True,
        allow_blank=True,
        default=None,
        help_text="End of its validity, as the proxy would write it.",
    )


class HeadersField(serializers.DictField):
    """Names and values as a sender would write them."""

    child = Text(allow_blank=True, allow_null=True, max_length=65536, trim_whitespace=False)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and len(data) > 1000:
            raise serializers.ValidationError("At most 1000 headers.")
        return super().to_internal_value(data)


class CheckSerializer(StrictKeysMixin):
    """A described request: its headers, and the sender's certificate in one of two forms."""

    headers = HeadersField(
        help_text="Names and values as a sender would write them; identity headers among them are ignored."
    )
    sender_dn = Text(
        allow_null=True,
        allow_blank=True,
        max_length=4096,
        required=False,
        help_text="Subject of the client certificate; null for none.",
    )
    verified = Flag(required=False, help_text="Whether the proxy verified `sender_dn`; true when left out.")
    certificate = DescribedCertificateSerializer(
        allow_null=True, required=False, help_text="Alternative to `sender_dn` and `verified`."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        twice = attrs.get("sender_dn") is not None or attrs.get("verified") is False
        if attrs.get("certificate") is not None and twice:
            raise serializers.ValidationError(
                {"certificate": ["Give either certificate, or sender_dn and verified."]}
            )
        return attrs


class WouldAnswerSerializer(Shape):
    """The answer that `/datafeed` would send."""

    headers = serializers.DictField(child=serializers.CharField(), help_text="Names and values.")
    body = serializers.CharField(help_text="The text; `<receipt id>` stands where an id would.")


class DryRunSerializer(Shape):
    """Result of the described request, and its reasons."""

    decision = serializers.ChoiceField(choices=Feed.Status.choices, help_text="What would happen to the data.")
    http_status = serializers.IntegerField(help_text="The HTTP status.")
    stroom_status = serializers.IntegerField(help_text="The Stroom-Status.")
    message = serializers.CharField(help_text="The message that belongs to the Stroom-Status.")
    stored = serializers.BooleanField(help_text="Whether whole and valid data would be kept.")
    response = WouldAnswerSerializer(help_text="What `/datafeed` would send.")
    trace = TraceSerializer(many=True, help_text="Every step of the decision, in order.")
    notes = serializers.ListField(child=serializers.CharField(), help_text="What of the request was left aside.")
