"""Receipt rules over REST: read and change them, try one on the latest deliveries, see what they matched."""

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import ValidationError as Invalid
from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from feeds.api.change_serializers import DecisionSerializer
from feeds.api.feeds import checked_comment
from feeds.changes import receipt_rules as changes
from feeds.changes.approval import CannotDecide, MayNotDecide
from feeds.changes.receipt_rule_rehearsal import rehearse
from feeds.models import ReceiptRule, ReceiptRuleMatch
from feeds.models.receipt_rule import validate_conditions
from feeds.rules.receipt_rules import Action, Operator
from portal.access.tokens import HasScope, ModelPermissions
from portal.rest.fields import Flag, Instant, Shape, StrictKeysMixin, Text
from portal.rest.private import ListMixin, PrivateMixin
from portal.rest.problems import Conflict
from portal.rest.queries import ChosenFieldsMixin, StrictFilterBackend, StrictOrdering

MAX_POSITION = 2_000_000_000
#: Latest rows of the history of a rule, and of what it matched.
MOST_ROWS = 10_000


class ConditionSerializer(StrictKeysMixin):
    """One comparison of a field with values. All conditions of a rule must hold."""

    field = Text(
        max_length=128,
        help_text="Name of an argument in any case, or `remote_address`, `sender_dn`, `sender_token`.",
    )
    operator = serializers.ChoiceField(
        choices=[operator.value for operator in Operator],
        help_text="`equal` (one value), `one_of`, or `wildcard` with `*` and `?`. An address may be a network.",
    )
    values = serializers.ListField(
        child=Text(max_length=2000), min_length=1, max_length=1000, help_text="What the field is compared with."
    )
    negated = Flag(default=False, help_text="Whether the condition holds where the comparison does not.")


class RuleBodySerializer(StrictKeysMixin):
    """A receipt rule as a caller wants it."""

    name = Text(max_length=100, help_text="What the rule is for.")
    position = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_POSITION,
        help_text="Rules are tried in this order, equal ones in the order of their age; behind all when left out.",
    )
    action = serializers.ChoiceField(
        choices=[action.value for action in Action],
        default=Action.REJECT.value,
        help_text="`Reject` (406, 113), `Drop`, or `Receive`, which leaves it to the feed.",
    )
    conditions = ConditionSerializer(many=True, default=list, help_text="All must hold; none: every delivery.")
    enabled = Flag(default=True, help_text="Whether it is tried.")
    shadow = Flag(default=False, help_text="Whether what it matches is only counted and shown.")
    expires = Instant(allow_null=True, default=None, help_text="From this instant it matches nothing; null: never.")
    comment = Text(max_length=500, allow_blank=True, default="", help_text="Kept with the rule and its history.")

    def validate_conditions(self, value: Any) -> Any:
        try:
            validate_conditions([dict(condition) for condition in value])
        except Invalid as fault:
            raise serializers.ValidationError(fault.messages) from fault
        return [dict(condition) for condition in value]


class ReceiptRuleSerializer(ChosenFieldsMixin, serializers.ModelSerializer[ReceiptRule]):
    """A rule on what is received."""

    action = serializers.CharField(help_text="`Receive`, `Reject` or `Drop`.")
    conditions = ConditionSerializer(many=True, help_text="All must hold; none: every delivery.")
    pending = serializers.JSONField(
        allow_null=True, help_text="Values that wait for a second person; empty for its removal, null for none."
    )
    pending_by = serializers.CharField(
        source="pending_by.username", default=None, allow_null=True, help_text="Who proposed them."
    )

    class Meta:
        model = ReceiptRule
        fields = [
            "id",
            "position",
            "name",
            "action",
            "conditions",
            "enabled",
            "shadow",
            "expires",
            "comment",
            "created",
            "updated",
            "pending",
            "pending_by",
        ]
        extra_kwargs = {
            "id": {"help_text": "Number in URLs."},
            "position": {"help_text": "Rules are tried in this order, equal ones in the order of their age."},
            "name": {"help_text": "What the rule is for."},
            "enabled": {"help_text": "Whether it is tried."},
            "shadow": {"help_text": "Whether what it matches is only counted and shown."},
            "expires": {"help_text": "From this instant it matches nothing; null: never."},
            "comment": {"help_text": "Comment for other administrators."},
            "created": {"help_text": "Time of creation."},
            "updated": {"help_text": "Time of the last change."},
        }


