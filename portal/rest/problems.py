"""The one shape of our errors (RFC 9457): DRF's exceptions, Django's own, and their description."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import DisallowedHost, PermissionDenied
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import is_valid_path
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.views import set_rollback

from portal.repeated import RepeatedFaults
from portal.rest.reasons import REASONS, reason_of
from portal.site import public_link

log = logging.getLogger(__name__)
#: A database that is away fails every request: one line a minute says so.
_FAULTS = RepeatedFaults(log)

PROBLEM_TYPE = "application/problem+json"
API_PREFIX = "/api/"
#: Of many faults, `detail` names only these; `errors` has all.
MAX_IN_WORDS = 10
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
    code: str = "",
    lacks: Mapping[str, str] | None = None,
    errors: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """An answer in the error shape of our API: RFC 9457, its type being the page of the status code."""
    path = "" if request is None else request.path
    body = problem_body(status, detail, path=path, request_id=getattr(request, "request_id", ""), code=code)
    body |= lacks or {}
    if errors:
        body["errors"] = list(errors)
    content = json.dumps(body, ensure_ascii=False).encode()
    return HttpResponse(content, content_type=PROBLEM_TYPE, status=status, headers=dict(headers or {}))


def problem_body(status: int, detail: str, *, path: str, request_id: str, code: str = "") -> dict[str, Any]:
    """The members that every problem has, and, where they are known, where it arose and in which request."""
    body: dict[str, Any] = {
        "type": public_link(f"/codes/http/{status}/"),
        "title": status_name(status),
        "status": status,
        "detail": detail,
        "code": code or reason_of(status),
    }
    return body | {name: text for name, text in (("instance", path), ("request_id", request_id)) if text}


class BadQuery(exceptions.APIException):
    """A query parameter that we do not know or cannot use."""

    status_code = 400
    default_code = "invalid_parameter"

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in faults.items()))


class PreconditionFailed(exceptions.APIException):
    """If-Match names another version than the present one."""

    status_code = 412
    default_code = "precondition_failed"
    default_detail = "Somebody changed it since you read it. Read it again, then send your change."


class RefusedItems(exceptions.APIException):
    """A list of changes of which some cannot be made, so that none was: one fault each, with the item's index."""

    status_code = 400
    default_code = "refused_items"

    def __init__(self, faults: Sequence[Mapping[str, Any]]) -> None:
        self.faults = [{**fault, "code": fault.get("code", "invalid")} for fault in faults]
        super().__init__(f"Nothing was changed: {_in_words(self.faults)}")

    @staticmethod
    def of(index: int, errors: Any) -> list[dict[str, Any]]:
        """The faults of one item, from what its serializer says."""
        return [{"index": index, **error} for error in _flat("", errors)]


class DatabaseBusy(exceptions.APIException):
    """The database is locked or gone; the same request may work in a moment."""

    status_code = 503
    default_code = "busy"
    default_detail = "The database does not answer now. Nothing was changed; try the same again."
    wait = 5


class Conflict(exceptions.APIException):
    """Another change came in between."""

    status_code = 409
    default_code = "conflict"
    default_detail = "This conflicts with what is stored, perhaps since a moment ago. Read it again, then decide."


