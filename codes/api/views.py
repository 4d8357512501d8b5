"""The catalogue over REST: read only, open to all (interface section 4)."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from codes.api import export
from codes.api.advice import PairSerializer
from codes.api.serializers import (
    ClassSerializer,
    CodeSerializer,
    ComparisonSerializer,
    HeaderSerializer,
    ListedCodeSerializer,
    ListedDisagreementSerializer,
    RegistrySerializer,
    ReleaseSerializer,
    SourceDetailSerializer,
    SourceSerializer,
    VendorSerializer,
)
from codes.catalogue.values import HTTP, STROOM
from codes.comparison import compare
from codes.filters import CodeFilterSet, DisagreementFilterSet
from codes.headers import Header, headers
from codes.lookup import FoundCode, find_code, find_meaning
from codes.models import (
    CodeClass,
    Disagreement,
    Meaning,
    Registry,
    Release,
    Source,
    SourceEntry,
    StatusCode,
    Vendor,
)
from codes.queries import asked_pair, compared_codes
from portal.rest.problems import BadQuery, answers
from portal.rest.views import (
    FIELDS_PARAMETER,
    FORMAT_PARAMETER,
    LIST_RENDERERS,
    OpenToAllMixin,
    Pages,
    StrictFilterBackend,
    StrictOrdering,
    StrictQueryMixin,
)
from portal.site import public_link

Decorator = Callable[[Any], Any]

CATALOGUE = ["catalogue"]
TEXT_PARAMETER = (
    OpenApiParameter("registry", str, OpenApiParameter.PATH, enum=[HTTP, STROOM]),
    OpenApiParameter("code", str, OpenApiParameter.PATH, description="Without padding, as in 404 or 0."),
)
REGISTRY_PARAMETER = OpenApiParameter(
    "registry", str, enum=[HTTP, STROOM], description="http unless said otherwise."
)
NOT_IN_ADDRESS = "There is no such number in this registry."


class CodePages(Pages):
    """The catalogue is small: by default it comes in one piece."""

    default_limit = 500


class CatalogueList(OpenToAllMixin, StrictQueryMixin, generics.ListAPIView[Any]):
    """What the lists of the catalogue share: a page of JSON, or as CSV all of it (a page, with `limit`)."""

    renderer_classes = LIST_RENDERERS
    pagination_class = CodePages
    filter_backends: Sequence[Any] = (StrictFilterBackend, StrictOrdering)

    def paginate_queryset(self, queryset: Any) -> Any:
        query = self.request.query_params
        whole = self.request.accepted_renderer.format == "csv" and not {"limit", "offset"} & set(query)
        return None if whole else super().paginate_queryset(queryset)


class CatalogueDetail(OpenToAllMixin, StrictQueryMixin, generics.RetrieveAPIView[Any]):
    """What the single answers of the catalogue share; they know no filters and no pages."""

    detail = True
    pagination_class = None
    filter_backends: Sequence[Any] = ()


def listing(name: str, serializer: Any, *errors: int) -> Decorator:
    """Describe a list."""
    return extend_schema(
        operation_id=name,
        tags=CATALOGUE,
        auth=[],
        parameters=[FIELDS_PARAMETER, FORMAT_PARAMETER],
        responses=answers(serializer(many=True), 400, *errors),
    )


def reading(
    name: str, serializer: Any, *parameters: OpenApiParameter, errors: Sequence[int] = (400, 404)
) -> Decorator:
    """Describe a single answer."""
    return extend_schema(
        operation_id=name,
        tags=CATALOGUE,
        auth=[],
        parameters=[FIELDS_PARAMETER, *parameters],
        responses=answers(serializer, *errors),
    )


class CodeList(CatalogueList):
    """Every code of both registries; HTTP first."""

    serializer_class = ListedCodeSerializer
    filterset_class = CodeFilterSet
    ordering_fields = ("code", "registry", "name", "standing", "retry")
    queryset = StatusCode.objects.for_lists()

    @listing("codes_list", ListedCodeSerializer)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class CodeDetail(CatalogueDetail):
    """One number: from the catalogue, or by the rule for its class."""

    serializer_class = CodeSerializer

    def get_object(self) -> FoundCode:
        found = find_code(self.kwargs["registry"], self.kwargs["code"])
        if found is None:
            raise Http404(NOT_IN_ADDRESS)
        return found

    @reading("codes_retrieve", CodeSerializer, *TEXT_PARAMETER)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class MeaningDetail(CatalogueDetail):
    """One number as one owner uses it."""

    serializer_class = CodeSerializer

    def get_object(self) -> FoundCode:
        found = find_meaning(self.kwargs["registry"], self.kwargs["code"], self.kwargs["owner"])
        if found is None:
            raise Http404("No owner of that name gives this number a meaning.")
        return found

    @reading("codes_meaning_retrieve", CodeSerializer, *TEXT_PARAMETER)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class SourceList(CatalogueList):
    """The documents that were read."""

    serializer_class = SourceSerializer
    queryset = Source.objects.with_counts()

    @listing("codes_sources_list", SourceSerializer)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class SourceDetail(CatalogueDetail):
    """One document with all that it says."""

    serializer_class = SourceDetailSerializer
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Source]:
        entries = SourceEntry.objects.select_related("status_code").in_page_order()
        return Source.objects.with_counts().prefetch_related(Prefetch("entries", entries))

    @reading("codes_sources_retrieve", SourceDetailSerializer)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class RegistryList(CatalogueList):
    """The number spaces, with their classes."""

    serializer_class = RegistrySerializer
    queryset = Registry.objects.with_counts()

    @listing("codes_registries_list", RegistrySerializer)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class ClassDetail(CatalogueDetail):
    """One class: its rules, and its codes."""

    serializer_class = ClassSerializer
    queryset = CodeClass.objects.all()

    def get_object(self) -> CodeClass:
        found: CodeClass | None = (
            self.get_queryset().filter(pk=f"{self.kwargs['registry']}/{self.kwargs['key']}").first()
        )
        if found is None:
            raise Http404("There is no such class in this registry.")
        return found

    @reading("codes_classes_retrieve", ClassSerializer, TEXT_PARAMETER[0])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class DisagreementList(CatalogueList):
    """Where sources differ, the weightiest first."""

    serializer_class = ListedDisagreementSerializer
    filterset_class = DisagreementFilterSet
    ordering_fields = ("severity_rank", "aspect", "registry", "status_code__code")
    queryset = Disagreement.objects.select_related("status_code")

    @listing("codes_disagreements_list", ListedDisagreementSerializer)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class ReleaseList(CatalogueList):
    """What each load of the catalogue changed, the latest first."""

    serializer_class = ReleaseSerializer
    queryset = Release.objects.all()
    filter_backends = ()

    @listing("codes_releases_list", ReleaseSerializer)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class VendorList(CatalogueList):
    """Who uses numbers of their own, and which."""

    serializer_class = VendorSerializer
    queryset = Vendor.objects.prefetch_related(
        Prefetch("meanings", Meaning.objects.select_related("status_code").in_page_order())
    )

    @listing("codes_vendors_list", VendorSerializer)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class VendorDetail(CatalogueDetail):
    """One vendor, and the numbers it uses."""

    serializer_class = VendorSerializer
    queryset = VendorList.queryset
    lookup_field = "slug"

    @reading("codes_vendors_retrieve", VendorSerializer)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class HeaderList(CatalogueList):
    """Header fields, each with the codes that it belongs to."""

    serializer_class = HeaderSerializer
    filter_backends = ()

    def get_queryset(self) -> Any:
        return headers()

    @listing("codes_headers_list", HeaderSerializer)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class HeaderDetail(CatalogueDetail):
    """One header field, and the codes that it belongs to."""

    serializer_class = HeaderSerializer

    def get_object(self) -> Header:
        found = headers(self.kwargs["slug"].lower())
        if not found:
            raise Http404("No code of the catalogue names this header field.")
        return found[0]

    @reading("codes_headers_retrieve", HeaderSerializer, OpenApiParameter("slug", str, OpenApiParameter.PATH))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class Lookup(CatalogueDetail):
    """An HTTP status together with a Stroom-Status."""

    serializer_class = PairSerializer
    extra_query = ("http", "stroom")

    @reading(
        "codes_lookup",
        PairSerializer,
        OpenApiParameter("http", int, description="HTTP status of the answer."),
        OpenApiParameter("stroom", int, description="Stroom-Status of the answer."),
        errors=(400,),
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        numbers = {name: request.query_params.get(name, "") for name in (HTTP, STROOM)}
        if not any(numbers.values()):
            raise BadQuery({HTTP: "give http, stroom or both, as in ?http=406&stroom=110"})
        return Response(self.get_serializer(asked_pair(**numbers)).data)


class Compare(CatalogueDetail):
    """Codes side by side, in the order asked for."""

    serializer_class = ComparisonSerializer
    renderer_classes = LIST_RENDERERS
    extra_query = ("codes", "registry")

    @reading(
        "codes_compare",
        ComparisonSerializer,
        OpenApiParameter(
            "codes",
            str,
            required=True,
            description="Numbers separated by commas; stroom/110 or http/406 where the registry is another one.",
        ),
        REGISTRY_PARAMETER,
        FORMAT_PARAMETER,
        errors=(400,),
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        codes = compared_codes(request.query_params.get("registry") or HTTP, request.query_params.get("codes", ""))
        page = {"count": len(codes), "next": None, "previous": None, "results": codes, "rows": compare(codes)}
        return Response(self.get_serializer(page).data)


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
    """Number to retry verdict, for programs that decide whether to send again."""

    make = staticmethod(export.retry_json)

    @extend_schema(operation_id="codes_retry_json", tags=CATALOGUE, auth=[], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> HttpResponse:
        return self.answer(request)