class RuleMatchSerializer(ChosenFieldsMixin, serializers.ModelSerializer[ReceiptRuleMatch]):
    """Deliveries of one feed and sender that the rule matched in one hour."""

    class Meta:
        model = ReceiptRuleMatch
        fields = ["hour", "feed", "sender", "applied", "count"]
        extra_kwargs = {
            "feed": {"help_text": "Name of the feed."},
            "applied": {"help_text": "Whether the rule decided; false: it was in shadow."},
            "count": {"help_text": "Number of deliveries."},
        }


class RuleHistorySerializer(ChosenFieldsMixin):
    """One change of a receipt rule."""

    at = serializers.DateTimeField(source="history_date", help_text="Time.")
    action = serializers.SerializerMethodField(help_text="`created`, `changed` or `deleted`.")
    user = serializers.CharField(
        source="history_user.username", default=None, allow_null=True, help_text="User name; null for a command."
    )
    comment = serializers.SerializerMethodField(help_text="Reason, kept with the record.")
    values = serializers.SerializerMethodField(help_text="The rule since then.")

    def get_action(self, row: Any) -> str:
        return {"+": "created", "~": "changed", "-": "deleted"}[row.history_type]

    def get_comment(self, row: Any) -> str:
        return row.history_change_reason or ""

    def get_values(self, row: Any) -> dict[str, Any]:
        return changes.values_of(row)


class MatchedGroupSerializer(Shape):
    """Deliveries of one feed and sender."""

    feed = serializers.CharField(help_text="Name of the feed.")
    sender = serializers.CharField(help_text="DN, token or address.")
    count = serializers.IntegerField(help_text="Number of deliveries.")


class RuleRehearsalSerializer(Shape):
    """What a rule would have matched of the latest deliveries."""

    looked_at = serializers.IntegerField(help_text="Accepted deliveries that were looked at, at most 1000.")
    matched = serializers.IntegerField(help_text="Those that the rule would have matched.")
    groups = MatchedGroupSerializer(many=True, help_text="These by feed and sender, most frequent first.")
    examples = serializers.ListField(child=serializers.CharField(), help_text="Receipt ids of some.")


class ReceiptRulePermissions(ModelPermissions):
    """Reading takes the view permission, each write that of the model; trying a rule changes nothing."""


