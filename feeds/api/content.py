"""The stored bytes of a receipt: whole or in part, with conditions, never shown by a browser."""

import base64
from http import HTTPStatus
from typing import Any, BinaryIO

from django.conf import settings
from django.http import FileResponse, Http404, HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from feeds.api.receipt_serializers import ReceiptSerializer
from feeds.api.receipts import find_receipt
from feeds.models import Receipt
from feeds.store.spool import stored_path
from portal.access.tokens import HasScope, ModelPermissions, demand_permissions
from portal.audit import record
from portal.rest.conditional import last_modified
from portal.rest.private import PrivateMixin
from portal.rest.problems import PreconditionFailed
from portal.rest.ranges import ByteRange, FilePart, asked_range

SUFFIXES = {"GZIP": "gz", "ZIP": "zip"}
RANGE = OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range: `bytes=1000-`.")
IF_RANGE = OpenApiParameter(
    "If-Range", str, OpenApiParameter.HEADER, description="The ETag; the whole comes where it is another."
)


class MayDownload(BasePermission):
    """Content is more confidential than the fact that something was received (S31)."""

    message = "Downloading received data needs its own permission."

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.user.is_authenticated:
            demand_permissions(request, "feeds.download_receipt", detail=self.message)
        return request.user.has_perm("feeds.download_receipt")


class ContentViewSet(PrivateMixin, GenericViewSet[Receipt]):
    """The stored bytes of a receipt."""

    queryset = Receipt.objects.all()
    serializer_class = ReceiptSerializer
    permission_classes = [HasScope, ModelPermissions, MayDownload]
    filter_backends = []
    pagination_class = None
    schema_tags = ["receipts"]
    schema_problems = {"retrieve": (412, 416)}

    def known_query(self) -> set[str]:
        return set()

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002  # DRF's
        """Ignore the Accept header: the bytes exist in one form only."""
        return super().perform_content_negotiation(request, True)  # noqa: FBT003

    @extend_schema(
        operation_id="receipts_content",
        parameters=[RANGE, IF_RANGE],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, "The requested part."),
        },
    )
    def retrieve(self, request: Request, receipt_id: str) -> HttpResponseBase:
        """Download the stored bytes, as received after any Content-Encoding, or a range of them.

        The ETag is their SHA-256. Needs the right to download.
        """
        receipt = find_receipt(self.get_queryset(), receipt_id)
        etag = f'"{receipt.sha256}"'
        modified = last_modified(receipt.received_at)
        since = int(receipt.received_at.timestamp())
        if unchanged := get_conditional_response(request._request, etag=etag, last_modified=since):
            if unchanged.status_code == HTTPStatus.PRECONDITION_FAILED:
                raise PreconditionFailed
            unchanged["ETag"] = etag
            unchanged["Last-Modified"] = modified
            return unchanged
        part = None
        if request.method == "GET":  # Range is defined for GET alone
            headers = request.headers
            state = {etag, modified}
            part = asked_range(headers.get("Range"), headers.get("If-Range"), state=state, size=receipt.bytes)
        try:
            file: BinaryIO = stored_path(settings.STORE_DIR, receipt.path).open("rb")
        except FileNotFoundError:
            raise Http404(f"The stored file of receipt {receipt_id} is missing.") from None
        if request.method != "HEAD":
            new = {"range": f"{part.first}-{part.last}"} if part else None
            record.record("downloaded", kind="receipt", key=receipt.receipt_id, name=receipt.feed, new=new)
        response = _answer(file, receipt, part)
        response["ETag"] = etag
        response["Last-Modified"] = modified
        if request.method == "HEAD":
            file.close()  # its length is known, and it is not read
        return response


def _answer(file: BinaryIO, receipt: Receipt, part: ByteRange | None) -> FileResponse:
    response = FileResponse(
        FilePart(file, part) if part else file,
        as_attachment=True,
        filename=f"{receipt.receipt_id}.{SUFFIXES.get(receipt.compression, 'dat')}",
        content_type="application/octet-stream",
        status=HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK,
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox"
    response["Accept-Ranges"] = "bytes"
    # Of the whole, also with a part (RFC 9530).
    response["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(receipt.sha256)).decode()}:"
    if part:
        response["Content-Length"] = str(part.length)
        response["Content-Range"] = f"bytes {part.first}-{part.last}/{receipt.bytes}"
    return response
