"""The shipped nginx file in a real nginx: what it lets through, and what it says by itself.

Upstream is a socket that keeps each request as nginx wrote it. `test_nginx_portal.py` puts the portal there.
"""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feeds.rules import stroom_status
from feeds.rules.metadata import read_request
from portal.http.client import IdentityNames
from tests.deploy.authority import GOOD_DN, Certificates
from tests.deploy.proxy import NGINX, SHIPPED, Answer, Echo, Nginx, free_port, is_whole, talk

pytestmark = [pytest.mark.server, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]

EVIL = "CN=evil,O=Example,C=GB"
IDENTITY = re.compile(r"(?i)x[-_]ssl[-_]|remote[-_]?|upload[-_]?user|x[-_]forwarded|^forwarded$|x[-_]real|user$")


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with Echo() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def nginx(echo: Echo, certificates: Certificates, folder: Path) -> Iterator[Nginx]:
    with Nginx(folder, certificates, echo.address) as running:
        yield running


@pytest.fixture(autouse=True)
def _forget(echo: Echo) -> None:
    echo.requests.clear()


def request(*lines: str, target: str = "/datafeed", method: str = "POST", body: bytes = b"ab") -> bytes:
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", "Feed: X", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


def identity_of(echo: Echo) -> dict[str, list[str]]:
    """Every header of the newest request whose name could be taken for an identity header."""
    found: dict[str, list[str]] = {}
    for name, value in echo.headers():
        if IDENTITY.search(name):
            found.setdefault(name, []).append(value)
    return found


NOBODY = {"X-SSL-Client-Verify": ["NONE"], "X-Forwarded-For": ["127.0.0.1"], "X-Forwarded-Proto": ["https"]}


