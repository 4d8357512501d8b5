"""Files of the whole catalogue over REST: ready bytes with a strong ETag."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from codes.api import export, retry
from codes.api.words import CATALOGUE
from portal.rest.public import OpenToAllMixin
from portal.rest.queries import StrictQueryMixin
from portal.site import public_link


class WholeCatalogue(OpenToAllMixin, StrictQueryMixin, APIView):
    """Ready bytes whose ETag is the digest of the loaded content and of what they are made by."""

    detail = True
    content_type = "application/json"
    make: Callable[[str], bytes]
    file_name = ""

    def known_query(self) -> set[str]:
        return set()

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002  # DRF's signature
        """There is one form only: it is given whatever the caller accepts."""
        return super().perform_content_negotiation(request, force=True)

    def answer(self, request: HttpRequest) -> HttpResponse:
        digest = export.current_digest()
        etag = export.entity_tag(digest)
        if unchanged := get_conditional_response(request, etag=etag):
            unchanged["ETag"] = etag
            return unchanged
        response = HttpResponse(type(self).make(digest), content_type=self.content_type)
        response["ETag"] = etag
        response["Cache-Control"] = "no-cache"
        if self.file_name:
            response["Content-Disposition"] = f'inline; filename="{self.file_name}"'
        return response


class ExportJson(WholeCatalogue):
    """The whole catalogue as JSON."""

    make = staticmethod(export.export_json)
    file_name = "status-codes.json"

    @extend_schema(operation_id="codes_export_json", tags=CATALOGUE, auth=[], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> HttpResponse:
        response = self.answer(request)
        response["Link"] = f'<{public_link(export.SCHEMA_ADDRESS)}>; rel="describedby"'
        return response


class ExportSchema(WholeCatalogue):
    """The JSON Schema of the whole catalogue."""

    make = staticmethod(export.export_schema)
    content_type = "application/schema+json"

    @extend_schema(
        operation_id="codes_export_schema",
        tags=CATALOGUE,
        auth=[],
        responses={(200, "application/schema+json"): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> HttpResponse:
        return self.answer(request)


class ExportCsv(WholeCatalogue):
    """The whole catalogue as a table."""

    make = staticmethod(export.export_csv)
    content_type = "text/csv; charset=utf-8"
    file_name = "status-codes.csv"

    @extend_schema(
        operation_id="codes_export_csv", tags=CATALOGUE, auth=[], responses={(200, "text/csv"): OpenApiTypes.STR}
    )
    def get(self, request: Request) -> HttpResponse:
        return self.answer(request)


class RetryJson(WholeCatalogue):
    """Number to retry verdict, and what a sender of data decides: whether to send again, hold or delete."""

    make = staticmethod(retry.retry_json)

    @extend_schema(operation_id="codes_retry_json", tags=CATALOGUE, auth=[], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> HttpResponse:
        return self.answer(request)
