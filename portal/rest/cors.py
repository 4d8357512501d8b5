"""Scripts of other sites (CORS): named origins may use the whole API with tokens, all others the catalogue alone.

Cookies are never allowed across sites. An error that says only that there is nothing at an address may be read by
all, so that a script sees it and not a network failure.
"""

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers

from portal.rest.problems import API_PREFIX
from portal.rest.public import ASKABLE_HEADERS, PREFLIGHT_SECONDS, READABLE_HEADERS

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
#: Request headers of token holders, in addition to those of the catalogue.
OTHER_HEADERS = "Authorization, If-Match, If-Range, Range, Prefer, traceparent, tracestate"
OTHER_READABLE = "Accept-Ranges, Content-Disposition, Content-Range, Location, Repr-Digest, WWW-Authenticate"
_READABLE_BY_ALL = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


class CorsMiddleware:
    """Answers preflights of the origins in PORTAL_CORS_ORIGINS and marks the answers that they may read."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(API_PREFIX):
            return self._get_response(request)
        origin = request.headers.get("Origin", "")
        named = origin in settings.ENVIRONMENT.cors_origins
        if named and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return _marked(_preflight(), origin)
        response = self._get_response(request)
        if named:
            return _marked(response, origin)
        if response.status_code in _READABLE_BY_ALL:
            response.headers.setdefault("Access-Control-Allow-Origin", "*")
        return response


def _preflight() -> HttpResponse:
    headers = {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": f"{ASKABLE_HEADERS}, {OTHER_HEADERS}",
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }
    return HttpResponse(status=HTTPStatus.NO_CONTENT, headers=headers)


def _marked(response: HttpResponseBase, origin: str) -> HttpResponseBase:
    response["Access-Control-Allow-Origin"] = origin
    response["Access-Control-Expose-Headers"] = f"{READABLE_HEADERS}, {OTHER_READABLE}"
    patch_vary_headers(response, ["Origin"])
    return response