def test_s05_a_verified_certificate_arrives_whole(echo: Echo, nginx: Nginx, certificates: Certificates) -> None:
    talk(nginx.connect(certificates.good), request())
    seen = identity_of(echo)
    assert seen["X-SSL-CLIENT-S-DN"] == seen["RemoteDN"] == [GOOD_DN]
    assert seen["X-SSL-Client-Verify"] == ["SUCCESS"]
    assert re.fullmatch(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT", seen["X-SSL-Client-V-End"][0])


def test_s05_without_a_certificate_nothing_but_none_arrives(echo: Echo, nginx: Nginx) -> None:
    talk(nginx.connect(), request())
    assert identity_of(echo) == NOBODY


SPOOFS = {
    "as written": f"X-SSL-CLIENT-S-DN: {EVIL}",
    "lower case": f"x-ssl-client-s-dn: {EVIL}",
    "mixed case": f"X-Ssl-cLiEnT-s-Dn: {EVIL}",
    "underscores": f"X_SSL_CLIENT_S_DN: {EVIL}",
    "one underscore": f"X-SSL-CLIENT_S-DN: {EVIL}",
    "blank before the colon": f"X-SSL-CLIENT-S-DN : {EVIL}",
    "folded name": f"X-SSL-CLIENT-S-DN:\r\n {EVIL}",
    "folded behind another": f"X-Other: a\r\n X-SSL-CLIENT-S-DN: {EVIL}",
    "doubled": f"X-SSL-CLIENT-S-DN: {EVIL}\r\nX-SSL-CLIENT-S-DN: {EVIL}",
    "bare line feed": f"X-Other: a\nX-SSL-CLIENT-S-DN: {EVIL}",
    "bare carriage return": f"X-Other: a\rX-SSL-CLIENT-S-DN: {EVIL}",
    "NUL": f"X-Other: a\x00X-SSL-CLIENT-S-DN: {EVIL}",
    "old name": f"RemoteDN: {EVIL}\r\nRemoteCertExpiry: 2099-01-01T00:00:00.000Z",
    "the whole set": (
        f"X-SSL-CLIENT-S-DN: {EVIL}\r\nX-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-V-End: Jan  1 00:00:00 2099 GMT"
    ),
    "users": "UploadUserId: root\r\nUploadUsername: root",
    "declared hop-by-hop": f"Connection: X-SSL-Client-Verify\r\nX-SSL-CLIENT-S-DN: {EVIL}",
    "signed on": "X-Remote-User: admin\r\nX_Remote_User: admin\r\nRemote-User: admin\r\nX-Auth-Request-User: admin",
    "signed on twice": "X-Remote-User: admin\r\nx-remote-user: admin\r\nX-Forwarded-User: admin",
    "other proxies' names": "Forwarded: for=10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\nX-Forwarded-Host: evil",
}


@pytest.mark.parametrize("lines", SPOOFS.values(), ids=SPOOFS.keys())
def test_s02_s05_no_spelling_of_an_identity_header_gets_past_nginx(echo: Echo, nginx: Nginx, lines: str) -> None:
    [answer] = talk(nginx.connect(), request(lines))
    assert answer.status in {200, 400}
    if echo.requests:
        assert identity_of(echo) == NOBODY
        certificate = read_request(
            [(name.encode("latin-1"), value.encode("latin-1")) for name, value in echo.headers()],
            b"",
            peer="127.0.0.1",
            trusts=lambda _: True,
            identity=IdentityNames(),
            require_verify=True,
            now=datetime.now(UTC),
        ).certificate
        assert not certificate.presented
    else:
        assert answer.stroom_status == "999"


def test_s05_a_spoof_beside_a_real_certificate_is_gone(
    echo: Echo, nginx: Nginx, certificates: Certificates
) -> None:
    talk(nginx.connect(certificates.other), request(SPOOFS["the whole set"], SPOOFS["old name"]))
    assert echo.requests
    assert EVIL not in echo.requests[0].decode()


def test_s05_the_addresses_told_are_appended_to_not_replaced(echo: Echo, nginx: Nginx) -> None:
    """The portal reads them from the right, so the rightmost has to be what nginx saw."""
    talk(nginx.connect(), request("X-Forwarded-For: 203.0.113.9"))
    assert identity_of(echo)["X-Forwarded-For"] == ["203.0.113.9, 127.0.0.1"]


@pytest.mark.parametrize("name", ["expired", "not_yet_valid", "self_signed", "unknown_ca"])
@pytest.mark.parametrize("target", ["/datafeed", "/stroom/noauth/datafeed/x", "/admin/?a=%2Fb", "//datafeed"])
def test_s03_the_portal_is_told_of_every_certificate_that_fails(
    echo: Echo, nginx: Nginx, certificates: Certificates, name: str, target: str
) -> None:
    """Whole, method and body too, and whatever the client says of itself is replaced."""
    sent = request(SPOOFS["the whole set"], SPOOFS["old name"], target=target, method="PUT", body=b"whole")
    [answer] = talk(nginx.connect(getattr(certificates, name)), sent)
    assert answer.status == 200
    assert echo.requests[0].startswith(f"PUT {target} HTTP/1.1\r\n".encode())
    assert echo.requests[0].endswith(b"\r\n\r\nwhole")
    seen = identity_of(echo)
    assert seen["X-SSL-CLIENT-S-DN"] == seen["RemoteDN"] == [GOOD_DN]
    assert [value.partition(":")[0] for value in seen["X-SSL-Client-Verify"]] == ["FAILED"]


def test_s03_a_certificate_that_nginx_refuses_lifts_no_limit(
    echo: Echo, nginx: Nginx, certificates: Certificates
) -> None:
    endless = b"POST /datafeed HTTP/1.1\r\nHost: localhost\r\nFeed: X\r\n\r\nlost"
    [answer] = talk(nginx.connect(certificates.expired), endless)
    assert answer.status == 411
    speaks_like_the_portal(answer)
    assert echo.requests == []


OWN_ERRORS: dict[str, tuple[int, bytes]] = {
    "not http": (400, b"FOO\r\n\r\n"),
    "no host": (400, b"POST /datafeed HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
    "two lengths": (
        400,
        b"POST /datafeed HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    ),
    "a length that is none": (400, b"POST /datafeed HTTP/1.1\r\nHost: a\r\nContent-Length: 3a\r\n\r\nabc"),
    "negative length": (400, b"POST /datafeed HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc"),
    "length and chunked": (
        400,
        b"POST /datafeed HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "broken chunk": (400, b"POST /datafeed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "bad escape": (400, b"POST /datafeed%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
    "above the root": (400, b"POST /../datafeed HTTP/1.1\r\nHost: a\r\n\r\n"),
    "TRACE": (405, b"TRACE /datafeed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    "long address": (414, b"POST /datafeed?a=" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "long header": (431, b"POST /datafeed HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"),
    "many headers": (431, b"POST /datafeed HTTP/1.1\r\nHost: a\r\n" + b"X: %b\r\n" % (b"a" * 9_000) * 9 + b"\r\n"),
    "other coding": (501, b"POST /datafeed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    "other version": (505, b"POST /datafeed HTTP/7.0\r\nHost: a\r\n\r\n"),
    "a body that only the end of the connection ends": (411, b"POST /datafeed HTTP/1.0\r\nHost: a\r\n\r\ndata"),
    "the same with PUT": (411, b"PUT /stroom/datafeed HTTP/1.0\r\n\r\n"),
    "a body without a length": (411, b"POST /datafeed HTTP/1.1\r\nHost: a\r\n\r\ndata"),
    "the same, closing": (
        411,
        b"PUT /stroom/noauth/datafeed/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\ndata",
    ),
    "the same behind slashes": (411, b"POST //stroom//datafeeddirect HTTP/1.1\r\nHost: a\r\n\r\ndata"),
    "a request in the place of a body": (
        411,
        b"POST /datafeed HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    "its own address": (404, b"GET /.nginx/502 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
}


def speaks_like_the_portal(answer: Answer) -> None:
    lines = answer.body.decode("ascii").split("\n")
    message = stroom_status.UNKNOWN_ERROR.message
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-request-id"]
    assert answer.stroom_status == "999"
    assert lines[0] == answer.headers["stroom-error"] == f"Stroom Status 999 - {message}"
    assert lines[2:] == ["See: /codes/stroom/999/", ""]
    assert "\\" not in answer.body.decode()


@pytest.mark.parametrize(("status", "sent"), OWN_ERRORS.values(), ids=OWN_ERRORS.keys())
def test_r14_s06_an_error_of_nginx_itself_speaks_as_the_portal_does(
    echo: Echo, nginx: Nginx, status: int, sent: bytes
) -> None:
    answers = talk(nginx.connect(), sent)
    assert [answer.status for answer in answers] == [status]
    speaks_like_the_portal(answers[0])
    assert not any(is_whole(seen) for seen in echo.requests)


def test_r14_the_words_are_the_portals_own() -> None:
    shipped = SHIPPED.read_text()
    for status in (
        stroom_status.BAD_REQUEST,
        stroom_status.HEADERS_TOO_LARGE,
        stroom_status.METHOD_NOT_ALLOWED,
        stroom_status.LENGTH_REQUIRED,
        stroom_status.CODING_NOT_SUPPORTED,
        stroom_status.UNAVAILABLE,
    ):
        assert f'"{status.explanation}"' in shipped
    for status in (stroom_status.CONTENT_TOO_LARGE, stroom_status.CERTIFICATE_REQUIRED):
        assert f'"{status.message}"' in shipped


def test_r14_http_on_the_https_port(nginx: Nginx) -> None:
    [answer] = talk(nginx.plain(nginx.https), request())
    assert answer.status == 400
    speaks_like_the_portal(answer)


def test_r14_a_portal_that_is_down_is_502_with_a_spread_wait(certificates: Certificates, tmp_path: Path) -> None:
    with Nginx(tmp_path, certificates, f"127.0.0.1:{free_port()}") as nginx:
        [answer] = talk(nginx.connect(certificates.expired), request())
        assert answer.status == 502
        speaks_like_the_portal(answer)
        waits = set()
        for _ in range(20):
            [answer] = talk(nginx.connect(), request())
            assert answer.status == 502
            speaks_like_the_portal(answer)
            waits.add(int(answer.headers["retry-after"]))
    assert len(waits) > 1
    assert waits <= set(range(30, 91))


def test_r14_a_portal_that_does_not_answer_is_504(certificates: Certificates, tmp_path: Path) -> None:
    change = (r"proxy_read_timeout \d+s", "proxy_read_timeout 200ms")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        upstream = f"127.0.0.1:{silent.getsockname()[1]}"
        with Nginx(tmp_path, certificates, upstream, (change,)) as nginx:
            [answer] = talk(nginx.connect(), request())
    assert answer.status == 504
    speaks_like_the_portal(answer)
    assert 30 <= int(answer.headers["retry-after"]) <= 90


def test_r14_a_limit_set_in_nginx_is_413_with_410(echo: Echo, certificates: Certificates, tmp_path: Path) -> None:
    change = (r"client_max_body_size 0;", "client_max_body_size 1k;")
    with Nginx(tmp_path, certificates, echo.address, (change,)) as nginx:
        [answer] = talk(nginx.connect(), request(body=b"a" * 2000))
    assert (answer.status, answer.stroom_status) == (413, "410")
    assert answer.body.startswith(b"Stroom Status 410 - Content too large\n")


def test_r14_a_certificate_demanded_in_nginx_is_401_with_300(
    echo: Echo, certificates: Certificates, tmp_path: Path
) -> None:
    change = (r"ssl_verify_client +optional_no_ca;", "ssl_verify_client on;")
    with Nginx(tmp_path, certificates, echo.address, (change,)) as nginx:
        [answer] = talk(nginx.connect(), request())
    assert (answer.status, answer.stroom_status) == (401, "300")
    assert answer.body.startswith(b"Stroom Status 300 - Client Certificate Required\n")


WIRE_PATHS = [
    f"{path}{tail}"
    for path in ("/datafeed", "/stroom/datafeed", "/stroom/noauth/datafeed", "/stroom/datafeeddirect")
    for tail in ("", "/", "/any/sub")
] + [
    "/api/feedStatus/v2/getFeedStatus",
    "/api/v1/receipt/check/",
    "/status",
    "/stroom/noauth/status",
    "/readyz",
    "/metrics",
    "//datafeed",
]


@pytest.mark.parametrize("path", WIRE_PATHS)
def test_s32_plain_http_never_redirects_a_machine(echo: Echo, nginx: Nginx, path: str) -> None:
    [answer] = talk(nginx.plain(), request(target=path))
    assert answer.status == 400
    speaks_like_the_portal(answer)
    assert echo.requests == []


@pytest.mark.parametrize("host", ["localhost", "evil.example"])
@pytest.mark.parametrize("page", ["/", "/codes/?q=503", "/admin/", "/api/docs/", "/datafeeds", "/statuses"])
def test_plain_http_sends_people_to_the_configured_name(nginx: Nginx, page: str, host: str) -> None:
    sent = f"GET {page} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    [answer] = talk(nginx.plain(), sent)
    assert answer.status == 308
    assert answer.headers["location"] == f"https://portal.example.org{page}"


def head_of(target: str, length: int) -> bytes:
    return f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("target", "limited"), [("/api/v1/feeds/import/", True), ("/x", True), ("/datafeed", False)]
)
def test_s34_only_deliveries_may_be_larger_than_pages_take(
    echo: Echo, nginx: Nginx, target: str, *, limited: bool
) -> None:
    with nginx.connect() as connection:
        connection.sendall(head_of(target, 33 * 1024 * 1024))
        if limited:
            told = connection.recv(65536)  # nginx waits a while for the body before it closes
            assert told.startswith(b"HTTP/1.1 413 ")
            assert b"\r\nStroom-Status: 410\r\n" in told
        else:
            connection.sendall(bytes(1000))
            wait_until(lambda: echo.open)


def test_s34_one_address_holds_a_share_of_the_pages_and_no_delivery_is_refused(echo: Echo, nginx: Nginx) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(64):
            connection = held.enter_context(nginx.connect())
            connection.sendall(head_of("/admin/login/", 5))
        wait_until(lambda: len(echo.open) == 64)
        [answer] = talk(nginx.connect(), request(target="/admin/"))
        assert answer.status == 429
        speaks_like_the_portal(answer)
        assert 30 <= int(answer.headers["retry-after"]) <= 90
        for path in (
            "/datafeed",
            "/stroom/noauth/datafeed",
            "/api/feedStatus/v2/getFeedStatus",
            "/status",
            "/livez",
        ):
            assert [answer.status for answer in talk(nginx.connect(), request(target=path))] == [200]


def wait_until(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("sent", "method"),
    [
        (b"POST /datafeed?log=1 HTTP/1.1\r\nHost: a\r\n\r\n", "POST"),
        (b"TRACE /datafeed?log=2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "TRACE"),
    ],
)
def test_the_log_names_the_method_of_the_request_where_nginx_answers_by_itself(
    nginx: Nginx, sent: bytes, method: str
) -> None:
    talk(nginx.connect(), sent)
    log, uri = nginx.folder / "access.log", sent.split()[1].decode()
    wait_until(lambda: f'"uri":"{uri}"' in log.read_text())
    [line] = [line for line in log.read_text().splitlines() if f'"uri":"{uri}"' in line]
    assert json.loads(line)["method"] == method


def test_s12_one_request_is_one_log_line(nginx: Nginx) -> None:
    log = nginx.folder / "access.log"
    before = len(log.read_text().splitlines())
    talk(nginx.connect(), request(target='/datafeed?a="%0a%0d\\x1b[31m'))
    talk(nginx.connect(), request(target="/end"))
    deadline = time.monotonic() + 5
    while '"uri":"/end"' not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)  # nginx writes the line when the connection is done with
    lines = log.read_text().splitlines()[before:]
    assert len(lines) == 2
    assert json.loads(lines[0])["stroom_status"] == "0"


def test_s05_every_location_sets_every_identity_header() -> None:
    """Headers are set once for the server; a location with one of its own would inherit none of them."""
    shipped = re.sub(r"#[^\n]*", "", SHIPPED.read_text())
    servers = shipped.split("server {")[1:]
    for server in servers:
        outside = re.sub(r"location [^{]*\{.*?\n    \}", "", server, flags=re.DOTALL)
        names = {name.lower() for name in re.findall(r"proxy_set_header\s+(\S+)", outside)}
        if "proxy_pass" in server:
            own = IdentityNames()
            others = {"remotedn", "x-remote-user", "x-forwarded-for", "x-forwarded-proto", "host"}
            wanted = {*own.dn, own.verify, own.expiry, *others}
            assert wanted <= names
        inside = re.findall(r"location [^{]*\{(.*?)\n    \}", server, flags=re.DOTALL)
        assert inside
        assert not any("proxy_set_header" in location for location in inside)
    assert sum("proxy_pass" in server for server in servers) == 1
