"""Answers to malformed requests: with a Stroom-Status, or as a problem where the address is of the REST API."""

import json

from feeds.receipt.answers import framing_answer
from feeds.rules.stroom_status import StroomStatus
from portal.http.request_ids import request_id
from portal.rest.problems import API_PREFIX, PROBLEM_TYPE, problem_body

_API = API_PREFIX.encode() + b"v1/"
_STATUS_LINES = {
    400: b"HTTP/1.1 400 Bad Request\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
}


def refusal(status: StroomStatus, url: bytes) -> bytes:
    """Return the whole answer, which closes the connection."""
    headers, body = _api_answer(status) if url.startswith(_API) else framing_answer(status)
    fields = b"".join(b"%s: %s\r\n" % field for field in headers)
    return b"%s%sconnection: close\r\n\r\n%s" % (_STATUS_LINES[status.http], fields, body)


def _api_answer(status: StroomStatus) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return header fields and body of a problem of the REST API."""
    reason = status.explanation.replace(" Nothing was stored.", "")
    given = request_id(b"")
    body = json.dumps(problem_body(status.http, reason, path="", request_id=given.decode())).encode()
    length = str(len(body)).encode()
    fields = [(b"content-type", PROBLEM_TYPE.encode()), (b"content-length", length), (b"x-request-id", given)]
    return fields, body
