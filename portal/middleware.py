"""Middleware of the portal: request id, the caller's address, content security policy."""

import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.middleware.common import CommonMiddleware

from portal.http import client as http_client
from portal.http.request_ids import current_request_id, request_id
from portal.logs import log_request

GetResponse = Callable[[HttpRequest], HttpResponseBase]
_HTML = ("text/html", "application/xhtml+xml", "image/svg+xml")


class RequestContextMiddleware:
    """Gives each request an id and the caller's address, for history, logs and the audit record.

    A well-formed X-Request-ID is taken over, so that one id follows a request through every hop; the answer
    repeats it. The address is the first hop that is not a trusted proxy; headers of other peers are ignored.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        supplied = request.headers.get("X-Request-ID", "")
        request.request_id = request_id(supplied.encode()).decode()  # type: ignore[attr-defined]
        request.client_address = client_address(request)  # type: ignore[attr-defined]
        started = time.monotonic()
        token = current_request_id.set(request.request_id)  # type: ignore[attr-defined]
        try:
            response = self._get_response(request)
            log_request(request, response, started)
        finally:
            current_request_id.reset(token)
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        return response


class SlashMiddleware(CommonMiddleware):
    """Django's CommonMiddleware without slash redirects below /api/: a redirected write is lost."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        return not request.path_info.startswith("/api/") and super().should_redirect_with_slash(request)


class ContentSecurityPolicyMiddleware:
    """Sends SECURE_CSP with every HTML page. Django 6 has this built in: delete the class at the upgrade."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._policy = "; ".join(" ".join((name, *sources)) for name, sources in settings.SECURE_CSP.items())

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if response.get("Content-Type", "").startswith(_HTML):
            response.headers.setdefault("Content-Security-Policy", self._policy)
        return response


def client_address(request: HttpRequest) -> str:
    """Return the client's address of a Django request."""
    peer = str(request.META.get("REMOTE_ADDR") or "")
    forwarded = request.headers.get("X-Forwarded-For", "")
    return http_client.client_address(peer, [forwarded], settings.ENVIRONMENT.trusted_proxies.trusts)
