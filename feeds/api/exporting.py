"""Feeds as files: what the admin's export gives, for programs."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from feeds.api.feed_serializers import FeedSerializer
from feeds.api.feeds import RULES
from feeds.api.filters import FeedFilters
from feeds.changes.apply import GIVEN
from feeds.changes.files_out import export_name, write_csv, write_json, write_zip
from feeds.models import Feed
from portal.rest.private import PrivateMixin
from portal.rest.queries import StrictFilterBackend


class _FileRenderer(BaseRenderer):
    """A kind of file that can be asked for; the view writes it."""

    suffix = ""
    write: Callable[[Iterable[Feed]], bytes]

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> Any:
        return data


class JSONFile(_FileRenderer):
    media_type, format, suffix = "application/json", "json", "json"
    write = staticmethod(write_json)


class CSVFile(_FileRenderer):
    media_type, format, suffix, charset = "text/csv", "csv", "csv", "utf-8"
    write = staticmethod(write_csv)


class StroomFile(_FileRenderer):
    media_type, format, suffix, charset = "application/zip", "stroom", "zip", None
    write = staticmethod(write_zip)


class ExportedFeedSerializer(FeedSerializer):
    """A feed in a file: without what a portal gives it."""

    etag = None  # type: ignore[assignment]  # DRF's way to leave a field of the parent out

    class Meta(FeedSerializer.Meta):
        fields = [name for name in FeedSerializer.Meta.fields if name not in GIVEN]


class ExportViewSet(PrivateMixin, GenericViewSet[Feed]):
    """Export of feeds."""

    queryset = Feed.objects.prefetch_related(RULES)
    serializer_class = FeedSerializer
    filterset_class = FeedFilters
    filter_backends = [StrictFilterBackend]
    pagination_class = None
    renderer_classes = [JSONFile, CSVFile, StroomFile]
    schema_tags = ["feeds"]

    def known_query(self) -> set[str]:
        return {"format", *FeedFilters.base_filters}

    @extend_schema(
        operation_id="feeds_export",
        parameters=[
            OpenApiParameter(
                "format",
                str,
                enum=["json", "csv", "stroom"],
                description="`stroom` is a ZIP that Stroom imports; the others can be imported here as they are.",
            )
        ],
        responses={
            (200, "application/json"): ExportedFeedSerializer(many=True),
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/zip"): OpenApiTypes.BINARY,
        },
    )
    def to_file(self, request: Request) -> HttpResponse:
        """Export all feeds that the filters select as a file, as the admin's export does. The Stroom ZIP
        has no certificate policy, rules, owner and labels, since Stroom's feeds have none.
        """
        renderer: Any = request.accepted_renderer
        feeds = self.filter_queryset(self.get_queryset()).order_by("name")
        kind = renderer.media_type + ("; charset=utf-8" if renderer.format == "csv" else "")
        name = export_name(renderer.suffix, datetime.now(UTC))
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(renderer.write(feeds), content_type=kind, headers=headers)
