"""The catalogue over REST: read only, open to all (interface section 4)."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from codes import snapshot
from codes.api.advice import PairSerializer
from codes.api.code_serializers import (
    CodeSerializer,
    ComparisonSerializer,
    ListedCodeSerializer,
    ListedDisagreementSerializer,
)
from codes.api.serializers import (
    ClassSerializer,
    HeaderSerializer,
    RegistrySerializer,
    ReleaseSerializer,
    SourceDetailSerializer,
    SourceSerializer,
    VendorSerializer,
)
from codes.api.words import CATALOGUE
from codes.catalogue.values import HTTP, STROOM
from codes.comparison import compare
from codes.filters import CodeFilterSet, DisagreementFilterSet
from codes.headers import Header
from codes.lookup import FoundCode, find_code, find_meaning
from codes.models import CodeClass, Disagreement, Release, Source, StatusCode, Vendor
from codes.queries import asked_pair, compared_codes
from codes.search.index import by_rank
from codes.snapshot import Snapshot
from portal.rest.csv_renderer import LIST_RENDERERS
from portal.rest.pagination import Pages
from portal.rest.problems import BadQuery, answers
from portal.rest.public import OpenToAllMixin
from portal.rest.queries import (
    FIELDS_PARAMETER,
    FORMAT_PARAMETER,
    StrictFilterBackend,
    StrictOrdering,
    StrictQueryMixin,
)

Decorator = Callable[[Any], Any]

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
    """List of the catalogue: a page of JSON, or as CSV all of it (a page, with `limit`)."""

    renderer_classes = LIST_RENDERERS
    pagination_class = CodePages
    filter_backends: Sequence[Any] = (StrictFilterBackend, StrictOrdering)

    def paginate_queryset(self, queryset: Any) -> Any:
        query = self.request.query_params
        whole = self.request.accepted_renderer.format == "csv" and not {"limit", "offset"} & set(query)
        return None if whole else super().paginate_queryset(queryset)


class MemoryList(CatalogueList):
    """List of all rows of one kind, from memory."""

    filter_backends: Sequence[Any] = ()
    rows: Callable[[Snapshot], Mapping[str, Any]]

    def get_queryset(self) -> Any:
        return list(type(self).rows(snapshot.current()).values())


class FilteredList(CatalogueList):
    """List whose rows the database filters and orders, and that come from memory."""

    filterset_class: Any
    rows: Callable[[Snapshot], Mapping[str, Any]]

    def filter_queryset(self, queryset: Any) -> Any:
        rows = type(self).rows(snapshot.current())
        if {*self.filterset_class.base_filters, "ordering"}.isdisjoint(self.request.query_params):
            return list(rows.values())
        keys = super().filter_queryset(queryset).values_list("pk", flat=True)
        return [rows[key] for key in keys if key in rows]  # without what a load has added meanwhile


class CatalogueDetail(OpenToAllMixin, StrictQueryMixin, generics.RetrieveAPIView[Any]):
    """Single answer of the catalogue, which has no filters and no pages."""

    detail = True
    pagination_class = None
    filter_backends: Sequence[Any] = ()


class MemoryDetail(CatalogueDetail):
    """One row, from memory."""

    rows: Callable[[Snapshot], Mapping[str, Any]]
    missing = ""

    def get_object(self) -> Any:
        found = type(self).rows(snapshot.current()).get("/".join(self.kwargs.values()))
        if found is None:
            raise Http404(self.missing)
        return found


def listing(name: str, serializer: Any, *errors: int) -> Decorator:
    """Describe a list."""
    described = extend_schema(
        operation_id=name,
        tags=CATALOGUE,
        auth=[],
        parameters=[FIELDS_PARAMETER, FORMAT_PARAMETER],
        responses=answers(serializer(many=True), 400, *errors),
    )
    return extend_schema_view(get=described)


def reading(
    name: str, serializer: Any, *parameters: OpenApiParameter, errors: Sequence[int] = (400, 404)
) -> Decorator:
    """Describe a single answer."""
    described = extend_schema(
        operation_id=name,
        tags=CATALOGUE,
        auth=[],
        parameters=[FIELDS_PARAMETER, *parameters],
        responses=answers(serializer, *errors),
    )
    return extend_schema_view(get=described)


@listing("codes_list", ListedCodeSerializer)
class CodeList(FilteredList):
    """Every code of both registries; HTTP first."""

    rows = attrgetter("codes")
    serializer_class = ListedCodeSerializer
    filterset_class = CodeFilterSet
    ordering_fields = ("code", "registry", "name", "standing", "retry")
    queryset = StatusCode.objects.for_lists()

    def filter_queryset(self, queryset: Any) -> Any:
        found = super().filter_queryset(queryset)
        query = self.request.query_params
        return by_rank(found, query["q"]) if "q" in query and "ordering" not in query else found


@reading("codes_retrieve", CodeSerializer, *TEXT_PARAMETER)
class CodeDetail(CatalogueDetail):
    """One number: from the catalogue, or by the rule for its class."""

    serializer_class = CodeSerializer

    def get_object(self) -> FoundCode:
        found = find_code(self.kwargs["registry"], self.kwargs["code"])
        if found is None:
            raise Http404(NOT_IN_ADDRESS)
        return found


@reading("codes_meaning_retrieve", CodeSerializer, *TEXT_PARAMETER)
class MeaningDetail(CatalogueDetail):
    """One number as one owner uses it."""

    serializer_class = CodeSerializer

    def get_object(self) -> FoundCode:
        found = find_meaning(self.kwargs["registry"], self.kwargs["code"], self.kwargs["owner"])
        if found is None:
            raise Http404("No owner of that name gives this number a meaning.")
        return found


@listing("codes_sources_list", SourceSerializer)
class SourceList(MemoryList):
    """The documents that were read."""

    serializer_class = SourceSerializer
    rows = attrgetter("sources")


@reading("codes_sources_retrieve", SourceDetailSerializer)
class SourceDetail(MemoryDetail):
    """One document with all that it says."""

    serializer_class = SourceDetailSerializer
    queryset = Source.objects.all()
    lookup_field = "slug"
    rows = attrgetter("sources")
    missing = "There is no source of that name."


@listing("codes_registries_list", RegistrySerializer)
class RegistryList(MemoryList):
    """The number spaces, with their classes."""

    serializer_class = RegistrySerializer
    rows = attrgetter("registries")


@reading("codes_classes_retrieve", ClassSerializer, TEXT_PARAMETER[0])
class ClassDetail(MemoryDetail):
    """One class: its rules, and its codes."""

    serializer_class = ClassSerializer
    queryset = CodeClass.objects.all()
    rows = attrgetter("classes")
    missing = "There is no such class in this registry."


@listing("codes_disagreements_list", ListedDisagreementSerializer)
class DisagreementList(FilteredList):
    """Differences between sources, the weightiest first."""

    rows = attrgetter("disagreements")
    serializer_class = ListedDisagreementSerializer
    filterset_class = DisagreementFilterSet
    ordering_fields = ("severity_rank", "aspect", "registry", "status_code__code")
    queryset = Disagreement.objects.all()


@listing("codes_releases_list", ReleaseSerializer)
class ReleaseList(CatalogueList):
    """Changes of each load of the catalogue, the latest first."""

    serializer_class = ReleaseSerializer
    queryset = Release.objects.all()
    filter_backends = ()


@listing("codes_vendors_list", VendorSerializer)
class VendorList(MemoryList):
    """Vendors with the numbers of their own."""

    serializer_class = VendorSerializer
    rows = attrgetter("vendors")


@reading("codes_vendors_retrieve", VendorSerializer)
class VendorDetail(MemoryDetail):
    """One vendor, and the numbers it uses."""

    serializer_class = VendorSerializer
    queryset = Vendor.objects.all()
    lookup_field = "slug"
    rows = attrgetter("vendors")
    missing = "There is no vendor of that name."


@listing("codes_headers_list", HeaderSerializer)
class HeaderList(MemoryList):
    """Header fields, each with the codes that it belongs to."""

    serializer_class = HeaderSerializer
    rows = attrgetter("headers")


@reading("codes_headers_retrieve", HeaderSerializer, OpenApiParameter("slug", str, OpenApiParameter.PATH))
class HeaderDetail(CatalogueDetail):
    """One header field, and the codes that it belongs to."""

    serializer_class = HeaderSerializer

    def get_object(self) -> Header:
        found = snapshot.current().headers.get(self.kwargs["slug"].lower())
        if found is None:
            raise Http404("No code of the catalogue names this header field.")
        return found


@reading(
    "codes_lookup",
    PairSerializer,
    OpenApiParameter("http", int, description="HTTP status of the answer."),
    OpenApiParameter("stroom", int, description="Stroom-Status of the answer."),
    errors=(400,),
)
class Lookup(CatalogueDetail):
    """An HTTP status together with a Stroom-Status."""

    serializer_class = PairSerializer
    extra_query = ("http", "stroom")

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        numbers = {name: request.query_params.get(name, "") for name in (HTTP, STROOM)}
        if not any(numbers.values()):
            raise BadQuery({HTTP: "give http, stroom or both, as in ?http=406&stroom=110"})
        return Response(self.get_serializer(asked_pair(**numbers)).data)


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
class Compare(CatalogueDetail):
    """Codes side by side, in the order asked for."""

    serializer_class = ComparisonSerializer
    renderer_classes = LIST_RENDERERS
    extra_query = ("codes", "registry")

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        codes = compared_codes(request.query_params.get("registry") or HTTP, request.query_params.get("codes", ""))
        page = {"count": len(codes), "next": None, "previous": None, "results": codes, "rows": compare(codes)}
        return Response(self.get_serializer(page).data)
