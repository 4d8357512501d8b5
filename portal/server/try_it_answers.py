"""Answers of the try-it endpoints: each status as a conforming server sends it.

The texts never repeat anything of the request except the sender's own Feed, Compression and Type, cleaned as in
every refusal.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from feeds.receipt import answers
from feeds.rules import stroom_status
from feeds.rules.metadata import RequestMetadata
from feeds.rules.stroom_status import StroomStatus
from portal.http.answer import Answer

PREFIX = "/try"
WAIT_SECONDS = 30
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/problem+json"
_ETAG = '"try-it"'

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CodeName:
    """Entry of the catalogue, as far as an answer needs it."""

    name: str
    summary: str
    http_statuses: tuple[int, ...] = ()


CodeNames = Mapping[tuple[str, int], CodeName]


_ANSWERED_HERE = f"{PREFIX}/http/200/"
_MULTI_STATUS = b'<?xml version="1.0" encoding="utf-8"?>\n<multistatus xmlns="DAV:"/>\n'
#: What a status must or should carry beyond its text. Redirects lead to an answer of ours and nowhere else.
DEMANDED: Mapping[int, Fields] = {
    **dict.fromkeys((201, 300, 301, 302, 303, 307, 308), (("Location", _ANSWERED_HERE),)),
    226: (("ETag", _ETAG), ("IM", "feed")),
    304: (("ETag", _ETAG),),
    401: (("WWW-Authenticate", 'Bearer realm="try it"'),),
    407: (("Proxy-Authenticate", 'Basic realm="try it"'),),
    408: (("Connection", "close"),),
    416: (("Content-Range", "bytes */1024"),),
    426: (("Upgrade", "TLS/1.3, HTTP/2.0"), ("Connection", "Upgrade")),
    429: (("Retry-After", str(WAIT_SECONDS)),),
    449: (("Ms-Echo-Request", "try-it"),),
    451: (("Link", '</codes/http/451/>; rel="blocked-by"'),),
    503: (("Retry-After", str(WAIT_SECONDS)),),
}
#: These end with their headers; 205 says so by its length.
BODILESS = frozenset({204, 205, 304})


def http_answer(
    code: int, method: str, *, named: CodeName | None, retry_after: int | None, as_json: bool
) -> Answer:
    """Return an answer with this status as a conforming server would send it."""
    fields: dict[str, str] = {"Cache-Control": "no-store", **dict(DEMANDED.get(code, ()))}
    if code == HTTPStatus.METHOD_NOT_ALLOWED:
        fields["Allow"] = "POST, PUT" if method in {"GET", "HEAD"} else "GET, HEAD"
    if retry_after is not None:
        fields["Retry-After"] = str(retry_after)
    if code in BODILESS:
        length = {"Content-Length": "0"} if code == HTTPStatus.RESET_CONTENT else {}
        return Answer(code, (*fields.items(), *length.items()))
    kind, body = _content(code, named, as_json=as_json)
    if code == HTTPStatus.PARTIAL_CONTENT:
        fields |= {"Content-Range": f"bytes 0-{len(body) - 1}/{2 * len(body)}", "ETag": _ETAG}
    return _with_body(code, fields, kind, body)


def _content(code: int, named: CodeName | None, *, as_json: bool) -> tuple[str, bytes]:
    if code == HTTPStatus.MULTI_STATUS:
        return "application/xml; charset=utf-8", _MULTI_STATUS
    name = named.name if named else _phrase(code)
    note = "This is a test answer: nothing was done, and what you sent was thrown away."
    if as_json and code >= 400:
        problem = {"type": f"/codes/http/{code}/", "title": name or "Unassigned", "status": code, "detail": note}
        return _JSON, json.dumps(problem, ensure_ascii=False).encode() + b"\n"
    lines = [f"HTTP {code} {name}".rstrip(), note, f"See: /codes/http/{code}/"]
    return _TEXT, "".join(f"{line}\n" for line in lines).encode()


def _phrase(code: int) -> str:
    return HTTPStatus(code).phrase if code in HTTPStatus._value2member_map_ else ""


def stroom_answer(
    code: int, named: CodeName, *, request: RequestMetadata | None, receipt_id: str, public_url: str
) -> Answer:
    """Return the answer of the receiver with this Stroom-Status."""
    if code == stroom_status.OK.code:
        answer = answers.accepted(receipt_id)
    else:
        status = _status(code, named)
        hint = "" if code in _SENT else named.summary
        answer = answers.refused(status, request=request, hint=hint, receipt_id=receipt_id, public_url=public_url)
    fields = {name: value for name, value in answer.headers if name != "Content-Type"}
    return _with_body(answer.http, fields, answers.CONTENT_TYPE, answer.body)


#: The outcomes that this portal itself sends, in its own words.
_SENT: Mapping[int, StroomStatus] = {
    **stroom_status.DOCUMENTED,
    **{
        status.code: status
        for status in (
            stroom_status.CONTENT_TOO_LARGE,
            stroom_status.REJECTED_BY_RULES,
            stroom_status.TOKEN_OR_CERTIFICATE_REQUIRED,
            stroom_status.TOKEN_NOT_VALID,
        )
    },
}


def _status(code: int, named: CodeName) -> StroomStatus:
    """Return our own status for the code, else one from the catalogue, with its first HTTP status."""
    own = _SENT.get(code) or StroomStatus(code, 0, named.name, "", named.summary)
    return replace(own, http=named.http_statuses[0])


def _with_body(code: int, fields: Mapping[str, str], kind: str, body: bytes) -> Answer:
    return Answer(code, (*fields.items(), ("Content-Type", kind), ("Content-Length", str(len(body)))), body)


def plain_answer(code: int, text: str, **fields: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return _with_body(code, {"Cache-Control": "no-store", **named}, _TEXT, f"{text}\n".encode())


def own_name(code: int) -> CodeName | None:
    """Return the name of a code that we send ourselves, also while the catalogue cannot be read."""
    own = _SENT.get(code)
    return CodeName(own.message, own.explanation, (own.http,)) if own else None