def problem_handler(exception: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """Turn an exception into problem details (DRF's handler); Django answers 500 to others."""
    request = context.get("request")
    if isinstance(exception, Http404):
        exception = exceptions.NotFound(str(exception) or None)
    elif isinstance(exception, PermissionDenied):
        exception = exceptions.PermissionDenied(str(exception) or None)
    elif isinstance(exception, IntegrityError):
        exception = Conflict()
    elif isinstance(exception, OperationalError | InterfaceError):
        _FAULTS.report("requests of the API", "the database fails", exception)
        exception = DatabaseBusy()
    elif isinstance(exception, UnreadablePostError):
        exception = exceptions.ParseError("The body did not arrive whole.")
    if not isinstance(exception, exceptions.APIException):
        return None
    set_rollback()
    readable = _name_readable(exception, context)
    errors = list(_errors_of(exception))
    return problem(
        request,
        exception.status_code,
        _detail_of(exception, errors),
        code=_code_of(exception),
        lacks=getattr(exception, "lacks", None),
        errors=errors,
        headers={**readable, **_headers_of(exception)},
    )


def _code_of(exception: exceptions.APIException) -> str:
    """Return the word of an exception: its own, or the usual one of its status."""
    detail: Any = exception.detail
    code = str(exception.default_code if isinstance(detail, list | dict) else getattr(detail, "code", ""))
    return code if code in REASONS else reason_of(exception.status_code)


def _detail_of(exception: exceptions.APIException, errors: Sequence[Mapping[str, Any]]) -> str:
    if not errors or not isinstance(exception, exceptions.ValidationError):
        return str(exception.detail)
    return _in_words(errors)


def reason(code: str, detail: str) -> exceptions.ErrorDetail:
    """Return a reason for `BadQuery` or a validation error with its word."""
    return exceptions.ErrorDetail(detail, code)


def _in_words(errors: Sequence[Mapping[str, Any]]) -> str:
    words = [
        ": ".join(str(error[key]) for key in ("index", "field", "detail") if error.get(key, "") != "")
        for error in errors
    ]
    return "; ".join(words[:MAX_IN_WORDS]) + (
        f"; and {len(words) - MAX_IN_WORDS} more" if len(words) > MAX_IN_WORDS else ""
    )


def _errors_of(exception: exceptions.APIException) -> Iterator[dict[str, Any]]:
    if isinstance(exception, BadQuery):
        for name, reason in exception.faults.items():
            yield {"parameter": name, "detail": str(reason), "code": getattr(reason, "code", "invalid")}
    elif isinstance(exception, RefusedItems):
        yield from exception.faults
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
            yield {"field": field, "detail": str(message), "code": getattr(message, "code", "invalid")}
    else:
        yield {"field": field, "detail": str(detail), "code": getattr(detail, "code", "invalid")}


def _name_readable(exception: exceptions.APIException, context: Mapping[str, Any]) -> dict[str, str]:
    """Add to a 415 which types are read here, in its words and as headers (RFC 9110, 15.5.16; RFC 5789, 2.2)."""
    view, request = context.get("view"), context.get("request")
    if not isinstance(exception, exceptions.UnsupportedMediaType) or hasattr(exception, "headers"):
        return {}
    if view is None or request is None:
        return {}
    kinds = ", ".join(dict.fromkeys(str(parser.media_type) for parser in view.get_parsers()))
    exception.detail = exceptions.ErrorDetail(f"{exception.detail} Send {kinds}.", exception.default_code)
    return {"Accept-Patch" if request.method == "PATCH" else "Accept": kinds}


def _headers_of(exception: exceptions.APIException) -> dict[str, str]:
    headers = dict(getattr(exception, "headers", {}))
    if challenge := getattr(exception, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if wait := getattr(exception, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        return _error_page(
            request, 400, "The portal does not answer to this Host. PORTAL_ALLOWED_HOSTS names its hosts."
        )
    return _error_page(request, 400, "The request cannot be understood.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  # Django's signature
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return _error_page(request, 403, "You may not do this.")
    detail = f"You are signed in as {user.get_username()}, and none of your roles allows this."
    return _error_page(request, 403, f"{detail} An administrator can give one.")


def form_not_ours(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001  # Django's signature
    """A form without the token of this browser: one left open over a sign-in, or sent by another site."""
    return _error_page(
        request,
        403,
        "Nothing was changed. This form was open too long, or was sent from another site, or the browser keeps no "
        "cookies. Go back, load the page again, and send it once more.",
    )


#: Methods of a page.
PAGE_METHODS = "GET, HEAD, OPTIONS"


def read_only(request: HttpRequest) -> HttpResponse:
    """A page was sent something."""
    response = _error_page(request, 405, "This page can only be read.")
    response["Allow"] = PAGE_METHODS
    return response


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  # Django's signature
    hint = _right_address(request.path) if request.path.startswith(API_PREFIX) else ""
    return _error_page(request, 404, f"There is nothing at this address.{hint}")


def _right_address(path: str) -> str:
    """Return a hint where an address differs from one that exists by its last slash, or by its version."""
    if not path.endswith("/") and is_valid_path(f"{path}/"):
        return f" Addresses end with a slash: {path}/"
    if path.endswith("/") and is_valid_path(path.rstrip("/")):
        return f" This address ends without a slash: {path.rstrip('/')}"
    return "" if path.startswith(f"{API_PREFIX}v1/") else f" The API begins at {API_PREFIX}v1/."


def server_error(request: HttpRequest) -> HttpResponse:
    """Without the request in the page: what failed may be the very session that the navigation asks for."""
    detail = "Something failed on our side. It is logged under the request id."
    if request.path.startswith(API_PREFIX):
        return problem(request, 500, detail)
    context = {"status": 500, "name": status_name(500), "detail": detail}
    return HttpResponse(render_to_string("error.html", context), status=500)


def _error_page(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """Django's own errors: a problem for programs, a page for people."""
    if request.path.startswith(API_PREFIX):
        return problem(request, status, detail)
    context = {"status": status, "name": status_name(status), "detail": detail}
    return render(request, "error.html", context, status=status)


class ProblemErrorSerializer(serializers.Serializer[Any]):
    """One fault of a request: of a query parameter, or of a field of the body, or of one item of a list."""

    index = serializers.IntegerField(required=False, help_text="Position in the list that was sent, from 0.")
    parameter = serializers.CharField(required=False, help_text="Name of the query parameter.")
    field = serializers.CharField(
        required=False, help_text="Key of the body, with dots for what lies deeper; empty for the whole."
    )
    detail = serializers.CharField(help_text="Fault.")
    code = serializers.CharField(help_text="Reason in one word, for programs. There may be new ones.")


class ProblemSerializer(serializers.Serializer[Any]):
    """The shape of every error (RFC 9457)."""

    type = serializers.CharField(help_text="The page of the status code in our catalogue.")
    title = serializers.CharField(help_text="Name of the status.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="Fault of this request.")
    code = serializers.CharField(help_text="Reason in one word, for programs. There may be new ones.")
    scope = serializers.CharField(required=False, help_text="Only of a 403: the scope that the token lacks.")
    permission = serializers.CharField(
        required=False, help_text="Only of a 403: the permission that the user lacks, such as `feeds.change_feed`."
    )
    instance = serializers.CharField(required=False, help_text="URL of the request.")
    request_id = serializers.CharField(
        required=False, help_text="`X-Request-ID` of this request, to find it in the log."
    )
    errors = ProblemErrorSerializer(many=True, required=False, help_text="Each fault, where there can be several.")  # type: ignore[assignment]  # shadows DRF's own


def answers(success: Any, *errors: int, status: int = 200) -> dict[Any, Any]:
    """The `responses` of an endpoint: what it gives, and which errors it may answer with."""
    return {status: success, **{(error, PROBLEM_TYPE): ProblemSerializer for error in errors}}
