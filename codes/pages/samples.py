"""Examples of answers on the wire, made from the headers that the catalogue lists for the code."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

from codes.models import HeaderUse, Meaning

# Values that could stand in a real message. A header that is not here is left out of the example.
EXAMPLES: Mapping[str, str] = {
    "A-IM": "vcdiff",
    "Accept-Patch": "application/merge-patch+json",
    "Allow": "GET, HEAD",
    "Authorization": "Bearer mF_9.B5f-4.1JqM",
    "Cache-Control": "max-age=3600",
    "Connection": "close",
    "Content-Length": "0",
    "Content-Range": "bytes 0-1023/4096",
    "Content-Type": "text/plain; charset=utf-8",
    "Date": "Sat, 21 Nov 2026 03:00:00 GMT",
    "ETag": '"v7"',
    "Expect": "100-continue",
    "Feed": "PAYROLL-PROD-EVENTS",
    "If-Match": '"v7"',
    "If-Modified-Since": "Sat, 21 Nov 2026 03:00:00 GMT",
    "If-None-Match": '"v7"',
    "IM": "vcdiff",
    "Last-Modified": "Sat, 21 Nov 2026 03:00:00 GMT",
    "Link": "</style.css>; rel=preload; as=style",
    "Location": "https://example.org/there",
    "Proxy-Authenticate": 'Basic realm="proxy"',
    "Proxy-Authorization": "Basic YWxhZGRpbjpvcGVu",
    "Range": "bytes=0-1023",
    "Retry-After": "30",
    "Upgrade": "h2c",
    "Vary": "Accept-Encoding",
    "WWW-Authenticate": 'Bearer realm="example"',
}
SPECIAL: Mapping[tuple[int, str], str] = {
    (101, "Connection"): "Upgrade",
    (101, "Upgrade"): "websocket",
    (416, "Content-Range"): "bytes */4096",
    (426, "Connection"): "Upgrade",
    (426, "Upgrade"): "TLS/1.3, HTTP/1.1",
    (451, "Link"): '<https://example.org/order>; rel="blocked-by"',
}
METHODS: Mapping[int, str] = {
    100: "POST",
    201: "POST",
    202: "POST",
    303: "POST",
    405: "DELETE",
    409: "PUT",
    411: "POST",
    412: "PUT",
    413: "POST",
    415: "POST",
    417: "POST",
    422: "POST",
    428: "PUT",
}
SHOWN_LEVELS = {"must", "should"}
RECEIPT_ID = "1771956627189_0001_P_portal-1"


def http_sample(code: int, meaning: Meaning) -> str:
    """Return an example answer, after a request if one of its headers matters."""
    if meaning.carried != "wire":
        return ""
    uses = list(meaning.headers.all())
    request = list(_lines(code, (use for use in uses if use.direction == "request"), SHOWN_LEVELS))
    levels = SHOWN_LEVELS | {"may"}
    answer = [
        f"HTTP/1.1 {code} {meaning.name}",
        *_lines(code, (use for use in uses if use.direction == "response"), levels),
    ]
    if len(request) + len(answer) == 1:
        return ""  # a status line alone shows nothing that the heading has not said
    if not request:
        return "\n".join(answer)
    return "\n".join([f"{METHODS.get(code, 'GET')} /here HTTP/1.1", "Host: example.org", *request, "", *answer])


def _lines(code: int, uses: Iterable[HeaderUse], levels: set[str]) -> Iterable[str]:
    for use in uses:
        value = SPECIAL.get((code, use.name)) or EXAMPLES.get(use.name)
        if use.level in levels and value:
            yield f"{use.name}: {value}"


def stroom_sample(http_status: int, code: int, message: str) -> str:
    """Return the answer that a sender sees, from the status line to the body."""
    head: Sequence[str] = [
        f"HTTP/1.1 {http_status} {HTTPStatus(http_status).phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Stroom-Status: {code}",
    ]
    if code == 0:
        return "\n".join([*head, "", RECEIPT_ID])
    line = f"Stroom Status {code} - {message}"
    return "\n".join([*head, f"Stroom-Error: {line}", "", line])
