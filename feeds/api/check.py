"""The dry run: what `/datafeed` would answer to a described request, and why."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from feeds.api.check_serializers import CheckSerializer, DryRunSerializer
from feeds.models import Feed
from feeds.receipt.dry_run import DescribedCertificate, DescribedToken, DryRun, dry_run
from portal.access.tokens import HasScope, ModelPermissions
from portal.rest.private import PrivateMixin


class MayViewFeeds(ModelPermissions):
    """Asking changes nothing, so POST too needs the view permission only."""

    perms_map = {**ModelPermissions.perms_map, "POST": ["%(app_label)s.view_%(model_name)s"]}


class CheckViewSet(PrivateMixin, GenericViewSet[Feed]):
    """Dry run of a delivery."""

    queryset = Feed.objects.all()
    serializer_class = CheckSerializer
    permission_classes = [HasScope, MayViewFeeds]
    required_scopes = ("check", "read")
    filter_backends = []
    pagination_class = None
    schema_tags = ["dry run"]

    @extend_schema(request=CheckSerializer, responses=DryRunSerializer)
    def check(self, request: Request) -> Response:
        """Say what would happen to a delivery. The decision, the exact answer of `/datafeed`, and every step."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        token = DescribedToken(**asked["token"]) if asked.get("token") else None
        outcome = dry_run(asked["headers"], _certificate(asked), token)
        return Response(DryRunSerializer(_answer(outcome)).data)


def _certificate(asked: dict[str, Any]) -> DescribedCertificate | None:
    """Either form of the question; no DN is no certificate."""
    if (described := asked.get("certificate")) is not None:
        return DescribedCertificate(described["dn"], described["verified"], described["expires"] or "")
    if asked.get("sender_dn"):
        return DescribedCertificate(asked["sender_dn"], asked.get("verified", True))
    return None


def _answer(outcome: DryRun) -> dict[str, Any]:
    decision, answer = outcome.decision, outcome.answer
    return {
        "decision": decision.action.value,
        "http_status": answer.http,
        "stroom_status": decision.status.code,
        "message": decision.status.message,
        "stored": outcome.stores,
        "response": {"headers": dict(answer.headers), "body": answer.text},
        "trace": [vars(step) for step in decision.trace],
        "notes": list(outcome.request.notes),
    }
