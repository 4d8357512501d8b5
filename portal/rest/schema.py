"""OpenAPI description: adds the answers, headers and parameters that all endpoints share."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.db import connection
from django.db.backends.base.operations import BaseDatabaseOperations
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from portal.documentation import version
from portal.rest.pagination import MAX_LIMIT, Pages
from portal.rest.private import PrivateMixin
from portal.rest.problems import PROBLEM_TYPE, ProblemSerializer, status_name
from portal.rest.queries import ChosenFieldsMixin, FlagFilter, WholeNumberFilter
from portal.rest.reasons import reason_of
from portal.rest.schema_examples import add_examples

READING = ("GET", "HEAD")
STANDARD_ACTIONS = frozenset({"list", "retrieve", "create", "update", "partial_update", "destroy"})

_TEXT: Mapping[str, Any] = {"type": "string"}
#: Headers of answers, by the name under which the description refers to them.
HEADERS: Mapping[str, Mapping[str, Any]] = {
    "X-Request-ID": {
        "description": "Id of this request: the caller's own, or one made here. It appears in logs and history.",
        "schema": _TEXT,
    },
    "ETag": {"description": "Version of the answer. See If-None-Match and If-Match.", "schema": _TEXT},
    "Link": {
        "description": 'Neighbouring pages, `rel="next"` and `rel="prev"` (RFC 8288); of receipts with the oldest '
        'first also `rel="resume"`.',
        "schema": _TEXT,
    },
    "Location": {"description": "URL of the new object.", "schema": _TEXT},
    "WWW-Authenticate": {"description": "Challenge: a bearer token is required.", "schema": _TEXT},
    "Retry-After": {"description": "Seconds to wait before the next attempt.", "schema": {"type": "integer"}},
    "RateLimit": {
        "description": "Remaining requests (`r`) and seconds until the limit resets (`t`).",
        "schema": _TEXT,
    },
    "RateLimit-Policy": {
        "description": "Requests (`q`) that one address may make in `w` seconds.",
        "schema": _TEXT,
    },
}
_HEADERS_OF_PROBLEM = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}
#: When an endpoint of ours gives each of these.
PROBLEMS: Mapping[int, str] = {
    400: "A parameter or key is unknown or cannot be used; `errors` names each.",
    401: "Missing or invalid credentials.",
    403: "The user lacks the permission.",
    404: "There is nothing at this address.",
    406: "No available format matches the Accept header.",
    408: "The body did not arrive in time.",
    409: "The request conflicts with the stored state.",
    412: "If-Match or If-None-Match does not match the stored version.",
    413: "The body is too long.",
    416: "The range lies outside the data; Content-Range has its size.",
    415: "The body is not `application/json`.",
    429: "Too many requests.",
    500: "Internal error; it is logged with the request id.",
    503: "The database is unavailable, or too many such requests are waiting; try again later.",
}


#: Parameters that no filter and no field declares.
_PARAMETERS: Mapping[str, str] = {
    "format": "Format of the answer; takes precedence over the Accept header.",
    "registry": "Registry: `http` or `stroom`.",
    "code": "Number.",
    "owner": "Slug of an owner, such as `nginx`.",
    "key": "Key of a class, such as `4xx`.",
    "slug": "Name in URLs.",
    "name": "Name of the feed.",
    "receipt_id": "Receipt id that the sender was given.",
    "token_id": "Number of the token.",
    "proposal_id": "Number of the proposal.",
    "rule_id": "Number of the receipt rule.",
    "all": "Confirms that the change is meant for all feeds.",
}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Bearer tokens as a security scheme."""

    target_class = "portal.access.tokens.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of scope `read`, `write` or `check`, from `POST /api/v1/auth/token/`.",
        }


