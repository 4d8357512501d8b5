"""Changes of what guards feeds that wait for a second person: look, approve, decline, withdraw."""

from collections.abc import Callable, Mapping
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from feeds.api.change_serializers import DecisionSerializer, ProposalDetailSerializer, ProposalSerializer
from feeds.api.feeds import checked_comment
from feeds.api.filters import ProposalFilters
from feeds.changes import approval
from feeds.changes.approval_watch import is_on
from feeds.models import Proposal
from portal.access.tokens import HasScope, demand_permissions
from portal.rest.private import ListMixin, PrivateMixin
from portal.rest.problems import Conflict
from portal.rest.queries import StrictFilterBackend, StrictOrdering


class MaySeeFeeds(BasePermission):
    """Proposed changes. Users who may view feeds may view them; each decision checks its own permission."""

    message = "Seeing proposals needs the right to see feeds."

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        demand_permissions(request, "feeds.view_feed", detail=self.message)
        return True


@extend_schema_view(
    list=extend_schema(
        description="Proposed changes of what guards feeds, newest first. Only where `PORTAL_SECOND_APPROVAL` is "
        "on; otherwise nothing of this exists, and the answer is 404."
    )
)
class ProposalViewSet(PrivateMixin, ListMixin, GenericViewSet[Proposal]):
    """Proposed changes."""

    queryset = Proposal.objects.all()
    serializer_class = ProposalSerializer
    permission_classes = [HasScope, MaySeeFeeds]
    filterset_class = ProposalFilters
    filter_backends = [StrictFilterBackend, StrictOrdering]
    ordering_fields = ["proposed_at", "decided_at", "state"]
    ordering = ["-proposed_at"]
    csv_name = "proposals"
    schema_tags = ["proposals"]
    schema_problems: Mapping[str, tuple[int, ...]] = {
        "list": (404,),
        "approve": (409,),
        "decline": (409,),
        "withdraw": (409,),
    }

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not is_on():
            raise Http404("This portal wants no second approval.")

    def get_serializer_class(self) -> Any:
        return ProposalSerializer if self.action == "list" else ProposalDetailSerializer

    @extend_schema(responses=ProposalDetailSerializer)
    def retrieve(self, request: Request, proposal_id: int) -> Response:
        """Return one proposed change, and the obstacles to it. 404 where `PORTAL_SECOND_APPROVAL` is off."""
        return Response(self.get_serializer(_found(proposal_id)).data)

    @extend_schema(request=DecisionSerializer, responses=ProposalDetailSerializer)
    def approve(self, request: Request, proposal_id: int) -> Response:
        """Approve a proposed change, which takes effect at once. Wants a certificate officer other than the
        proposer. 409 where it was decided on, or a feed has changed since it was proposed: then nothing is changed.
        404 where `PORTAL_SECOND_APPROVAL` is off.
        """
        return self._decide(approval.approve, proposal_id)

    @extend_schema(request=DecisionSerializer, responses=ProposalDetailSerializer)
    def decline(self, request: Request, proposal_id: int) -> Response:
        """Decline a proposed change for good. Wants a certificate officer other than the proposer. 404 where
        `PORTAL_SECOND_APPROVAL` is off.
        """
        return self._decide(approval.decline, proposal_id)

    @extend_schema(request=DecisionSerializer, responses=ProposalDetailSerializer)
    def withdraw(self, request: Request, proposal_id: int) -> Response:
        """Withdraw a change that you proposed yourself. 404 where `PORTAL_SECOND_APPROVAL` is off."""
        return self._decide(approval.withdraw, proposal_id)

    def _decide(self, decide: Callable[[int, Any, str], Proposal], proposal_id: int) -> Response:
        serializer = DecisionSerializer(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        comment = checked_comment(serializer.validated_data.get("comment", ""))
        try:
            decided = decide(_found(proposal_id).pk, self.request.user, comment)
        except approval.MayNotDecide as refusal:
            raise PermissionDenied(str(refusal)) from None
        except approval.CannotDecide as refusal:
            raise Conflict(str(refusal)) from None
        return Response(ProposalDetailSerializer(decided, context={"request": self.request}).data)


def _found(proposal_id: int) -> Proposal:
    found = Proposal.objects.filter(pk=proposal_id).first() if proposal_id < 2**63 else None
    if found is None:
        raise Http404(f"There is no proposal {proposal_id}.")
    return found
