"""Many feeds from a file: first what it would change, then, if asked so, exactly that."""

from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from feeds.api.change_serializers import HistoryChangeSerializer
from feeds.api.feeds import COMMENT, PROPOSED, ProposingMixin, checked_comment
from feeds.changes.files import read_file
from feeds.changes.import_plan import ImportPlan, ImportRefused, PlannedRow, apply_import, plan_import
from feeds.changes.import_rows import MAX_FILE, ImportFile, UnreadableFile
from feeds.models import Feed
from portal.access.tokens import HasScope, demand_permissions
from portal.rest.fields import Shape
from portal.rest.private import PrivateMixin
from portal.rest.problems import BadQuery, RefusedItems

ACTIONS = ("create", "change", "same", "fault")
FILE = {"type": "string", "format": "binary"}


class PlanChanged(APIException):
    """The feeds are not any more as they were when the plan was shown."""

    status_code = 409
    default_code = "plan_changed"


class AnyFile(BaseParser):
    """Pass the body through; its content shows which kind of file it is."""

    media_type = "*/*"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream.read(MAX_FILE + 1)


class MayImport(BasePermission):
    """The preview shows what feeds are now; what each row may do is judged row by row."""

    message = "Importing needs the rights to see feeds and to add or change them."

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not user.is_authenticated:
            return False
        demand_permissions(request, "feeds.view_feed", detail=self.message)
        if not user.has_perm("feeds.add_feed"):
            demand_permissions(request, "feeds.change_feed", detail=self.message)
        return True


class FeedFileSerializer(Shape):
    """The file as the only part of a form."""

    file = serializers.FileField(help_text="A Stroom export, FeedDoc, CSV or JSON.")


class ImportCountsSerializer(Shape):
    """Number of rows of each kind."""

    create = serializers.IntegerField(help_text="Feeds that would be made.")  # type: ignore[assignment]  # shadows DRF's own
    change = serializers.IntegerField(help_text="Feeds that would be changed.")
    same = serializers.IntegerField(help_text="Feeds that are so already.")
    fault = serializers.IntegerField(help_text="Rows that cannot be imported; with one, nothing is.")


class ImportRowSerializer(Shape):
    """One feed of the file, and every difference to what there is."""

    place = serializers.CharField(help_text="Line, item or entry of the file.")
    name = serializers.CharField(help_text="Name of the feed.")
    action = serializers.ChoiceField(choices=ACTIONS, help_text="Action of the import.")
    changes = HistoryChangeSerializer(many=True, help_text="Differences from the current state.")
    faults = serializers.ListField(child=serializers.CharField(), help_text="Reasons why it cannot be imported.")
    notes = serializers.ListField(
        child=serializers.CharField(), help_text="What is remarkable, or kept for Stroom without a use here."
    )


class LeftOutSerializer(Shape):
    """Something of the file that no feed is made of."""

    place = serializers.CharField(help_text="Entry of the file.")
    reason = serializers.CharField(help_text="Why no feed is made of it.")


class ImportPlanSerializer(Shape):
    """Effect of an import, planned or done."""

    kind = serializers.CharField(help_text="Detected format of the file.")
    dry_run = serializers.BooleanField(help_text="Whether nothing was written.")
    possible = serializers.BooleanField(help_text="Whether there is something to do and no row is at fault.")
    digest = serializers.CharField(help_text="Names this very plan; give it back to be sure that it is done.")
    counts = ImportCountsSerializer(help_text="How many rows there are of each kind.")
    rows = ImportRowSerializer(many=True, help_text="One for each feed of the file.")
    left_out = LeftOutSerializer(many=True, help_text="Documents and files of a Stroom export that are not feeds.")


class ImportViewSet(ProposingMixin, PrivateMixin, GenericViewSet[Feed]):
    """Import of feeds."""

    queryset = Feed.objects.all()
    serializer_class = ImportPlanSerializer
    permission_classes = [HasScope, MayImport]
    parser_classes = [MultiPartParser, AnyFile]
    filter_backends = []
    pagination_class = None
    schema_tags = ["feeds"]
    schema_problems = {"from_file": (409, 413)}
    query_of = {"from_file": frozenset({"dry_run", "comment", "digest"})}

    @extend_schema(
        operation_id="feeds_import",
        parameters=[
            OpenApiParameter("dry_run", bool, default=True, description="Only show what would change."),
            COMMENT,
            OpenApiParameter(
                "digest",
                {"type": "string", "minLength": 64, "maxLength": 64},
                description="Of the plan that was seen; if it is another now, the answer is 409.",
            ),
        ],
        request={
            "application/zip": FILE,
            "text/csv": FILE,
            "application/octet-stream": FILE,
            "multipart/form-data": FeedFileSerializer,
        },
        responses={200: ImportPlanSerializer, 202: PROPOSED},
    )
    def from_file(self, request: Request) -> Response:
        """Import feeds from a file. A Stroom export (ZIP), FeedDoc (JSON), or JSON or CSV in our own form; by
        default a dry run that shows every difference and writes nothing. What a file does not say stays as it is.
        Applying a file that changes nothing is 200 too.
        """
        query = request.query_params
        dry_run = query.get("dry_run", "true")
        if dry_run not in {"true", "false"}:
            raise BadQuery({"dry_run": "must be true or false"})
        file = _read(request)
        if dry_run == "true":
            return self._answer(plan_import(file, request.user), dry_run=True)
        comment = checked_comment(query.get("comment", ""))
        try:
            done = apply_import(file, request.user, comment=comment, digest=query.get("digest"))
        except ImportRefused as refusal:
            raise _refusal(plan_import(file, request.user), str(refusal)) from None
        return self._answer(done, dry_run=False)

    def _answer(self, plan: ImportPlan, *, dry_run: bool) -> Response:
        rows = [_row(planned) for planned in plan.rows]
        answer = {
            "kind": plan.kind,
            "dry_run": dry_run,
            "possible": plan.possible,
            "digest": plan.digest,
            "counts": {action: plan.counts[action] for action in ACTIONS},
            "rows": rows,
            "left_out": plan.left_out,
        }
        return Response(self.get_serializer(answer).data)


def _read(request: Request) -> ImportFile:
    data: Any = request.data
    if not isinstance(data, bytes):
        names = set(data)
        upload = data.get("file")
        if names != {"file"} or not isinstance(upload, UploadedFile):
            raise ParseError("Send the file as the body, or as the part called file and no other.")
        data = upload.read(MAX_FILE + 1)
    try:
        return read_file(data)
    except UnreadableFile as fault:
        raise ParseError(f"This file cannot be imported: {fault}.") from None


def _row(planned: PlannedRow) -> dict[str, Any]:
    return {
        "place": planned.row.place,
        "name": planned.row.name,
        "action": planned.action,
        "changes": planned.changes,
        "faults": planned.faults,
        "notes": planned.row.notes,
    }


def _refusal(plan: ImportPlan, reason: str) -> APIException:
    """Rows at fault are named by their index; else the plan is another by now."""
    faults = [
        {"index": index, "field": planned.row.name, "detail": fault}
        for index, planned in enumerate(plan.rows)
        for fault in planned.faults
    ]
    return RefusedItems(faults) if faults else PlanChanged(reason)
