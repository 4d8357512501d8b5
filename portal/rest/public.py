"""Views of public data: no login, rate limit for anonymous callers, open to scripts of other sites."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response

from portal.rest.conditional import ConditionalMixin
from portal.rest.throttling import AnonymousThrottle, rate_limit_headers

#: What scripts of other sites may read of an answer of the catalogue.
READABLE_HEADERS = "ETag, Link, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
#: What they may send, and how long a browser need not ask again.
ASKABLE_HEADERS = "Accept, Accept-Language, Content-Type, If-None-Match, If-Modified-Since, X-Request-ID"
PREFLIGHT_SECONDS = 3600


class OpenToAllMixin(ConditionalMixin):
    """Public reading: no login, and scripts of other sites may read too, since nothing depends on who asks."""

    authentication_classes: Sequence[Any] = ()
    permission_classes: Sequence[Any] = ()
    throttle_classes: Sequence[Any] = (AnonymousThrottle,)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002  # DRF's
        """Count requests for an unavailable format too, and add the rate limit headers."""
        if not force:
            self.check_throttles(request)
        return super().perform_content_negotiation(request, force)

    def check_throttles(self, request: Request) -> None:
        """Count a request once."""
        if not rate_limit_headers(request):
            super().check_throttles(request)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """Answer a preflight, which precedes a request of another site's script that is not simple (CORS)."""
        preflight = {
            "Access-Control-Allow-Methods": ", ".join(self.allowed_methods),
            "Access-Control-Allow-Headers": ASKABLE_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
        return Response(status=HTTPStatus.NO_CONTENT, headers=preflight)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        final["Access-Control-Allow-Origin"] = "*"
        final["Access-Control-Expose-Headers"] = READABLE_HEADERS
        for name, value in rate_limit_headers(request).items():
            final[name] = value
        return final
