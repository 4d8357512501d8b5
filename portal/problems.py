"""The one shape of our errors (RFC 9457): DRF's exceptions, Django's own, and their description."""

import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.views import set_rollback

from portal.links import public_link

PROBLEM_TYPE = "application/problem+json"
API_PREFIX = "/api/"
# The registered names of today, where the standard library of an older Python has a former one.
CURRENT_NAMES: Mapping[int, str] = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


def status_name(status: int) -> str:
    return CURRENT_NAMES.get(status) or HTTPStatus(status).phrase


def problem(
    request: HttpRequest | Request | None,
    status: int,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """An answer in the error shape of our API: RFC 9457, its type being the page of the status code."""
    body: dict[str, Any] = {
        "type": public_link(f"/codes/http/{status}/"),
        "title": status_name(status),
        "status": status,
        "detail": detail,
    }
    if request is not None:
        body["instance"] = request.path
        if request_id := getattr(request, "request_id", ""):
            body["request_id"] = request_id
    if errors:
        body["errors"] = list(errors)
    content = json.dumps(body, ensure_ascii=False).encode()
    return HttpResponse(content, content_type=PROBLEM_TYPE, status=status, headers=dict(headers or {}))


class BadQuery(exceptions.APIException):
    """A query parameter that we do not know or cannot use."""

    status_code = 400
    default_code = "bad_query"

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in faults.items()))


class PreconditionFailed(exceptions.APIException):
    """If-Match names another version than the present one."""

    status_code = 412
    default_code = "precondition_failed"
    default_detail = "Somebody changed it since you read it. Read it again, then send your change."


def problem_handler(exception: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """DRF's exception handler. An exception that nobody foresaw goes on to Django, which answers 500."""
    request = context.get("request")
    if isinstance(exception, Http404):
        exception = exceptions.NotFound(str(exception) or None)
    elif isinstance(exception, PermissionDenied):
        exception = exceptions.PermissionDenied(str(exception) or None)
    if not isinstance(exception, exceptions.APIException):
        return None
    set_rollback()
    errors = list(_errors_of(exception))
    return problem(
        request, exception.status_code, _detail_of(exception, errors), errors=errors, headers=_headers_of(exception)
    )


def _detail_of(exception: exceptions.APIException, errors: Sequence[Mapping[str, str]]) -> str:
    if isinstance(exception, BadQuery) or not errors:
        return str(exception.detail)
    return "; ".join(
        f"{error['field']}: {error['detail']}" if error["field"] else error["detail"] for error in errors
    )


def _errors_of(exception: exceptions.APIException) -> Iterator[dict[str, str]]:
    if isinstance(exception, BadQuery):
        for name, reason in exception.faults.items():
            yield {"parameter": name, "detail": reason}
    elif isinstance(exception, exceptions.ValidationError):
        yield from _flat("", exception.detail)


def _flat(field: str, detail: Any) -> Iterator[dict[str, str]]:
    """One error for each message, its field written as a path: `certificate_rules.0.subject_dn`."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            own = "" if name == "non_field_errors" else str(name)
            yield from _flat(".".join(part for part in (field, own) if part), inner)
    elif isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        for position, inner in enumerate(detail):
            if inner:
                yield from _flat(".".join(part for part in (field, str(position)) if part), inner)
    elif isinstance(detail, list):
        for message in detail:
            yield {"field": field, "detail": str(message)}
    else:
        yield {"field": field, "detail": str(detail)}


def _headers_of(exception: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(exception, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if wait := getattr(exception, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  # Django's signature
    return _error_page(request, 400, "The request cannot be understood.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  # Django's signature
    return _error_page(request, 403, "You may not do this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  # Django's signature
    return _error_page(request, 404, "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    return _error_page(request, 500, "Something failed on our side. It is logged under the request id.")


def _error_page(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """Django's own errors: a problem for programs, a page for people."""
    if request.path.startswith(API_PREFIX):
        return problem(request, status, detail)
    context = {"status": status, "name": status_name(status), "detail": detail}
    return render(request, "error.html", context, status=status)


class ProblemErrorSerializer(serializers.Serializer[Any]):
    """One fault of a request: of a query parameter, or of a field of the body."""

    parameter = serializers.CharField(required=False)
    field = serializers.CharField(required=False)
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """The shape of every error (RFC 9457)."""

    type = serializers.CharField(help_text="The page of the status code in our catalogue.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField(required=False)
    request_id = serializers.CharField(required=False)
    errors = ProblemErrorSerializer(many=True, required=False)  # type: ignore[assignment]  # shadows DRF's own


def answers(success: Any, *errors: int, status: int = 200) -> dict[Any, Any]:
    """The `responses` of an endpoint: what it gives, and which errors it may answer with."""
    return {status: success, **{(error, PROBLEM_TYPE): ProblemSerializer for error in errors}}
