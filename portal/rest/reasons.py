"""Machine-readable reasons of problems: every value that `code` can have, and what a 403 lacks.

A program decides on these words; the sentences may change. docs/api.md lists them, and a test keeps both alike.
"""

from collections.abc import Mapping

from rest_framework.exceptions import PermissionDenied

#: Reason of a whole answer, by its word.
REASONS: Mapping[str, str] = {
    "bad_request": "The request cannot be understood: its framing, its Host or its path.",
    "parse_error": "The body is not what its Content-Type says.",
    "invalid": "The body has errors; `errors` lists them.",
    "invalid_parameter": "The query has errors; `errors` lists them.",
    "refused_items": "Items of the list cannot be changed, so that none was; `errors` gives the index of each.",
    "not_authenticated": "No credentials were sent, or the user name or the password is wrong.",
    "invalid_token": "The token is unknown, expired or revoked.",
    "scope_missing": "The token does not have the scope in `scope`.",
    "permission_missing": "The user does not have the permission in `permission`.",
    "permission_denied": "The user may not do this; `detail` says why.",
    "not_found": "There is nothing with this name or at this address.",
    "method_not_allowed": "The address does not have this method; `Allow` lists those it has.",
    "not_acceptable": "The answer does not exist in the form that Accept demands.",
    "timeout": "The request did not arrive in time.",
    "conflict": "This conflicts with what is stored. Read it again, then decide.",
    "name_taken": "A feed of this name exists already.",
    "plan_changed": "The feeds have changed since the import was planned. Plan it again.",
    "length_required": "The request has neither Content-Length nor chunked coding.",
    "precondition_failed": "It was changed since you read it, or If-None-Match names what exists.",
    "too_large": "The body is larger than it may be.",
    "too_long": "The text is longer than it may be.",
    "uri_too_long": "The address is too long.",
    "unsupported_media_type": "The Content-Type is not read here; `Accept-Patch` or `Accept` lists those that are.",
    "range_not_satisfiable": "The range lies outside the data.",
    "throttled": "Too many requests; wait as long as Retry-After says.",
    "headers_too_large": "The head of the request is too large.",
    "server_error": "Something failed on our side. It is logged under the request id.",
    "busy": "The database does not answer now. Nothing was changed; send the same again.",
}
#: Reason of one of `errors`, by its word. DRF's own validators have further words; treat those as `invalid`.
ERROR_REASONS: Mapping[str, str] = {
    "invalid": "The value cannot be used; `detail` says why.",
    "required": "The key is missing.",
    "null": "The value is null and may not be.",
    "blank": "The value is empty and may not be.",
    "max_length": "The value is too long.",
    "max_value": "The number is too large.",
    "min_value": "The number is too small.",
    "invalid_choice": "The value is not one of those that are known.",
    "not_a_list": "The value is not a list.",
    "empty": "The parameter is empty, or the list has no items.",
    "unknown_key": "There is no such key.",
    "unknown_parameter": "There is no such query parameter.",
    "unknown_field": "There is no such field to choose or to order by.",
    "given_twice": "It is given more than once.",
    "not_found": "There is no such item.",
    "name_taken": "A feed of this name exists already.",
    "version_conflict": "The `version` or `etag` is not the current one.",
}
#: The word where an exception has none of its own, by HTTP status.
BY_STATUS: Mapping[int, str] = {
    400: "bad_request",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "timeout",
    409: "conflict",
    411: "length_required",
    412: "precondition_failed",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    429: "throttled",
    431: "headers_too_large",
    503: "busy",
}


def reason_of(status: int) -> str:
    """Return the usual word for an HTTP status."""
    return BY_STATUS.get(status, "bad_request" if status < 500 else "server_error")


class ScopeMissing(PermissionDenied):
    """The token lacks a scope."""

    default_code = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__(f"The token does not have the scope {scope}.")
        self.lacks = {"scope": scope}
        self.auth_header = f'Bearer realm="portal", error="insufficient_scope", scope="{scope}"'


class PermissionMissing(PermissionDenied):
    """The user lacks a permission, named as Django does: app label, dot, codename."""

    default_code = "permission_missing"

    def __init__(self, permission: str, detail: str = "") -> None:
        super().__init__(detail or f"You do not have the permission {permission}.")
        self.lacks = {"permission": permission}