@extend_schema_view(list=extend_schema(description="Receipt rules in the order in which they are tried."))
class ReceiptRuleViewSet(PrivateMixin, ListMixin, GenericViewSet[ReceiptRule]):
    """Rules on what is received: the first enabled one whose conditions hold decides."""

    queryset = ReceiptRule.objects.select_related("pending_by")
    serializer_class = ReceiptRuleSerializer
    permission_classes = [HasScope, ReceiptRulePermissions]
    filter_backends = [StrictFilterBackend, StrictOrdering]
    ordering_fields = ["position", "name", "updated"]
    ordering = ["position", "id"]
    csv_name = "receipt-rules"
    list_actions = frozenset({"list", "history", "matches"})
    schema_tags = ["receipt rules"]
    query_of = dict.fromkeys(("history", "matches"), frozenset({"limit", "offset"}))
    schema_problems: Mapping[str, tuple[int, ...]] = {"approve": (409,), "decline": (409,)}

    def get_serializer_class(self) -> Any:
        return {"matches": RuleMatchSerializer, "history": RuleHistorySerializer}.get(
            self.action, ReceiptRuleSerializer
        )

    @extend_schema(request=RuleBodySerializer, responses={201: ReceiptRuleSerializer, 202: ReceiptRuleSerializer})
    def create(self, request: Request) -> Response:
        """Make a rule. 202 where second approval is on: it is there, and in force once another officer approves."""
        wanted = _checked(request, partial=False)
        wanted.setdefault("position", changes.next_position())
        rule = ReceiptRule(**wanted)
        return self._written(rule, made=True)

    def retrieve(self, request: Request, rule_id: int) -> Response:
        """Return one receipt rule."""
        return Response(self.get_serializer(_found(rule_id)).data)

    @extend_schema(request=RuleBodySerializer, responses={200: ReceiptRuleSerializer, 202: ReceiptRuleSerializer})
    def update(self, request: Request, rule_id: int) -> Response:
        """Replace a rule; what is left out takes its default. 202 where a second person has to approve."""
        return self._change(request, rule_id, partial=False)

    @extend_schema(request=RuleBodySerializer, responses={200: ReceiptRuleSerializer, 202: ReceiptRuleSerializer})
    def partial_update(self, request: Request, rule_id: int) -> Response:
        """Change what the body names. 202 where a second person has to approve."""
        return self._change(request, rule_id, partial=True)

    @extend_schema(responses={204: None, 202: ReceiptRuleSerializer})
    def destroy(self, request: Request, rule_id: int) -> Response:
        """Delete a rule, with the counts of what it matched. 202 where a second person has to approve."""
        rule = _found(rule_id)
        if changes.remove_rule(rule, request.user):
            return Response(status=204)
        return Response(ReceiptRuleSerializer(_found(rule_id)).data, status=202)

    @extend_schema(operation_id="receipt_rules_history", responses=RuleHistorySerializer(many=True), filters=False)
    def history(self, request: Request, rule_id: int) -> HttpResponseBase:
        """Every change of a rule, newest first."""
        rows = _found(rule_id).history.select_related("history_user")
        return self.answer_list(list(rows.order_by("-history_date", "-history_id")[:MOST_ROWS]))

    @extend_schema(operation_id="receipt_rules_matches", responses=RuleMatchSerializer(many=True), filters=False)
    def matches(self, request: Request, rule_id: int) -> HttpResponseBase:
        """What a rule matched, by hour, feed and sender, newest first; a rule in shadow would have done so."""
        rows = ReceiptRuleMatch.objects.filter(rule=_found(rule_id)).order_by("-hour", "feed", "sender", "pk")
        return self.answer_list(list(rows[:MOST_ROWS]))

    @extend_schema(operation_id="receipt_rules_test", request=RuleBodySerializer, responses=RuleRehearsalSerializer)
    def rehearse(self, request: Request) -> Response:
        """Try a rule on the latest 1000 accepted deliveries. Nothing is changed."""
        rule = ReceiptRule(**{"position": 0, **_checked(request, partial=False)})
        found = rehearse(rule.as_rule(), timezone.now())
        groups = [{"feed": feed, "sender": sender, "count": count} for feed, sender, count in found.groups]
        return Response(RuleRehearsalSerializer({**vars(found), "groups": groups}).data)

    @extend_schema(
        operation_id="receipt_rules_approve",
        request=DecisionSerializer,
        responses={200: ReceiptRuleSerializer, 204: None},
    )
    def approve(self, request: Request, rule_id: int) -> Response:
        """Approve what waits, in force at once. Wants an officer other than the proposer. 204: it is removed."""
        rule = self._decide(changes.approve_rule, rule_id)
        return Response(ReceiptRuleSerializer(rule).data) if rule else Response(status=204)

    @extend_schema(
        operation_id="receipt_rules_decline", request=DecisionSerializer, responses=ReceiptRuleSerializer
    )
    def decline(self, request: Request, rule_id: int) -> Response:
        """Throw away what waits; the proposer may do so too."""
        return Response(ReceiptRuleSerializer(self._decide(changes.decline_rule, rule_id)).data)

    def _change(self, request: Request, rule_id: int, *, partial: bool) -> Response:
        rule = _found(rule_id)
        for name, value in _checked(request, partial=partial).items():
            setattr(rule, name, value)
        return self._written(rule, made=False)

    def _written(self, rule: ReceiptRule, *, made: bool) -> Response:
        try:
            in_force = changes.write_rule(rule, self.request.user, comment=rule.comment)
        except Invalid as fault:
            named = fault.message_dict if hasattr(fault, "error_dict") else fault.messages
            raise serializers.ValidationError(named) from fault
        status = 202 if not in_force else 201 if made else 200
        return Response(ReceiptRuleSerializer(_found(rule.pk)).data, status=status)

    def _decide(self, decide: Callable[..., ReceiptRule | None], rule_id: int) -> ReceiptRule | None:
        serializer = DecisionSerializer(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        comment = checked_comment(serializer.validated_data.get("comment", ""))
        try:
            return decide(_found(rule_id).pk, self.request.user, comment=comment)
        except MayNotDecide as refusal:
            raise PermissionDenied(str(refusal)) from None
        except CannotDecide as refusal:
            raise Conflict(str(refusal)) from None


def _checked(request: Request, *, partial: bool) -> dict[str, Any]:
    serializer = RuleBodySerializer(data=request.data, partial=partial)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _found(rule_id: int) -> ReceiptRule:
    rules: QuerySet[ReceiptRule] = ReceiptRule.objects.select_related("pending_by")
    rule = rules.filter(pk=rule_id).first() if rule_id < 2**63 else None
    if rule is None:
        raise Http404(f"There is no receipt rule {rule_id}.")
    return rule
