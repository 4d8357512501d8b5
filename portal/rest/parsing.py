"""Parser of JSON bodies of the REST API, with a size limit and strict rules."""

import codecs
import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

from portal.strict_json import read_json

MAX_BODY_BYTES = 8 * 1024 * 1024


class JsonTooLarge(APIException):
    """Error for a body above the size limit."""

    status_code = 413
    default_code = "too_large"
    default_detail = f"The body is longer than {MAX_BODY_BYTES} bytes. Send it in parts."


def media_types(parsers: Iterable[BaseParser]) -> str:
    """Return the types that parsers read, as a header lists them."""
    return ", ".join(dict.fromkeys(str(parser.media_type) for parser in parsers))


class StrictJSONParser(BaseParser):
    """Parser of UTF-8 JSON (RFC 8259). Duplicate keys are rejected, since only one of them would count."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        raw = stream.read(MAX_BODY_BYTES + 1)
        if len(raw) > MAX_BODY_BYTES:
            raise JsonTooLarge
        return parse_json(raw)


class MergePatchParser(StrictJSONParser):
    """Parser of a JSON merge patch (RFC 7396)."""

    media_type = "application/merge-patch+json"


def parse_json(raw: bytes) -> Any:
    """Return the value of a JSON body. A byte order mark, as PowerShell writes it, is ignored (RFC 8259, 8.1).

    Raises:
        ParseError: it is not UTF-8, not JSON by the rules of `portal.strict_json`, or could not be stored as text.
    """
    try:
        value = read_json(raw.removeprefix(codecs.BOM_UTF8).decode())
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()  # fails for half of a surrogate pair
        return value
    except UnicodeEncodeError:
        raise ParseError("JSON: an escape names half of a character.") from None
    except UnicodeDecodeError:
        raise ParseError("JSON: the body is not UTF-8.") from None
    except ValueError as fault:
        raise ParseError(f"JSON: {fault}") from None
