"""Conditional reads and writes: ETag, If-None-Match and If-Match, for the API and for pages."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.http import http_date, parse_http_date_safe
from django.views.decorators.csrf import csrf_exempt
from rest_framework.request import Request
from rest_framework.response import Response

from portal.rest.problems import API_PREFIX, PAGE_METHODS, PreconditionFailed, problem, read_only
from portal.rest.queries import ViewBase

_ALSO_UNCHANGED = frozenset(
    {
        "Access-Control-Allow-Origin",
        "Access-Control-Expose-Headers",
        "RateLimit",
        "RateLimit-Policy",
        "X-Portal-Nothing-Yet",
    }
)


def conditional(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Give an answer to a read its fingerprint, and answer 304 to a caller who has it already.

    The tag is weak: the edge may compress the same answer.
    """
    if request.method not in {"GET", "HEAD"} or response.status_code != HTTPStatus.OK:
        return response
    if not isinstance(response, HttpResponse):
        return response
    if not response.has_header("ETag"):
        response["ETag"] = f'W/"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response.headers.setdefault("Cache-Control", "no-cache")
    modified = parse_http_date_safe(response.headers.get("Last-Modified", ""))
    answer = (
        get_conditional_response(request, etag=response["ETag"], last_modified=modified, response=response)
        or response
    )
    if answer.status_code == HTTPStatus.PRECONDITION_FAILED and request.path.startswith(API_PREFIX):
        return problem(request, answer.status_code, str(PreconditionFailed.default_detail))
    if answer is not response:
        # Django keeps only what caches need.
        for name in _ALSO_UNCHANGED & {*response.headers}:
            answer[name] = response[name]
    return answer


class ConditionalMixin(ViewBase):
    """Reads carry an ETag; `If-None-Match` is answered 304."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        if isinstance(response, Response) and not response.is_rendered:
            response.add_post_render_callback(lambda rendered: conditional(request, rendered))
            return response
        return conditional(request, response)


def last_modified(moment: datetime) -> str:
    """Return the value of Last-Modified, which is to the second: the ETag alone is exact."""
    return http_date(int(moment.timestamp()))


def _require_unmodified(request: Request, modified: datetime) -> None:
    """Refuse a write whose If-Unmodified-Since is earlier than the last change."""
    since = parse_http_date_safe(request.headers.get("If-Unmodified-Since", ""))
    if since is not None and int(modified.timestamp()) > since:
        raise PreconditionFailed


def require_match(request: Request, etag: str, modified: datetime) -> None:
    """Refuse a write whose If-Match names another version, or whose If-Unmodified-Since is before the last change.

    Without these headers any version will do; If-Match takes precedence.

    Raises:
        PreconditionFailed: the caller saw another version.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None:
        _require_unmodified(request, modified)
        return
    if wanted.strip() == "*":
        return
    tags = {tag.strip().removeprefix("W/") for tag in wanted.split(",")}
    if etag.removeprefix("W/") not in tags:
        raise PreconditionFailed


ConditionalPage = Callable[..., HttpResponseBase]


def _compressed(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Smaller where the caller takes gzip. The padding of Django's own hides lengths from who listens in."""
    return GZipMiddleware(lambda _: response)(request)  # type: ignore[return-value]


def conditional_page(view: ConditionalPage) -> ConditionalPage:
    """For pages that are only read: as `ConditionalMixin`, and compressed.

    The navigation and parts of pages depend on who is signed in, hence Vary; shared caches do not keep the pages of
    signed-in users. Nothing can be changed here, so a request that wants to gets that as the answer, and not that a
    form's token is missing.
    """

    @csrf_exempt
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "OPTIONS":
            return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"Allow": PAGE_METHODS})
        if request.method not in {"GET", "HEAD"}:
            return read_only(request)
        response = view(request, *args, **kwargs)
        patch_vary_headers(response, ["Cookie"])
        if request.user.is_authenticated:
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return _compressed(request, conditional(request, response))

    answer.__name__, answer.__doc__, answer.__module__ = view.__name__, view.__doc__, view.__module__
    return answer
