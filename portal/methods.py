"""Methods of pages, OPTIONS among them."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_http_methods

Page = Callable[..., HttpResponseBase]


def with_methods(*names: str) -> Callable[[Page], Page]:
    """Let a page have these methods and OPTIONS, which answers with all of them (RFC 9110, section 9.3.7)."""
    allowed = ", ".join([*names, "OPTIONS"])

    def decorate(view: Page) -> Page:
        held = require_http_methods(list(names))(view)

        @wraps(held)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method == "OPTIONS":
                return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"Allow": allowed})
            response = held(request, *args, **kwargs)
            if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                response.headers["Allow"] = allowed
            return response

        return answer

    return decorate
