"""`/api/schema/` and `/api/docs/`: the description, made once in each process, and its browser."""

from functools import lru_cache
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from portal.rest.public import OpenToAllMixin
from portal.rest.queries import StrictQueryMixin

FORMATS = {"yaml": OpenApiYamlRenderer, "json": OpenApiJsonRenderer}


@lru_cache(maxsize=len(FORMATS))
def description(kind: str) -> bytes:
    """The OpenAPI description. It depends on the code alone, so one is enough for everybody."""
    made = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    text: bytes | str = FORMATS[kind]().render(made, renderer_context={})
    return text.encode() if isinstance(text, str) else text


class PlainYamlRenderer(OpenApiYamlRenderer):
    """The same for programs that ask for YAML (RFC 9512)."""

    media_type = "application/yaml"


class PlainJsonRenderer(OpenApiJsonRenderer):
    """The same for programs that ask for JSON."""

    media_type = "application/json"


class SchemaView(OpenToAllMixin, StrictQueryMixin, SpectacularAPIView):
    """The OpenAPI description of this API, as YAML or with `format=json` as JSON."""

    renderer_classes = [OpenApiYamlRenderer, OpenApiJsonRenderer, PlainJsonRenderer, PlainYamlRenderer]

    def known_query(self) -> set[str]:
        return {"format"}

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer = request.accepted_renderer
        kind = "json" if renderer.format.endswith("json") else "yaml"
        return HttpResponse(description(kind), content_type=renderer.media_type)


class DocsView(StrictQueryMixin, SpectacularSwaggerSplitView):
    """Swagger UI with all its files from here. Its requests carry the session of the page."""

    authentication_classes = [SessionAuthentication]
    flags = frozenset({"script"})

    def known_query(self) -> set[str]:
        return {"script"}
