"""Reads JSON bodies of our REST API: bounded, without guessing, and never an error of our own for odd input."""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

MAX_BODY_BYTES = 8 * 1024 * 1024


class BodyTooLarge(APIException):
    """The body is longer than any request of ours needs."""

    status_code = 413
    default_code = "too_large"
    default_detail = f"The body is longer than {MAX_BODY_BYTES} bytes. Send it in parts."


class StrictJSONParser(BaseParser):
    """UTF-8 JSON as RFC 8259 has it; a key that stands twice is refused, since only one of the two would count."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        raw = stream.read(MAX_BODY_BYTES + 1)
        if len(raw) > MAX_BODY_BYTES:
            raise BodyTooLarge
        return parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """Read one JSON value.

    Raises:
        ParseError: it is not JSON, not UTF-8, nested too deeply, or could not be stored as text.
    """
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except UnicodeEncodeError:
        raise ParseError("JSON: an escape names half of a character.") from None
    except UnicodeDecodeError:
        raise ParseError("JSON: the body is not UTF-8.") from None
    except RecursionError:
        raise ParseError("JSON: nested too deeply.") from None
    except ValueError as fault:
        raise ParseError(f"JSON: {fault}") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name[:80]!r} stands twice")
        found[name] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
