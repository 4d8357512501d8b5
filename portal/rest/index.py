"""Index of the REST API: the addresses to begin with, taken from the URL configuration."""

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.rest.public import OpenToAllMixin
from portal.rest.queries import StrictQueryMixin
from portal.site import followed_link

PREFIX = "api/v1/"
#: Pages about the API, by relation.
PAGES = {"service-desc": "/api/schema/", "service-doc": "/docs/api/"}


class IndexSerializer(serializers.Serializer[Any]):
    """Addresses of the API."""

    service_desc = serializers.CharField(help_text="The OpenAPI description.")
    service_doc = serializers.CharField(help_text="The documentation with examples.")
    addresses = serializers.DictField(
        child=serializers.CharField(), help_text="Every address without a parameter, by its path below /api/v1/."
    )


class IndexView(OpenToAllMixin, StrictQueryMixin, APIView):
    """Index of the API."""

    @extend_schema(operation_id="index_retrieve", tags=["index"], auth=[], responses=IndexSerializer)
    def get(self, request: Request) -> Response:
        """List the addresses to begin with."""
        body = {
            "service_desc": followed_link(request, PAGES["service-desc"]),
            "service_doc": followed_link(request, PAGES["service-doc"]),
            "addresses": {path: followed_link(request, f"/{PREFIX}{path}") for path in sorted(_addresses())},
        }
        link = ", ".join(f'<{followed_link(request, path)}>; rel="{relation}"' for relation, path in PAGES.items())
        return Response(body, headers={"Link": link})


def _addresses() -> set[str]:
    """Return the paths below the API that have no parameter."""
    found = (path.removeprefix(PREFIX) for path in _paths(get_resolver().url_patterns, ""))
    return {path for path in found if path and "<" not in path}


def _paths(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[str]:
    for pattern in patterns:
        path = f"{before}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            if PREFIX.startswith(path) or path.startswith(PREFIX):
                yield from _paths(pattern.url_patterns, path)
        elif path.startswith(PREFIX):
            yield path
