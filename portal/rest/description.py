"""Last step of the OpenAPI description: what generated clients need, derived from the finished document.

Answers: every key is required, words are open lists, names have no pattern. Requests: the pattern is that of the
setting. One media type for each list: its table has an operation of its own, below the same address with `.csv`.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings

from portal.rest.schema_examples import add_answers
from portal.settings_table import SETTINGS
from portal.site import public_link

#: Keys of these come only where there is something to say.
_WITH_OPTIONAL_KEYS = frozenset({"Problem", "ProblemError"})
_ENUM = "x-extensible-enum"
_DEFAULT_PATTERN = next(one.default for one in SETTINGS if one.name == "PORTAL_FEED_NAME_PATTERN")
#: Bodies that may name the state that they were made for.
_LOCKED = frozenset({"FeedRequest", "NewFeedRequest", "PatchedFeedRequest"})
_LOCKS: Mapping[str, Any] = {
    "version": {
        "type": "integer",
        "minimum": 1,
        "description": "412 if it is not the current one.",
    },
    "etag": {"type": "string", "description": "412 if it is not the current one."},
}
#: Groups of operations, in the order in which they are shown.
TAGS: Mapping[str, str] = {
    "index": "Addresses to begin with.",
    "catalogue": "Meanings of HTTP status codes and Stroom-Status codes. No login.",
    "feeds": "Feeds and their certificate rules: read, change, import, export, history.",
    "receipt rules": "Rules for deliveries of any feed: read, change, test, history.",
    "receipts": "What was received and what was refused, and the stored data.",
    "dry run": "What would happen to a delivery.",
    "proposals": "Changes that wait for a second person; only with PORTAL_SECOND_APPROVAL.",
    "tokens": "Tokens of the user.",
}
METHODS = ("get", "post", "put", "patch", "delete")


def finish(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Complete the description (hook of drf-spectacular, after all others)."""
    schemas: dict[str, Any] = result["components"]["schemas"]
    for name in _of_answers(result):
        _complete_answer(schemas[name], schemas, has_optional=name in _WITH_OPTIONAL_KEYS)
    for name, schema in schemas.items():
        _type_nullables(schema)
        if name.endswith("Request"):
            _use_own_pattern(schema)
        if name in _LOCKED:
            schema["properties"] |= _LOCKS
    for operation in operations(result):
        operation.setdefault("security", [])
        for form, body in operation.get("requestBody", {}).get("content", {}).items():
            if form == "text/plain":
                body["schema"] = {"type": "string"}
        for code, answer in operation["responses"].items():
            if code.startswith("2") and not answer.get("description"):
                answer["description"] = f"{operation.get('summary', 'Success')}."
    _split_tables(result["paths"])
    _drop_unused(result)
    add_answers(operations(result))
    result["tags"] = [{"name": name, "description": words} for name, words in TAGS.items()]
    result["servers"] = [{"url": public_link("") or "/"}]
    return result


def operations(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every operation of a description."""
    for item in result["paths"].values():
        yield from (item[method] for method in METHODS if method in item)


def _of_answers(result: Mapping[str, Any]) -> set[str]:
    """Return the names of the schemas that answers use, directly or not, and no request does."""
    answers = {name for operation in operations(result) for name in _refs_in(operation["responses"])}
    answers |= set(_refs_in(result["components"].get("responses", {})))
    asked = {name for operation in operations(result) for name in _refs_in(operation.get("requestBody", {}))}
    schemas = result["components"]["schemas"]
    return _reachable(answers, schemas) - _reachable(asked, schemas)


def _reachable(names: set[str], schemas: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name in schemas:
            found.add(name)
            waiting += _refs_in(schemas[name])
    return found


def _refs_in(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        if str(part.get("$ref", "")).startswith("#/components/schemas/"):
            yield str(part["$ref"]).rpartition("/")[2]
        for inner in part.values():
            yield from _refs_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _refs_in(inner)


def _complete_answer(schema: dict[str, Any], schemas: Mapping[str, Any], *, has_optional: bool) -> None:
    properties: dict[str, Any] = schema.get("properties", {})
    if properties and not has_optional:
        schema["required"] = list(properties)
    for name, value in properties.items():
        properties[name] = _opened(value, schemas)
        properties[name].pop("pattern", None)


def _opened(value: dict[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a key with an open list of words in the place of a closed one."""
    kept = {key: inner for key, inner in value.items() if key not in {"allOf", "oneOf", "$ref", "enum"}}
    refs = list(_refs_in({key: value[key] for key in ("allOf", "oneOf", "$ref") if key in value}))
    words = value.get("enum") or [word for name in refs for word in schemas.get(name, {}).get("enum", [])]
    if words and all(isinstance(word, str) or word is None for word in words):
        return {**kept, "type": "string", _ENUM: [word for word in words if word]}
    if value.get("type") == "array" and isinstance(value.get("items"), dict):
        return {**value, "items": _opened(value["items"], schemas)}
    if value.get("nullable") and "type" not in value and refs:
        return {**value, "type": "object"}
    return value


def _type_nullables(schema: dict[str, Any]) -> None:
    """Give what may be null its type. Where any value may stand, null may as well, and nothing need say so."""
    for value in schema.get("properties", {}).values():
        if value.get("nullable") and "type" not in value:
            if "allOf" in value or "$ref" in value:
                value["type"] = "object"
            elif "oneOf" not in value:
                del value["nullable"]


def _drop_unused(result: dict[str, Any]) -> None:
    """Remove components that nothing refers to any more, such as words whose list was opened."""
    components = result["components"]
    roots = set(_refs_in(result["paths"])) | set(_refs_in(components.get("responses", {})))
    used = _reachable(roots, components["schemas"])
    components["schemas"] = {name: schema for name, schema in components["schemas"].items() if name in used}


def _use_own_pattern(schema: Any) -> None:
    """Describe the names of feeds as this portal takes them."""
    if isinstance(schema, dict):
        if schema.get("pattern") == _DEFAULT_PATTERN:
            schema["pattern"] = settings.ENVIRONMENT.feed_name_pattern
        for inner in schema.values():
            _use_own_pattern(inner)


def _split_tables(paths: dict[str, Any]) -> None:
    """Give each table an operation of its own."""
    for path, item in list(paths.items()):
        listing = item.get("get")
        content = listing["responses"].get("200", {}).get("content", {}) if listing else {}
        if not listing or set(content) != {"application/json", "text/csv"}:
            continue
        table = copy.deepcopy(listing)
        table["operationId"] = f"{listing['operationId']}_csv"
        table["summary"] = f"{listing.get('summary', 'The list')}, as a table"
        table["responses"]["200"]["content"] = {"text/csv": content["text/csv"]}
        table["responses"]["200"]["description"] = "One line for each item, with a header line."
        table["responses"].pop("304", None)
        table["responses"]["200"].get("headers", {}).pop("ETag", None)
        del content["text/csv"]
        for operation, others in ((listing, {"format"}), (table, {"format", "wait", "If-None-Match"})):
            operation["parameters"] = [one for one in operation["parameters"] if one["name"] not in others]
        paths[f"{path.rstrip('/')}.csv"] = {"get": table}