class PortalSchema(AutoSchema):
    """Adds what is true of all our endpoints: errors, conditional requests, chosen fields, bounds of pages."""

    def get_operation(self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any) -> Any:
        operation = super().get_operation(path, path_regex, path_prefix, method, registry)
        if operation is None:
            return None
        self.resolve_serializer(ProblemSerializer, "response")
        given = operation["responses"]
        responses = {code: self._success(code, found) for code, found in given.items() if code < "4"}
        if "200" in responses and method in READING:
            responses["304"] = {"description": "Unchanged since If-None-Match.", "headers": _refs("ETag")}
        explicit = {int(code) for code in given if code[:1] >= "4"}
        for status in sorted(explicit | set(self._problems(operation))):
            responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
        operation["responses"] = responses
        parameters = [*operation.get("parameters", ()), *self._conditions(responses)]
        parameters += self._chosen_fields(parameters)
        parameters = [parameter for parameter in parameters if self._is_known(parameter)]
        operation["parameters"] = [self._exact(parameter) for parameter in parameters]
        return operation

    def get_operation_id(self) -> str:
        action = getattr(self.view, "action", None)
        if action is None or action in STANDARD_ACTIONS:
            return super().get_operation_id()
        words = [word for word in self._tokenize_path() if not word.startswith("{")]
        return "_".join([*words, *([action] if action not in words else [])])

    def get_tags(self) -> list[str]:
        tags: list[str] = getattr(self.view, "schema_tags", None) or super().get_tags()
        return tags

    def get_summary(self) -> str:
        """The first sentence of what the method, else the view, says of itself."""
        return self.get_description().partition(". ")[0].removesuffix(".")

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular has it
        action = getattr(self.view, getattr(self.view, "action", None) or "", None)
        own = getattr(action, "__doc__", None) if action is not None else None
        return " ".join((own or str(super().get_description())).split())

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        """Make no field of an answer required where the caller chooses the fields."""
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if direction == "response" and isinstance(serializer, ChosenFieldsMixin):
            schema.pop("required", None)
        return schema

    def _get_paginator(self) -> Any:
        """Only what is read comes in pages: a write that answers with a list gives all of it (a bulk change)."""
        return super()._get_paginator() if self.method in READING else None  # type: ignore[no-untyped-call]

    def _insert_field_validators(self, field: Any, schema: Any) -> None:
        """The description is one and the same, whichever database it is made with.

        SQLite's whole numbers have one range, PostgreSQL's several. A limit of the database alone is described as
        PostgreSQL has it, whose ranges are the narrower.
        """
        super()._insert_field_validators(field, schema)  # type: ignore[no-untyped-call]
        for key, limit in zip(("minimum", "maximum"), _ranges_of(field), strict=True):
            if limit and schema.get(key) == limit.here:
                schema[key] = limit.everywhere
                if key == "maximum" and limit.everywhere < 2**31:
                    schema.pop("format", None)

    def _problems(self, operation: Mapping[str, Any]) -> Iterator[int]:
        yield from (400, 500, 503)
        if any(operation.get("security", ())):
            yield from (401, 403)
        if _is_limited(self.view):
            yield 429
        if "{" in self.path:
            yield 404
        if self.method in (*READING, "DELETE"):
            yield 406
        if "requestBody" in operation:
            yield from (406, 408, 413, 415)
        yield from getattr(self.view, "schema_problems", {}).get(getattr(self.view, "action", ""), ())

    def _success(self, code: str, response: Mapping[str, Any]) -> dict[str, Any]:
        """With its headers; text is text, whatever the shape of its JSON sibling."""
        found = dict(response)
        content = {kind: dict(body) for kind, body in found.get("content", {}).items()}
        content |= {kind: {"schema": _TEXT} for kind in content if kind.startswith("text/")}
        if content:
            found["content"] = content
        names = ["X-Request-ID"]
        if code == "200" and (self.method in READING or "etag" in getattr(self.view, "schema_marks", ())):
            names.append("ETag")
        if "Paginated" in str(content.get("application/json", {})):
            names.append("Link")
        if code == "201" and "location" in getattr(self.view, "schema_marks", ()):
            names += ["Location", "ETag"]
        if code == "202":
            names.append("Location")
        if _is_limited(self.view):
            names += ["RateLimit", "RateLimit-Policy"]
        found["headers"] = {**_refs(*names), **found.get("headers", {})}
        return found

    def _conditions(self, responses: Mapping[str, Any]) -> list[dict[str, Any]]:
        if "304" in responses:
            return [_header("If-None-Match", "An ETag you have: the answer is 304 while it holds.")]
        if "412" in responses and getattr(self.view, "action", "") == "bulk":
            words = (
                "A list has no version: the answer is 412 for anything but `*`. Send ETags to each feed's address."
            )
            return [_header("If-Match", words)]
        if "412" in responses:
            return [
                _header("If-Match", "The ETag that you read: the answer is 412 if it has changed since."),
                *(
                    [_header("If-None-Match", "`*`: only make it, never replace it.")]
                    if getattr(self.view, "action", "") == "update"
                    else []
                ),
            ]
        return []

    def _exact(self, parameter: Mapping[str, Any]) -> dict[str, Any]:
        """With bounds, where DRF only says integer or string."""
        found = dict(parameter)
        match (found["in"], found["name"]):
            case ("query", "limit"):
                found["schema"] = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
            case ("query", "offset"):
                found["schema"] = {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": self._pages().max_offset,
                }
            case ("query", "fields"):
                found.update(_words(self._field_names()))
                found["description"] = "Only these keys, with commas between."
            case ("query", "ordering") if names := list(getattr(self.view, "ordering_fields", ())):
                found.update(_words([*names, *(f"-{name}" for name in names)]))
                found["description"] = "What to sort by, with commas between; - turns it round."
            case ("query", name):
                found["schema"] = self._schema_of_filter(name, found["schema"])
        return found

    def _pages(self) -> type[Pages]:
        found: type[Pages] = getattr(self.view, "pagination_class", None) or Pages
        return found

    def _schema_of_filter(self, name: str, guessed: Mapping[str, Any]) -> dict[str, Any]:
        filters = getattr(getattr(self.view, "filterset_class", None), "base_filters", {})
        known = filters.get(name)
        if isinstance(known, FlagFilter):
            return {"type": "boolean", "enum": [True, False]}
        if isinstance(known, WholeNumberFilter):
            return {"type": "integer", "minimum": known.extra["min_value"], "maximum": known.extra["max_value"]}
        if known is not None and "max_length" in known.extra:
            least = {"minLength": 1} if isinstance(self.view, PrivateMixin) else {}
            return {**guessed, **least, "maxLength": known.extra["max_length"]}
        return dict(getattr(known, "schema", guessed))

    def _is_known(self, parameter: Mapping[str, Any]) -> bool:
        """Whether the view takes it: not every list can be ordered, and pages are a matter of reading."""
        match parameter["name"]:
            case "ordering":
                return bool(getattr(self.view, "ordering_fields", ()) or getattr(self.view, "cursor_field", ""))
            case "limit" | "offset":
                return self.method in READING
        return True

    def _chosen_fields(self, parameters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        known = self.view.known_query() if isinstance(self.view, PrivateMixin) else set()
        if "fields" not in known or any(parameter["name"] == "fields" for parameter in parameters):
            return []
        return [{"in": "query", "name": "fields"}]

    def _field_names(self) -> list[str]:
        found: Any = self.get_response_serializers()
        if isinstance(found, dict):
            found = found.get(200)
        found = getattr(found, "child", found)
        serializer = found() if isinstance(found, type) else found
        return [name for name, field in serializer.fields.items() if not field.write_only]


class _Limit(NamedTuple):
    """The end of a range that a database has for a column."""

    here: int | None
    everywhere: int


def _ranges_of(field: Any) -> tuple[_Limit | None, _Limit | None]:
    """Both ends of the range that the database has for the column of a serializer's field, if there is one."""
    model = getattr(getattr(field.parent, "Meta", None), "model", None)
    columns = {column.name: column for column in model._meta.fields} if model is not None else {}
    kind = columns[field.source].get_internal_type() if field.source in columns else ""
    bounds = BaseDatabaseOperations.integer_field_ranges.get(kind)
    if bounds is None:
        return None, None
    low, high = connection.ops.integer_field_range(kind)
    return _Limit(low, bounds[0]), _Limit(high, bounds[1])


def _is_limited(view: Any) -> bool:
    """Whether answers of a view say how often the caller may ask."""
    return bool(getattr(view, "throttle_classes", ())) or getattr(view, "schema_limited", False)


def _refs(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "description": description, "schema": _TEXT}


def _words(names: list[str]) -> dict[str, Any]:
    """A list in one parameter, with commas between."""
    items = {"type": "string", "enum": names}
    if any(name.startswith("-") for name in names):
        items["x-enum-varnames"] = [
            f"{name.removeprefix('-').upper()}_DESCENDING" if name.startswith("-") else name.upper()
            for name in names
        ]
    return {
        "schema": {"type": "array", "items": items, "minItems": 1},
        "style": "form",
        "explode": False,
    }


def describe_errors(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the shared answers and headers to the components (hook of drf-spectacular)."""
    components = result["components"]
    _describe_parameters(result["paths"])
    add_examples(result["paths"])
    components["headers"] = {name: dict(header) for name, header in HEADERS.items()}
    components["responses"] = {f"Problem{status}": _problem(status, when) for status, when in PROBLEMS.items()}
    result["info"]["version"] = version()
    return result


def _describe_parameters(paths: Mapping[str, Mapping[str, Any]]) -> None:
    """Describe the parameters that no filter and no field declares: parts of addresses, and DRF's `format`."""
    for parameter in (
        parameter
        for methods in paths.values()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
    ):
        if parameter["name"] in _PARAMETERS and not parameter.get("description"):
            parameter["description"] = _PARAMETERS[parameter["name"]]


def _problem(status: int, when: str) -> dict[str, Any]:
    example = {
        "type": f"/codes/http/{status}/",
        "title": status_name(status),
        "status": status,
        "detail": when,
        "code": reason_of(status),
        "instance": "/api/v1/feeds/",
        "request_id": "0f3c9d0e5b7a4c1e8a2d6b90c4f1e7aa",
    }
    return {
        "description": when,
        "headers": _refs("X-Request-ID", *_HEADERS_OF_PROBLEM.get(status, ())),
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
