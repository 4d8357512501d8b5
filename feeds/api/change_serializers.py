"""Serializers of the history of feeds and of proposals (interface section 4)."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from feeds.changes.apply import MAX_COMMENT
from feeds.changes.approval import obstacle
from feeds.changes.approval_items import items_of
from feeds.models import (
    Proposal,
)
from portal.rest.fields import Shape, StrictKeysMixin, Text
from portal.rest.queries import ChosenFieldsMixin
from portal.site import followed_link


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
        return followed_link(self.context.get("request"), f"/api/v1/proposals/{proposal.pk}/")


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
